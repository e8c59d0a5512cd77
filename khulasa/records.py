"""The lines of a job's JSONL files: an article to be done, and what became of one; the same for every way to run a job.

In, one object a line; other fields are ignored, so that an export can be used as it is:

    {"id": "a-17", "text": "…", "title": "…"}      "html" in the place of "text" for a page; "title" is optional

Out, one object a line, always with all of these fields:

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
from collections.abc import Mapping
from typing import Any

from khulasa.errors import BadRequest, KhulasaError, code_of
from khulasa.show import to_json
from khulasa.types import Article, Result

MAX_ID_CHARS = 200
"""As the gateway has it."""


def id_of(line: object) -> str:
    """Return the id of an article's line; a number counts as its digits. Raises BadRequest if it has none."""
    if not isinstance(line, Mapping):
        raise _bad("UNREADABLE_RECORD", f"The line is {_kind(line)}, not an object with id and text or html.")
    given = line.get("id")
    name = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if name is None or name == "":
        raise _bad("ID_MISSING", "The line has no id. Give each article one of its own.")
    if not isinstance(name, str):
        raise _bad("UNREADABLE_RECORD", f"id is {_kind(name)}, not a string.", field="id")
    if len(name) > MAX_ID_CHARS:
        raise _bad("ID_TOO_LONG", f"id has {len(name)} characters, the limit is {MAX_ID_CHARS}.", field="id")
    return name


def article_of(line: object) -> Article:
    """Return the article of a line. Raises BadRequest if it is none; what the server refuses is not looked for here."""
    if not isinstance(line, Mapping):
        raise _bad("UNREADABLE_RECORD", f"The line is {_kind(line)}, not an object with id and text or html.")
    parts = {name: _text(line, name) for name in ("title", "text", "html")}
    if parts["text"] and parts["html"]:
        raise _bad("UNREADABLE_RECORD", "The line has text and html. Leave one out.", field="html")
    if not parts["text"].strip() and not parts["html"].strip():
        raise _bad("ARTICLE_EMPTY", "The line has neither text nor html.", field="text")
    return Article(**parts)


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


def _text(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad("UNREADABLE_RECORD", f"{name} is {_kind(value)}, not a string.", field=name)
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _bad(reason: str, message: str, **metadata: str) -> BadRequest:
    return BadRequest(message, reason=reason, metadata=metadata)
