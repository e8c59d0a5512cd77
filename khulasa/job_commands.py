"""`khulasa job submit | status | list | wait | results | cancel | delete`: articles that a gateway works off by itself.

Exit status: 0 done, 1 the server refused or failed, 2 wrong use or unreadable input; `wait` also 1 for a job that was
cancelled or has articles with errors, and 3 for one that still runs when the time is over.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, TypeVar

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
    TitleField,
    Words,
    budget_of,
    glossary_of,
)
from khulasa.client import DEFAULT_ADDRESS, AsyncClient
from khulasa.errors import KhulasaError
from khulasa.jobs.failures import RunRefused, RunStopped
from khulasa.jobs.index import Index
from khulasa.jobs.inputs import Fields, Input, open_input
from khulasa.records import record_of
from khulasa.show import to_json
from khulasa.types import Article, Job, JobState, Options

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
    source: InputName,
    gateway: Address = DEFAULT_ADDRESS,
    name: Annotated[str, typer.Option(help="What people call the job; by default the file's name.")] = "",
    request_id: Annotated[
        str, typer.Option(help="Makes sending safe to repeat; by default made of the file and the options.")
    ] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is no article.")] = False,
    id_field: IdField = "id",
    text_field: TextField = "text",
    title_field: TitleField = "title",
    sentences: Sentences = None,
    words: Words = None,
    ratio: Ratio = None,
    boilerplate: Boilerplate = False,
    glossary: Glossary = "",
    summary_first: SummaryFirst = False,
    no_cache: NoCache = False,
) -> None:
    """Send articles to the gateway and print the job's name.

    The same articles with the same options are the same job: sent again, its name is printed and nothing is done twice.
    Delete the job, or give another --request-id, to have it anew.
    """
    options = Options(
        budget_of(sentences, words, ratio),
        translate_boilerplate=boilerplate,
        bypass_cache=no_cache,
        glossary=glossary_of(glossary),
        summary_first=summary_first,
    )
    with _opened(source, Fields(id_field, text_field, title_field)) as reading:
        digest, bad = _look_through(reading)
        for article_id, error in bad[:SHOWN_COMPLAINTS]:
            complaints.print(f"khulasa: {source}: {article_id}: {error}", style="red", markup=False)
        if len(bad) > SHOWN_COMPLAINTS:
            complaints.print(f"khulasa: {source}: {len(bad) - SHOWN_COMPLAINTS} more", style="red", markup=False)
        if bad and not skip_bad:
            complaints.print(
                "khulasa: Nothing was sent. Mend them, or leave them out with --skip-bad.", style="red", markup=False
            )
            raise typer.Exit(2)
        digest.update(repr(options).encode())

        async def send(client: AsyncClient) -> tuple[Job, bool]:
            known = {job.name async for job in client.jobs()}
            job = await client.create_job(
                _articles(reading),
                options,
                request_id=request_id or digest.hexdigest(),
                display_name=(name or Path(source).name)[:200],
            )
            return job, job.name in known

        job, sent_before = _ask(gateway, send)
    print(job.name)
    if sent_before:
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
def _opened(name: str, fields: Fields) -> Iterator[Input]:
    """Open an input that is read twice; standard input is laid aside for that."""
    try:
        if name != "-":
            yield open_input(name, fields)
            return
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            yield open_input(copy.name, fields)
    except (OSError, RunRefused, RunStopped) as error:
        why = error.strerror if isinstance(error, OSError) else error
        complaints.print(f"khulasa: {name}: {why}", style="red", markup=False)
        raise typer.Exit(2) from None


def _look_through(source: Input) -> "tuple[hashlib._Hash, list[tuple[str, str]]]":
    """Return a digest of the articles, and of what is none the ids and what is wrong."""
    digest = hashlib.sha256()
    bad: list[tuple[str, str]] = []
    with contextlib.closing(Index()) as index:
        for entry in source.entries():
            if entry.article is None:
                bad.append((entry.id, str(entry.error)))
            elif index.add_read(entry.id):
                article = entry.article
                for part in (entry.id, article.title, article.text, article.html):
                    digest.update(hashlib.sha256(part.encode()).digest())
            else:
                bad.append((entry.id, "The id came before. Give each article one of its own."))
    return digest, bad


def _articles(source: Input) -> Iterator[tuple[str, Article]]:
    """Yield what `_look_through` found good."""
    with contextlib.closing(Index()) as index:
        for entry in source.entries():
            if entry.article is not None and index.add_read(entry.id):
                yield entry.id, entry.article


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
