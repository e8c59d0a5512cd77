"""What is to be done of an input: not what the output has, no id twice. The same for every way to run a job."""

from dataclasses import asdict, dataclass
from typing import Any

from khulasa.errors import BadRequest
from khulasa.jobs.duplicates import digest_of
from khulasa.jobs.index import Index
from khulasa.jobs.inputs import Entry


@dataclass(slots=True)
class Counts:
    """What came of a run. `read` is the sum of skipped, passed_over, done and failed, once it has ended by itself."""

    read: int = 0
    skipped: int = 0
    """The output had them."""
    passed_over: int = 0
    """Not among those that `--only-failed` asks for."""
    done: int = 0
    failed: int = 0
    duplicates: int = 0
    """Of those done, copies of another one."""
    saved: int = 0
    """Of the copies, those for which nothing was translated."""
    sentences: int = 0
    flagged_sentences: int = 0
    paragraphs: int = 0
    cached_paragraphs: int = 0
    chars: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Work:
    """An entry that must be done, or written down as failed; with the digest of its text."""

    entry: Entry
    digest: str = ""

    @property
    def chars(self) -> int:
        """Characters of the text or page, 0 where there is none."""
        return len(self.entry.article.text or self.entry.article.html) if self.entry.article else 0


class Plan:
    """Takes the entries of an input in order and says what to do with each."""

    def __init__(self, index: Index, counts: Counts, *, limit: int | None = None, only_failed: bool = False) -> None:
        self._index = index
        self._counts = counts
        self._room = limit
        self._only_failed = only_failed

    @property
    def full(self) -> bool:
        """Whether as many articles were taken as the limit allows."""
        return self._room is not None and self._room <= 0

    def take(self, entry: Entry) -> Work | None:
        """Return what is to be done, None if nothing."""
        self._counts.read += 1
        if entry.article is None:
            return None if self._passed_over(entry) else Work(entry)
        if not self._index.add_read(entry.id):
            why = f"id {entry.id!r} came before in the input. Give each article an id of its own."
            repeated = Entry(entry.number, entry.id, error=BadRequest(why, reason="REPEATED_ID"))
            return None if self._passed_over(repeated) else Work(repeated)
        if self._index.is_done(entry.id):
            self._counts.skipped += 1
            if not self._only_failed:
                self._index.drop_failed(entry.number, entry.id)  # mended, and done by a run that was killed
            return None
        if self._passed_over(entry):
            return None
        if self._room is not None:
            self._room -= 1
        return Work(entry, digest_of(entry.article))

    def _passed_over(self, entry: Entry) -> bool:
        passed = self._only_failed and self._index.failed(entry.number, entry.id) is None
        self._counts.passed_over += passed
        return passed
