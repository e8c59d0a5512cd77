"""What a model is shown in one step."""

from dataclasses import dataclass

from torch import Tensor

PAD, EOS, BOS = 0, 1, 2
"""Ids of the first tokens of `vocabulary.json`, the same as in the teacher."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of several pairs each, rows × tokens; which sentence a token is of, as `Model` wants it; PAD elsewhere."""

    source: Tensor
    source_sentences: Tensor
    target: Tensor
    target_sentences: Tensor
    labels: Tensor
    """The target shifted by one, with PAD where nothing is to be learnt."""
