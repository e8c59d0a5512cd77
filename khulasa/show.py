"""Results as people read them in a terminal, and as programs read them in JSON."""

import dataclasses
from enum import Enum
from typing import Any

from rich.console import Console
from rich.markup import escape

from khulasa.types import Flag, FlagReason, Paragraph, ParagraphKind, Result, Sentence, SummarySentence, Verdict
from khulasa.words import PASSED_OVER

DOUBT_STYLE = "yellow"


def show_result(result: Result, console: Console) -> None:
    """Print headline, paragraphs with doubtful sentences marked, summary with its sources, doubts, and provenance."""
    if title := result.translation.title_paragraph:
        console.print(f"[bold]{_marked(title, result)}[/bold]\n")
    skipped = 0
    for paragraph in result.translation.paragraphs:
        if paragraph.kind == ParagraphKind.TITLE:
            continue
        if any(flag.reason == FlagReason.BOILERPLATE_SKIPPED for s in paragraph.sentences for flag in s.flags):
            skipped += 1
            continue
        console.print(f"{_marked(paragraph, result)}\n", soft_wrap=False)
    if skipped:
        console.print(f"[dim]{skipped} lines of menus, credits and links were not translated.[/dim]\n")
    show_summary(result.summary, console)
    if result.provenance.verdict == Verdict.UNRELIABLE:
        console.print(f"[{DOUBT_STYLE}]More than a third of this is doubtful: have the Arabic read.[/{DOUBT_STYLE}]\n")
    show_doubts(result, console)
    show_missed_terms(result, console)
    show_provenance(result, console)


def _marked(paragraph: Paragraph, result: Result) -> str:
    """Return its English as markup, each doubtful sentence with the mark under which its doubts are listed."""
    parts = []
    for sentence in paragraph.sentences:
        text = escape(sentence.translation)
        if doubts(sentence.flags):
            text = f"[{DOUBT_STYLE}]{text} ({_mark(sentence, paragraph, result)})[/{DOUBT_STYLE}]"
        parts.append(text)
    return " ".join(parts)


def _mark(sentence: Sentence, paragraph: Paragraph, result: Result) -> str:
    """Return what stands for a sentence; those of a headline that was sent apart have numbers of their own."""
    return f"?h{sentence.index}" if paragraph is result.translation.title else f"?{sentence.index}"


def _sentences(result: Result) -> list[tuple[str, Sentence]]:
    """Return every sentence that is shown with its mark, the headline's first."""
    title = result.translation.title_paragraph
    paragraphs = [
        *([title] if title else []),
        *(paragraph for paragraph in result.translation.paragraphs if paragraph.kind != ParagraphKind.TITLE),
    ]
    return [
        (_mark(sentence, paragraph, result), sentence) for paragraph in paragraphs for sentence in paragraph.sentences
    ]


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
    flagged = [(mark, sentence) for mark, sentence in _sentences(result) if doubts(sentence.flags)]
    if not flagged:
        return
    console.print("[bold]Do not trust without a look at the source[/bold]")
    for mark, sentence in flagged:
        why = "; ".join(
            f"{flag.reason.name.lower().replace('_', ' ')} ({flag.detail})" for flag in doubts(sentence.flags)
        )
        console.print(f"{mark} [{DOUBT_STYLE}]{escape(why)}[/{DOUBT_STYLE}]")
        console.print(f"   [dim]{escape(sentence.source)}[/dim]")
    console.print()


def show_missed_terms(result: Result, console: Console) -> None:
    """Print the terms of the glossary that the translation lacks, where any were found."""
    found = [(mark, match) for mark, sentence in _sentences(result) for match in sentence.term_matches]
    if not found:
        return
    missed = [(mark, match) for mark, match in found if not match.applied]
    console.print(f"[bold]Glossary: {len(found) - len(missed)} of {len(found)} terms applied[/bold]")
    for mark, match in missed:
        why = escape(f"{match.source} is not “{match.target}” in it")
        console.print(f"{mark} [{DOUBT_STYLE}]{why}[/{DOUBT_STYLE}]")
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
