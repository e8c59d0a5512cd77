"""Traces across the three services, and what is never in them."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from khulasa import Article, AsyncClient
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness import tracing
from tests.conftest import Stack, start_stack

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)


@pytest.fixture
async def traced(spans: InMemorySpanExporter, model_folder: Path, redis_url: str) -> AsyncIterator[Stack]:
    async with AsyncExitStack() as parts:
        yield await start_stack(model_folder, redis_url, parts)


def kinds_and_names(spans: InMemorySpanExporter) -> list[tuple[str, str]]:
    return [(span.kind.name, span.name) for span in spans.get_finished_spans()]


async def test_one_article_is_one_trace_through_the_three_services(
    spans: InMemorySpanExporter, traced: Stack, flood: str
) -> None:
    """The caller's trace goes on from the gateway into both services, each call below the one that made it."""
    request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text=flood))
    async with grpc.aio.insecure_channel(traced.addresses["gateway"]) as channel:
        await gateway_pb2_grpc.GatewayStub(channel).ProcessArticle(request, metadata=(("traceparent", CALLER),))
    by_id = {span.context.span_id: span for span in spans.get_finished_spans()}
    article = [span for span in by_id.values() if f"{span.context.trace_id:032x}" == CALLER.split("-")[1]]
    servers = [span for span in article if span.kind.name == "SERVER"]
    assert {span.name for span in servers} >= {
        "khulasa.v1.Gateway/ProcessArticle",
        "khulasa.v1.Translator/TranslateParagraphs",
        "khulasa.v1.Summarizer/Summarize",
    }
    assert {"cache", "prepare", "decode", "judge"} <= {span.name for span in article}

    def parent(span: ReadableSpan) -> ReadableSpan | None:
        return by_id.get(span.parent.span_id) if span.parent else None

    for span in servers:
        if span.name.startswith("khulasa.v1.Gateway"):
            assert span.parent
            assert f"{span.parent.span_id:016x}" == CALLER.split("-")[2]
        else:
            caller = parent(span)
            assert caller
            assert (caller.kind.name, caller.name) == ("CLIENT", span.name)


async def test_no_text_of_an_article_is_in_a_span(spans: InMemorySpanExporter, traced: Stack) -> None:
    """Not of one that is translated and not of one that makes a service fail, exception message and all."""
    marker = "زمردةخفية"

    def fail(arabic: str) -> str:
        raise ValueError(arabic)

    async with AsyncClient(traced.addresses["gateway"], timeout_s=30) as client:
        await client.process(Article(text=f"قال {marker} إن المجلس اجتمع اليوم."))
        traced.engine.say = fail
        with pytest.raises(Exception, match="translator failed"):
            await client.process(Article(text=f"عاد {marker} إلى المدينة مساء."))
    written = "".join(span.to_json() for span in spans.get_finished_spans())
    assert marker not in written
    assert marker.encode("unicode_escape").decode() not in written
    failed = [span for span in spans.get_finished_spans() if span.status.status_code.name == "ERROR"]
    assert {"INTERNAL"} == {span.attributes["rpc.grpc.status"] for span in failed if span.attributes}


async def test_without_a_tracer_no_spans_are_made_and_calls_have_no_interceptor(
    stack: Stack, client: AsyncClient
) -> None:
    """Off is the default, and costs nothing on the way out."""
    assert tracing.client_interceptors() == []
    assert (await client.process(Article(text="وصل الوزير صباحا."))).translation.paragraphs
    assert tracing.trace_id() == ""


def test_traces_without_their_packages_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for and impossible is an error at start, not silence."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(tracing.TracingUnavailable, match=r"pip install '\.\[tracing\]'"):
        tracing.configure("http://127.0.0.1:4317", process="gateway")
