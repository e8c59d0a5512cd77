"""The cache: what is kept comes back, and trouble with Redis is never more than a miss."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from gateway.answer import Answer
from gateway.cache import Cache, _pack
from gateway.cache_key import ModelIdentity, article_key, paragraph_key
from khulasa.v1 import article_pb2, gateway_pb2

MODEL = ModelIdentity("tiny", "0" * 64, "ctranslate2 4.8.5", "1")
VALUE = article_pb2.Article(text="نص " * 1000)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def impostor(handle: Handler) -> AsyncIterator[str]:
    """A server that answers as `handle` does where a Redis is expected."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"redis://127.0.0.1:{port}"


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        writer.close()


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    writer.close()


async def test_a_value_comes_back(redis_url: str) -> None:
    """What was put is got; another key is a miss."""
    cache = Cache(redis_url, timeout_s=1)
    await cache.put_many({b"a": (VALUE, 60)})
    assert await cache.get_many([b"a", b"b"], article_pb2.Article) == [VALUE, None]
    await cache.close()


@pytest.mark.parametrize("bad", [b"", b"garbage", b"\x28\xb5\x2f\xfd\x00", b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff\x00"])
async def test_a_bad_value_is_a_miss(redis_url: str, bad: bytes) -> None:
    """Whatever lies under the key, also a bomb that claims to unpack to gigabytes, is only a miss."""
    async with Redis.from_url(redis_url) as redis:
        await redis.set(b"a", bad)
    cache = Cache(redis_url, timeout_s=1)
    assert await cache.get_many([b"a"], article_pb2.Article) == [None]
    await cache.close()


async def test_a_value_in_which_one_byte_changed_is_a_miss(redis_url: str) -> None:
    """Whichever byte it is, in head, text or checksum, no other answer comes of it; zstd leaves one bit unused."""
    cache = Cache(redis_url, timeout_s=1)
    message = gateway_pb2.ProcessArticleResponse()
    message.translation.paragraphs.add().sentences.add(source="وصلت السفينة.", translation="The ship arrived.")
    message.provenance.model = "tiny"
    await cache.put_many({b"a": (Answer.of(message), 60)})
    async with Redis.from_url(redis_url) as redis:
        value = await redis.get("a")
        spoilt = [value[:place] + bytes([value[place] ^ 0x10]) + value[place + 1 :] for place in range(len(value))]
        await redis.mset({str(place): changed for place, changed in enumerate(spoilt)})
    keys = [str(place).encode() for place in range(len(value))]
    found = [kept.message() for kept in await cache.get_many(keys, Answer) if kept]
    assert all(answer == message for answer in found)
    assert len(found) <= 1
    assert [kept.message() if kept else None for kept in await cache.get_many([b"a"], Answer)] == [message]
    await cache.close()


async def test_a_reply_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    """A value whose time ran out on its way is given up with its connection: the next question gets its own value."""
    questions = 0

    async def answer_the_first_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal questions
        with suppress(ConnectionError):
            while asked := await reader.read(4096):
                if b"MGET" not in asked:
                    writer.write(b"+OK\r\n" * asked.count(b"CLIENT"))
                    continue
                questions += 1
                value = _pack(article_pb2.Article(title=f"{questions}"))
                if questions == 1:
                    await asyncio.sleep(0.3)
                writer.write(b"*1\r\n$%d\r\n%s\r\n" % (len(value), value))
        writer.close()

    async with impostor(answer_the_first_late) as url:
        cache = Cache(url + "?protocol=2", timeout_s=0.2)
        assert await cache.get_many([b"a"], article_pb2.Article) == [None]
        await asyncio.sleep(0.2)
        assert await cache.get_many([b"b"], article_pb2.Article) == [article_pb2.Article(title="2")]
        await cache.close()


async def test_a_key_of_another_type_is_a_miss(redis_url: str) -> None:
    """A list under our key is no value."""
    async with Redis.from_url(redis_url) as redis:
        await redis.lpush("a", "x")  # type: ignore[misc]
    cache = Cache(redis_url, timeout_s=1)
    assert await cache.get_many([b"a"], article_pb2.Article) == [None]
    await cache.close()


@pytest.mark.parametrize("handle", [hang, talk_nonsense])
async def test_a_bad_server_is_left_alone_after_three_failures(handle: Handler) -> None:
    """Hanging and garbage are misses, and soon cost no time at all."""
    async with impostor(handle) as url:
        cache = Cache(url, timeout_s=0.1)
        for _ in range(3):
            assert await cache.get_many([b"a"], article_pb2.Article) == [None]
        assert not cache._usable()
        assert await cache.get_many([b"a"], article_pb2.Article) == [None]
        assert not await cache.answers()
        await cache.close()


async def test_an_absent_server_is_a_miss() -> None:
    """Nobody listening is a miss for reads and nothing for writes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache = Cache(f"redis://127.0.0.1:{port}", timeout_s=0.5)
    assert await cache.get_many([b"a"], article_pb2.Article) == [None]
    await cache.put_many({b"a": (VALUE, 60)})
    await cache.close()


def test_everything_that_changes_an_answer_changes_its_key() -> None:
    """Title, text, kind of content, each option, model, engine and versions all make another key."""
    article = article_pb2.Article(title="عنوان", text="نص")
    options = gateway_pb2.ArticleOptions()
    budgeted = gateway_pb2.ArticleOptions(summary_budget=article_pb2.SummaryBudget(sentences=3))
    in_words = gateway_pb2.ArticleOptions(summary_budget=article_pb2.SummaryBudget(words=3))
    keys = {
        article_key(article, options, MODEL, "1"),
        article_key(article, options, MODEL, "2"),
        article_key(article_pb2.Article(text="عنواننص"), options, MODEL, "1"),
        article_key(article_pb2.Article(title="عنوا", text="ننص"), options, MODEL, "1"),
        article_key(article_pb2.Article(title="عنوان", html="نص"), options, MODEL, "1"),
        article_key(article, budgeted, MODEL, "1"),
        article_key(article, in_words, MODEL, "1"),
        article_key(article, gateway_pb2.ArticleOptions(translate_boilerplate=True), MODEL, "1"),
        article_key(article, gateway_pb2.ArticleOptions(summary_first=True), MODEL, "1"),
        article_key(article, options, ModelIdentity("tiny", "1" * 64, MODEL.engine, "1"), "1"),
        article_key(article, options, ModelIdentity("tiny", MODEL.digest, "ctranslate2 5", "1"), "1"),
        article_key(article, options, ModelIdentity("tiny", MODEL.digest, MODEL.engine, "2"), "1"),
        paragraph_key("نص", MODEL),
    }
    assert len(keys) == 13
