"""`khulasa up | translate | summarize | status | train | model | job | token | cache`.

Exit status: 0 done, 1 the server refused or failed, 2 wrong use or unreadable file; of several files, the highest.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

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
    Timeout,
    Words,
    budget_of,
    glossary_of,
)
from khulasa.channel import TLS_VARIABLE, TOKEN_VARIABLE
from khulasa.client import DEFAULT_ADDRESS, AsyncClient
from khulasa.errors import KhulasaError, UnreadableFile
from khulasa.job_commands import job_app
from khulasa.jobs.command import run as run_job
from khulasa.model_commands import app as model_app
from khulasa.reading import decode, looks_like_html
from khulasa.show import show_result, show_summary, to_json
from khulasa.token_commands import app as token_app
from khulasa.train_command import train
from khulasa.types import Article, Options, Result
from khulasa.up import CannotStart, Services

DEFAULT_HTTP_ADDRESS = "127.0.0.1:8080"

app = typer.Typer(no_args_is_help=True)
cache = typer.Typer(help="What a gateway keeps of articles.", no_args_is_help=True)
job_app.command("run")(run_job)
app.command()(train)
app.add_typer(model_app, name="model")
app.add_typer(job_app, name="job")
app.add_typer(token_app, name="token")
app.add_typer(cache, name="cache")

console = Console(soft_wrap=True)
complaints = Console(stderr=True, soft_wrap=True)

Files = Annotated[list[str], typer.Argument(help="Text or HTML files, - for standard input.", metavar="FILE…")]
HttpAddress = Annotated[
    str, typer.Option("--http", envvar="KHULASA_HTTP_ADDRESS", help="Host and port of page and HTTP API; '': none.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each file, a line each.")]


@app.callback()
def connection(
    token_file: Annotated[
        str | None, typer.Option(help="File with the token that the gateway asks for; or KHULASA_TOKEN has the token.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS, trusting the usual authorities.")] = False,
    tls_ca: Annotated[str | None, typer.Option(help="Speak TLS, trusting the authorities in this PEM file.")] = None,
    tls_cert: Annotated[str | None, typer.Option(help="PEM file of our own certificate, if it is asked for.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="PEM file of its key.")] = None,
) -> None:
    """Arabic articles in, checked English translations and summaries out.

    How a gateway is reached stands before the command; KHULASA_TOKEN_FILE and KHULASA_GATEWAY_TLS, _TLS_CA, _TLS_CERT
    and _TLS_KEY say the same.
    """
    given = {
        f"{TOKEN_VARIABLE}_FILE": token_file,
        TLS_VARIABLE: "true" if tls else None,
        f"{TLS_VARIABLE}_CA": tls_ca,
        f"{TLS_VARIABLE}_CERT": tls_cert,
        f"{TLS_VARIABLE}_KEY": tls_key,
    }
    os.environ.update({name: value for name, value in given.items() if value})  # every client reads them there


@app.command()
def up(address: Address = DEFAULT_ADDRESS, http: HttpAddress = DEFAULT_HTTP_ADDRESS) -> None:
    """Run gateway, translator and summarizer on this machine until Ctrl-C, with a page to read at."""
    try:
        asyncio.run(_up(address, http))
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


@cache.callback()
def _cache() -> None:
    """Keeps `purge` a command of its own while it is the only one."""


@cache.command("purge")
def purge(
    files: Annotated[
        list[str] | None, typer.Argument(help="Articles to forget, - for standard input.", metavar="FILE…")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget all that the client had translated.")] = False,
    client: Annotated[str, typer.Option(help="Whose, for administrators; by default your own.")] = "",
    gateway: Address = DEFAULT_ADDRESS,
) -> None:
    """Have a gateway's cache forget articles, or everything of a client."""
    if bool(files) == everything:
        raise typer.BadParameter("Name files, or say --all.")

    async def run() -> None:
        async with AsyncClient(gateway) as connection:
            if everything:
                console.print(f"{await connection.purge_client(client)} values forgotten")
            for name in files or ():
                purged = await connection.purge_article(_read(name), client=client)
                console.print(f"{name}: {purged} values forgotten", markup=False)

    try:
        asyncio.run(run())
    except UnreadableFile as error:
        complaints.print(f"khulasa: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    except KhulasaError as error:
        complaints.print(f"khulasa: {gateway}: {error}", style="red", markup=False)
        raise typer.Exit(1) from None


async def _up(address: str, http: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = asyncio.create_task(Services.start(gateway_address=address, http_address=http))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    async with await starting as services:
        page = f" Open http://{http}/ to read." if http else ""
        complaints.print(
            f"Khulasa is ready at {address}. Try: khulasa translate FILE.{page} Ctrl-C stops it.", style="green"
        )
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

    try:
        asyncio.run(run())
    except KhulasaError as error:  # of what the client itself is made with
        complaints.print(f"khulasa: {error}", style="red", markup=False)
        worst = 2
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
