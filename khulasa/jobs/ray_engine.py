"""A run on Ray: the same plan, records and output as a run here; only the answers are made by actors, on any machines.

    list what is to be done ─▶ Ray Data reads it ─▶ actors answer ─▶ write ─▶ take copies over ─▶ answer what is left

The driver reads the input and writes the output; no other node needs their disks. The list names lines of the input by
their order, so that a reading task that Ray repeats reads the same.

Articles travel in groups: one row, one block and one task of Ray each. When an actor dies Ray repeats its tasks and
takes of their output the blocks that it has not had yet, by number. Were the articles rows of their own, where a block
ends would depend on how long their answers are, which is not the same twice, and some would be lost between the two.
"""

import asyncio
import contextlib
import importlib
import json
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from khulasa import errors
from khulasa.client import AsyncClient
from khulasa.errors import KhulasaError
from khulasa.jobs import failures
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.duplicates import taken_over
from khulasa.jobs.failures import GOES_ON, RunRefused, RunStopped
from khulasa.jobs.in_process import InProcess, check_services
from khulasa.jobs.inputs import Entry, Input, StandardInput
from khulasa.jobs.parquet import import_pyarrow
from khulasa.jobs.plan import Plan
from khulasa.jobs.progress import SHOW_EVERY_S, RunProgress, tell_end
from khulasa.jobs.run import Ledger
from khulasa.records import record_of
from khulasa.types import Article, Options, Priority, Result

GROUP_ARTICLES = 16
GROUP_CHARS = 500_000
"""Of a group, the unit that Ray moves, answers and repeats: few, so that every actor has some and a killed run loses
little."""
IN_PROCESS_AT_ONCE = 64
"""Articles in the works for each processor of an actor with a translator of its own: enough to find sentences of like
length for its batches. A killed actor loses all of them."""
CALLING_CPUS = 0.1
"""Processors of an actor that calls a gateway: it waits most of the time."""
LOCAL_STORE_BYTES = 200 * 1024 * 1024
"""Ray's smallest sensible object store; what is under way takes a few blocks."""


@dataclass(frozen=True, slots=True)
class ActorSettings:
    """How an actor answers: with a translator of its own, or from a gateway."""

    gateway: str
    options: Options
    timeout_s: float
    patience_s: float
    in_process: bool
    cpus: int
    most_at_once: int

    @property
    def at_once(self) -> int:
        """Most articles in the works of one actor."""
        return min(self.most_at_once, IN_PROCESS_AT_ONCE * self.cpus) if self.in_process else self.most_at_once


@dataclass(frozen=True, slots=True)
class RayRun:
    """One run on Ray, from this process, the driver."""

    source: Input
    path: Path
    actor: ActorSettings
    actors: int
    address: str
    console: Console

    def run(self, *, limit: int | None, only_failed: bool, as_json: bool) -> int:
        """Do all that is to be done; return the exit status. Raises RunRefused or RunStopped."""
        ray = _import_ray()
        if isinstance(self.source, StandardInput):
            raise RunRefused("With ray the input is read more than once; standard input cannot be. Give a file.")
        if self.actor.in_process:
            check_services()
        ledger = Ledger.open(self.path, self.source, self.actor.options)
        progress = RunProgress(ledger.counts, self.source, self.console, limit=limit)
        interrupted = False
        stopped: KhulasaError | None = None
        with (
            tempfile.TemporaryDirectory(prefix="khulasa-ray-") as folder,
            progress,
            _terminated_as_interrupted(),
            contextlib.redirect_stdout(sys.stderr),  # Ray tells of dead workers there, among the counts for programs
        ):
            try:
                firsts, copies, rest = (Path(folder) / name for name in ("firsts", "copies", "rest"))
                self._list(
                    ledger, Plan(ledger.index, ledger.counts, limit=limit, only_failed=only_failed), firsts, copies
                )
                if firsts.stat().st_size or copies.stat().st_size:
                    self._start(ray)
                    self._check_room(ray, progress)
                    self._answer(ray, firsts, ledger, progress)
                    self._take_over(copies, rest, ledger)
                    self._answer(ray, rest, ledger, progress)
            except KeyboardInterrupt:
                interrupted = True
            except (RunStopped, RunRefused) as error:
                stopped = error
            finally:
                ray.shutdown()
        ledger.close()
        tell_end(ledger.counts, self.console, as_json=as_json)
        if stopped:
            raise stopped
        return failures.status(interrupted=interrupted, failed=ledger.counts.failed)

    def _list(self, ledger: Ledger, plan: Plan, firsts: Path, copies: Path) -> None:
        """Write down which entries are to be done: the first of each text, and copies."""
        with firsts.open("w") as first_list, copies.open("w") as copy_list:
            for place, entry in enumerate(self.source.entries()):
                work = plan.take(entry)
                if work is None:
                    continue
                if work.entry.error:
                    ledger.fail(work.entry, work.entry.error)
                    continue
                known = ledger.index.first(work.digest) is not None or not ledger.index.add_text(work.digest)
                (copy_list if known else first_list).write(f"{place}\t{work.digest}\t\n")
                if plan.full:
                    break
        self.source.share = 1.0  # all is known; how much is answered of it is what is left to tell

    def _take_over(self, copies: Path, rest: Path, ledger: Ledger) -> None:
        """Make the records of copies from those of their firsts; list the copies for which that cannot be."""
        with rest.open("w") as rest_list:
            for place, entry, digest, _ in _listed(self.source, copies):
                assert entry.article is not None
                first = ledger.index.first(digest)
                record = taken_over(ledger.output.read(first[1]), entry.id, entry.article) if first else None
                if record is None:
                    rest_list.write(f"{place}\t{digest}\t{first[0] if first else ''}\n")
                else:
                    chars = len(entry.article.text or entry.article.html)
                    ledger.write(entry, record, chars=chars, saved=True)

    def _start(self, ray: Any) -> None:
        variables = {"KHULASA_THREADS": str(self.actor.cpus)}
        own = {"num_cpus": None, "object_store_memory": LOCAL_STORE_BYTES, "include_dashboard": False}
        try:
            ray.init(
                address=self.address or "local",
                runtime_env={"env_vars": variables},
                log_to_driver=False,
                logging_level="ERROR",
                **({} if self.address else own),
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunRefused(f"Ray at {self.address or 'this machine'} cannot be used: {error}") from None
        except Exception as error:  # of no class of its own, for a node that is not up in time
            raise _stopped(f"Ray did not start: {error}") from None
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # Of bytes: every row, a group, is more, and so a block of its own.
        context.target_max_block_size = context.target_min_block_size = 1

    def _check_room(self, ray: Any, progress: RunProgress) -> None:
        """Tell of actors that find no processors: Ray waits for those without a word.

        Raises RunRefused if none finds any and none will come. A cluster may bring up nodes when they are asked for.
        """
        each = self._actor_cpus
        nodes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
        places = sum(math.floor(cpus / each + 1e-6) for cpus in nodes)
        if places >= self.actors:
            return
        there = f"{sum(nodes):g} on {len(nodes)} nodes" if self.address else f"{sum(nodes):g} here"
        why = f"{self.actors} actors need {each:g} processors each; Ray has {there}, room for {places} of them."
        if not places and not self.address:
            raise RunRefused(f"{why} Give fewer: --actor-cpus.")
        progress.tell(f"{why} The others wait.")

    @property
    def _actor_cpus(self) -> float:
        return self.actor.cpus if self.actor.in_process else CALLING_CPUS

    def _answer(self, ray: Any, listed: Path, ledger: Ledger, progress: RunProgress) -> None:
        """Have everything in a list answered, and write what comes back as it comes."""
        with listed.open() as lines:
            missing = sum(1 for _ in lines)
        if not missing:
            return
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        data = ray.data.read_datasource(
            _datasource(ray, self.source, listed),
            override_num_blocks=1,
            num_cpus=0,
            ray_remote_args={"scheduling_strategy": here},
        )
        answers = data.map(
            Actor,
            fn_constructor_kwargs={"settings": self.actor},
            compute=ray.data.ActorPoolStrategy(size=self.actors),
            num_cpus=self._actor_cpus,
            # Of groups; with one at a time few articles would be left to make batches when it ends.
            max_concurrency=-(-self.actor.at_once // GROUP_ARTICLES) + 1,
        )
        try:
            with shown(progress, float(self.actors * self.actor.at_once)):
                for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
                    for row in batch.to_pylist():
                        answers = _unpacked(row)
                        missing -= len(answers)
                        for answer in answers:
                            _write(answer, ledger)
        except (RunStopped, RunRefused):
            raise  # our own, also where an actor raised it: Ray's error for that is of both classes
        except ray.exceptions.RayError as error:
            raise _stopped(f"Ray gave up: {error}") from None
        if missing > 0:
            raise _stopped(f"Ray ended with {missing} articles too few.")


class Actor:
    """Answers articles, many at once: Ray awaits `__call__` for each row, which is a group of them."""

    def __init__(self, settings: ActorSettings) -> None:
        self._settings = settings
        self._answerer: asyncio.Future[Answerer] | None = None
        self._parts = AsyncExitStack()

    async def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return for each article of the group its record, or its error."""
        if self._answerer is None:
            self._answerer = asyncio.ensure_future(self._started())
        answerer = await asyncio.shield(self._answerer)
        return _packed(await asyncio.gather(*(_answered(answerer, asked) for asked in _unpacked(row))))

    async def _started(self) -> Answerer:
        settings = self._settings
        limit = AdaptiveLimit(settings.at_once)
        if settings.in_process:
            translator = await self._parts.enter_async_context(await InProcess.start())

            async def process(article: Article) -> Result:
                return await translator.process(article, settings.options)
        else:
            client = await self._parts.enter_async_context(
                AsyncClient(settings.gateway, timeout_s=settings.timeout_s, retries=0, priority=Priority.JOB)
            )

            async def process(article: Article) -> Result:
                return await client.process(article, settings.options)

        return Answerer(process, limit, settings.patience_s)


async def _answered(answerer: Answerer, asked: dict[str, Any]) -> dict[str, Any]:
    article = Article(title=asked["title"], text=asked["text"], html=asked["html"])
    answer = {"number": asked["number"], "id": asked["id"], "chars": len(article.text or article.html)}
    try:
        result = await answerer.answer(article)
    except KhulasaError as error:
        return answer | {"error": type(error).__name__, "reason": error.reason, "message": str(error)}
    record = record_of(asked["id"], result, duplicate_of=asked["duplicate_of"]) | {"digest": asked["digest"]}
    return answer | {"record": record}


def _packed(group: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the row of a group, in bytes: a text in a row has to be valid Unicode, which an article's may not be."""
    return {"group": json.dumps(group, ensure_ascii=False).encode("utf-8", "surrogatepass")}


def _unpacked(row: dict[str, bytes]) -> list[dict[str, Any]]:
    group: list[dict[str, Any]] = json.loads(row["group"].decode("utf-8", "surrogatepass"))
    return group


@contextlib.contextmanager
def shown(progress: RunProgress, at_once: float) -> Iterator[None]:
    """Show how far the run is, by time: until Ray's next row comes, nothing else happens here."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(SHOW_EVERY_S):
            progress.show(at_once)

    thread = threading.Thread(target=show, name="khulasa-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stopped(why: str) -> RunStopped:
    return RunStopped(f"{why} {GOES_ON}")


def _write(answer: dict[str, Any], ledger: Ledger) -> None:
    entry = Entry(answer["number"], answer["id"])
    record = answer.get("record")
    if record is not None:
        saved = record["duplicate_of"] is not None and record["provenance"]["cache_use"] == "hit"
        ledger.write(entry, record, chars=answer["chars"], saved=saved)
    elif answer["error"] == RunStopped.__name__:
        raise RunStopped(answer["message"])
    else:
        kind = getattr(errors, answer["error"], errors.InternalError)
        ledger.fail(entry, kind(answer["message"], reason=answer["reason"]))


def _listed(source: Input, listed: Path) -> Iterator[tuple[int, Entry, str, str]]:
    """Yield place, entry, digest and the id of the first, of each line of a list."""
    entries = enumerate(source.entries())
    with listed.open() as lines:
        for line in lines:
            place, digest, first_id = line.rstrip("\n").split("\t")
            for at, entry in entries:
                if at == int(place):
                    yield at, entry, digest, first_id
                    break


def _datasource(ray: Any, source: Input, listed: Path) -> Any:
    """Return a list as a source of Ray Data, read by one task: reading is hundreds of times faster than translating."""

    def read() -> Iterator[Any]:
        group: list[dict[str, Any]] = []
        chars = 0
        for _, entry, digest, first_id in _listed(source, listed):
            article = entry.article or Article()
            of_article = {"title": article.title, "text": article.text, "html": article.html}
            group.append(
                {"number": entry.number, "id": entry.id, "digest": digest, "duplicate_of": first_id} | of_article
            )
            chars += len(article.text or article.html)
            if len(group) == GROUP_ARTICLES or chars >= GROUP_CHARS:
                yield import_pyarrow().Table.from_pylist([_packed(group)])
                group, chars = [], 0
        if group:
            yield import_pyarrow().Table.from_pylist([_packed(group)])

    class Listed(ray.data.Datasource):  # type: ignore[misc]  # Ray is not installed where types are checked
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            metadata = ray.data.block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ray.data.ReadTask(read, metadata)]

    return Listed()


def _import_ray() -> Any:
    # Ray would report its use over the network; it reads this when it is imported and when it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
        importlib.import_module("ray.util.scheduling_strategies")
    except ImportError as error:
        raise RunRefused(
            f"--engine ray needs the package ray with its data part ({error}): pip install 'khulasa[ray]'."
        ) from None
    return ray


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
