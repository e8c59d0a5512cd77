"""Results as a notebook shows them: English beside Arabic, doubt in words; and as rows of a data frame."""

from collections.abc import Iterable
from html import escape
from typing import Any

from khulasa.types import Paragraph, Result, Sentence, SummarySentence, Translation, Verdict
from khulasa.words import FLAG_WORDS, PASSED_OVER

_VERDICTS = {
    Verdict.NO_DOUBTS: "No check failed.",
    Verdict.DOUBTS: "Some sentences are doubtful; their notes say why.",
    Verdict.UNRELIABLE: "More than a third of this is doubtful: have the Arabic read.",
    Verdict.NOTHING_TRANSLATED: "There was nothing to translate.",
}
# Colours by alpha, since nobody knows whether the notebook is light or dark. Styles inline: notebooks drop the rest.
_CELL = "vertical-align:top;width:50%;padding:.5em .8em;border-bottom:1px solid rgba(128,128,128,.3)"
_DOUBT = "text-decoration:underline wavy rgb(200,120,0) 1px;text-underline-offset:.25em"
_NOTE = "font-size:.85em;color:rgb(180,105,0)"
_SOFT = "font-size:.85em;opacity:.7"


def result_html(result: Result) -> str:
    """Return a whole answer: verdict, summary, article. Nothing in it is run; text of the article is escaped."""
    provenance = result.provenance
    return (
        f"<div><p><b>{escape(_VERDICTS.get(provenance.verdict, ''))}</b> "
        f'<span style="{_SOFT}">{provenance.sentences} sentences, {provenance.flagged_sentences} doubtful · '
        f"{escape(provenance.model)} {escape(provenance.model_digest[:12])}</span></p>"
        f"{summary_html(result.summary)}{translation_html(result.translation)}</div>"
    )


def summary_html(summary: Iterable[SummarySentence]) -> str:
    """Return the sentences of a summary as a list, the doubtful ones with their reasons."""
    items = []
    for sentence in summary:
        reasons = [FLAG_WORDS[flag.reason] for flag in sentence.flags if flag.reason not in PASSED_OVER]
        note = f' <span style="{_NOTE}">({escape("; ".join(reasons))})</span>' if reasons else ""
        items.append(f"<li>{escape(sentence.text)}{note}</li>")
    return f"<p><b>Summary</b></p><ol>{''.join(items)}</ol>"


def translation_html(translation: Translation) -> str:
    """Return the paragraphs as a table, English beside Arabic."""
    return paragraphs_html([*([translation.title] if translation.title else []), *translation.paragraphs])


def paragraphs_html(paragraphs: Iterable[Paragraph]) -> str:
    """Return paragraphs as a table, English beside Arabic."""
    rows = "".join(_row(paragraph) for paragraph in paragraphs)
    return f'<table style="width:100%;border-collapse:collapse;text-align:start">{rows}</table>'


def sentence_rows(result: Result) -> list[dict[str, Any]]:
    """Return a row for each sentence of the answer, headline included, in order."""
    chosen = {sentence.sentence_index for sentence in result.summary}
    title = result.translation.title
    rows = [_cells(sentence, title, in_summary=False) for sentence in title.sentences] if title else []
    for paragraph in result.translation.paragraphs:
        rows += [_cells(sentence, paragraph, in_summary=sentence.index in chosen) for sentence in paragraph.sentences]
    return rows


def _cells(sentence: Sentence, paragraph: Paragraph, *, in_summary: bool) -> dict[str, Any]:
    return {
        "paragraph": paragraph.index,
        "kind": paragraph.kind.name.lower(),
        "sentence": sentence.index,
        "source": sentence.source,
        "translation": sentence.translation,
        "start": sentence.span.start,
        "end": sentence.span.end,
        "confidence": sentence.confidence,
        "flags": tuple(flag.reason.name for flag in sentence.flags),
        "doubtful": any(flag.reason not in PASSED_OVER for flag in sentence.flags),
        "in_summary": in_summary,
    }


def _row(paragraph: Paragraph) -> str:
    english, notes = [], []
    for sentence in paragraph.sentences:
        doubtful = any(flag.reason not in PASSED_OVER for flag in sentence.flags)
        style = f' style="{_DOUBT}"' if doubtful else ""
        english.append(f"<span{style}>{escape(sentence.translation)}</span>")
        for flag in sentence.flags:
            detail = f" ({escape(flag.detail)})" if flag.detail else ""
            notes.append(f'<div style="{_NOTE if doubtful else _SOFT}">{FLAG_WORDS[flag.reason]}{detail}</div>')
    arabic = " ".join(escape(sentence.source) for sentence in paragraph.sentences)
    return (
        f'<tr><td lang="en" dir="ltr" style="{_CELL};text-align:left">{" ".join(english)}{"".join(notes)}</td>'
        f'<td lang="ar" dir="rtl" style="{_CELL};text-align:right;font-size:1.1em">{arabic}</td></tr>'
    )
