"""How well the words of a translation account for each other, from a lexicon rather than from the model that wrote it.

A translation model is as sure of a fluent invention as of a right answer. The lexicon (IBM Model 1, see
`training/lexicon.py`) knows nothing of fluency: it holds for each Arabic piece the English pieces that stood for it in
human translations. It comes with the model folder, since it speaks of the model's pieces; a folder without one, such as
a converted model, is not checked this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.translator.model import read_vocabulary

FILE = "lexicon.npz"
FLOOR = 1e-3
"""The probability of a pair that the lexicon does not list; it lists few below a hundredth."""
COMMON = 2e-3
"""A piece that the empty word writes this often, such as "the" or a comma, needs no source and proves nothing."""
EMPTY_WORD = 0
"""The row of the lexicon that stands for no Arabic at all."""


@dataclass(frozen=True, slots=True)
class Adequacy:
    """Two means of natural logs, each at most 0; nearer 0 is better. 0 where there was nothing to judge."""

    english_explained: float
    """Over the English pieces: the best probability that any Arabic piece of the sentence gives it."""
    arabic_carried: float
    """Over the Arabic pieces: the best probability among the English pieces there, relative to its best of all."""


class Lexicon:
    """The candidates of every Arabic piece: `english` and `probability`, both pieces × candidates."""

    def __init__(
        self, vocabulary: Sequence[str], english: npt.NDArray[np.uint16], probability: npt.NDArray[np.float16]
    ) -> None:
        self._ids = {piece: number for number, piece in enumerate(vocabulary)}
        self._english = english
        self._probability = probability.astype(np.float32)
        self._best = np.maximum(self._probability[:, 0], FLOOR)
        self._common = set(english[EMPTY_WORD][self._probability[EMPTY_WORD] >= COMMON].tolist())

    @classmethod
    def open(cls, folder: Path) -> "Lexicon | None":
        """Return the lexicon of a verified model folder, None if it has none."""
        if not (folder / FILE).is_file():
            return None
        with np.load(folder / FILE, allow_pickle=False) as tables:
            return cls(read_vocabulary(folder), tables["english"], tables["probability"])

    def adequacy(self, source: Sequence[str], target: Sequence[str]) -> Adequacy:
        """Judge a sentence by its pieces in both languages."""
        arabic = sorted({self._ids[piece] for piece in source if piece in self._ids})
        english = [self._ids[piece] for piece in target if piece in self._ids]
        english = [number for number in english if number not in self._common]
        if not arabic or not english:
            return Adequacy(0.0, 0.0)
        candidates, probability = self._english[arabic], self._probability[arabic]
        # Arabic pieces × candidates × English pieces: which candidate is there.
        there = candidates[:, :, None] == np.array(english, dtype=candidates.dtype)
        found = np.where(there, probability[:, :, None], 0.0)
        explained = np.maximum(found.max(axis=(0, 1)), FLOOR)
        carried = np.maximum(found.max(axis=(1, 2)) / self._best[arabic], FLOOR)
        return Adequacy(float(np.log(explained).mean()), float(np.log(carried).mean()))
