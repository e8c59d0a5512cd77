"""What the path asks of a family of models, and the error they all raise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


class CannotConvert(Exception):
    """The source is no model that can be converted, or not with these choices. Says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a family knows of the manifest of its models; the fields are those of `model.Manifest`."""

    kind: Literal["encoder-decoder", "decoder-only"]
    source_tokenizer: str
    target_tokenizer: str
    source_prefix: list[str]
    source_suffix: list[str]
    target_prefix: list[str]
    end_token: str
    max_source_tokens: int
    max_target_tokens: int


@dataclass(frozen=True, slots=True)
class Card:
    """What the source says of itself."""

    name: str
    origin: str
    """Where it comes from, such as "Helsinki-NLP/opus-mt-ar-en"."""
    licence: str | None
    """None if the source states none."""
    sources: list[str]
    """Data sets and models it was made from, as far as it says."""


class Source(Protocol):
    """A model of another project: opened and recognised, its weights not read yet."""

    @property
    def found(self) -> str:
        """What it is, in a line for people."""
        ...

    @property
    def card(self) -> Card: ...

    def write(self, folder: Path, quantization: str | None) -> Recipe:
        """Write everything but the manifest into `folder`, with weights in `quantization` or the family's default.

        Raises CannotConvert, and ModuleNotFoundError for a package that only conversion needs.
        """
        ...


NORMALIZATION = "diacritics-1"
"""Models of other projects read raw text in training: what it has of vowels ("مساءً") they have seen."""

MAX_TOKENS = 256
"""Of a sentence and of its translation. The families read up to 512 tokens in training, but few sentences of that
length, and drop parts of them; news hardly has sentences of 256."""


def is_arabic(code: str) -> bool:
    """Whether a model whose source language has this code reads standard Arabic; groups of languages count."""
    return code.replace("-", "_").lower() in {"ar", "ara", "arb", "arb_arab", "sem", "afa", "mul"}


def is_english(code: str) -> bool:
    """Whether this is a code of English."""
    return code.replace("-", "_").lower() in {"en", "eng", "eng_latn"}
