"""Where the sentences of a paragraph stand.

Works on normalized text. Splits after `. ! ? ؟ ؛` and at line breaks; never at `،`, which may end a clause or not. What
the model cannot read in one piece is cut again at the best weaker boundary.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.translator.span import Span

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a `fragment` of one that is longer than the model reads."""

    span: Span
    fragment: bool


def split(text: str, *, max_tokens: int, count_tokens: CountTokens) -> list[Piece]:
    """Return the sentences of `text`, trimmed, in order; between them is nothing but white space.

    No piece has more than `max_tokens` by `count_tokens`, unless a single character has.
    """
    pieces: list[Piece] = []
    for span in _sentences(text):
        # A token is at least one byte, so a short text cannot be too long; most sentences are never counted.
        sentence = span.of(text)
        if len(sentence.encode(errors="replace")) <= max_tokens or count_tokens(sentence) <= max_tokens:
            pieces.append(Piece(span, fragment=False))
        else:
            pieces.extend(Piece(part, fragment=True) for part in _cut(text, span, max_tokens, count_tokens))
    return pieces


# A full stop that ends no sentence: after an initial or an abbreviation.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[\u0621-\u064a]{1,2}|[A-Za-z]|[A-Za-z](?:\.[A-Za-z])+|Mr|Mrs|Ms|Dr|St|Prof|Gen|Sen|vs|No|Inc|Ltd|Co)$"
)
_LIST_MARKER = re.compile(r"^\s*\d{1,3}$")
_STOPS = re.compile(r"[.!?؟؛]+|\n+")
_CLOSING = "\"')]}"
_LETTER_OR_DIGIT = re.compile(r"\w")
_ARABIC = re.compile(r"[\u0621-\u064a]")


def _sentences(text: str) -> Iterator[Span]:
    start = 0
    for match in _STOPS.finditer(text):
        end = match.end()
        if end <= start:
            continue
        if match.group()[0] != "\n":
            if not _ends_sentence(text, start, match):
                continue
            end = _take_closing(text, start, end)
        # A piece of signs alone would be a sentence without words; it stays with its neighbour.
        if not _LETTER_OR_DIGIT.search(text, start, end) and match.group()[0] != "\n":
            continue
        yield from _trimmed(text, start, end)
        start = end
    yield from _trimmed(text, start, len(text))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    stop, end = match.group(), match.end()
    following = text[end : end + 1]
    if stop != ".":
        # "؟" and "!" within a word or address ("?id=1") end nothing.
        return not (stop[0] in "?!" and following.isascii() and following.isalnum())
    before = text[max(start, match.start() - 12) : match.start()]
    if _ABBREVIATION.search(before) or _LIST_MARKER.match(text[start : match.start()]):
        return False
    if not following or following.isspace() or following in _CLOSING:
        return True
    # "انتهى.وقال": between two Arabic words a missing space is clumsy writing; elsewhere "3.5", "bbc.com", "U.S.A".
    return bool(_ARABIC.match(following) and _ARABIC.search(before[-1:]))


def _take_closing(text: str, start: int, end: int) -> int:
    """Take along the quotation mark or bracket that closes what was opened in this sentence or an earlier one."""
    line = max(text.rfind("\n", 0, start) + 1, start - _QUOTE_CHARS)
    while end < len(text) and text[end] in _CLOSING:
        char = text[end]
        opened = text.count(char, line, end) % 2 == 1 if char in "\"'" else True
        if not opened:
            break
        end += 1
    return end


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield Span(start, end)


# How far back an opened quotation is looked for: longer ones are rare, and looking on would cost time in a long text.
_QUOTE_CHARS = 2000
# Weaker boundaries, best first: after a semicolon or colon, after a comma, before "and", at a space.
_WEAKER = [re.compile(pattern) for pattern in (r"[؛;:](?=\s)", r"[،,](?=\s)", r"\s(?=و[\u0621-\u064a]{2})", r"\s")]
_WORD = re.compile(r"\s*\S{1,200}")
"""A word, or 200 characters of a longer one."""


def _cut(text: str, span: Span, max_tokens: int, count_tokens: CountTokens) -> Iterator[Span]:
    """Cut a long sentence into parts of like size, at the best boundaries near the ideal places.

    Words are counted one by one and once, so the time grows with the length alone; since a whole may have more tokens
    than its words, every part is counted again and halved if it is still too long.
    """
    words = [match.span() for match in _WORD.finditer(text, span.start, span.end)]
    counts = [count_tokens(text[start:end]) for start, end in words]
    total = sum(counts)
    parts = max(2, -(-total // max(1, int(max_tokens * 0.8))))
    ideal = total / parts
    start, tokens = span.start, 0
    number = 0
    while number < len(words):
        tokens += counts[number]
        word_end = words[number][1]
        number += 1
        if word_end < span.end and tokens + counts[min(number, len(counts) - 1)] > ideal:
            at = _best_boundary(text, start, word_end)
            yield from _fit(text, start, at, max_tokens, count_tokens)
            start, tokens = at, 0
            while number and words[number - 1][0] >= at:  # words behind the boundary are counted to the next part
                number -= 1
    yield from _fit(text, start, span.end, max_tokens, count_tokens)


def _best_boundary(text: str, start: int, end: int) -> int:
    """Return the end of a part of text[start:end]: the best boundary in its last third, or `end`."""
    earliest = start + (end - start) * 2 // 3
    for boundary in _WEAKER[:3]:
        matches = list(boundary.finditer(text, earliest, end))
        if matches:
            return matches[-1].end()
    return end


def _fit(text: str, start: int, end: int, max_tokens: int, count_tokens: CountTokens) -> Iterator[Span]:
    for part in _trimmed(text, start, end):
        if part.end - part.start == 1 or count_tokens(part.of(text)) <= max_tokens:
            yield part
            continue
        middle = (part.start + part.end) // 2
        spaces = [match.end() for match in _WEAKER[3].finditer(text, part.start + 1, part.end - 1)]
        at = min(spaces, key=lambda place: abs(place - middle), default=middle)
        yield from _fit(text, part.start, at, max_tokens, count_tokens)
        yield from _fit(text, at, part.end, max_tokens, count_tokens)
