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
_LINES_ABOVE = 40
_LINES_BELOW = 12


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
    wanted = boilerplate.fold(title)
    if not running:
        return [Kind.TITLE if title and boilerplate.fold(line) == wanted else Kind.BODY for line in lines]
    first, last = running[0], running[-1]
    on_a_page = Kind.BOILERPLATE in kinds[:first]
    _mark_title(lines, kinds, first, title)
    title_at = max((index for index in range(first) if kinds[index] == Kind.TITLE), default=-1)
    for index in range(first):
        if kinds[index] != Kind.BODY or not _is_label(lines[index]):
            continue
        if index > title_at:
            kinds[index] = Kind.HEADING  # a subtitle or a caption
        elif on_a_page:
            # More of the menu. Where nothing else says so, as in a letter, a greeting is not a menu.
            kinds[index] = Kind.BOILERPLATE
    for index in range(first, len(lines)):
        if kinds[index] == Kind.BODY and _is_heading(lines[index]):
            kinds[index] = Kind.HEADING
    _mark_related(lines, kinds, last)
    return kinds


def _mark_title(lines: list[str], kinds: list[Kind], first: int, title: str) -> None:
    """Mark the headline: the line that repeats what the caller sent, else a plain line above the text."""
    if title:
        wanted = boilerplate.fold(title)
        for index, line in enumerate(lines):
            if boilerplate.fold(line) == wanted:
                kinds[index] = Kind.TITLE
        return
    low, high = _TITLE_WORDS
    # The headline is near the text: the lines of a long list above it are not compared with each other.
    near = range(max(0, first - _LINES_ABOVE), first)
    above = [
        index
        for index in near
        if kinds[index] == Kind.BODY
        and low <= len(lines[index].split()) <= high
        and not boilerplate.ends_sentence(lines[index])
        and not lines[index].endswith(":")
    ]
    if not above:
        return
    # A breadcrumb ends with the headline on many pages: the line that it repeats is the one.
    folded = {index: boilerplate.fold(lines[index]) for index in near}
    repeated = [i for i in above if any(i != j and folded[i] in folded[j] for j in near)]
    kinds[(repeated or above)[0]] = Kind.TITLE


def _is_label(line: str) -> bool:
    """Tell whether a line above the text is too short for a sentence and does not end like one."""
    return len(line.split()) <= _SHORT_WORDS and not boilerplate.ends_sentence(line)


def _is_heading(line: str) -> bool:
    """Tell whether a line among the paragraphs is a subheading or a caption."""
    words = len(line.split())
    return words <= 8 and not boilerplate.ends_sentence(line) and not re.search(r"[،,؛:\"«“]", line)


def _mark_related(lines: list[str], kinds: list[Kind], last: int) -> None:
    """Mark what follows "read also": to the end if that is near, else only the headlines right below it."""
    below_marker = to_the_end = False
    for index, line in enumerate(lines):
        if boilerplate.begins_related(line):
            below_marker = True
            to_the_end = to_the_end or (
                len(lines) - index <= _LINES_BELOW
                and index > last * 0.6
                and all(len(later.split()) < 2 * _RUNNING_WORDS for later in lines[index + 1 :])
            )
        elif not to_the_end and (len(line.split()) >= _RUNNING_WORDS or boilerplate.ends_sentence(line)):
            below_marker = False
        if below_marker:
            kinds[index] = Kind.BOILERPLATE
