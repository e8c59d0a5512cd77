"""A run from its input to its output, top to bottom. Start reading here.

entry ─▶ plan ─▶ a copy? take over : answer ─▶ record ─▶ output
             └─▶ no article, or refused ──────▶ error file
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from khulasa.errors import KhulasaError
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import Closed
from khulasa.jobs.duplicates import taken_over
from khulasa.jobs.error_file import ErrorFile
from khulasa.jobs.failures import RunRefused, RunStopped
from khulasa.jobs.index import Index
from khulasa.jobs.inputs import Entry, Input, StandardInput
from khulasa.jobs.output import Output, check_output, open_output
from khulasa.jobs.plan import Counts, Plan, Work
from khulasa.jobs.progress import SHOW_EVERY_S, RunProgress
from khulasa.jobs.run_file import RunFile, beside
from khulasa.records import record_of
from khulasa.types import Options

READ_AHEAD = 64
"""Entries that are read and not done, beyond those that are being answered: for copies that wait for the first."""
SYNC_S = 5.0

BREATHE_EVERY = 256
"""Entries without an article to be done before others get their turn."""


@dataclass(slots=True)
class Ledger:
    """Output, error file and index of a run, always in step. Opened with what an earlier run left."""

    output: Output
    errors: ErrorFile
    index: Index
    counts: Counts
    run_file: RunFile

    @classmethod
    def open(cls, path: Path, source: Input, options: Options) -> Self:
        """Lock, compare, mend and read what is there. Raises RunRefused or RunStopped."""
        check_output(path)
        run_file, index = RunFile(path), Index(lines_move=isinstance(source, StandardInput))
        output: Output | None = None
        try:
            run_file.compare(source, options)
            output = open_output(path)
            for place, record in output.recover():
                index.add_done(record["id"])
                if not record["duplicate_of"]:
                    index.add_first(record["digest"], record["id"], place)
            return cls(output, ErrorFile(beside(path, "errors.jsonl"), index), index, Counts(), run_file)
        except BaseException:
            if output:
                output.abandon()
            index.close()
            run_file.close()
            raise

    def write(self, entry: Entry, record: dict[str, Any], *, chars: int, saved: bool) -> None:
        """Write the record of an entry that is done, and count it. `saved`: nothing was translated for it."""
        if not self.index.add_done(record["id"]):
            return  # an engine that repeats work after a crash may answer twice
        place = self.output.append(record)
        self.index.drop_failed(entry.number, entry.id)
        if not record["duplicate_of"]:
            self.index.add_first(record["digest"], record["id"], place)
        c, provenance = self.counts, record["provenance"]
        c.done += 1
        c.duplicates += record["duplicate_of"] is not None
        c.saved += saved
        c.sentences += provenance["sentences"]
        c.flagged_sentences += provenance["flagged_sentences"]
        c.paragraphs += provenance["paragraphs"]
        c.cached_paragraphs += provenance["paragraphs"] if saved else provenance["cached_paragraphs"]
        c.chars += chars

    def fail(self, entry: Entry, error: KhulasaError) -> None:
        """Write down why an entry has no record, and count it."""
        self.errors.add(entry, error)
        self.counts.failed += 1

    def close(self) -> None:
        """Finish the files and let others run."""
        try:
            self.output.close()
            self.errors.finish()
        except RunStopped:
            self.output.abandon()
            self.errors.abandon()
            raise
        finally:
            self.index.close()
            self.run_file.close()


@dataclass(slots=True)
class Run:
    """One run in this process. `run` may be awaited once; `interrupt` ends it early and well."""

    source: Input
    ledger: Ledger
    plan: Plan
    answerer: Answerer
    progress: RunProgress
    _flights: dict[str, asyncio.Event] = field(default_factory=dict)
    _reader: "asyncio.Task[None] | None" = None

    async def run(self) -> None:
        """Do all that is to be done, and finish the files. Raises RunStopped."""
        places = asyncio.Semaphore(self.answerer.limit.highest + READ_AHEAD)
        try:
            async with asyncio.TaskGroup() as all_tasks:
                keeper = all_tasks.create_task(self._keep())
                async with asyncio.TaskGroup() as tasks:
                    self._reader = tasks.create_task(self._read(places, tasks))
                keeper.cancel()
        except* (RunStopped, RunRefused) as ends:
            raise first_error(ends) from None

    async def interrupt(self) -> None:
        """Begin nothing more; `run` returns when the calls under way have ended."""
        if self._reader:
            self._reader.cancel()
        await self.answerer.limit.close()

    async def _read(self, places: asyncio.Semaphore, tasks: asyncio.TaskGroup) -> None:
        passed = 0
        async for entry in _without_blocking(self.source):
            work = self.plan.take(entry)
            if work is None or work.entry.error:
                if work and work.entry.error:
                    self.ledger.fail(work.entry, work.entry.error)
                passed += 1
                if passed % BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
                continue
            await places.acquire()
            task = tasks.create_task(self._do(work))
            task.add_done_callback(lambda _: places.release())
            if self.plan.full:
                return

    async def _do(self, work: Work) -> None:
        """Take one article to its record, or to the error file."""
        try:
            while True:
                first = self.ledger.index.first(work.digest)
                flight = self._flights.get(work.digest)
                if first or not flight:
                    break
                await flight.wait()
            if first:
                await self._do_copy(work, *first)
            else:
                self._flights[work.digest] = asyncio.Event()
                try:
                    await self._do_first(work)
                finally:
                    self._flights.pop(work.digest).set()
        except Closed:
            pass
        except RunStopped:
            raise
        except KhulasaError as error:
            self.ledger.fail(work.entry, error)

    async def _do_first(self, work: Work) -> None:
        record = await self._answered(work)
        self.ledger.write(work.entry, record, chars=work.chars, saved=False)

    async def _do_copy(self, work: Work, first_id: str, place: int) -> None:
        entry = work.entry
        assert entry.article is not None
        record = taken_over(self.ledger.output.read(place), entry.id, entry.article)
        saved = record is not None
        if record is None:
            record = await self._answered(work, duplicate_of=first_id)
            saved = record["provenance"]["cache_use"] == "hit"
        self.ledger.write(entry, record, chars=work.chars, saved=saved)

    async def _answered(self, work: Work, *, duplicate_of: str = "") -> dict[str, Any]:
        assert work.entry.article is not None
        result = await self.answerer.answer(work.entry.article)
        return record_of(work.entry.id, result, duplicate_of=duplicate_of) | {"digest": work.digest}

    async def _keep(self) -> None:
        """Show how far the run is, and have what was written survive a power cut."""
        loop = asyncio.get_running_loop()
        synced_at = loop.time()
        while True:
            self.progress.show(self.answerer.limit.now)
            if loop.time() - synced_at >= SYNC_S:
                await asyncio.to_thread(self.ledger.output.sync)
                synced_at = loop.time()
            await asyncio.sleep(SHOW_EVERY_S)


def first_error(error: BaseException) -> BaseException:
    """Return the first of the errors of a group, or an error that is none as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _without_blocking(source: Input) -> AsyncIterator[Entry]:
    """Yield the entries of an input. A pipe is read in a thread: it may have nothing for hours, and answers go on."""
    if not isinstance(source, StandardInput):
        for entry in source.entries():
            yield entry
        return
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Entry | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(READ_AHEAD)

    def read() -> None:
        last: BaseException | None = None
        try:
            for entry in source.entries():
                room.acquire()
                loop.call_soon_threadsafe(arrived.put_nowait, entry)
        except BaseException as error:
            last = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, last)

    threading.Thread(target=read, name="khulasa-standard-input", daemon=True).start()
    while (found := await arrived.get()) is not None:
        if isinstance(found, BaseException):
            raise found
        room.release()
        yield found
