"""The gateway's own memory of what Redis has: asked first, and never with what Redis no longer has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway import near_cache
from gateway.cache import Cache
from gateway.cache_key import CacheKey
from gateway.embedded_redis import EmbeddedRedis
from gateway.near_cache import NearCache
from khulasa.v1 import article_pb2
from tests.gateway.test_cache import impostor

A, B = (CacheKey(name.encode() * 32, name.encode() * 32) for name in "ab")
VALUE, OTHER = article_pb2.Article(text="وصلت السفينة."), article_pb2.Article(text="غادرت السفينة.")

Pair = tuple[Cache, Cache]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110  # Redis, or a connection to it, makes it hold
            await asyncio.sleep(0.01)


async def reads(redis: Redis) -> int:
    """Return how often Redis was asked for values."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


async def get(cache: Cache, key: CacheKey = A) -> article_pb2.Article | None:
    [value] = await cache.get_many([key], article_pb2.Article)
    return value


async def is_near(cache: Cache, redis: Redis) -> bool:
    """Tell whether the value of A is found without asking Redis."""
    before = await reads(redis)
    assert await get(cache) is not None
    return await reads(redis) == before


@pytest.fixture
async def server() -> AsyncIterator[EmbeddedRedis]:
    """A Redis of its own, which may be stopped."""
    server = await EmbeddedRedis.start(memory_mb=16)
    yield server
    await server.stop()


@pytest.fixture
async def redis(server: EmbeddedRedis) -> AsyncIterator[Redis]:
    """A look into it."""
    async with Redis.from_url(server.url) as redis:
        yield redis


@pytest.fixture
async def caches(server: EmbeddedRedis, redis: Redis) -> AsyncIterator[Pair]:
    """Those of two gateways, both of which have the value of A near."""
    async with AsyncExitStack() as parts:
        both = Cache(server.url, timeout_s=0.5), Cache(server.url, timeout_s=0.5)
        for cache in both:
            cache.start()
            parts.push_async_callback(cache.close)
        await both[0].put_many({A: (VALUE, 60)})
        for cache in both:
            await until(lambda cache=cache: is_near(cache, redis))  # type: ignore[misc]  # the cache of this round
        yield both


async def test_what_was_read_lately_is_not_asked_of_redis_again(caches: Pair, redis: Redis) -> None:
    """Twenty callers get it, each a message of its own."""
    before = await reads(redis)
    found = await asyncio.gather(*(get(caches[0]) for _ in range(20)))
    assert found == [VALUE] * 20
    assert len({id(value) for value in found}) == 20
    assert await reads(redis) == before


async def test_what_another_gateway_changes_or_purges_is_not_found_again(caches: Pair) -> None:
    """Neither the old value of a key that was written anew, nor one that was purged."""

    async def is_found(value: article_pb2.Article | None) -> bool:
        return await get(caches[1]) == value

    await caches[0].put_many({A: (OTHER, 60)})
    assert await get(caches[0]) == OTHER
    await until(lambda: is_found(OTHER))
    assert await caches[0].purge("", None) == 1
    assert await get(caches[0]) is None
    await until(lambda: is_found(None))


async def test_what_redis_drops_is_not_found_again(caches: Pair, redis: Redis) -> None:
    """Its time is over, or all is thrown away."""

    async def is_gone() -> bool:
        return await get(caches[1]) is None

    [key] = await redis.keys()
    await redis.pexpire(key, 1)
    await until(is_gone)
    await caches[0].put_many({A: (VALUE, 60)})
    await until(lambda: is_near(caches[1], redis))
    await redis.flushall()
    await until(is_gone)


async def test_without_redis_nothing_is_known(caches: Pair, server: EmbeddedRedis) -> None:
    """What is purged meanwhile could not be told, so what is in memory is not given out either."""
    await server.stop()

    async def is_gone() -> bool:
        return await get(caches[1]) is None

    await until(is_gone)
    assert await get(caches[0]) is None


async def test_a_redis_that_falls_silent_is_believed_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second and the time limit nothing is found, though the connection stands."""
    monkeypatch.setattr(near_cache, "PING_S", 0.1)

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(4096):
            if b"TRACKING" in asked or b"SETINFO" in asked:
                writer.write(b"+OK\r\n" * asked.count(b"CLIENT"))
            elif b"SUBSCRIBE" in asked:
                writer.write(b"*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n")
            elif b"PING" not in asked:
                writer.write(b":1\r\n")
        writer.close()

    async with impostor(fall_silent) as url:
        near = NearCache(url, prefix=b"", timeout_s=0.3)
        near.start()

        async def is_found() -> bool:
            near.keep(b"a", b"value", changes=near.changes)
            return near.get(b"a") == b"value"

        await until(is_found)
        await asyncio.sleep(0.6)
        assert near.get(b"a") is None
        await near.close()


async def test_a_redis_that_may_not_be_asked_is_only_read(redis: Redis, server: EmbeddedRedis) -> None:
    """Where an operator forbids CLIENT, or SUBSCRIBE, every value comes from Redis."""
    await redis.acl_setuser("gateway", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client"])
    cache = Cache(f"{server.url}?username=gateway&password=x", timeout_s=0.5)
    cache.start()
    await cache.put_many({A: (VALUE, 60)})
    for _ in range(3):
        assert not await is_near(cache, redis)
        await asyncio.sleep(0.1)
    await cache.close()


async def test_what_changed_while_it_was_read_is_not_kept() -> None:
    """The word of a change can overtake the old value."""
    near = NearCache("redis://127.0.0.1:1", prefix=b"", timeout_s=60)
    near._heard()
    before = near.changes
    near.changed([b"b"])
    near.keep(b"a", b"value", changes=before)
    assert near.get(b"a") is None


async def test_a_value_is_read_anew_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that Redis knows that it is in use."""
    monkeypatch.setattr(near_cache, "KEEP_S", 0.0)
    near = NearCache("redis://127.0.0.1:1", prefix=b"", timeout_s=60)
    near._heard()
    near.keep(b"a", b"value", changes=near.changes)
    assert near.get(b"a") is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=12), st.booleans()), max_size=60))
def test_it_never_has_more_than_its_bytes_nor_anything_but_the_last(steps: list[tuple[str, bytes, bool]]) -> None:
    """Whatever is kept and changed, in whatever order."""
    near = NearCache("redis://127.0.0.1:1", prefix=b"", timeout_s=60, most_bytes=20)
    near._heard()
    last: dict[bytes, bytes] = {}
    for name, data, changed in steps:
        key = name.encode()
        if changed:
            near.changed([key])
            last.pop(key, None)
        else:
            near.keep(key, data, changes=near.changes)
            last[key] = data
            assert near.get(key) == data
        found = {each: near.get(each) for each in map(str.encode, "abcdef")}
        assert sum(len(value) for value in found.values() if value is not None) <= 20
        assert all(value == last.get(each) for each, value in found.items() if value is not None)
