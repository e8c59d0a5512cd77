"""`khulasa job submit | status | list | wait | results | cancel | delete`: articles that a gateway works off by itself.

Exit status: 0 done, 1 the server refused or failed, 2 wrong use or unreadable input; `wait` also 1 for a job that was
cancelled or has articles with errors, and 3 for one that still runs when the time is over.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Container, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import typer
from rich.console import Console

from khulasa.article_options import (
    Address,
    Boilerplate,
    Glossary,
    NoCache,
    Ratio,
    Sentences,
    SummaryFirst,
    Words,
    budget_of,
    glossary_of,
)
from khulasa.client import DEFAULT_ADDRESS, AsyncClient
from khulasa.errors import BadRequest, KhulasaError
from khulasa.records import article_of, id_of, record_of
from khulasa.show import to_json
from khulasa.types import Article, Job, JobState, Options

MAX_LINE_BYTES = 16_000_000
"""A longer line is no article: the gateway takes 1 MB, and a message has 32 MB at most."""
SHOWN_COMPLAINTS = 10
STILL_RUNNING = 3
COLLECTION = "operations/"

Answer = TypeVar("Answer")

job_app = typer.Typer(help="Many articles, worked off in the background or from a file.", no_args_is_help=True)
console = Console(soft_wrap=True)
complaints = Console(stderr=True, soft_wrap=True)

Name = Annotated[str, typer.Argument(help="Name of the job, with or without operations/.", metavar="JOB")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each job, a line each.")]


@job_app.command()
def submit(
    input_file: Annotated[str, typer.Argument(help="Articles as JSONL, - for standard input.", metavar="INPUT.jsonl")],
    gateway: Address = DEFAULT_ADDRESS,
    name: Annotated[str, typer.Option(help="What people call the job; by default the file's name.")] = "",
    request_id: Annotated[
        str, typer.Option(help="Makes sending safe to repeat; by default made of the file and the options.")
    ] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that are no articles.")] = False,
    sentences: Sentences = None,
    words: Words = None,
    ratio: Ratio = None,
    boilerplate: Boilerplate = False,
    glossary: Glossary = "",
    summary_first: SummaryFirst = False,
    no_cache: NoCache = False,
) -> None:
    """Send a file of articles to the gateway and print the job's name.

    A line is {"id": …, "text" or "html": …, "title": …}. The same file with the same options is the same job: sent
    again, its name is printed and nothing is done twice. Delete the job, or give another --request-id, to have it anew.
    """
    options = Options(
        budget_of(sentences, words, ratio),
        translate_boilerplate=boilerplate,
        bypass_cache=no_cache,
        glossary=glossary_of(glossary),
        summary_first=summary_first,
    )
    with _opened(input_file) as file:
        digest, bad = _look_through(file)
        for number, error in bad[:SHOWN_COMPLAINTS]:
            complaints.print(f"khulasa: {input_file}: line {number}: {error}", style="red", markup=False)
        if len(bad) > SHOWN_COMPLAINTS:
            complaints.print(f"khulasa: {input_file}: {len(bad) - SHOWN_COMPLAINTS} more bad lines", style="red")
        if bad and not skip_bad:
            complaints.print(
                "khulasa: Nothing was sent. Mend the lines, or leave them out with --skip-bad.", style="red"
            )
            raise typer.Exit(2)
        digest.update(repr(options).encode())

        async def send(client: AsyncClient) -> Job:
            file.seek(0)
            return await client.create_job(
                _articles(file, leave_out={number for number, _ in bad}),
                options,
                request_id=request_id or digest.hexdigest(),
                display_name=(name or Path(input_file).name)[:200],
            )

        job = _ask(gateway, send)
    print(job.name)
    if not job.running or job.done or job.failed:
        complaints.print(f"It was sent before. {_progress(job)}", markup=False)


@job_app.command()
def status(job: Name, gateway: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Say how far a job is."""
    _show(_ask(gateway, lambda client: client.job(_full(job))), as_json)


@job_app.command("list")
def list_jobs(gateway: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """List your jobs, newest first."""

    async def jobs(client: AsyncClient) -> list[Job]:
        return [job async for job in client.jobs()]

    found = _ask(gateway, jobs)
    if as_json:
        for job in found:
            _show(job, as_json)
        return
    for job in found:
        begun = f"{job.created:%Y-%m-%d %H:%M} UTC" if job.created else ""
        counts = f"{job.done + job.failed} of {job.articles}"
        console.print(f"{job.name}  {begun}  {job.state.name.lower():9}  {counts}  {job.display_name}", markup=False)


@job_app.command()
def wait(
    job: Name,
    gateway: Address = DEFAULT_ADDRESS,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; by default for as long as it takes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait for a job's end; the exit status says how it ended."""
    ended = _ask(gateway, lambda client: client.wait_for_job(_full(job), timeout_s=timeout))
    _show(ended, as_json)
    if ended.running:
        raise typer.Exit(STILL_RUNNING)
    if ended.state != JobState.ENDED or ended.failed:
        raise typer.Exit(1)


@job_app.command()
def results(
    job: Name,
    gateway: Address = DEFAULT_ADDRESS,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job has ended.")] = False,
    output: Annotated[
        str, typer.Option(metavar="OUTPUT.jsonl", help="A file to be made, or gone on with; by default, printed.")
    ] = "",
) -> None:
    """Write the results that there are as JSONL, in the order in which they came about.

    A file that holds the first results of the job already, its last line torn or not, is gone on with: the same command
    may be given again however it ended. Any other file is left alone.
    """

    async def write(client: AsyncClient, put: Callable[[bytes], None]) -> None:
        async for result in client.job_results(_full(job), follow=follow):
            record = record_of(result.id, result.answer, duplicate_of=result.duplicate_of)
            put(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    if not output:
        _ask(gateway, lambda client: write(client, lambda line: print(line.decode(), end="", flush=follow)))
        return
    try:
        with Path(output).open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two that write the same would tear each other's lines
            file.seek(0)
            _ask(gateway, lambda client: write(client, lambda line: _go_on(file, line, flush=follow)))
            if file.read(1):
                raise _OtherContent
    except _OtherContent:
        complaints.print(
            f"khulasa: {output}: File exists, and holds other than this job's results.", style="red", markup=False
        )
        raise typer.Exit(2) from None
    except BlockingIOError:
        complaints.print(f"khulasa: {output}: Another command writes it now.", style="red", markup=False)
        raise typer.Exit(2) from None
    except OSError as error:
        complaints.print(f"khulasa: {output}: {error.strerror}", style="red", markup=False)
        raise typer.Exit(2) from None


@job_app.command()
def cancel(job: Name, gateway: Address = DEFAULT_ADDRESS) -> None:
    """Stop a job; the results that there are stay."""
    _ask(gateway, lambda client: client.cancel_job(_full(job)))


@job_app.command()
def delete(job: Name, gateway: Address = DEFAULT_ADDRESS) -> None:
    """Remove a job that has ended, and its results."""
    _ask(gateway, lambda client: client.delete_job(_full(job)))


@contextlib.contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Open a file that is read twice; standard input is laid aside for that."""
    try:
        if name != "-":
            with Path(name).open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as copy:
            while data := sys.stdin.buffer.read(1 << 20):
                copy.write(data)
            yield copy
    except OSError as error:
        complaints.print(f"khulasa: {name}: {error.strerror}", style="red", markup=False)
        raise typer.Exit(2) from None


def _look_through(file: IO[bytes]) -> "tuple[hashlib._Hash, list[tuple[int, str]]]":
    """Return a digest of the articles' lines, and the bad lines, each with its number and what is wrong."""
    digest = hashlib.sha256()
    bad: list[tuple[int, str]] = []
    seen: dict[bytes, int] = {}
    file.seek(0)
    for number, line in _lines(file):
        try:
            parsed = _parsed(line)
            name = id_of(parsed)
            article_of(parsed)
        except BadRequest as error:
            bad.append((number, str(error)))
            continue
        first = seen.setdefault(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:16], number)
        if first != number:
            bad.append((number, f"id {name!r} is that of line {first}. Give each article one of its own."))
            continue
        digest.update(line)
    return digest, bad


def _articles(file: IO[bytes], *, leave_out: Container[int]) -> Iterator[tuple[str, Article]]:
    for number, line in _lines(file):
        if number not in leave_out:
            parsed = _parsed(line)
            yield id_of(parsed), article_of(parsed)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers; of one that is too long only its beginning."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        if line.strip():
            yield number, line


class _OtherContent(Exception):
    """A file that is to hold results holds something else."""


def _go_on(file: IO[bytes], line: bytes, *, flush: bool) -> None:
    """Pass over the line if it is next in the file, else write it. Raises _OtherContent if another one is."""
    start = file.tell()
    there = file.read(len(line))
    if there == line:
        return
    if not line.startswith(there):
        raise _OtherContent
    file.seek(start)
    file.truncate()
    file.write(line)
    if flush:
        file.flush()


def _parsed(line: bytes) -> Any:
    if len(line) > MAX_LINE_BYTES:
        raise BadRequest(f"The line has more than {MAX_LINE_BYTES} bytes, the limit.", reason="LINE_TOO_LONG")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadRequest("The line is not in UTF-8. Convert the file.", reason="UNREADABLE_RECORD") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRequest(f"The line is no JSON: {error}.", reason="UNREADABLE_RECORD") from None


def _ask(gateway: str, call: Callable[[AsyncClient], Awaitable[Answer]]) -> Answer:
    """Return what `call` returns of a client; a refusal is a line and status 1."""

    async def run() -> Answer:
        async with AsyncClient(gateway) as client:
            return await call(client)

    try:
        return asyncio.run(run())
    except KhulasaError as error:
        complaints.print(f"khulasa: {gateway}: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


def _full(name: str) -> str:
    return COLLECTION + name.removeprefix(COLLECTION)


def _show(job: Job, as_json: bool) -> None:
    if as_json:
        print(json.dumps(to_json(job), ensure_ascii=False, default=lambda time: time.isoformat()))
        return
    console.print(f"{job.name}  {job.display_name}", markup=False)
    console.print(_progress(job), markup=False)


def _progress(job: Job) -> str:
    parts = [
        f"{job.state.name.lower()}: {job.done + job.failed} of {job.articles} articles",
        f"{job.failed} failed",
        f"{job.duplicates} not translated again",
        f"{job.flagged_sentences} sentences flagged",
    ]
    if job.expires:
        parts.append(f"kept until {job.expires:%Y-%m-%d %H:%M} UTC")
    return ", ".join(parts)
