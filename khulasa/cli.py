"""`khulasa up | translate | summarize | status | train | model | job`.

Exit status: 0 done, 1 the server refused or failed, 2 wrong use or unreadable file; of several files, the highest.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from khulasa import model_commands
from khulasa.article_options import (
    Address,
    Boilerplate,
    Glossary,
    NoCache,
    Ratio,
    Sentences,
    SummaryFirst,
    Timeout,
    Words,
    budget_of,
    glossary_of,
)
from khulasa.client import DEFAULT_ADDRESS, AsyncClient
from khulasa.errors import KhulasaError, UnreadableFile
from khulasa.job_commands import job_app
from khulasa.jobs.command import run
from khulasa.reading import decode, looks_like_html
from khulasa.show import show_result, show_summary, to_json
from khulasa.train_command import train
from khulasa.types import Article, Options, Result
from khulasa.up import CannotStart, Services

app = typer.Typer(help="Arabic articles in, checked English translations and summaries out.", no_args_is_help=True)
app.command()(train)
app.add_typer(model_commands.app, name="model")
job_app.command()(run)
app.add_typer(job_app, name="job")
console = Console(soft_wrap=True)
complaints = Console(stderr=True, soft_wrap=True)

Files = Annotated[list[str], typer.Argument(help="Text or HTML files, - for standard input.", metavar="FILE…")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each file, a line each.")]


@app.command()
def up(address: Address = DEFAULT_ADDRESS) -> None:
    """Run gateway, translator and summarizer on this machine until Ctrl-C."""
    try:
        asyncio.run(_up(address))
    except CannotStart as error:
        complaints.print(f"khulasa: {error}", style="red")
        raise typer.Exit(1) from None


@app.command()
def translate(
    files: Files,
    gateway: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
    timeout: Timeout = 300,
    sentences: Sentences = None,
    words: Words = None,
    ratio: Ratio = None,
    boilerplate: Boilerplate = False,
    glossary: Glossary = "",
    no_cache: NoCache = False,
) -> None:
    """Translate articles; print them in English with their summaries and what to doubt."""
    options = Options(
        budget_of(sentences, words, ratio),
        translate_boilerplate=boilerplate,
        bypass_cache=no_cache,
        glossary=glossary_of(glossary),
    )
    _process(
        files, gateway, timeout, options, _print_json if as_json else lambda _, result: show_result(result, console)
    )


@app.command()
def summarize(
    files: Files,
    gateway: Address = DEFAULT_ADDRESS,
    as_json: AsJson = False,
    timeout: Timeout = 300,
    sentences: Sentences = None,
    words: Words = None,
    ratio: Ratio = None,
    glossary: Glossary = "",
    summary_first: SummaryFirst = False,
    no_cache: NoCache = False,
) -> None:
    """Print only the summaries of articles, each sentence with its Arabic source."""

    def show(name: str, result: Result) -> None:
        if as_json:
            print(json.dumps({"file": name, "summary": to_json(result.summary)}, ensure_ascii=False))
        else:
            show_summary(result.summary, console)

    options = Options(
        budget_of(sentences, words, ratio),
        bypass_cache=no_cache,
        glossary=glossary_of(glossary),
        summary_first=summary_first,
    )
    _process(files, gateway, timeout, options, show)


@app.command()
def status(gateway: Address = DEFAULT_ADDRESS, as_json: AsJson = False) -> None:
    """Ask a gateway for its health, model and cache. Exit status 0 only if all are well."""

    async def ask() -> int:
        async with AsyncClient(gateway, timeout_s=10) as client:
            state = await client.describe()
        if as_json:
            print(json.dumps(to_json(state)))
        else:
            console.print(f"gateway     {gateway}")
            console.print(
                f"translator  {f'{state.model} {state.model_digest[:12]} on {state.engine}' if state.model else 'away'}"
            )
            console.print(f"summarizer  {'ready' if state.summarizer_ready else 'away'}")
            console.print(f"cache       {state.cache}, {'ready' if state.cache_ready else 'unreachable'}")
        return 0 if state.model and state.summarizer_ready and state.cache_ready else 1

    try:
        code = asyncio.run(ask())
    except KhulasaError as error:
        complaints.print(f"khulasa: {gateway}: {error}", style="red")
        code = 1
    raise typer.Exit(code)


async def _up(address: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = asyncio.create_task(Services.start(gateway_address=address))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    async with await starting as services:
        complaints.print(f"Khulasa is ready at {address}. Try: khulasa translate FILE. Ctrl-C stops it.", style="green")
        ended = asyncio.create_task(services.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise CannotStart(f"The {ended.result()} ended by itself; see its log.")
        ended.cancel()


def _process(
    files: Iterable[str], gateway: str, timeout_s: float, options: Options, show: Callable[[str, Result], None]
) -> None:
    worst = 0

    async def run() -> None:
        nonlocal worst
        async with AsyncClient(gateway, timeout_s=timeout_s) as client:
            for name in files:
                try:
                    show(name, await client.process(_read(name), options))
                except UnreadableFile as error:
                    complaints.print(f"khulasa: {name}: {error}", style="red", markup=False)
                    worst = 2
                except KhulasaError as error:
                    complaints.print(f"khulasa: {name}: {error}", style="red", markup=False)
                    worst = max(worst, 1)

    asyncio.run(run())
    raise typer.Exit(worst)


def _read(name: str) -> Article:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from None
    text = decode(data)
    return Article(html=text) if looks_like_html(text) else Article(text=text)


def _print_json(name: str, result: Result) -> None:
    print(json.dumps({"file": name, **to_json(result)}, ensure_ascii=False))
