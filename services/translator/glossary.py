"""Terms that a caller wants in just one way: found in the Arabic, brought into the English, reported either way.

Models take no terms, so they are led to them. A sentence with a term is translated as it is; if its English lacks the
term, again in two rewritings: with the English term in the Arabic ("أعلن World Bank أن"), which the model reads and
understands but may inflect, and with a code in its place ("أعلن XYZ أن"), which it copies more surely and knows less
of. A rewriting is taken only if it has more of the terms and no doubt that the plain translation has not.

Sentences without terms never come here: they are translated as without a glossary, token for token.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from services.harness.terms import Term, Word, check_terms, words_of
from services.translator.check import Doubt
from services.translator.normalize import Scheme, normalize
from services.translator.span import Span

CODES = ("XYZ", "ABC", "QRS", "KLM", "XQ")
"""Of 20 candidates those that the shipped model copies most surely; none is a word or a name that news is about."""
SHORTEST_STEM = 3
"""Letters that a single word must have to be found behind prefixes: "ولد" is a boy, not "and لد"."""
CHARS_SLACK = 25
LENGTH_RATIOS = (0.6, 1.7)
"""A rewriting much shorter or longer than the plain translation has lost or invented something beside the term."""
LOG_PROBABILITY_LOSS = 0.5
"""How much less sure than of the plain translation the model may be."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a term stands in a text."""

    span: Span
    """Its words, prefixes included."""
    prefix: str
    """The prefixes that stay in a rewriting: conjunction and preposition, without the article."""
    term: Term


class HasTerm(Protocol):
    """A match, here or in an answer."""

    @property
    def term(self) -> Term: ...


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A sentence with other words in the place of terms."""

    text: str
    codes: dict[str, str]
    """What each code in it stands for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A translation that may be chosen, in the caller's words."""

    text: str
    log_probability: float
    doubts: Sequence[Doubt]
    confidence: float | None = None


class Glossary:
    """Finds terms in normalized text."""

    def __init__(self, terms: Sequence[Term], scheme: Scheme) -> None:
        """Raises Refusal for terms that are none under the scheme (`check_terms`)."""
        normalized = [Term(normalize(term.source, scheme).text, term.english) for term in terms]
        check_terms(normalized, "glossary_terms")
        self._entries: dict[tuple[str, ...], _Entry] = {}
        self._lengths: dict[str, list[int]] = {}
        for term, source in zip(terms, normalized, strict=True):
            words = words_of(source.source)
            key = tuple(word.folded for word in words)
            self._entries.setdefault(key, _Entry(term, len(words) > 1, has_article=_has_article(words[0].bare)))
            lengths = self._lengths.setdefault(key[0], [])
            if len(key) not in lengths:
                lengths.append(len(key))

    def find(self, text: str) -> list[Match]:
        """Return every place of a term in `text`, in order, not overlapping: longer terms first, then earlier ones."""
        words = words_of(text)
        keys = [word.folded for word in words]
        found: list[tuple[int, int, int, Match]] = []
        for first, word in enumerate(words):
            for prefix, core, joined in _readings(word):
                for length in self._lengths.get(core, ()):
                    key = (core, *keys[first + 1 : first + length])
                    entry = self._entries.get(key)
                    if entry and len(key) == length and entry.allows(word, prefix, core, joined=joined):
                        match = Match(Span(word.start, words[first + length - 1].end), prefix, entry.term)
                        found.append((sum(map(len, key)), first, first + length, match))
        found.sort(key=lambda one: (-one[0], len(one[3].prefix), one[1]))
        taken = [False] * len(words)
        matches = []
        for _, first, end, match in found:
            if not any(taken[first:end]):
                taken[first:end] = [True] * (end - first)
                matches.append(match)
        return sorted(matches, key=lambda match: match.span)


@lru_cache(maxsize=16)
def glossary_of(terms: tuple[Term, ...], scheme: Scheme) -> Glossary:
    """Return the glossary of `terms`, kept since an article comes in several calls. Raises Refusal (`check_terms`)."""
    return Glossary(terms, scheme)


def rewritings(text: str, matches: Sequence[Match], plain: str) -> Iterator[Rewriting]:
    """Yield `text` with other words for the terms that the plain translation lacks, the better rewriting first."""
    applied = outcomes(matches, plain)
    lacking = {match.term for match, has in zip(matches, applied, strict=True) if not has}
    in_english = {term: term.english for term in lacking if not _ARABIC.search(term.english)}
    seen = " ".join([text, plain, *(term.english for term in lacking)])
    codes = dict(zip(sorted(lacking), (code for code in CODES if code not in seen), strict=False))
    known = {text}
    for words, meanings in (
        (in_english, {}),
        (in_english | codes, {code: term.english for term, code in codes.items()}),
    ):
        rewritten = _replaced(text, matches, words)
        if rewritten not in known:
            known.add(rewritten)
            yield Rewriting(rewritten, meanings)


def restore(translation: str, rewriting: Rewriting) -> str | None:
    """Return `translation` with the terms for the codes, or None if a code was lost, mangled, or written too often."""
    for code, english in rewriting.codes.items():
        pattern = re.compile(rf"(?<!\w){code}(?!\w)")
        written = len(pattern.findall(translation))
        if not 0 < written <= rewriting.text.count(code) or translation.count(code) != written:
            return None
        if english.split()[0].lower() in _ARTICLES:  # "the XYZ" for "the Hague"
            pattern = re.compile(rf"(?:(?<!\w)(?:{'|'.join(_ARTICLES)}) )?{pattern.pattern}", re.IGNORECASE)
        translation = pattern.sub(partial(_in_place, english), translation)
    return translation


def choose(matches: Sequence[Match], plain: Candidate, others: Sequence[Candidate]) -> Candidate:
    """Return the translation with the most terms among the plain one and those that are as good in all else."""
    sound = [plain, *(other for other in others if _is_as_good(other, plain, matches))]
    return max(sound, key=lambda candidate: sum(outcomes(matches, candidate.text)))  # of equals the first


def outcomes(matches: Sequence[HasTerm], translation: str) -> list[bool]:
    """Tell for each match whether the translation has its English. What it has once is the first match's."""
    left = {english: _count(english, translation) for english in {match.term.english for match in matches}}
    applied = []
    for match in matches:
        applied.append(left[match.term.english] > 0)
        left[match.term.english] -= 1
    return applied


@dataclass(frozen=True, slots=True)
class _Entry:
    """A term as it is looked up."""

    term: Term
    several_words: bool
    has_article: bool

    def allows(self, word: Word, prefix: str, core: str, *, joined: bool) -> bool:
        """Tell whether the term may stand in `word` by this reading."""
        if core == word.folded:
            return True
        if joined and not self.has_article:
            return False
        return self.several_words or len(core) - 2 * self.has_article >= SHORTEST_STEM


def _readings(word: Word) -> Iterator[tuple[str, str, bool]]:
    """Yield the ways to read a word: prefixes that stay, what is looked up, and whether its article was joined to ل."""
    letters = word.folded
    yield "", letters, False
    for conjunction in ("", "و", "ف"):
        if not letters.startswith(conjunction):
            continue
        rest = letters[len(conjunction) :]
        for preposition in ("", "ب", "ك", "ل"):
            if not rest.startswith(preposition):
                continue
            prefix = conjunction + preposition
            core = rest[len(preposition) :]
            if prefix and core:
                yield prefix, core, False
            if _has_article(word.bare[len(prefix) :]):
                yield prefix, core[2:], False
        if rest.startswith("لل") and len(rest) > 2:
            yield conjunction + "ل", rest[2:], False  # للبنك for a term "بنك"
            yield conjunction + "ل", "ال" + rest[2:], True  # للبنك for "البنك"
            yield conjunction + "ل", "ال" + rest[1:], True  # للجنة for "اللجنة": three ل are written as two


def _has_article(bare: str) -> bool:
    return bare[:2] in ("ال", "ٱل") and len(bare) > 2


def _replaced(text: str, matches: Sequence[Match], words: dict[Term, str]) -> str:
    parts, end = [], 0
    for match in matches:
        if match.term in words:
            parts += [text[end : match.span.start], match.prefix, words[match.term]]
            end = match.span.end
    return "".join([*parts, text[end:]])


def _in_place(english: str, match: re.Match[str]) -> str:
    """A term in small letters is raised where a sentence begins with it."""
    return english[0].upper() + english[1:] if match.start() == 0 and english.islower() else english


def _is_as_good(other: Candidate, plain: Candidate, matches: Sequence[Match]) -> bool:
    if not {doubt.reason for doubt in other.doubts} <= {doubt.reason for doubt in plain.doubts}:
        return False
    if other.log_probability < plain.log_probability - LOG_PROBABILITY_LOSS:
        return False
    wanted = Counter(match.term.english for match in matches)
    if any(_count(english, other.text) > max(n, _count(english, plain.text)) for english, n in wanted.items()):
        return False  # said twice: it took the place of something else
    if plain.doubts:
        return True  # its length proves nothing
    shortest, longest = LENGTH_RATIOS
    slack = CHARS_SLACK + sum(len(match.term.english) for match in matches)
    return shortest * len(plain.text) - slack <= len(other.text) <= longest * len(plain.text) + slack


@lru_cache(maxsize=4096)
def _pattern(english: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in english.translate(_QUOTES).split())
    if not english.islower():  # a name has its capitals; only a small first letter may be raised
        words = f"(?:{re.escape(english[0].upper())}|{re.escape(english[0])}){words[len(re.escape(english[0])) :]}"
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE if english.islower() else re.NOFLAG)


def _count(english: str, translation: str) -> int:
    return len(_pattern(english).findall(translation.translate(_QUOTES)))


_ARABIC = re.compile(r"[\u0620-\u06ff]")
_ARTICLES = ("the", "a", "an")
_QUOTES = str.maketrans("’‘`“”‐‑–", "'''\"\"---")
