"""A part of a text, by offsets. Every translated sentence carries one that points at its Arabic source."""

from typing import NamedTuple


class Span(NamedTuple):
    """Code points `start` (inclusive) to `end` (exclusive) of some text."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the characters of `text` that the span covers."""
        return text[self.start : self.end]

    def shifted(self, by: int) -> "Span":
        """Return the same part of a text that has `by` characters more before it."""
        return Span(self.start + by, self.end + by)
