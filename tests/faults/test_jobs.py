"""A job outlasts whatever is killed in its middle, and what would be wrong with its output is seen."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.job_articles import judge
from faults.jobs import Trial, run


@pytest.mark.parametrize(("way", "output"), [("submit", "out.jsonl"), ("run", "out")])
async def test_nothing_is_lost_and_nothing_doubled(way: str, output: str, model_folder: Path) -> None:
    """With processes killed at random moments every article has its one right record, and the counts add up."""
    outcome = await run(Trial(way=way, seed=11, articles=120, kills=3, output=output), model_folder)
    assert sum(outcome.killed.values()) >= 3
    assert not outcome.faulty, outcome
    assert outcome.done + outcome.failed == outcome.articles == 120
    assert outcome.copies > 0


TEXT = "وصل الوزير.\nعاد أمس."
SENT = [
    {"id": "first", "text": TEXT},
    {"id": "copy", "text": TEXT.replace(" ", "  ")},
    {"id": "page", "html": "<html></html>"},
]
SAID = {"وصل الوزير.": {"The minister came."}, "عاد أمس.": {"He came back."}}


def record(name: str, text: str, duplicate_of: str | None) -> dict[str, Any]:
    """Return the right record of one of the articles."""
    paragraphs, position = [], 0
    for line, english in zip(text.split("\n"), ("The minister came.", "He came back."), strict=True):
        span = {"start": position, "end": position + len(line)}
        paragraphs.append({"sentences": [{"source": line, "span": span, "translation": english}]})
        position += len(line) + 1
    return {"id": name, "duplicate_of": duplicate_of, "translation": {"title": None, "paragraphs": paragraphs}}


def right() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return records and reasons with which nothing is wrong."""
    records = [record("first", SENT[0]["text"], None), record("copy", SENT[1]["text"], "first")]
    return records, {"page": "NO_ARTICLE_IN_HTML"}


def sentence(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one that is to be spoilt."""
    found: dict[str, Any] = records[0]["translation"]["paragraphs"][1]["sentences"][0]
    return found


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("lost", lambda records, reasons: records.pop()),
        ("lost", lambda records, reasons: reasons.clear()),
        ("twice", lambda records, reasons: records.append(copy.deepcopy(records[1]))),
        ("twice", lambda records, reasons: reasons.update(copy="NO_ARTICLE_IN_HTML")),
        ("wrong", lambda records, reasons: records.append(record("stranger", TEXT, None))),
        ("wrong", lambda records, reasons: reasons.update(page="INTERNAL")),
        ("wrong", lambda records, reasons: records[0]["translation"]["paragraphs"].pop()),
        ("wrong", lambda records, reasons: records[0]["translation"]["paragraphs"].reverse()),
        ("wrong", lambda records, reasons: sentence(records).update(source="وصل أمس.")),
        ("wrong", lambda records, reasons: sentence(records).update(translation="He went.")),
        ("wrong", lambda records, reasons: sentence(records)["span"].update(end=15)),
        ("unmarked", lambda records, reasons: records[1].update(duplicate_of=None)),
        ("unmarked", lambda records, reasons: records[1].update(duplicate_of="page")),
    ],
)
def test_what_is_wrong_is_seen(kind: str, spoil: Callable[[list[dict[str, Any]], dict[str, str]], object]) -> None:
    """The judge objects to nothing in a right output, and to each thing that may be wrong in one."""
    assert judge(SENT, *right(), SAID).faults == 0
    records, reasons = right()
    spoil(records, reasons)
    verdict = judge(SENT, records, reasons, SAID)
    assert getattr(verdict, kind) == 1, verdict
    assert verdict.told
