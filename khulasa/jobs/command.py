"""`khulasa job run INPUT OUTPUT`. docs/jobs.md says what it does with what it meets.

Exit status: 0 all done, 1 some articles failed, 2 not begun, 3 stopped before the end, 130 interrupted.
"""

import asyncio
import contextlib
import signal
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from khulasa.article_options import (
    Address,
    Boilerplate,
    Glossary,
    IdField,
    InputName,
    NoCache,
    Ratio,
    Sentences,
    SummaryFirst,
    TextField,
    Timeout,
    TitleField,
    Words,
    budget_of,
    glossary_of,
)
from khulasa.client import DEFAULT_ADDRESS, AsyncClient
from khulasa.errors import KhulasaError, Overloaded, Unavailable
from khulasa.jobs import failures
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.estimate import estimate
from khulasa.jobs.failures import GOES_ON, RunRefused, RunStopped
from khulasa.jobs.inputs import Fields, Input, StandardInput, open_input
from khulasa.jobs.plan import Plan
from khulasa.jobs.progress import RunProgress, tell_end
from khulasa.jobs.ray_engine import ActorSettings, RayRun
from khulasa.jobs.run import Ledger, Run, first_error
from khulasa.jobs.run_file import accept_mended
from khulasa.types import Article, Options, Priority, Result

complaints = Console(stderr=True, soft_wrap=True)
PACKAGE = Path(__file__).parents[1]

OutputName = Annotated[Path, typer.Argument(metavar="OUTPUT", help="A .jsonl file, or a folder for Parquet parts.")]
AtOnce = Annotated[int, typer.Option(min=1, max=1000, help="Most articles at once; how many really is found out.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Do at most this many articles that are not done yet.")]
OnlyFailed = Annotated[bool, typer.Option("--only-failed", help="Do only what the error file has.")]
Mended = Annotated[bool, typer.Option("--mended", help="The input was mended: take it for the one that it was.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, translate a few, say how long it would take.")]
Patience = Annotated[float, typer.Option(min=0, help="Seconds of being put off, without an answer, until it stops.")]
CountsAsJson = Annotated[bool, typer.Option("--json", help="Print what came of it as one JSON object at the end.")]
Engine = Annotated[str, typer.Option(metavar="gateway|ray", help="Who does it: a gateway, or actors of Ray.")]
RayAddress = Annotated[str, typer.Option("--address", help="With ray: the cluster; else one is started here.")]
InProcess = Annotated[bool, typer.Option("--in-process", help="With ray: each actor holds a translator of its own.")]
Actors = Annotated[int, typer.Option(min=1, help="With ray: how many actors.")]

ActorCpus = Annotated[int, typer.Option(min=1, help="With --in-process: processors of each actor.")]


def run(
    source: InputName,
    output: OutputName,
    gateway: Address = DEFAULT_ADDRESS,
    limit: Limit = None,
    only_failed: OnlyFailed = False,
    mended: Mended = False,
    dry_run: DryRun = False,
    sentences: Sentences = None,
    words: Words = None,
    ratio: Ratio = None,
    boilerplate: Boilerplate = False,
    glossary: Glossary = "",
    summary_first: SummaryFirst = False,
    no_cache: NoCache = False,
    timeout: Timeout = 300,
    patience: Patience = 600,
    at_once: AtOnce = 128,
    id_field: IdField = "id",
    text_field: TextField = "text",
    title_field: TitleField = "title",
    as_json: CountsAsJson = False,
    engine: Engine = "gateway",
    address: RayAddress = "",
    in_process: InProcess = False,
    actors: Actors = 1,
    actor_cpus: ActorCpus = 1,
) -> None:
    """Translate and summarize many articles. Run again to go on where it ended, however it ended.

    Exit status: 0 all done, 1 some failed (see OUTPUT.errors.jsonl), 2 not begun, 3 stopped before the end,
    130 interrupted.
    """
    options = Options(
        budget_of(sentences, words, ratio),
        translate_boilerplate=boilerplate,
        bypass_cache=no_cache,
        glossary=glossary_of(glossary),
        summary_first=summary_first,
    )
    if engine not in ("gateway", "ray"):
        raise typer.BadParameter(f"{engine} is none; there are gateway and ray.", param_hint="--engine")
    if engine == "gateway" and (address or in_process):
        raise typer.BadParameter("--address and --in-process go with --engine ray.")
    if engine == "ray" and dry_run:
        raise typer.BadParameter("--dry-run asks a gateway; leave --engine out.")
    if dry_run and (limit is not None or only_failed or mended):
        raise typer.BadParameter("--dry-run is of the whole input; leave --limit, --only-failed and --mended out.")
    with _exit_status():
        reading = open_input(source, Fields(id_field, text_field, title_field))
        _check_input(reading)
        if mended:
            accept_mended(output, reading)
        if engine == "ray":
            if not in_process:
                asyncio.run(_check(gateway, timeout))
            actor = ActorSettings(gateway, options, timeout, patience, in_process, actor_cpus, at_once)
            ray_run = RayRun(reading, output, actor, actors, address, complaints)
            code = ray_run.run(limit=limit, only_failed=only_failed, as_json=as_json)
        elif dry_run:
            code = asyncio.run(_estimate(reading, output, gateway, options, timeout, at_once))
        else:
            code = asyncio.run(
                _run(reading, output, gateway, options, timeout, patience, at_once, limit, only_failed, as_json)
            )
    raise typer.Exit(code)


async def _run(
    source: Input,
    path: Path,
    gateway: str,
    options: Options,
    timeout_s: float,
    patience_s: float,
    at_once: int,
    limit: int | None,
    only_failed: bool,
    as_json: bool,
) -> int:
    async with AsyncClient(gateway, timeout_s=timeout_s, retries=0, priority=Priority.JOB) as client:
        await check_gateway(client, gateway)

        async def process(article: Article) -> Result:
            return await client.process(article, options)

        return await run_here(
            source, path, options, process, patience_s, at_once, limit=limit, only_failed=only_failed, as_json=as_json
        )


async def run_here(
    source: Input,
    path: Path,
    options: Options,
    process: Callable[[Article], Awaitable[Result]],
    patience_s: float,
    at_once: int,
    *,
    limit: int | None = None,
    only_failed: bool = False,
    as_json: bool = False,
) -> int:
    """Run here with any way to answer an article; return the exit status. Raises RunRefused or RunStopped."""
    ledger = Ledger.open(path, source, options)
    plan = Plan(ledger.index, ledger.counts, limit=limit, only_failed=only_failed)
    progress = RunProgress(ledger.counts, source, complaints, limit=limit)
    answerer = Answerer(process, AdaptiveLimit(at_once), patience_s, progress.tell)
    work = Run(source, ledger, plan, answerer, progress)
    interrupted = False
    stopped: KhulasaError | None = None
    with progress, _signals() as signals:
        running = asyncio.create_task(work.run())
        while not running.done():
            signalled = asyncio.create_task(signals.wait())
            await asyncio.wait({running, signalled}, return_when=asyncio.FIRST_COMPLETED)
            signalled.cancel()
            if signals.is_set():
                signals.clear()
                if interrupted:
                    running.cancel()
                    break
                interrupted = True
                progress.tell("Ending with the articles under way; once more to leave them.")
                await work.interrupt()
        try:
            await running
        except asyncio.CancelledError:
            pass
        except (RunStopped, RunRefused) as error:
            stopped = error
    try:
        ledger.close()
    except RunStopped as error:
        stopped = stopped or error
    tell_end(ledger.counts, complaints, as_json=as_json)
    if stopped:
        raise stopped
    return failures.status(interrupted=interrupted, failed=ledger.counts.failed)


async def _check(gateway: str, timeout_s: float) -> None:
    async with AsyncClient(gateway, timeout_s=timeout_s, retries=0) as client:
        await check_gateway(client, gateway)


async def check_gateway(client: AsyncClient, gateway: str) -> None:
    """Raise RunRefused if the gateway refuses us. One that is away or busy may come: the run waits for it."""
    try:
        await client.describe()
    except (Unavailable, Overloaded):
        pass
    except KhulasaError as error:
        raise RunRefused(f"The gateway {gateway} refuses: {error}") from None


async def _estimate(source: Input, path: Path, gateway: str, options: Options, timeout_s: float, at_once: int) -> int:
    if isinstance(source, StandardInput):
        raise RunRefused("--dry-run reads the input and leaves it; standard input would be gone. Give a file.")
    async with AsyncClient(gateway, timeout_s=timeout_s, priority=Priority.JOB) as client:

        async def process(article: Article) -> Result:
            return await client.process(article, options)

        complaints.print(await estimate(source, path, process, at_once), markup=False, highlight=False)
    return failures.ALL_DONE


def _check_input(source: Input) -> None:
    """Find what keeps an input from being read at all before anything is written."""
    if not isinstance(source, StandardInput):
        entries = source.entries()
        next(entries, None)
        source.share = None


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Turn Ctrl-C and SIGTERM into an event."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _exit_status() -> Iterator[None]:
    try:
        yield
    except RunStopped as error:
        _complain(error)
        raise typer.Exit(failures.STOPPED) from None
    except KhulasaError as error:  # articles keep theirs, so it is of the run: an unreadable token, or RunRefused
        _complain(error)
        raise typer.Exit(failures.REFUSED) from None
    except KeyboardInterrupt:
        raise typer.Exit(failures.INTERRUPTED) from None
    except Exception as error:
        _complain(_fault(error))
        raise typer.Exit(failures.STOPPED) from None


def _fault(error: Exception) -> str:
    """Return a line to report, without the message of what could quote an article."""
    cause = first_error(error)
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(cause.__traceback__)]
    ours = [place for place in frames if Path(place[0]).is_relative_to(PACKAGE)]
    file, line = (ours or frames)[-1]
    message = f" ({cause})" if isinstance(cause, OSError) else ""
    return (
        f"The run met a fault that it does not know: {type(cause).__name__}{message} in {Path(file).name}, line {line}."
        f" {GOES_ON} If it ends so again, please report this line."
    )


def _complain(why: object) -> None:
    complaints.print(f"khulasa: {why}", style="red", markup=False, highlight=False)
