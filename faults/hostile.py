"""Callers that mean harm, or are broken themselves. Each function returns what was wrong, an empty string if nothing.

What they send is refused with a typed reason or answered; no process ends, and the honest load beside them goes on.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from faults.arena import Arena, now
from faults.cluster import GATEWAYS, SERVICES, TRANSLATORS
from faults.reference import paragraphs
from khulasa.v1 import article_pb2, gateway_pb2, summarizer_pb2, translator_pb2

OUR_FAULT = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""A request can deserve every other status."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
AT_ONCE = 16


def honest_requests() -> list[tuple[str, str, bytes]]:
    """Return one valid request for each method: the member it goes to, the method, the bytes."""
    text = paragraphs()[0]
    article = article_pb2.Article(text=text, title="عنوان")
    options = gateway_pb2.ArticleOptions(
        summary_budget=article_pb2.SummaryBudget(words=40),
        glossary=gateway_pb2.Glossary(terms=[article_pb2.GlossaryTerm(source="المدينة", target="the city")]),
        bypass_cache=True,
    )
    page = article_pb2.Article(html=f"<html><body><article><p>{text}</p></article></body></html>")
    requests: list[tuple[str, str, Message]] = [
        (GATEWAYS[0], "Gateway/ProcessArticle", gateway_pb2.ProcessArticleRequest(article=article, options=options)),
        (GATEWAYS[1], "Gateway/StreamArticle", gateway_pb2.StreamArticleRequest(article=page)),
        (
            GATEWAYS[0],
            "Gateway/ProcessArticles",
            gateway_pb2.ProcessArticlesRequest(id="1", article=article, options=options),
        ),
        (GATEWAYS[1], "Gateway/DescribeGateway", gateway_pb2.DescribeGatewayRequest()),
        (
            TRANSLATORS[0],
            "Translator/TranslateParagraphs",
            translator_pb2.TranslateParagraphsRequest(paragraphs=[text, "", "hello"], model_digest=""),
        ),
        (TRANSLATORS[1], "Translator/SplitParagraphs", translator_pb2.SplitParagraphsRequest(paragraphs=[text])),
        (
            "summarizer",
            "Summarizer/Summarize",
            summarizer_pb2.SummarizeRequest(
                sentences=[summarizer_pb2.SummarizeSentence(text="The river rose.", paragraph_index=0)], language="en"
            ),
        ),
    ]
    return [(member, f"/khulasa.v1.{method}", message.SerializeToString()) for member, method, message in requests]


def mutations(valid: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield broken versions of a request: bits turned, parts cut out, doubled, mixed in, lengths wrong, all rubbish."""
    while True:
        data = bytearray(valid)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(6):
                case 0 if data:
                    data[place % len(data)] ^= 1 << chance.randrange(8)
                case 1:
                    del data[place : place + chance.randint(1, 40)]
                case 2:
                    data[place:place] = data[place : place + chance.randint(1, 200)] * chance.randint(1, 5)
                case 3:
                    data[place:place] = chance.randbytes(chance.randint(1, 30))
                case 4:
                    data[place:place] = bytes([0xFF, 0xFF, 0xFF, 0xFF, 0x0F])  # a length of 4 GB
                case _:
                    data = bytearray(chance.randbytes(chance.randint(0, 300)))
        yield bytes(data)


async def mutated_requests(arena: Arena, count: int) -> str:
    """Send `count` broken requests to all methods, on the wire as they are."""
    requests, chance = honest_requests(), random.Random(11)
    channels = {name: grpc.aio.insecure_channel(arena.cluster.members[name].address) for name in SERVICES}
    statuses: Counter[str] = Counter()
    waiting = iter(range(count))

    async def sender() -> None:
        for number in waiting:
            member, method, valid = requests[number % len(requests)]
            call: Any = channels[member].stream_stream(method)  # the wire does not tell which kind of method it was
            data = next(mutations(valid, chance))

            async def one(data: bytes = data) -> AsyncIterator[bytes]:
                yield data

            try:
                async for _ in call(one(), timeout=20):
                    pass
                statuses["OK"] += 1
            except grpc.aio.AioRpcError as error:
                statuses[error.code().name] += 1
                if error.code() in OUR_FAULT:
                    statuses[f"{method}: {error.details()}"] += 1

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    await asyncio.gather(*(channel.close() for channel in channels.values()))
    ours = sum(statuses[code.name] for code in OUR_FAULT)
    return f"{ours} of {count} ended as our fault: {dict(statuses)}" if ours else _ended(arena)


async def broken_connections(arena: Arena) -> str:
    """Open connections to every service and send rubbish, half a frame, or nothing; hang up or stay."""
    stayed = []
    for number in range(300):
        member = arena.cluster.members[SERVICES[number % len(SERVICES)]]
        reader_writer = await asyncio.open_connection("127.0.0.1", member.port)
        writer = reader_writer[1]
        with contextlib.suppress(OSError):
            match number % 4:
                case 0:
                    writer.write(os.urandom(200))
                case 1:
                    writer.write(PREFACE + b"\x00\x40\x00\x01\x04\x00\x00\x00\x01half of a frame of headers")
                case 2:
                    writer.write(PREFACE)
                case _:
                    pass
            await writer.drain()
        if number % 2:
            stayed.append(reader_writer)
        else:
            writer.transport.abort()
    await arena.stay_broken()
    for _, writer in stayed:
        writer.transport.abort()
    return _ended(arena)


async def readers_that_stop(arena: Arena) -> str:
    """Ask for long articles as a stream and read nothing of it."""
    text = "\n\n".join(paragraphs() * 20)
    request = gateway_pb2.StreamArticleRequest(article=article_pb2.Article(text=text)).SerializeToString()
    async with grpc.aio.insecure_channel(arena.cluster.members[GATEWAYS[0]].address) as channel:
        calls = [channel.unary_stream("/khulasa.v1.Gateway/StreamArticle")(request, timeout=60) for _ in range(20)]
        await arena.stay_broken()
        for call in calls:
            call.cancel()
    return _ended(arena)


async def flood(arena: Arena) -> str:
    """Keep far more calls open at one gateway than it takes."""
    request = gateway_pb2.ProcessArticleRequest(
        article=article_pb2.Article(text="\n\n".join(paragraphs())),
        options=gateway_pb2.ArticleOptions(bypass_cache=True),
    ).SerializeToString()
    statuses: Counter[str] = Counter()
    channels = [
        grpc.aio.insecure_channel(
            arena.cluster.members[GATEWAYS[0]].address, options=[("grpc.use_local_subchannel_pool", 1)]
        )
        for _ in range(4)
    ]
    until = now() + arena.broken_s

    async def caller(number: int) -> None:
        process: Any = channels[number % len(channels)].unary_unary("/khulasa.v1.Gateway/ProcessArticle")
        while now() < until:
            try:
                await process(request, timeout=20)
                statuses["OK"] += 1
            except grpc.aio.AioRpcError as error:
                statuses[error.code().name] += 1

    await asyncio.gather(*(caller(number) for number in range(400)))
    await asyncio.gather(*(channel.close() for channel in channels))
    ours = {code.name for code in OUR_FAULT} & statuses.keys()
    return f"ended as our fault: {dict(statuses)}" if ours else _ended(arena)


async def bombs(arena: Arena) -> str:
    """Send what is small on the wire and large when unpacked, and a page of nothing but nesting."""
    space = article_pb2.Article(text=" " * 200_000_000)
    nested = article_pb2.Article(html="<div>" * 190_000)
    deep = article_pb2.Article(html="<p>" + "<b><i>" * 80_000 + paragraphs()[0])
    before = arena.cluster.use()[GATEWAYS[0]]["rss_mb"]
    async with grpc.aio.insecure_channel(
        arena.cluster.members[GATEWAYS[0]].address,
        options=[("grpc.max_send_message_length", -1)],
        compression=grpc.Compression.Gzip,
    ) as channel:
        process: Any = channel.unary_unary("/khulasa.v1.Gateway/ProcessArticle")
        for article in (space, nested, deep):
            request = gateway_pb2.ProcessArticleRequest(article=article).SerializeToString()
            try:
                await process(request, timeout=60)
            except grpc.aio.AioRpcError as error:
                if error.code() in OUR_FAULT:
                    return f"{error.code().name}: {error.details()}"
    grown = arena.cluster.use()[GATEWAYS[0]]["rss_mb"] - before
    return f"the gateway grew by {grown:.0f} MB" if grown > 100 else _ended(arena)


def _ended(arena: Arena) -> str:
    ended = [name for name in SERVICES if (process := arena.cluster.members[name].process) and process.returncode]
    return f"ended: {', '.join(ended)}" if ended else ""
