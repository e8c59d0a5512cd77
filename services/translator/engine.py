"""Tokens in, tokens out: CTranslate2 behind one protocol, for both kinds of model.

Calls block and release the interpreter lock: the queue makes them in threads of their own, never on the event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import ctranslate2

from services.translator.batch import BatchCost, decoder_only_cost, encoder_decoder_cost
from services.translator.model import Manifest, Model

VERSION = f"ctranslate2 {ctranslate2.__version__}"
SAFER = {"beam_size": 4, "num_hypotheses": 4, "no_repeat_ngram_size": 4}
"""A second try: more answers to choose from, and none with the same four tokens twice. Three would forbid what is good
style: "of the Council of the Council of Ministers"."""


class Search(Enum):
    """The two ways of looking for an answer; the value tells how many answers are followed at once."""

    PLAIN = 1
    SAFER = SAFER["beam_size"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The model's answer to one sentence."""

    tokens: list[str]
    log_probability: float
    """Mean natural log over the tokens, the end token included; at most 0."""
    truncated: bool
    """The answer came to the limit of the model and may go on."""


class Engine(Protocol):
    """Decodes batches. Safe to call from as many threads as it was made for."""

    @property
    def batch_cost(self) -> BatchCost:
        """What tells the cost of a batch from its lengths."""
        ...

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        """Return one answer for each sentence of source tokens, in order."""
        ...

    def decode_safer(self, batch: Sequence[list[str]]) -> list[list[Decoded]]:
        """Return several answers for each sentence, the likeliest first; costs several times as much."""
        ...


def load(model: Model, *, workers: int, threads_per_worker: int) -> Engine:
    """Load `model` for `workers` calls at once, each on `threads_per_worker` threads."""
    return KINDS[model.manifest.kind](model, workers=workers, threads_per_worker=threads_per_worker)


class _Searching(ABC):
    """What both kinds of model have in common: the two ways of searching for an answer."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        """Decode one batch as it is."""
        return [answers[0] for answers in self._search(batch, beam_size=self._manifest.beam_size)]

    def decode_safer(self, batch: Sequence[list[str]]) -> list[list[Decoded]]:
        """Decode one batch with beams and without loops."""
        return self._search(batch, **SAFER)

    @abstractmethod
    def _search(self, batch: Sequence[list[str]], **options: int) -> list[list[Decoded]]:
        """Return the answers to each sentence, the likeliest first."""


class EncoderDecoder(_Searching):
    """`ctranslate2.Translator`: OPUS-MT, NLLB."""

    batch_cost = staticmethod(encoder_decoder_cost)

    def __init__(self, model: Model, *, workers: int, threads_per_worker: int) -> None:
        super().__init__(model.manifest)
        self._translator = ctranslate2.Translator(
            str(model.folder), inter_threads=workers, intra_threads=threads_per_worker, compute_type="int8"
        )

    def _search(self, batch: Sequence[list[str]], **options: int) -> list[list[Decoded]]:
        manifest = self._manifest
        limit = _target_limit(batch, manifest)
        results = self._translator.translate_batch(
            [_source(tokens, manifest) for tokens in batch],
            target_prefix=[manifest.target_prefix] * len(batch) if manifest.target_prefix else None,
            max_input_length=0,  # the default cuts silently at 1024 tokens; the splitter has kept to the model's limit
            max_decoding_length=limit + len(manifest.target_prefix),  # CTranslate2 counts both
            return_scores=True,
            **options,
        )
        prefix = len(manifest.target_prefix)
        return [
            [_decoded(tokens, score, limit, prefix) for tokens, score in zip(r.hypotheses, r.scores, strict=True)]
            for r in results
        ]


class DecoderOnly(_Searching):
    """`ctranslate2.Generator`: Gemma-style models that are prompted with the sentence."""

    batch_cost = staticmethod(decoder_only_cost)

    def __init__(self, model: Model, *, workers: int, threads_per_worker: int) -> None:
        super().__init__(model.manifest)
        self._generator = ctranslate2.Generator(
            str(model.folder), inter_threads=workers, intra_threads=threads_per_worker, compute_type="int8"
        )

    def _search(self, batch: Sequence[list[str]], **options: int) -> list[list[Decoded]]:
        manifest = self._manifest
        limit = _target_limit(batch, manifest)
        results = self._generator.generate_batch(
            [_source(tokens, manifest) for tokens in batch],
            max_length=limit,
            include_prompt_in_result=False,
            end_token=manifest.end_token,
            return_scores=True,
            **options,
        )
        return [
            [_decoded(tokens, score, limit) for tokens, score in zip(r.sequences, r.scores, strict=True)]
            for r in results
        ]


KINDS: dict[str, type[EncoderDecoder | DecoderOnly]] = {
    "encoder-decoder": EncoderDecoder,
    "decoder-only": DecoderOnly,
}
"""The engine for each kind of model that a manifest can name."""


def _source(tokens: list[str], manifest: Manifest) -> list[str]:
    return [*manifest.source_prefix, *tokens, *manifest.source_suffix]


def _target_limit(batch: Sequence[list[str]], manifest: Manifest) -> int:
    """Return how many tokens an answer of the batch may have: whoever writes more is in a loop, and all wait for it.

    Of 3,968 development sentences none has a human translation of more than 1.84 times its tokens.
    """
    return min(manifest.max_target_tokens, 2 * max(map(len, batch)) + 20)


def _decoded(tokens: list[str], score: float, limit: int, prefix: int = 0) -> Decoded:
    """Take the first `prefix` tokens, which were given and not written, out of the answer and its length."""
    written = tokens[prefix:]
    truncated = len(written) >= limit
    # CTranslate2's default length penalty of 1 has divided the score by the number of tokens, of the prefix and the end
    # token too; the prefix adds nothing to the sum.
    scored = len(written) + (not truncated)
    return Decoded(written, min(score, 0.0) * (scored + prefix) / scored, truncated)
