"""The paragraphs of a text and what each is to the article."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from gateway import boilerplate


class Kind(IntEnum):
    """Names and numbers of `ParagraphKind` in `article.proto`."""

    BODY = 1
    TITLE = 2
    HEADING = 3
    BOILERPLATE = 4


class Span(NamedTuple):
    """Code points `start` (inclusive) to `end` (exclusive) of the text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the characters of `text` that the span covers."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A line of the text that is not blank, without the white space around it."""

    span: Span
    kind: Kind


_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
# News has paragraphs of 15 words and more; a text without one is a list, a poem or a message, and all of it is body.
_RUNNING_WORDS = 15
_SHORT_WORDS = 12
_TITLE_WORDS = (3, 20)


def cut(text: str, *, title: str = "") -> list[Paragraph]:
    """Return the paragraphs of `text` in order; between them is nothing but white space and line breaks.

    `title` is the headline if the caller knows it: a line that repeats it is a title too.
    """
    spans = list(_spans(text))
    lines = [span.of(text) for span in spans]
    return [Paragraph(span, kind) for span, kind in zip(spans, _kinds(lines, title), strict=True)]


def _spans(text: str) -> Iterator[Span]:
    for match in _LINE.finditer(text):
        line = match.group()
        start = match.start() + len(line) - len(line.lstrip())
        end = match.start() + len(line.rstrip())
        if start < end:
            yield Span(start, end)


def _kinds(lines: list[str], title: str) -> list[Kind]:
    kinds = [
        Kind.BOILERPLATE
        if boilerplate.is_menu_line(line) or boilerplate.is_credit(line) or boilerplate.begins_related(line)
        else Kind.BODY
        for line in lines
    ]
    running = [i for i, line in enumerate(lines) if kinds[i] == Kind.BODY and len(line.split()) >= _RUNNING_WORDS]
    if not running:
        return [
            Kind.TITLE if title and boilerplate.fold(line) == boilerplate.fold(title) else Kind.BODY for line in lines
        ]
    first, last = running[0], running[-1]
    _mark_title(lines, kinds, first, title)
    for index in range(first):
        # Above the headline stand menus; between it and the text, subtitles and captions.
        if kinds[index] == Kind.BODY and len(lines[index].split()) <= _SHORT_WORDS:
            before_title = Kind.TITLE in kinds[index + 1 : first]
            kinds[index] = (
                Kind.BOILERPLATE if before_title and not boilerplate.ends_sentence(lines[index]) else Kind.BODY
            )
            if not before_title and not boilerplate.ends_sentence(lines[index]):
                kinds[index] = Kind.HEADING
    for index in range(first, len(lines)):
        if kinds[index] == Kind.BODY and _is_heading(lines[index]):
            kinds[index] = Kind.HEADING
    _mark_related(lines, kinds, last)
    return kinds


def _mark_title(lines: list[str], kinds: list[Kind], first: int, title: str) -> None:
    """Mark the headline: the line that repeats what the caller sent, else the last plain line above the text."""
    if title:
        for index, line in enumerate(lines):
            if boilerplate.fold(line) == boilerplate.fold(title):
                kinds[index] = Kind.TITLE
        return
    low, high = _TITLE_WORDS
    above = [
        index
        for index in range(first)
        if kinds[index] == Kind.BODY
        and low <= len(lines[index].split()) <= high
        and not boilerplate.ends_sentence(lines[index])
    ]
    if not above:
        return
    # A breadcrumb ends with the headline on many pages: the line that it repeats is the one.
    repeated = [
        i
        for i in above
        if any(i != j and boilerplate.fold(lines[i]) in boilerplate.fold(lines[j]) for j in range(first))
    ]
    kinds[(repeated or above)[0]] = Kind.TITLE


def _is_heading(line: str) -> bool:
    """Tell whether a line among the paragraphs is a subheading or a caption."""
    words = len(line.split())
    return words <= 8 and not boilerplate.ends_sentence(line) and not re.search(r"[،,؛:\"«“]", line)


def _mark_related(lines: list[str], kinds: list[Kind], last: int) -> None:
    """Mark what follows "read also": to the end if that is near, else only the headlines right below it."""
    for index, line in enumerate(lines):
        if not boilerplate.begins_related(line):
            continue
        to_the_end = (
            index > last * 0.6
            and all(len(later.split()) < 2 * _RUNNING_WORDS for later in lines[index + 1 :])
            and len(lines) - index <= 12
        )
        for below in range(index + 1, len(lines)):
            if not to_the_end and (
                len(lines[below].split()) >= _RUNNING_WORDS or boilerplate.ends_sentence(lines[below])
            ):
                break
            kinds[below] = Kind.BOILERPLATE
