"""No word of an article leaves by logs, metrics, errors or Redis: a marker is sent everywhere, and searched for."""

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from redis.asyncio import Redis

from khulasa.channel import open_channel
from khulasa.up import MODULES, Services, free_port
from khulasa.v1 import (
    article_pb2,
    gateway_pb2,
    gateway_pb2_grpc,
    summarizer_pb2,
    summarizer_pb2_grpc,
    translator_pb2,
    translator_pb2_grpc,
)
from tests.flow.faulty_service import FAULT
from tests.gateway.test_cache import write_secrets
from tests.tiny_models import write_encoder_decoder

MARKERS = ("زقزوقستان", "Qzxmarkervw")
"""Words of no language, as Arabic and as Latin letters."""
TEXT = f"زار الوزير {MARKERS[0]} يوم الأحد. وقال في {MARKERS[1]} إن الخطة جاهزة."


def appearances() -> list[bytes]:
    """Every form in which a marker could stand in what was written."""
    forms: list[bytes] = []
    for marker in MARKERS:
        data = marker.encode()
        forms += [data, marker.encode("utf-16-le"), json.dumps(marker)[1:-1].encode(), repr(data)[2:-1].encode()]
        forms.append("".join(f"%{byte:02x}" for byte in data).encode())
        forms.append("".join(f"\\{byte:03o}" for byte in data).encode())  # as protobuf and C write bytes
    return [form.lower() for form in forms]


@dataclass
class Collected:
    """What callers were told."""

    codes: list[str] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def call(self, method: Callable[..., Any], request: Any, *, timeout_s: float = 30) -> None:
        """Make a call, and keep how it ended."""
        try:
            call = method(request, timeout=timeout_s)
            if isinstance(call, AsyncIterator) or hasattr(call, "__aiter__"):
                self.answers += [str(answer) async for answer in call]
            else:
                self.answers.append(str(await call))
            self.codes.append("OK")
        except grpc.aio.AioRpcError as error:
            self.codes.append(error.code().name)
            metadata = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
            self.told += [str(error).encode(), str(error.details()).encode(), repr(metadata).encode()]
            self.told += [value if isinstance(value, bytes) else value.encode() for _, value in metadata]


async def test_no_word_of_an_article_is_written_anywhere(
    model_folder: Path,
    redis_url: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through every method, good and bad input, faults inside, a killed reader of HTML and a killed service."""
    write_encoder_decoder(tmp_path / "model", model_folder / "tokenizer.model")
    names = ("translator", "summarizer", "gateway")
    addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
    services = Services(addresses, modules=dict.fromkeys(names, "tests.flow.faulty_service"))
    metrics = {name: f"127.0.0.1:{free_port()}" for name in names}
    environment = os.environ | {
        "KHULASA_MODEL": str(tmp_path / "model"),
        "KHULASA_LOG_LEVEL": "DEBUG",
        "KHULASA_REDIS_URL": redis_url,
        "KHULASA_CACHE_SECRETS_FILE": str(write_secrets(tmp_path / "secrets", b"1")),
        "KHULASA_CHARACTERS_PER_DAY": "10000000",
        "KHULASA_ARTICLES_AT_ONCE": "50",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    collected = Collected()
    try:
        for name in names:
            own = {"KHULASA_METRICS_ADDRESS": metrics[name], "FAULTY_MODULE": MODULES[name]}
            await services.start_one(name, environment | own)
        await services._wait_until_ready()
        await send_everything(services, collected)
        scraped = [await asyncio.to_thread(scrape, address) for address in metrics.values()]
        services.processes["translator"].kill()
        await services.processes["translator"].wait()
        async with open_channel(services.addresses["gateway"]) as channel:
            request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text=TEXT + " جديد."))
            await collected.call(gateway_pb2_grpc.GatewayStub(channel).ProcessArticle, request)
    finally:
        await services.stop()
    async with Redis.from_url(redis_url) as redis:
        kept = [data for key in await redis.keys() for data in (key, await value_of(redis, key))]

    out, err = capfd.readouterr()
    assert set(collected.codes) >= {"OK", "INVALID_ARGUMENT", "INTERNAL", "UNAVAILABLE", "FAILED_PRECONDITION"}
    assert err.count("internal error") >= 3  # the faults were met
    assert "ValueError" in err
    assert any(MARKERS[0] in answer for answer in collected.answers)  # it was really sent, and came back to its sender
    assert len(kept) > 4
    written = {
        "stdout": [out.encode()],
        "stderr": [err.encode()],
        "metrics": scraped,
        "errors": collected.told,
        "redis": kept,
    }
    for place, datas in written.items():
        for data in datas:
            found = [form for form in appearances() if form in data.lower()]
            assert not found, f"{place} has {found}"


async def send_everything(services: Services, collected: Collected) -> None:
    """Call every method with the marker, rightly and wrongly."""
    Article, Options = article_pb2.Article, gateway_pb2.ArticleOptions
    nested = "<div>" * 3000 + f"<p>{TEXT}</p>"
    articles = [
        Article(text=TEXT, title=f"عنوان {MARKERS[0]} {MARKERS[1]}"),
        Article(text=TEXT, title=f"عنوان {MARKERS[0]} {MARKERS[1]}"),  # from the cache
        Article(html=f"<html><title>{MARKERS[0]}</title><article><h1>{MARKERS[1]}</h1><p>{TEXT * 20}</p></article>"),
        Article(html=nested),  # kills the process that reads it
        Article(html=f"<script>{TEXT}</script>"),  # no article
        Article(text=TEXT * 20_000),  # too long
        Article(text=TEXT, title=TEXT * 200),  # too long a title
        Article(text=f"{FAULT} gateway. {TEXT}"),
        Article(text=f"{FAULT} translator. {TEXT}"),
        Article(text=TEXT, title=f"{FAULT} summarizer {MARKERS[0]}"),
    ]
    token = services.service_token
    async with (
        open_channel(services.addresses["gateway"]) as front,
        open_channel(services.addresses["translator"], token=lambda: token) as behind,
        open_channel(services.addresses["summarizer"], token=lambda: token) as beside,
    ):
        gateway = gateway_pb2_grpc.GatewayStub(front)
        for article in articles:
            for options in (Options(), Options(summary_first=True), Options(translate_boilerplate=True)):
                request = gateway_pb2.ProcessArticleRequest(article=article, options=options)
                await collected.call(gateway.ProcessArticle, request)
            await collected.call(gateway.StreamArticle, gateway_pb2.StreamArticleRequest(article=article))
        many = [gateway_pb2.ProcessArticlesRequest(id="same", article=article) for article in articles]
        await collected.call(gateway.ProcessArticles, iter(many))
        await collected.call(
            gateway.ProcessArticle, gateway_pb2.ProcessArticleRequest(article=articles[0]), timeout_s=0.001
        )
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            left = gateway.StreamArticle(
                gateway_pb2.StreamArticleRequest(article=Article(text="مرحبا. " * 3000 + TEXT))
            )
            await left.read()
            left.cancel()
            await left.code()
        bad_budget = Options(summary_budget=article_pb2.SummaryBudget(sentences=-1))
        request = gateway_pb2.ProcessArticleRequest(article=articles[0], options=bad_budget)
        await collected.call(gateway.ProcessArticle, request)

        raw = gateway_pb2.ProcessArticleRequest(article=articles[0]).SerializeToString()
        text = MARKERS[0].encode()
        for path in ("Gateway/ProcessArticle", "Gateway/StreamArticle", "Gateway/PurgeArticle"):
            for data in (text, raw.replace(text, text[:-1] + b"\xff"), raw + b"\x7a" + bytes([len(text)]) + text):
                await collected.call(front.unary_unary(f"/khulasa.v1.{path}"), data)
        await collected.call(gateway.PurgeArticle, gateway_pb2.PurgeArticleRequest(article=articles[2]))
        await collected.call(gateway.PurgeArticle, gateway_pb2.PurgeArticleRequest(article=articles[5]))
        await collected.call(gateway.DescribeGateway, gateway_pb2.DescribeGatewayRequest())

        translator = translator_pb2_grpc.TranslatorStub(behind)
        for paragraphs, digest in (
            ([TEXT], ""),
            ([TEXT], "0" * 64),
            ([TEXT] * 20_001, ""),
            ([f"{FAULT} translator {TEXT}"], ""),
        ):
            asked = translator_pb2.TranslateParagraphsRequest(paragraphs=paragraphs, model_digest=digest)
            await collected.call(translator.TranslateParagraphs, asked)
            await collected.call(
                translator.SplitParagraphs, translator_pb2.SplitParagraphsRequest(paragraphs=paragraphs)
            )
        summarizer = summarizer_pb2_grpc.SummarizerStub(beside)
        sentences = [summarizer_pb2.SummarizeSentence(text=TEXT)]
        for title, count in ((MARKERS[0], 1), (f"{FAULT} summarizer {MARKERS[0]}", 1), (MARKERS[0], 50_001)):
            asked_for = summarizer_pb2.SummarizeRequest(sentences=sentences * count, title=title)
            await collected.call(summarizer.Summarize, asked_for)
        stranger = translator_pb2_grpc.TranslatorStub(front)  # an unknown method, and then no token
        unasked = translator_pb2.TranslateParagraphsRequest(paragraphs=[TEXT])
        await collected.call(stranger.TranslateParagraphs, unasked)
    async with open_channel(services.addresses["translator"], token=lambda: "x" * 40) as channel:
        translator = translator_pb2_grpc.TranslatorStub(channel)
        await collected.call(
            translator.TranslateParagraphs, translator_pb2.TranslateParagraphsRequest(paragraphs=[TEXT])
        )


def scrape(address: str) -> bytes:
    """Return what a metrics address tells."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        data: bytes = response.read()
        assert b"khulasa_calls_total" in data
        return data


async def value_of(redis: Redis, key: bytes) -> bytes:
    """Return a value of any type as it lies there."""
    data = await redis.dump(key)
    return data or b""
