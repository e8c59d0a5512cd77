"""How far a run is: a bar on a terminal, a line every half minute elsewhere, one line at the end."""

import json
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from khulasa.jobs.inputs import Input
from khulasa.jobs.plan import Counts

SHOW_EVERY_S = 0.5
LINE_EVERY_S = 30.0


class RunProgress:
    """Shows `counts`, which others keep, whenever `show` is called."""

    def __init__(self, counts: Counts, source: Input, console: Console, *, limit: int | None = None) -> None:
        self._counts = counts
        self._limit = limit
        self._source = source
        self._console = console
        self._began_at = self._told_at = self._line_at = time.monotonic()
        self._began_share: float | None = None
        self._last_told = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("starting", total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._counts.seconds = round(time.monotonic() - self._began_at, 3)
        if self._bar:
            self._bar.stop()

    def show(self, limit: float) -> None:
        """Bring the bar up to date, or write a line if it is time for one. `limit` is of articles at once."""
        share = self._share()
        if self._bar:
            total = None if share is None else 1.0
            self._bar.update(self._task, description=self._words(share, limit), total=total, completed=share or 0.0)
        elif time.monotonic() - self._line_at >= LINE_EVERY_S:
            self._line_at = time.monotonic()
            self._console.print(f"job run: {self._words(share, limit)}", highlight=False, markup=False)

    def tell(self, words: str) -> None:
        """Say something once, and again after half a minute."""
        now = time.monotonic()
        if words != self._last_told or now - self._told_at >= LINE_EVERY_S:
            self._last_told, self._told_at = words, now
            self._console.print(f"job run: {words}", style="yellow", markup=False, highlight=False)

    def _share(self) -> float | None:
        """Return how much is answered of what was to be done; what was read ahead does not count."""
        share, c = self._source.share, self._counts
        if self._limit is not None:
            return min(1.0, (c.done + c.failed) / self._limit)
        taken = c.read - c.skipped - c.passed_over
        if share is None or not taken:
            return share
        if self._began_share is None:
            self._began_share = share if c.skipped and share < 1 else 0.0
        return self._began_share + (share - self._began_share) * (c.done + c.failed) / taken

    def _words(self, share: float | None, limit: float) -> str:
        c = self._counts
        seconds = max(time.monotonic() - self._began_at, 0.001)
        words = [f"{c.done} done", f"{c.failed} failed"]
        if c.skipped:
            words.append(f"{c.skipped} done before")
        words.append(f"{(c.done + c.failed) / seconds:.2f} articles/s")
        if c.sentences:
            words.append(f"{c.flagged_sentences / c.sentences:.0%} of {c.sentences} sentences flagged")
            words.append(f"{c.cached_paragraphs / max(c.paragraphs, 1):.0%} cached")
        if c.duplicates:
            words.append(f"{c.duplicates} copies, {c.saved} not translated again")
        words.append(f"{int(limit)} at once")
        begun = self._began_share or 0.0
        if share is not None and share > begun:
            words.append(f"ETA {_clock(seconds * (1 - share) / (share - begun))}")
        return " · ".join(words)


def tell_end(counts: Counts, console: Console, *, as_json: bool) -> None:
    """Say what came of a run: a line for people on the console, and its counts for programs on standard output."""
    console.print(f"job run: {final_line(counts)}", markup=False, highlight=False)
    if as_json:
        print(json.dumps(counts.as_json()))


def final_line(counts: Counts) -> str:
    """Return what is said at the end of a run."""
    c = counts
    return (
        f"{c.done} done, {c.failed} failed, {c.skipped} done before, {c.duplicates} copies of which {c.saved} were not "
        f"translated again; {c.flagged_sentences} of {c.sentences} sentences flagged; {_clock(c.seconds)}"
    )


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
