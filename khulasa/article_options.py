"""The options that every command about articles has, declared once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from khulasa.errors import UnreadableFile
from khulasa.glossary import rows
from khulasa.reading import decode
from khulasa.types import SummaryBudget

Address = Annotated[str, typer.Option("--gateway", envvar="KHULASA_GATEWAY", help="Host and port of the gateway.")]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds for each file.")]
Sentences = Annotated[int | None, typer.Option(help="Length of the summary in sentences.")]
Words = Annotated[int | None, typer.Option(help="Length of the summary in words.")]
Ratio = Annotated[float | None, typer.Option(help="Length of the summary as a share of the sentences.")]
Boilerplate = Annotated[bool, typer.Option("--boilerplate", help="Translate menu lines and credits too.")]
Glossary = Annotated[
    str, typer.Option(metavar="FILE.tsv|NAME", help="Terms to translate in one way: a file, or its name on the server.")
]
SummaryFirst = Annotated[
    bool,
    typer.Option("--summary-first", help="Rank the Arabic, translate only what the summary shows."),
]
InputName = Annotated[
    str,
    typer.Argument(metavar="INPUT", help=".jsonl, .csv, .parquet, a folder of .txt and .html, or - for JSON lines."),
]
IdField = Annotated[str, typer.Option(help="Field or column of the id.")]
TextField = Annotated[str, typer.Option(help="Field or column of the text.")]
TitleField = Annotated[str, typer.Option(help="Field or column of the headline.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read the cache nor write it.")]


def glossary_of(given: str) -> Mapping[str, str] | str:
    """Return the terms of a file; what is no file's name is a name on the server."""
    if not given.endswith(".tsv"):
        return given
    try:
        terms = {source: target for _, source, target in rows(decode(Path(given).read_bytes()))}
    except OSError as error:
        raise typer.BadParameter(f"{given} cannot be read: {error.strerror}", param_hint="--glossary") from None
    except UnreadableFile as error:
        raise typer.BadParameter(f"{given}: {error}", param_hint="--glossary") from None
    if not terms:
        raise typer.BadParameter(f"{given} has no terms.", param_hint="--glossary")
    return terms


def budget_of(sentences: int | None, words: int | None, ratio: float | None) -> SummaryBudget:
    """Return the length of a summary, refusing two measures."""
    try:
        return SummaryBudget(sentences=sentences, words=words, ratio=ratio)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
