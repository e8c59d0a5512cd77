"""What became of an article, as a line of JSONL; the same for every way to run a job. Always with all of these fields:

id            the article's
status        {"code": "OK", "reason": "", "message": ""}, or the gRPC code, stable reason and words of its error
duplicate_of  the id of the article of the same job whose translation this is, or null
title         the English headline, "" where there is none
translation   {"title": paragraph or null, "paragraphs": […], "extracted": … or null}, as `khulasa translate --json`
              writes it: sentences with source, translation, span, flags, confidence; null without an answer
summary       the chosen sentences with their sources; null without an answer
flags         how many sentences, title included, carry each flag: {"number_mismatch": 2}
provenance    model, verdict, cache use, times; null without an answer
"""

from collections import Counter
from typing import Any

from khulasa.errors import KhulasaError, code_of
from khulasa.show import to_json
from khulasa.types import Result


def record_of(name: str, answer: Result | KhulasaError, *, duplicate_of: str = "") -> dict[str, Any]:
    """Return what became of the article `name` as an output line; the module's docstring names the fields."""
    record: dict[str, Any] = {
        "id": name,
        "status": {"code": "OK", "reason": "", "message": ""},
        "duplicate_of": duplicate_of or None,
        "title": "",
        "translation": None,
        "summary": None,
        "flags": {},
        "provenance": None,
    }
    if isinstance(answer, KhulasaError):
        return record | {"status": {"code": code_of(answer), "reason": answer.reason, "message": str(answer)}}
    parts: dict[str, Any] = to_json(answer)
    return record | {"title": answer.translation.headline, "flags": flag_counts(answer)} | parts


def flag_counts(result: Result) -> dict[str, int]:
    """Return how many sentences carry each flag, title included, by the flag's name in lower case, most first."""
    title = [result.translation.title] if result.translation.title else []
    sentences = [s for paragraph in [*title, *result.translation.paragraphs] for s in paragraph.sentences]
    names = Counter(name for s in sentences for name in {flag.reason.name.lower() for flag in s.flags})
    return dict(sorted(names.items(), key=lambda item: (-item[1], item[0])))
