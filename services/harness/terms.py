"""The terms of a glossary: what is a term, and when two are the same. The gateway and the translator check with it.

Terms are compared as people read them: without vowels, whatever the form of alef, ya and ta marbuta. This folding is
for finding only; what the model reads is never folded.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from services.harness.errors import Reason, Refusal

MAX_TERMS = 1_000
MAX_TERM_CHARS = 200
MAX_TERM_WORDS = 20
"""Bounds the time that finding takes in a text that repeats the first word of many terms."""


class Term(NamedTuple):
    """What is to become what."""

    source: str
    target: str
    """Empty: the source as it is written in the glossary."""

    @property
    def english(self) -> str:
        """What the translation must have."""
        return " ".join((self.target or self.source).split())


class Word(NamedTuple):
    """A word or a sign of a text, and where it stands there."""

    folded: str
    bare: str
    """As long as `folded`, with the letters in their own forms: an article is told from "أل" by it."""
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the words of `text` and each sign as a word of its own, as they are compared."""
    folded: list[str] = []
    bare: list[str] = []
    origins: list[int] = []
    for offset, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).casefold():
            if part == _TATWEEL or unicodedata.category(part) in ("Mn", "Cf"):
                continue
            bare.append(part)
            folded.append(_FOLDED.get(part, part))
            origins.append(offset)
    origins.append(len(text))
    letters, own_forms = "".join(folded), "".join(bare)
    return [
        Word(match.group(), own_forms[slice(*match.span())], origins[match.start()], origins[match.end()])
        for match in _WORD.finditer(letters)
    ]


def check_terms(terms: Sequence[Term], field: str) -> None:
    """Raise Refusal if the terms are too many, or one is empty, too long, unreadable, or there with another target.

    `field` is the request's name for `terms`; the refusal's `entry` tells which of them is at fault.
    """
    if len(terms) > MAX_TERMS:
        raise Refusal(
            Reason.TOO_MANY_TERMS,
            f"{field} has {len(terms)} entries, the limit is {MAX_TERMS}. Send those that the article may have.",
            field=field,
            length=len(terms),
            limit=MAX_TERMS,
        )
    targets: dict[tuple[str, ...], tuple[int, str]] = {}
    for number, term in enumerate(terms):
        _check_length(len(term.source), MAX_TERM_CHARS, "characters", f"{field}[{number}].source", number)
        _check_length(len(term.target), MAX_TERM_CHARS, "characters", f"{field}[{number}].target", number)
        words = tuple(word.folded for word in words_of(term.source))
        _check_length(len(words), MAX_TERM_WORDS, "words", f"{field}[{number}].source", number)
        if not any(char.isalnum() for word in words for char in word):
            place = f"{field}[{number}].source"
            raise Refusal(
                Reason.TERM_EMPTY,
                f"{place} is {term.source!r}, which has no letters. Drop it.",
                field=place,
                entry=number,
            )
        if not term.english.isprintable():
            place = f"{field}[{number}].{'target' if term.target else 'source'}"
            raise Refusal(
                Reason.TERM_UNREADABLE,
                f"{place} has control characters: {term.english!r}. Drop them.",
                field=place,
                entry=number,
            )
        first, target = targets.setdefault(words, (number, term.english))
        if target != term.english:
            place = f"{field}[{number}].source"
            raise Refusal(
                Reason.REPEATED_TERM,
                f"{place} is found in the same words as {field}[{first}].source, with another target. Drop one.",
                field=place,
                entry=number,
                other=f"{field}[{first}].source",
            )


def _check_length(length: int, limit: int, unit: str, place: str, number: int) -> None:
    if length > limit:
        raise Refusal(
            Reason.TERM_TOO_LONG,
            f"{place} has {length} {unit}, the limit is {limit}. Shorten it.",
            field=place,
            entry=number,
            length=length,
            limit=limit,
        )


_TATWEEL = "\u0640"
_WORD = re.compile(r"\w+|[^\w\s]")
_FOLDED = {**dict.fromkeys("أإآٱ", "ا"), **dict.fromkeys("ىی", "ي"), "ة": "ه", "ک": "ك"}
