"""The gateway's own memory of what Redis has: asked first, and never with what Redis no longer has."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway import near_cache
from gateway.cache import FEW_KEYS, NEAR_HITS, Cache
from gateway.cache_key import CacheKey
from gateway.cache_secrets import watched_secrets
from gateway.embedded_redis import EmbeddedRedis
from gateway.near_cache import NearCache
from khulasa.v1 import article_pb2
from tests.gateway.test_cache import write_secrets

A, B = (CacheKey(name.encode() * 32, name.encode() * 32) for name in "ab")
VALUE, OTHER = article_pb2.Article(text="وصلت السفينة."), article_pb2.Article(text="غادرت السفينة.")
TIME_LIMIT_S = 0.5
NOWHERE = "redis://127.0.0.1:1"


class Way:
    """A way to Redis on which what followers are told, or what readers are answered, can be held back or be late."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self._socket = urlsplit(server.url).path
        self._writers: list[asyncio.StreamWriter] = []
        self.followers = 0
        self.told_late_s = 0.0
        self.told, self.answered = asyncio.Event(), asyncio.Event()
        self.let_all_through()

    def let_all_through(self) -> None:
        """Hold nothing back any more."""
        self.told.set()
        self.answered.set()

    async def cut(self) -> None:
        """End all connections. New ones are taken."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what a connection says, in both directions."""
        redis_reader, redis_writer = await asyncio.open_unix_connection(self._socket)
        self._writers += [writer, redis_writer]
        follows = False

        async def answers() -> None:
            with suppress(ConnectionError):
                while data := await redis_reader.read(65536):
                    await (self.told if follows else self.answered).wait()
                    await asyncio.sleep(self.told_late_s * follows)
                    writer.write(data)
            writer.close()

        passing = asyncio.create_task(answers())
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    self.followers += b"TRACKING" in data
                    follows = follows or b"TRACKING" in data
                    redis_writer.write(data)
        finally:
            passing.cancel()
            redis_writer.close()


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


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done every few seconds is done every few moments."""
    monkeypatch.setattr(near_cache, "PING_S", 0.1)
    monkeypatch.setattr(near_cache, "AGAIN_S", 0.05)
    monkeypatch.setattr(near_cache, "SILENT_S", 1.5)


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
async def way(server: EmbeddedRedis) -> AsyncIterator[Way]:
    """The second gateway's way to it."""
    way = Way(server)
    yield way
    way.let_all_through()
    await way.cut()


@pytest.fixture
async def caches(server: EmbeddedRedis, redis: Redis, way: Way) -> AsyncIterator[tuple[Cache, Cache]]:
    """Those of two gateways, both of which have the value of A near."""
    async with AsyncExitStack() as parts:
        door = await asyncio.start_server(way.serve, "127.0.0.1", 0)
        parts.callback(door.close)
        url = f"redis://127.0.0.1:{door.sockets[0].getsockname()[1]}"
        both = Cache(server.url, timeout_s=TIME_LIMIT_S), Cache(url, timeout_s=TIME_LIMIT_S)
        for cache in both:
            cache.start()
            parts.push_async_callback(cache.close)
        await both[0].put_many({A: (VALUE, 60)})
        for cache in both:
            await until(lambda cache=cache: is_near(cache, redis))  # type: ignore[misc]  # the cache of this round
        yield both


async def test_what_was_read_lately_is_not_asked_of_redis_again(caches: tuple[Cache, Cache], redis: Redis) -> None:
    """Twenty callers get it, each a message of its own, also when it has been there for longer than Redis is believed
    without a word; they are counted."""
    await asyncio.sleep(near_cache.PING_S + TIME_LIMIT_S + 0.2)
    before, hits = await reads(redis), NEAR_HITS._value.get()
    found = await asyncio.gather(*(get(caches[1]) for _ in range(20)))
    assert found == [VALUE] * 20
    assert len({id(value) for value in found}) == 20
    assert (await reads(redis), NEAR_HITS._value.get()) == (before, hits + 20)


async def test_the_many_paragraphs_of_an_article_are_not_kept(caches: tuple[Cache, Cache], redis: Redis) -> None:
    """They would take the place of whole answers."""
    keys = [CacheKey(b"paragraph", bytes([number])) for number in range(FEW_KEYS + 1)]
    await caches[0].put_many(dict.fromkeys(keys, (VALUE, 60)))
    for _ in range(2):
        before = await reads(redis)
        assert await caches[1].get_many(keys, article_pb2.Article) == [VALUE] * len(keys)
        assert await reads(redis) == before + 1


async def test_what_another_gateway_changes_or_purges_is_not_found_again(caches: tuple[Cache, Cache]) -> None:
    """Neither the old value of a key that was written anew, nor one that was purged."""

    async def is_found(value: article_pb2.Article | None) -> bool:
        return await get(caches[1]) == value

    await caches[0].put_many({A: (OTHER, 60)})
    await until(lambda: is_found(OTHER))
    assert await caches[0].purge("", None) == 1
    await until(lambda: is_found(None))


async def test_what_the_gateway_itself_changes_needs_no_word_of_redis(caches: tuple[Cache, Cache], way: Way) -> None:
    """What it has written or purged it knows at once."""
    way.told.clear()
    await caches[1].put_many({A: (OTHER, 60)})
    assert await get(caches[1]) == OTHER
    assert await caches[1].purge("", None) == 1
    assert await get(caches[1]) is None


@pytest.mark.parametrize("late_s", [1.0, math.inf])
async def test_words_of_redis_that_come_late_do_not_hide_a_purge(
    caches: tuple[Cache, Cache], way: Way, late_s: float
) -> None:
    """Redis is believed for so long after what it has answered, not after its answer came."""
    if late_s == math.inf:
        way.told.clear()
    else:
        way.told_late_s = late_s
        await asyncio.sleep(1.5 * late_s)  # some of what it had answered before the purge comes after it
    assert await caches[0].purge("", None) == 1
    await asyncio.sleep(near_cache.PING_S + TIME_LIMIT_S + 0.1)
    for _ in range(90):
        assert await get(caches[1]) is None
        await asyncio.sleep(0.02)


async def test_an_old_value_that_comes_after_the_word_of_its_change_is_not_kept(
    caches: tuple[Cache, Cache], way: Way, redis: Redis
) -> None:
    """What was read before the change may be answered with, but not the next time."""
    await caches[0].put_many({B: (VALUE, 60)})
    way.answered.clear()
    reading = asyncio.create_task(get(caches[1], B))
    before = await reads(redis)
    await until(lambda: _rises(redis, before))
    await caches[0].put_many({B: (OTHER, 60)})
    await asyncio.sleep(0.05)
    way.answered.set()
    assert await reading == VALUE
    assert await get(caches[1], B) == OTHER


async def _rises(redis: Redis, before: int) -> bool:
    return await reads(redis) > before


async def test_what_redis_drops_is_not_found_again(caches: tuple[Cache, Cache], redis: Redis) -> None:
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


async def test_what_changes_while_redis_is_away_is_not_found_again(
    caches: tuple[Cache, Cache], way: Way, redis: Redis
) -> None:
    """Its word is lost with the connection. Later values are kept again."""
    way.answered.clear()
    way.told.clear()
    await way.cut()
    await caches[0].put_many({A: (OTHER, 60)})

    async def is_gone() -> bool:
        return await get(caches[1]) != VALUE

    await until(is_gone)
    way.let_all_through()

    async def is_kept_again() -> bool:
        assert await get(caches[1]) in (None, OTHER)
        return await get(caches[1]) == OTHER and await is_near(caches[1], redis)

    await until(is_kept_again)


async def test_a_connection_that_falls_silent_is_given_up_for_another(
    caches: tuple[Cache, Cache], way: Way, redis: Redis
) -> None:
    """Nothing is found meanwhile without Redis, and then values are kept again."""
    way.told.clear()
    await asyncio.sleep(near_cache.PING_S + TIME_LIMIT_S)
    assert not await is_near(caches[1], redis)

    async def is_replaced() -> bool:
        return way.followers > 1

    await until(is_replaced)
    way.told.set()
    await until(lambda: is_near(caches[1], redis))


async def test_what_was_being_read_when_redis_began_to_tell_is_not_kept(server: EmbeddedRedis) -> None:
    """Of what changed before, nothing was told."""
    near = NearCache(server.url, prefix=b"", timeout_s=TIME_LIMIT_S)
    before = near.changes
    near.start()
    await until(lambda: _is_kept(near))
    near.keep(b"b", b"value", changes=before)
    assert near.get(b"b") is None
    await near.close()


async def test_other_keys_of_the_same_redis_are_no_changes(server: EmbeddedRedis, redis: Redis) -> None:
    """The limits of clients may be counted in it, at every article."""
    near = NearCache(server.url, prefix=b"cache:", timeout_s=TIME_LIMIT_S)
    near.start()
    await until(lambda: _is_kept(near))
    before = near.changes
    await redis.set("quota:desk", 1)
    await redis.set("cache:a", 1)
    await asyncio.sleep(0.2)
    assert near.changes == before + 1
    await near.close()


async def test_values_whose_time_is_over_are_dropped_unasked(
    server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be of articles that nobody is to find in a memory."""
    near = NearCache(server.url, prefix=b"", timeout_s=TIME_LIMIT_S)
    near.start()
    await until(lambda: _is_kept(near))
    monkeypatch.setattr(near_cache, "KEEP_S", 0.1)
    near.keep(b"a", b"value", changes=near.changes)
    assert near.get(b"a") == b"value"

    async def is_empty() -> bool:
        return not near._values

    await until(is_empty)
    await near.close()


async def _is_kept(near: NearCache) -> bool:
    near.keep(b"a", b"value", changes=near.changes)
    return near.get(b"a") == b"value"


@pytest.mark.parametrize("query", ["health_check_interval=1", "socket_timeout=0.1", "protocol=3", "decode_responses=1"])
async def test_whatever_the_address_says_of_connections_the_follower_has_its_own(
    server: EmbeddedRedis, query: str
) -> None:
    """Those settings are for questions; a listener would be disturbed by them."""
    near = NearCache(f"{server.url}?{query}", prefix=b"", timeout_s=TIME_LIMIT_S)
    near.start()
    await until(lambda: _is_kept(near))
    for _ in range(15):
        await asyncio.sleep(0.1)
        assert near.get(b"a") == b"value"
    await near.close()


@pytest.mark.parametrize("forbidden", ["client", "subscribe"])
async def test_a_redis_that_may_not_be_asked_is_only_read(redis: Redis, server: EmbeddedRedis, forbidden: str) -> None:
    """Where an operator forbids CLIENT or SUBSCRIBE every value comes from Redis."""
    commands = ["+@all", f"-{forbidden}"]
    await redis.acl_setuser("gateway", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=commands)
    cache = Cache(f"{server.url}?username=gateway&password=x", timeout_s=TIME_LIMIT_S)
    cache.start()
    await cache.put_many({A: (VALUE, 60)})
    for _ in range(3):
        assert not await is_near(cache, redis)
        await asyncio.sleep(0.1)
    await cache.close()


async def test_a_value_under_an_older_secret_does_not_hide_a_newer_one(
    server: EmbeddedRedis, redis: Redis, tmp_path: Path
) -> None:
    """While secrets are rotated the same article may lie under two keys."""
    secrets = [
        watched_secrets(write_secrets(tmp_path / name, *lines)) for name, lines in (("1", [b"1"]), ("2", [b"2", b"1"]))
    ]
    now = 0
    cache = Cache(server.url, timeout_s=TIME_LIMIT_S, secrets=lambda: secrets[now]())
    cache.start()
    await cache.put_many({A: (VALUE, 60)})
    await until(lambda: is_near(cache, redis))
    now = 1
    assert await get(cache) == VALUE
    await cache.put_many({A: (OTHER, 60)})
    assert await get(cache) == OTHER
    await until(lambda: is_near(cache, redis))
    assert await get(cache) == OTHER
    await cache.close()


@pytest.mark.parametrize("moments", range(8))
async def test_closing_ends_whatever_is_under_way(caches: tuple[Cache, Cache], way: Way, moments: int) -> None:
    """Also while the connection is just being lost: a gateway and its Redis may be ended together."""
    await way.cut()
    for _ in range(moments):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await caches[1].close()


def believed(*, most_bytes: int = near_cache.MOST_BYTES) -> NearCache:
    """Return one to which Redis has just answered."""
    near = NearCache(NOWHERE, prefix=b"", timeout_s=60, most_bytes=most_bytes)
    near._trusted_until = time.monotonic() + 60
    return near


async def test_a_value_is_read_anew_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that Redis knows that it is in use."""
    monkeypatch.setattr(near_cache, "KEEP_S", 0.0)
    near = believed()
    near.keep(b"a", b"value", changes=near.changes)
    assert near.get(b"a") is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=12), st.booleans()), max_size=60))
def test_it_never_has_more_than_its_bytes_nor_anything_but_the_last(steps: list[tuple[str, bytes, bool]]) -> None:
    """Whatever is kept and changed, in whatever order; the last that was kept is there."""
    most_bytes = 3 * near_cache.ENTRY_BYTES
    near = believed(most_bytes=most_bytes)
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
        kept = {each: value for each, value in found.items() if value is not None}
        assert sum(len(each) + len(value) + near_cache.ENTRY_BYTES for each, value in kept.items()) <= most_bytes
        assert all(value == last.get(each) for each, value in kept.items())
