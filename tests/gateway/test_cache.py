"""The cache: what is kept comes back, and trouble with Redis is never more than a miss."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.answer import Answer
from gateway.cache import Cache, _pack
from gateway.cache_key import CacheKey, ModelIdentity, article_key, content_of, paragraph_key
from gateway.cache_secrets import no_secrets, watched_secrets
from khulasa.up import free_port
from khulasa.v1 import article_pb2, gateway_pb2

MODEL = ModelIdentity("tiny", "0" * 64, "ctranslate2 4.8.5", "1")
VALUE = article_pb2.Article(text="نص " * 1000)
A, B = (CacheKey(name.encode() * 32, name.encode() * 32) for name in "ab")
[NO_SECRET] = no_secrets()()
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
    await cache.put_many({A: (VALUE, 60)})
    assert await cache.get_many([A, B], article_pb2.Article) == [VALUE, None]
    await cache.close()


@pytest.mark.parametrize("bad", [b"", b"garbage", b"\x28\xb5\x2f\xfd\x00", b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff\x00"])
async def test_a_bad_value_is_a_miss(redis_url: str, bad: bytes) -> None:
    """Whatever lies under the key, also a bomb that claims to unpack to gigabytes, is only a miss."""
    async with Redis.from_url(redis_url) as redis:
        await redis.set(NO_SECRET.redis_key("", A), bad)
    cache = Cache(redis_url, timeout_s=1)
    assert await cache.get_many([A], article_pb2.Article) == [None]
    await cache.close()


async def test_a_value_in_which_one_byte_changed_is_a_miss(redis_url: str) -> None:
    """Whichever byte it is, in head, text or checksum, no other answer comes of it; zstd leaves one bit unused."""
    cache = Cache(redis_url, timeout_s=1)
    message = gateway_pb2.ProcessArticleResponse()
    message.translation.paragraphs.add().sentences.add(source="وصلت السفينة.", translation="The ship arrived.")
    message.provenance.model = "tiny"
    await cache.put_many({A: (Answer.of(message), 60)})
    async with Redis.from_url(redis_url) as redis:
        value = await redis.get(NO_SECRET.redis_key("", A))
        keys = [CacheKey(b"spoilt", bytes([place])) for place in range(len(value))]
        for place, key in enumerate(keys):
            spoilt = value[:place] + bytes([value[place] ^ 0x10]) + value[place + 1 :]
            await redis.set(NO_SECRET.redis_key("", key), spoilt)
    found = [kept.message() for kept in await cache.get_many(keys, Answer) if kept]
    assert all(answer == message for answer in found)
    assert len(found) <= 1
    assert [kept.message() if kept else None for kept in await cache.get_many([A], Answer)] == [message]
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
        assert await cache.get_many([A], article_pb2.Article) == [None]
        await asyncio.sleep(0.2)
        assert await cache.get_many([B], article_pb2.Article) == [article_pb2.Article(title="2")]
        await cache.close()


async def test_a_key_of_another_type_is_a_miss(redis_url: str) -> None:
    """A list under our key is no value."""
    async with Redis.from_url(redis_url) as redis:
        await redis.lpush(NO_SECRET.redis_key("", A), "x")  # type: ignore[misc]
    cache = Cache(redis_url, timeout_s=1)
    assert await cache.get_many([A], article_pb2.Article) == [None]
    await cache.close()


@pytest.mark.parametrize("handle", [hang, talk_nonsense])
async def test_a_bad_server_is_left_alone_after_three_failures(handle: Handler) -> None:
    """Hanging and garbage are misses, and soon cost no time at all."""
    async with impostor(handle) as url:
        cache = Cache(url, timeout_s=0.1)
        for _ in range(3):
            assert await cache.get_many([A], article_pb2.Article) == [None]
        assert cache._breaker.is_open
        assert await cache.get_many([A], article_pb2.Article) == [None]
        assert not await cache.answers()
        await cache.close()


async def test_an_absent_server_is_a_miss() -> None:
    """Nobody listening is a miss for reads and nothing for writes."""
    cache = Cache(f"redis://127.0.0.1:{free_port()}", timeout_s=0.5)
    assert await cache.get_many([A], article_pb2.Article) == [None]
    await cache.put_many({A: (VALUE, 60)})
    await cache.close()


def key_of(
    article: article_pb2.Article, options: gateway_pb2.ArticleOptions, model: ModelIdentity, summarizer: str
) -> CacheKey:
    """The key of an article's answer."""
    return article_key(article, content_of(article), options, model, summarizer)


def test_everything_that_changes_an_answer_changes_its_key() -> None:
    """Title, text, kind of content, each option, model, engine and versions all make another key."""
    article = article_pb2.Article(title="عنوان", text="نص")
    options = gateway_pb2.ArticleOptions()
    budgeted = gateway_pb2.ArticleOptions(summary_budget=article_pb2.SummaryBudget(sentences=3))
    in_words = gateway_pb2.ArticleOptions(summary_budget=article_pb2.SummaryBudget(words=3))
    keys = {
        key_of(article, options, MODEL, "1"),
        key_of(article, options, MODEL, "2"),
        key_of(article_pb2.Article(text="عنواننص"), options, MODEL, "1"),
        key_of(article_pb2.Article(title="عنوا", text="ننص"), options, MODEL, "1"),
        key_of(article_pb2.Article(title="عنوان", html="نص"), options, MODEL, "1"),
        key_of(article, budgeted, MODEL, "1"),
        key_of(article, in_words, MODEL, "1"),
        key_of(article, gateway_pb2.ArticleOptions(translate_boilerplate=True), MODEL, "1"),
        key_of(article, gateway_pb2.ArticleOptions(summary_first=True), MODEL, "1"),
        key_of(article, options, ModelIdentity("tiny", "1" * 64, MODEL.engine, "1"), "1"),
        key_of(article, options, ModelIdentity("tiny", MODEL.digest, "ctranslate2 5", "1"), "1"),
        key_of(article, options, ModelIdentity("tiny", MODEL.digest, MODEL.engine, "2"), "1"),
        paragraph_key("نص", MODEL),
    }
    assert len(keys) == 13


def write_secrets(path: Path, *secrets: bytes) -> Path:
    """Write a secrets file."""
    path.write_text("\n".join(base64.b64encode(secret * 32).decode() for secret in secrets))
    return path


async def test_clients_have_keys_of_their_own(redis_url: str) -> None:
    """What was kept for one client is a miss for another, and for a caller without a name."""
    cache = Cache(redis_url, timeout_s=1)
    await cache.put_many({A: (VALUE, 60)}, client="newsroom")
    assert await cache.get_many([A], article_pb2.Article, client="newsroom") == [VALUE]
    for other in ("archive", ""):
        assert await cache.get_many([A], article_pb2.Article, client=other) == [None]
    await cache.close()


async def test_with_a_secret_redis_holds_nothing_that_can_be_read(redis_url: str, tmp_path: Path) -> None:
    """Neither the value nor its digest, nor the same under two keys, can be told from what lies in Redis."""
    cache = Cache(redis_url, timeout_s=1, secrets=watched_secrets(write_secrets(tmp_path / "secrets", b"1")))
    await cache.put_many({A: (VALUE, 60), B: (VALUE, 60)})
    async with Redis.from_url(redis_url) as redis:
        stored = {key: await redis.get(key) for key in await redis.keys()}
    assert len(set(stored.values())) == 2
    for data in (*stored, *stored.values()):
        assert "نص".encode() not in data
        assert A.digest not in data
        assert not data.startswith(b"\x28\xb5\x2f\xfd")  # no zstandard frame
    assert not set(stored) & {NO_SECRET.redis_key("", key) for key in (A, B)}
    await cache.close()


async def test_who_can_write_to_redis_cannot_forge(redis_url: str, tmp_path: Path) -> None:
    """A value moved to another key, changed by a bit, cut, or written without the secret is a miss."""
    secrets = watched_secrets(write_secrets(tmp_path / "secrets", b"1"))
    cache, plain = Cache(redis_url, timeout_s=1, secrets=secrets), Cache(redis_url, timeout_s=1)
    await cache.put_many({A: (VALUE, 60), B: (article_pb2.Article(text="آخر"), 60)})
    a, b = (secrets()[0].redis_key("", key) for key in (A, B))
    await plain.put_many({A: (VALUE, 60)})
    async with Redis.from_url(redis_url) as redis:
        genuine, other = await redis.get(a), await redis.get(b)
        changed = genuine[:-1] + bytes([genuine[-1] ^ 1])
        for forged in (other, changed, genuine[:-1], genuine[:5], b"", await redis.get(NO_SECRET.redis_key("", A))):
            await redis.set(a, forged)
            assert await cache.get_many([A], article_pb2.Article) == [None]
        await redis.set(a, genuine)
    assert await cache.get_many([A], article_pb2.Article) == [VALUE]
    await cache.close()
    await plain.close()


async def test_secrets_are_rotated_without_losing_what_is_kept(redis_url: str, tmp_path: Path) -> None:
    """With a new secret before the old one what was kept is still found; without the old one it is a miss."""
    path = write_secrets(tmp_path / "secrets", b"1")
    cache = Cache(redis_url, timeout_s=1, secrets=watched_secrets(path))
    await cache.put_many({A: (VALUE, 60)})
    write_secrets(path, b"2", b"1")
    await cache.put_many({B: (VALUE, 60)})
    assert await cache.get_many([A, B], article_pb2.Article) == [VALUE, VALUE]
    write_secrets(path, b"2")
    assert await cache.get_many([A, B], article_pb2.Article) == [None, VALUE]
    await cache.close()


@pytest.mark.parametrize("text", ["", "geheim", base64.b64encode(b"x" * 31).decode()])
def test_a_bad_secret_is_refused_without_being_told(tmp_path: Path, text: str) -> None:
    """What is no secret of 32 bytes is named by its line alone."""
    (tmp_path / "secrets").write_text(text)
    with pytest.raises(ValueError, match=r"line 1 is not 32 bytes|has no secret") as raised:
        watched_secrets(tmp_path / "secrets")
    assert not text or text not in str(raised.value)


async def test_a_closed_cache_opens_no_connection(redis_url: str) -> None:
    """What is cancelled at the end and still wants to keep something leaves nothing open, and is no error."""
    cache = Cache(redis_url, timeout_s=1)
    await cache.close()
    await cache.put_many({A: (VALUE, 60)})
    async with Redis.from_url(redis_url) as redis:
        assert await redis.keys() == []


async def test_callers_of_the_same_moment_each_get_their_own_value(redis_url: str) -> None:
    """What is read together is told apart: each gets its value or its miss, also after some callers have left."""
    cache = Cache(redis_url, timeout_s=1)
    keys = [CacheKey(b"together", bytes([number])) for number in range(40)]
    values = [article_pb2.Article(text=f"نص {number}") for number in range(40)]
    await cache.put_many({key: (value, 60) for key, value in zip(keys[::2], values[::2], strict=True)})
    tasks = [asyncio.create_task(cache.get_many([key], article_pb2.Article)) for key in keys]
    await asyncio.sleep(0)
    leaving = {0, 7, 20}  # the first asks for itself, the others wait for its answer
    for number in leaving:
        tasks[number].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    for number, answer in enumerate(found):
        if number not in leaving:
            assert answer == [values[number] if number % 2 == 0 else None]
    assert await cache.get_many([keys[2]], article_pb2.Article) == [values[2]]
    await cache.close()


async def test_callers_of_the_same_moment_are_a_miss_with_a_server_that_hangs() -> None:
    """Nobody waits for ever for what is read together."""
    async with impostor(hang) as url:
        cache = Cache(url, timeout_s=0.1)
        found = await asyncio.gather(*(cache.get_many([A], article_pb2.Article) for _ in range(20)))
        assert found == [[None]] * 20
        await cache.close()
