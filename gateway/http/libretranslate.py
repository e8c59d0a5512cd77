"""LibreTranslate's API, answered so that its clients work unchanged, with the reasons for doubt in a field beside.

Arabic to English is all there is; any other pair is refused the way its clients know. Written from how its clients
call, not from its code.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.http import bodies, markup
from gateway.http.articles import as_dict
from gateway.http.calls import FORM, Asked
from gateway.http.problems import headers_of, http_status
from gateway.service import GatewayService
from gateway.validation import MAX_ARTICLE_BYTES
from gateway.verdict import verdict_on
from khulasa.v1 import article_pb2, gateway_pb2
from services.harness.errors import Reason, Refusal
from services.translator.language import identify_all
from services.translator.normalize import SCHEMES, normalize

MAX_TEXTS = 1_000
TEXTS_AT_ONCE = 16
SOURCES, TARGET = ("ar", "auto"), "en"
LANGUAGES = [{"code": "ar", "name": "Arabic", "targets": ["en"]}, {"code": "en", "name": "English", "targets": []}]
CODES = {"arabizi": "ar-Latn", "other": "und", "none": "und"}
"""What the translator's names for languages are in BCP 47, where they differ."""
DETECTED_CHARS = 10_000
"""Of a text; more would not change the answer."""


class Translated(NamedTuple):
    """A text in English, white space as in the source."""

    text: str
    sentences: list[article_pb2.Sentence]


class LibreTranslate:
    """The methods of LibreTranslate."""

    def __init__(self, service: GatewayService, *, key_required: bool) -> None:
        self._service = service
        self._key_required = key_required

    async def translate(self, asked: Asked) -> Response:
        """Answer one text with a string, a list of texts with a list."""
        fields = _fields(asked)
        given = _texts(fields)
        source, form = _text(fields, "source"), _text(fields, "format", "text")
        target = _text(fields, "target")
        for name, language, offered in (("source", source, SOURCES), ("target", target, (TARGET,))):
            if language not in offered:
                raise Refusal(
                    Reason.LANGUAGE_NOT_OFFERED,
                    f"{language[:20]} is not supported as {name}: only Arabic (ar) to English (en) is.",
                    field=name,
                )
        if form not in ("text", "html"):
            raise _invalid("format", f"{form[:20]!r} format is not supported: text and html are")
        texts = [given] if isinstance(given, str) else given
        places = asyncio.Semaphore(self._service.at_once(TEXTS_AT_ONCE))
        if form == "html":
            pages = await asyncio.to_thread(_pages, texts)
            answers = await _together([self._translate_html(page, places) for page in pages])
        else:
            answers = await _together([self._translate_text(text, places) for text in texts])
        english = [answer.text for answer in answers]
        doubts = [_doubts(answer.sentences) for answer in answers]
        one = isinstance(given, str)
        answer: dict[str, Any] = {
            "translatedText": english[0] if one else english,
            "khulasa": doubts[0] if one else doubts,
        }
        if source == "auto":
            detected = await asyncio.to_thread(lambda: [_detected(text) for text in texts])
            answer["detectedLanguage"] = detected[0] if one else detected
        if fields.get("alternatives"):
            answer["alternatives"] = [] if one else [[] for _ in texts]  # there is one translation, and its doubts
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def detect(self, asked: Asked) -> Response:
        """Answer with the language of the text, a confidence in percent beside it."""
        given = _texts(_fields(asked))
        return JSONResponse([await asyncio.to_thread(_detected, given if isinstance(given, str) else "\n".join(given))])

    async def languages(self, request: Request) -> Response:
        """Answer with the languages there are."""
        return JSONResponse(LANGUAGES)

    async def settings(self, request: Request) -> Response:
        """Answer with what front ends ask for at their start."""
        return JSONResponse(
            {
                "apiKeys": self._key_required,
                "keyRequired": self._key_required,
                "charLimit": MAX_ARTICLE_BYTES // 2,  # letters of two bytes
                "filesTranslation": False,
                "suggestions": False,
                "supportedFilesFormat": [],
                "frontendTimeout": 500,
                "language": {
                    "source": {"code": "ar", "name": "Arabic"},
                    "target": {"code": "en", "name": "English"},
                },
            }
        )

    async def _translate_text(self, text: str, places: asyncio.Semaphore) -> Translated:
        if not text.strip():
            return Translated(text, [])
        parts: list[str] = []
        sentences: list[article_pb2.Sentence] = []
        done = 0
        async with (
            places,
            aclosing(
                self._service.stream(
                    article_pb2.Article(text=text), gateway_pb2.ArticleOptions(translate_boilerplate=True)
                )
            ) as events,
        ):
            async for event in events:
                if event.WhichOneof("event") != "paragraph":
                    continue
                paragraph = event.paragraph
                parts.append(text[done : paragraph.span.start])
                parts.append(" ".join(s.translation for s in paragraph.sentences if s.translation))
                done = paragraph.span.end
                sentences.extend(paragraph.sentences)
        return Translated("".join([*parts, text[done:]]), sentences)

    async def _translate_html(self, pieces: Sequence[tuple[str, bool]], places: asyncio.Semaphore) -> Translated:
        texts = [text for text, is_text in pieces if is_text]
        answers = iter(await _together([self._translate_text(text, places) for text in texts]))
        parts: list[str] = []
        sentences: list[article_pb2.Sentence] = []
        for text, is_text in pieces:
            if is_text:
                answer = next(answers)
                parts.append(markup.escaped(answer.text))
                sentences.extend(answer.sentences)
            else:
                parts.append(text)
        return Translated("".join(parts), sentences)


def api_key(asked: Asked) -> str | None:
    """Return the key that clients of LibreTranslate send among the fields."""
    return _text(_fields(asked), "api_key", "") or None


def refusal_response(refusal: Refusal) -> Response:
    """Return the refusal as LibreTranslate's clients read it: a message in `error`. The reason stands beside it."""
    body = {"error": refusal.message, "khulasa": {"reason": refusal.reason.value, "metadata": refusal.metadata}}
    status = http_status(refusal)
    return JSONResponse(body, 400 if status == 422 else status, headers_of(refusal))


def _fields(asked: Asked) -> Mapping[str, Any]:
    """Return the fields of the address and the body; the body's win."""
    try:
        query = parse_qs(asked.request.url.query, keep_blank_values=True, max_num_fields=MAX_TEXTS)
        if asked.content_type != FORM:
            return _single(query) | (bodies.json_object(asked.body) if asked.body.strip() else {})
        form = parse_qs(asked.body.decode(), keep_blank_values=True, max_num_fields=MAX_TEXTS + 20, errors="strict")
    except ValueError as error:
        raise _invalid("q", f"the form cannot be read: {str(error)[:100]}") from None
    return _single(query) | _single(form)


def _single(fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else list(values) for name, values in fields.items()}


def _texts(fields: Mapping[str, Any]) -> str | list[str]:
    given = fields.get("q")
    if isinstance(given, list) and given and all(isinstance(text, str) for text in given):
        if len(given) > MAX_TEXTS:
            raise _invalid("q", f"there are {len(given)} texts, the limit is {MAX_TEXTS}")
    elif not isinstance(given, str):
        raise _invalid("q", "missing q parameter, a text or a list of texts")
    texts = [given] if isinstance(given, str) else given
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise _invalid("q", "a text has half a character (a lone surrogate)") from None
    return given


def _pages(texts: Sequence[str]) -> list[list[tuple[str, bool]]]:
    """Return the pieces of each page, of text not more in all than of a list. Raises Refusal."""
    pages: list[list[tuple[str, bool]]] = []
    found = 0
    for text in texts:
        pages.append(markup.pieces(text))
        found += sum(is_text for _, is_text in pages[-1])
        if found > MAX_TEXTS:
            raise _invalid("q", f"the HTML has more than {MAX_TEXTS} pieces of text, the limit")
    return pages


def _text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if value is None:
        raise _invalid(name, f"missing {name} parameter")
    if not isinstance(value, str):
        raise _invalid(name, f"{name} is no string")
    return value


def _doubts(sentences: Sequence[article_pb2.Sentence]) -> dict[str, Any]:
    flagged = [sentence for sentence in sentences if sentence.flags]
    return {
        "verdict": article_pb2.Provenance.Verdict.Name(verdict_on(sentences)),
        "sentences": len(sentences),
        "flaggedSentences": [
            {
                "source": sentence.source,
                "translation": sentence.translation,
                "confidence": sentence.confidence if sentence.HasField("confidence") else None,
                "flags": [as_dict(flag) for flag in sentence.flags],
            }
            for sentence in flagged
        ],
    }


def _detected(text: str) -> dict[str, Any]:
    text = normalize(text[:DETECTED_CHARS], SCHEMES["plain-1"]).text
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return {"confidence": 0.0, "language": "und"}
    found = identify_all(lines)
    shares: dict[str, float] = {}
    for line, language in zip(lines, found, strict=True):
        code = CODES.get(language.code, language.code)
        shares[code] = shares.get(code, 0.0) + len(line) * language.confidence
    best = max(shares, key=lambda code: shares[code])
    return {"confidence": round(100 * shares[best] / sum(map(len, lines)), 1), "language": best}


async def _together(translations: Sequence[Any]) -> list[Translated]:
    """Await all; the first refusal ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(translation) for translation in translations]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _invalid(field: str, problem: str) -> Refusal:
    return Refusal(Reason.UNREADABLE_REQUEST, f"Invalid request: {problem}.", field=field)
