"""Results as people read them in a terminal, and as programs read them in JSON."""

import dataclasses
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape

from khulasa.types import Flag, FlagReason, ParagraphKind, Result, SummarySentence, Verdict
from khulasa.words import PASSED_OVER

DOUBT_STYLE = "yellow"


def show_result(result: Result, console: Console) -> None:
    """Print headline, paragraphs with doubtful sentences marked, summary with its sources, doubts, and provenance."""
    if headline := result.translation.headline:
        console.print(f"[bold]{escape(headline)}[/bold]\n")
    skipped = 0
    for paragraph in result.translation.paragraphs:
        if paragraph.kind == ParagraphKind.TITLE:
            continue
        if any(flag.reason == FlagReason.BOILERPLATE_SKIPPED for s in paragraph.sentences for flag in s.flags):
            skipped += 1
            continue
        parts = []
        for sentence in paragraph.sentences:
            text = escape(sentence.translation)
            mark = f"[{DOUBT_STYLE}]{text} (?{sentence.index})[/{DOUBT_STYLE}]" if doubts(sentence.flags) else text
            parts.append(mark)
        console.print(" ".join(parts) + "\n", soft_wrap=False)
    if skipped:
        console.print(f"[dim]{skipped} lines of menus, credits and links were not translated.[/dim]\n")
    show_summary(result.summary, console)
    if result.provenance.verdict == Verdict.UNRELIABLE:
        console.print(f"[{DOUBT_STYLE}]More than a third of this is doubtful: have the Arabic read.[/{DOUBT_STYLE}]\n")
    show_doubts(result, console)
    show_missed_terms(result, console)
    show_provenance(result, console)


def show_summary(summary: tuple[SummarySentence, ...], console: Console) -> None:
    """Print each sentence of the summary with the Arabic it comes from."""
    console.print("[bold]Summary[/bold]")
    if not summary:
        console.print("[dim](no sentence that may be chosen)[/dim]")
    for sentence in summary:
        doubt = f" [{DOUBT_STYLE}](doubtful)[/{DOUBT_STYLE}]" if doubts(sentence.flags) else ""
        console.print(f"• {escape(sentence.text)}{doubt}")
        console.print(f"  [dim]{escape(sentence.source)}[/dim]")
        console.print(f"  [dim]sentence {sentence.sentence_index}: {escape(sentence.rationale)}[/dim]")
    console.print()


def show_doubts(result: Result, console: Console) -> None:
    """Print every flagged sentence with its source and why."""
    paragraphs = [*([result.translation.title] if result.translation.title else []), *result.translation.paragraphs]
    flagged = [(s, doubts(s.flags)) for paragraph in paragraphs for s in paragraph.sentences if doubts(s.flags)]
    if not flagged:
        return
    console.print("[bold]Do not trust without a look at the source[/bold]")
    for sentence, flags in flagged:
        why = "; ".join(f"{flag.reason.name.lower().replace('_', ' ')} ({flag.detail})" for flag in flags)
        console.print(f"?{sentence.index} [{DOUBT_STYLE}]{escape(why)}[/{DOUBT_STYLE}]")
        console.print(f"   [dim]{escape(sentence.source)}[/dim]")
    console.print()


def show_missed_terms(result: Result, console: Console) -> None:
    """Print the terms of the glossary that the translation lacks, where any were found."""
    paragraphs = [*([result.translation.title] if result.translation.title else []), *result.translation.paragraphs]
    found = [(s, match) for paragraph in paragraphs for s in paragraph.sentences for match in s.term_matches]
    if not found:
        return
    missed = [(sentence, match) for sentence, match in found if not match.applied]
    console.print(f"[bold]Glossary: {len(found) - len(missed)} of {len(found)} terms applied[/bold]")
    for sentence, match in missed:
        why = escape(f"{match.source} is not “{match.target}” in it")
        console.print(f"?{sentence.index} [{DOUBT_STYLE}]{why}[/{DOUBT_STYLE}]")
    console.print()


def show_provenance(result: Result, console: Console) -> None:
    """Print one line on how the answer came about."""
    p = result.provenance
    console.print(
        f"[dim]{p.sentences} sentences, {p.flagged_sentences} flagged · cache {p.cache_use.name.lower()} "
        f"({p.cached_paragraphs} of {p.paragraphs} paragraphs) · {p.total_s:.3f} s "
        f"(translation {p.translation_s:.3f}, summary {p.summary_s:.3f}) · "
        f"{p.model} {p.model_digest[:12]}, {p.engine}[/dim]",
        highlight=False,
    )


def doubts(flags: tuple[Flag, ...]) -> list[Flag]:
    """Return the flags that cast doubt on a translation, not those that say there is none."""
    return [flag for flag in flags if flag.reason not in PASSED_OVER]


def to_json(value: Any) -> Any:
    """Return a result as plain lists, dicts, and lower-case names of enums."""
    if isinstance(value, Enum):
        return value.name.lower()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value
