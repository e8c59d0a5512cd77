"""Where the sentences of a paragraph stand.

Works on normalized text. Splits after `. ! ? ؟ ؛` and at line breaks; never at `،`, which Arabic uses where English
would start a new sentence or not. What the model cannot read in one piece is cut again at the best weaker boundary.
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
        if _fits(span.of(text), max_tokens, count_tokens):
            pieces.append(Piece(span, fragment=False))
        else:
            pieces.extend(Piece(part, fragment=True) for part in _cut(text, span, max_tokens, count_tokens))
    return pieces


def cut_to_fit(text: str, *, max_tokens: int, count_tokens: CountTokens) -> list[Span]:
    """Return the parts of a sentence that the model can read, whatever stops are in it; the whole if it fits."""
    spans = list(_trimmed(text, 0, len(text)))
    if not spans or _fits(spans[0].of(text), max_tokens, count_tokens):
        return spans
    return list(_cut(text, spans[0], max_tokens, count_tokens))


# A full stop that ends no sentence: after an initial ("د.", "ص.ب.") or an abbreviation. Words of two Arabic letters are
# none: "له.", "به." and "هو." end sentences every day.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[\u0621-\u064a](?:\.[\u0621-\u064a])*|[A-Za-z](?:\.[A-Za-z])*"
    r"|إلخ|الخ|تلف|Mr|Mrs|Ms|Dr|St|Prof|Gen|Sen|vs|No|Inc|Ltd|Co)$"
)
# "عام 2003 م." and "سنة 1445 هـ.": the era, not an initial.
_ERA = re.compile(r"\d ?[هم]$")
# Latin letters by their Arabic names: a dot between two of them ("بي.بي.سي") or before a domain ("العربية.نت") joins.
_LETTER_NAME = (
    r"(?:[إأا]يه|بي|سي|دي|[إا]ي|[إأا]ف|جي|[إا]تش|[آأا]ي|جيه|كيه?|[إا]ل|[إأا]م|[إأا]ن|[أا]و|كيو|[آأا]ر|[إأا]س|تي|يو|في"
    r"|دبليو|[إأا]كس|واي|زد|زي)"
)
_AFTER_LETTER_NAME = re.compile(rf"(?:^|[\s(\"'/.])(?:[ولبك]|لل|ال)?{_LETTER_NAME}$")
_BEFORE_LETTER_NAME = re.compile(rf"{_LETTER_NAME}(?![\u0621-\u064a])")
_DOMAIN = re.compile(r"(?:نت|كوم|[أا]ور[جغ])(?![\u0621-\u064a])")
# What goes on after a quotation or an exclamation: a comma, or a participle that begins no sentence of its own.
_GOES_ON = re.compile(r" ?[،,:]")
_ATTRIBUTION = re.compile(
    r" ?(?:(?:مضيف|مشير|مؤكد|موضح|لافت|معتبر|قائل|متابع|مبين|داعي|محذر|مشدد|معرب|متسائل|كاشف|منوه|واصف|معلن)"
    r"(?:\u064b?ا\u064b?|ة))(?!\w)"
)
_LIST_MARKER = re.compile(r"\s*\d{1,3}")
_STOPS = re.compile(r"[.!?؟؛]+|\n+")
# Stops that follow after a space ("نعم. .") would be a sentence of signs.
_MORE_STOPS = re.compile(r"(?: ?[.!?؟؛]+(?![^\s.!?؟؛\"')\]}]))+")
_CLOSING = "\"')]}"
_BRACKETS = (")", "]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.-]+")
_ADDRESS_END = ".,!?،؛؟:;\"')]}"
_LETTER_OR_DIGIT = re.compile(r"\w")
_ARABIC = re.compile(r"[\u0621-\u064a]")
_ARABIC_OR_DIGIT = re.compile(r"[\u0621-\u064a\d]")


def _sentences(text: str) -> Iterator[Span]:
    """Yield the sentences; signs alone (a stray quotation mark) go to the sentence before them on their line."""
    last: Span | None = None
    for span in _raw_sentences(text):
        if last is None:
            last = span
        elif _LETTER_OR_DIGIT.search(text, *span) or "\n" in text[last.end : span.start]:
            yield last
            last = span
        else:
            last = Span(last.start, span.end)
    if last is not None:
        yield last


def _raw_sentences(text: str) -> Iterator[Span]:
    start = wordless = 0  # nothing but signs and spaces stands from `start` to `wordless`
    addresses = _address_spans(text)
    address = next(addresses, None)
    for match in _STOPS.finditer(text):
        while address and address.end <= match.start():
            address = next(addresses, None)
        end = match.end()
        if match.start() < max(start, wordless) or (address and address.start <= match.start()):
            continue
        newline = match.group()[0] == "\n"
        if not newline:
            if not _ends_sentence(text, start, match):
                continue
            end = _take_closing(text, start, end)
            if more := _MORE_STOPS.match(text, end):
                end = _take_closing(text, start, more.end())
            if _GOES_ON.match(text, end) or (end > match.end() and _ATTRIBUTION.match(text, end)):
                continue
            # A piece of signs alone would be a sentence without words; it stays with its neighbour.
            if not _LETTER_OR_DIGIT.search(text, max(start, wordless), end):
                wordless = end
                continue
        yield from _trimmed(text, start, end)
        start = end
    yield from _trimmed(text, start, len(text))


def _address_spans(text: str) -> Iterator[Span]:
    """Yield where web and e-mail addresses stand, without the signs that follow them."""
    for match in _ADDRESS.finditer(text):
        yield Span(match.start(), match.start() + len(match.group().rstrip(_ADDRESS_END)))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    stop, end = match.group(), match.end()
    following = text[end : end + 1]
    before = text[max(start, match.start() - 12) : match.start()]
    if before.endswith(("(", "[")) and following in _BRACKETS:
        return False  # "(...)" stands for words left out, "(!)" for a raised eyebrow
    if stop[:2] == ".." and before.rstrip().endswith(("،", ",")):
        return False
    if stop != ".":
        # "؟" and "!" within a word or address ("?id=1") end nothing.
        return not (stop[0] in "?!" and following.isascii() and following.isalnum())
    if _LIST_MARKER.fullmatch(text, start, match.start()):
        return False
    if _ABBREVIATION.search(before) and not (_ERA.search(before) and text[end + 1 : end + 2] not in "-0123456789"):
        return False
    if _DOMAIN.match(text, end) or (_AFTER_LETTER_NAME.search(before) and _BEFORE_LETTER_NAME.match(text, end)):
        return False
    if not following or following.isspace() or following in _CLOSING:
        return True
    # "انتهى.وقال": before an Arabic word a missing space is clumsy writing; elsewhere "3.5", "bbc.com", "U.S.A".
    return bool(_ARABIC.match(following) and _ARABIC_OR_DIGIT.match(before.rstrip(" " + _CLOSING)[-1:]))


def _take_closing(text: str, start: int, end: int) -> int:
    """Take along the quotation mark or bracket that closes what this sentence or an earlier one opened."""
    earliest = max(0, start - _QUOTE_CHARS)
    line = max(text.rfind("\n", earliest, start) + 1, earliest)
    while end < len(text) and text[end] in _CLOSING:
        char = text[end]
        # Before a word the mark may open the next sentence; before anything else it closes, whatever was forgotten.
        if char in "\"'" and text[end + 1 : end + 2].isalnum() and text.count(char, line, end) % 2 == 0:
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

    Words are counted one by one and once, so the time grows with the length alone; since tokens of a whole can differ
    from the sum of its words', every part is counted again and halved if it is still too long.
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


def _fits(text: str, max_tokens: int, count_tokens: CountTokens) -> bool:
    # A token is at least one byte, so a short text cannot be too long; most sentences are never counted.
    if len(text) * 4 <= max_tokens or len(text.encode(errors="replace")) <= max_tokens:
        return True
    # Nor is a text counted that is beyond hope: words of 64 letters on average are none.
    return len(text) <= 64 * max_tokens and count_tokens(text) <= max_tokens


def _fit(text: str, start: int, end: int, max_tokens: int, count_tokens: CountTokens) -> Iterator[Span]:
    for part in _trimmed(text, start, end):
        if part.end - part.start == 1 or _fits(part.of(text), max_tokens, count_tokens):
            yield part
            continue
        middle = (part.start + part.end) // 2
        spaces = [match.end() for match in _WEAKER[3].finditer(text, part.start + 1, part.end - 1)]
        at = min(spaces, key=lambda place: abs(place - middle), default=middle)
        yield from _fit(text, part.start, at, max_tokens, count_tokens)
        yield from _fit(text, at, part.end, max_tokens, count_tokens)
