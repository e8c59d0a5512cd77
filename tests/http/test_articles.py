"""Articles over HTTP: the same answers and the same refusals as over gRPC."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format

from gateway.http import bodies
from gateway.http.server import HttpServer
from khulasa.v1 import gateway_pb2, gateway_pb2_grpc
from services.harness import priority
from services.harness.errors import Reason, Refusal
from tests.conftest import ARTICLES, Overheard, Stack
from tests.http.conftest import http_server


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, at most 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for knows of no event
            await asyncio.sleep(0.01)


def events_of(text: str) -> list[tuple[str, Any]]:
    """Return the events of a stream, as its format is read."""
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events


async def test_answer_is_that_of_grpc(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """An article over HTTP is answered with the message that gRPC answers with, in JSON."""
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        request = gateway_pb2.ProcessArticleRequest()
        request.article.text = flood
        by_grpc = await gateway_pb2_grpc.GatewayStub(channel).ProcessArticle(request)
    response = await http.post("/v1/articles", json={"article": {"text": flood}})
    assert response.status_code == 200
    by_http = json_format.Parse(response.text, gateway_pb2.ProcessArticleResponse())
    assert by_http.translation == by_grpc.translation
    assert by_http.summary == by_grpc.summary
    assert by_http.provenance.model_digest == by_grpc.provenance.model_digest


async def test_stream_has_every_part_in_order(http: httpx.AsyncClient, flood: str) -> None:
    """A stream's events are the paragraphs in order, the summary, the end; put together they are the whole answer."""
    response = await http.post("/v1/articles:stream", json={"article": {"text": flood}})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    whole = (await http.post("/v1/articles", json={"article": {"text": flood}})).json()
    assert [name for name, _ in events[-2:]] == ["summary", "finished"]
    assert [data for name, data in events if name == "paragraph"] == whole["translation"]["paragraphs"]
    assert dict(events)["summary"] == whole["summary"]


async def test_paragraph_is_sent_before_the_article_is_done(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """The first paragraph is there while the rest is still being translated."""
    first, rest = flood.split("\n\n", 1)
    await http.post("/v1/articles", json={"article": {"text": first}})
    stack.engine.released.clear()
    async with http.stream("POST", "/v1/articles:stream", json={"article": {"text": flood}}) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: paragraph"
        assert json.loads((await anext(lines)).removeprefix("data: "))["span"]["start"] == 0
        stack.engine.released.set()
        assert "event: finished" in [line async for line in lines]
    assert rest


async def test_html_is_read_and_its_text_sent_first(http: httpx.AsyncClient) -> None:
    """For a page the extracted text comes first, and offsets point into it."""
    page = (ARTICLES / "satellite.html").read_text()
    response = await http.post("/v1/articles:stream", json={"article": {"html": page}})
    events = events_of(response.text)
    name, extracted = events[0]
    assert name == "extracted"
    for name, data in events:
        if name == "paragraph":
            for sentence in data["sentences"]:
                span = sentence["span"]
                assert extracted["text"][span["start"] : span["end"]] == sentence["source"]


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({"article": {"text": " "}}, 422, "ARTICLE_EMPTY", "article.text"),
        ({}, 422, "ARTICLE_EMPTY", "article"),
        ({"article": {"text": "نص", "txet": 1}}, 400, "UNKNOWN_OPTION", "article.txet"),
        ({"article": {"text": "نص"}, "options": {"bypass": True}}, 400, "UNKNOWN_OPTION", "options.bypass"),
        ({"article": {"text": 3}}, 400, "UNREADABLE_REQUEST", "article.text"),
        ({"article": {"text": None}}, 400, "UNREADABLE_REQUEST", "article.text"),
        ({"article": {"text": "نص", "html": "<p>نص"}}, 400, "UNREADABLE_REQUEST", None),
        ({"article": {"text": "\ud800"}}, 400, "UNREADABLE_REQUEST", None),
        (
            {"article": {"text": "نص"}, "options": {"summaryBudget": {"sentences": "3"}}},
            400,
            "UNREADABLE_REQUEST",
            "options.summaryBudget.sentences",
        ),
        (
            {"article": {"text": "نص"}, "options": {"summary_budget": {"sentences": 101}}},
            422,
            "BUDGET_OUT_OF_RANGE",
            "options.summary_budget.sentences",
        ),
        ({"article": {"text": "نص"}, "options": {"glossary": {"name": "no"}}}, 404, "UNKNOWN_GLOSSARY", None),
        ({"article": {"html": "<p>"}}, 422, "NO_ARTICLE_IN_HTML", "article.html"),
        ({"article": {"text": "ن" * 500_001}}, 422, "ARTICLE_TOO_LONG", "article.text"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/articles", "/v1/articles:stream"])
async def test_refusal_is_a_problem_with_the_reason(
    http: httpx.AsyncClient, path: str, body: object, status: int, reason: str, field: str | None
) -> None:
    """What is refused over gRPC is refused with the same reason, as a problem document, also before a stream."""
    response = await http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    if field:
        assert problem["metadata"]["field"] == field


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b"{", b'{"article":{"text":"a"},"article":{}}', b"[" * 100_000, b'{"article":NaN}'],
    ids=["empty", "list", "no UTF-8", "broken", "name twice", "deep", "constant"],
)
async def test_what_is_no_json_object_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    """Bytes that are no JSON object of this method are unreadable, whatever they are."""
    response = await http.post("/v1/articles", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["reason"]) == (400, "UNREADABLE_REQUEST")


async def test_content_type_must_be_json(http: httpx.AsyncClient) -> None:
    """A body of a type that a foreign form could send is refused."""
    response = await http.post("/v1/articles", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["reason"]) == (415, "CONTENT_TYPE_UNSUPPORTED")


@pytest.mark.parametrize("declared", [True, False])
async def test_body_is_refused_while_it_is_read(server: HttpServer, declared: bool) -> None:
    """A body over the limit is refused as soon as that shows, not when the last byte has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    length = b"Content-Length: 900000000000" if declared else b"Transfer-Encoding: chunked"
    writer.write(b"POST /v1/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length)
    writer.write(b"\r\n\r\n")
    if not declared:
        for _ in range(bodies.MAX_BODY_BYTES // 1_000_000 + 1):
            writer.write(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 413 " in head.splitlines()[0]
    writer.close()


async def test_leaving_cancels_the_work(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """Sentences of a caller who has gone are not translated."""
    stack.engine.released.clear()
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/v1/articles", json={"article": {"text": flood}}, timeout=0.3)
    assert stack.gateway is not None
    flights = stack.gateway._pipeline.flights
    await until(lambda: not flights._flights)
    stack.engine.released.set()
    assert (await http.get("/healthz")).status_code == 200


async def test_own_time_limit_is_kept(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """A call that is not done in the time its caller gives ends with 504."""
    stack.engine.released.clear()
    response = await http.post("/v1/articles", json={"article": {"text": flood}}, headers={"Khulasa-Timeout": "1"})
    stack.engine.released.set()
    assert (response.status_code, response.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_who_does_not_wait_says_so_in_a_header(http: httpx.AsyncClient, overheard: Overheard) -> None:
    """The article is translated with the priority of a job; another one than the two there are is refused."""
    body = {"article": {"text": "وصل الوزير إلى المدينة."}}
    await http.post("/v1/articles", json=body, headers={"Khulasa-Priority": "job"})
    assert overheard.priorities == [priority.JOB]
    response = await http.post("/v1/articles", json=body, headers={"Khulasa-Priority": "urgent"})
    assert (response.status_code, response.json()["reason"]) == (400, "UNKNOWN_OPTION")


async def test_failure_in_a_stream_is_its_last_event(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """A stream that fails after it began ends with the problem as an event."""
    first, _ = flood.split("\n\n", 1)
    await http.post("/v1/articles", json={"article": {"text": first}})
    await stack.servers["summarizer"].drain()
    response = await http.post(
        "/v1/articles:stream", json={"article": {"text": flood}}, headers={"Khulasa-Timeout": "2"}
    )
    name, problem = events_of(response.text)[-1]
    assert name == "error"
    assert problem["reason"] == "SUMMARIZER_UNAVAILABLE"
    assert problem["retryAfterSeconds"] > 0


async def test_service_away_says_when_to_come_back(stack: Stack, http: httpx.AsyncClient, flood: str) -> None:
    """What may be tried again carries Retry-After."""
    await stack.servers["translator"].drain()
    response = await http.post("/v1/articles", json={"article": {"text": flood}})
    assert (response.status_code, response.json()["reason"]) == (503, "TRANSLATOR_UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1


async def test_too_many_calls_are_refused(stack: Stack, flood: str) -> None:
    """One call over the limit is refused at the door, the others are answered."""
    server = http_server(stack, max_calls=1)
    await server.start()
    stack.engine.released.clear()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        slow = asyncio.create_task(http.post("/v1/articles", json={"article": {"text": flood}}))
        await until(lambda: server._door.calls > 0)
        refused = await http.post("/v1/articles", json={"article": {"text": flood}})
        stack.engine.released.set()
        assert (refused.status_code, refused.json()["reason"]) == (429, "OVERLOADED")
        assert (await slow).status_code == 200
    await server.drain(0)


async def test_draining_lets_calls_end_and_takes_no_more(stack: Stack, flood: str) -> None:
    """A call in progress is answered while the server stops; afterwards nobody listens."""
    server = http_server(stack)
    await server.start()
    stack.engine.released.clear()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        slow = asyncio.create_task(http.post("/v1/articles", json={"article": {"text": flood}}))
        await until(lambda: server._door.calls > 0)
        draining = asyncio.create_task(server.drain(20))
        await asyncio.sleep(0.3)
        stack.engine.released.set()
        assert (await slow).status_code == 200
        await draining
        with pytest.raises(httpx.ConnectError):
            await http.get("/healthz")


async def test_ready_is_told_from_alive(stack: Stack) -> None:
    """/healthz answers from the start, /readyz only while the gateway can do its work."""
    server = http_server(stack)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        server.set_ready(True)
        assert (await http.get("/readyz")).status_code == 200
    await server.drain(0)


async def test_calls_are_counted(http: httpx.AsyncClient) -> None:
    """/metrics counts calls by path and status."""
    await http.post("/v1/articles", json={})
    text = (await http.get("/metrics")).text
    assert 'khulasa_calls_total{code="422",method="POST /v1/articles"}' in text


class OneToken:
    """Knows one caller."""

    def caller_of(self, authorization: str | None, certificate: str = "") -> str:
        if authorization != "Bearer open-sesame":
            raise Refusal(Reason.NOT_READY, "not this time")
        return "newsroom"


async def test_credentials_are_asked_before_the_body_is_read(stack: Stack, flood: str) -> None:
    """Without the right token the API does nothing; LibreTranslate's clients may send it as api_key."""
    server = http_server(stack, credentials=OneToken())
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        body = {"article": {"text": flood}}
        assert (await http.post("/v1/articles", json=body)).status_code == 503
        right = {"Authorization": "Bearer open-sesame"}
        assert (await http.post("/v1/articles", json=body, headers=right)).status_code == 200
        form = {"q": "مرحبا", "source": "ar", "target": "en"}
        assert (await http.post("/translate", data=form)).status_code == 503
        assert (await http.post("/translate", data=form | {"api_key": "open-sesame"})).status_code == 200
        assert (await http.get("/metrics")).status_code == 503
    await server.drain(0)


async def test_strangers_who_send_slowly_hold_few_places(stack: Stack) -> None:
    """A body that may have a key in it is waited for from a few at once; who shows a token first is not held up."""
    server = http_server(stack, credentials=OneToken(), max_calls=8)
    await server.start()
    _, slow = await asyncio.open_connection("127.0.0.1", server.port)
    head = ("POST /translate HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 99")
    slow.write("\r\n".join((*head, "", "")).encode())
    await until(lambda: server._door.strangers == 1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
        form = {"q": "مرحبا", "source": "ar", "target": "en"}
        assert (await http.post("/translate", data=form | {"api_key": "open-sesame"})).status_code == 429
        right = {"Authorization": "Bearer open-sesame"}
        assert (await http.post("/translate", data=form, headers=right)).status_code == 200
        slow.close()
        await until(lambda: server._door.strangers == 0)
        assert (await http.post("/translate", data=form | {"api_key": "open-sesame"})).status_code == 200
    await server.drain(0)


def test_font_has_its_licence_beside_it() -> None:
    """The Arabic face is packaged with its licence, and small."""
    folder = Path(bodies.__file__).parent / "page"
    fonts = list(folder.glob("*.woff2"))
    assert fonts
    assert sum(font.stat().st_size for font in fonts) < 300_000
    assert "SIL Open Font License" in (folder / "OFL.txt").read_text()
