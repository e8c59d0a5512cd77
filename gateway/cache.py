"""Translations that were made before, in Redis. Its absence, slowness or bad values cost time, never an answer.

Values belong to a client. What others were answered is not found, unless the operator has all share one name.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar

import redis.asyncio
import zstandard
from google.protobuf.message import DecodeError
from prometheus_client import Counter

from gateway.cache_key import CacheKey
from gateway.cache_secrets import CONTENT_BYTES, PREFIX, CacheSecret, CacheSecrets, no_secrets
from gateway.circuit_breaker import FAULTS, CircuitBreaker
from gateway.near_cache import NearCache

LOOKUPS = Counter("khulasa_cache_lookups_total", "Values asked of the cache, by outcome.", ["outcome"])
HITS, MISSES = LOOKUPS.labels("hit"), LOOKUPS.labels("miss")
NEAR_HITS = Counter("khulasa_near_cache_hits_total", "Values found in the gateway's own memory, Redis not asked.")
FAILURES = Counter("khulasa_cache_failures_total", "Cache operations that failed or took too long.")

# A value larger than this was not written by us: the largest answer is below the largest message.
MAX_VALUE_BYTES = 32 * 1024 * 1024
FAILURES_TO_OPEN = 3
PURGE_AT_ONCE = 100
"""Keys. Each gateway is told of those that went, and reads the message in one go."""
FEW_KEYS = 4


class Kept(Protocol):
    """What can be kept: a protobuf message, or what behaves as one."""

    def SerializeToString(self) -> bytes: ...
    def ParseFromString(self, data: bytes, /) -> int: ...


Value = TypeVar("Value", bound=Kept)
Stored: TypeAlias = bytes | str | None

# Made once: a context of its own for every value would cost as much as unpacking it. Used on the event loop alone.
_compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
_decompressor = zstandard.ZstdDecompressor()


class CacheAway(Exception):
    """The cache did not answer where that matters."""


class Cache:
    """Protobuf messages by client and key, compressed, with a checksum, and sealed if the secrets say so."""

    def __init__(self, url: str, *, timeout_s: float, secrets: CacheSecrets | None = None) -> None:
        # Each use below has a time limit; limits of the connection's own would start a second timer for each.
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=None, retry=None, retry_on_error=[]
        )
        self._timeout_s = timeout_s
        self._secrets = secrets or no_secrets()
        self._near = NearCache(url, prefix=PREFIX, timeout_s=timeout_s)
        self._waiting: list[tuple[Sequence[bytes], asyncio.Future[Sequence[Stored]]]] = []
        self._reading = False
        self._reader: asyncio.Task[None] | None = None
        self._breaker = CircuitBreaker(FAILURES_TO_OPEN, opened="cache left alone for a while", closed="cache is back")

    def start(self) -> None:
        """Begin to keep what is read often in memory too."""
        self._near.start()

    async def get_many(self, keys: Sequence[CacheKey], kind: type[Value], *, client: str = "") -> list[Value | None]:
        """Return the value of each key, None where there is none that can be read: at most one round trip."""
        secrets = self._secrets()
        newest = secrets[0]  # what lies under an older one may have been written anew since, so it is not kept near
        places = [(s, i, s.redis_key(client, key)) for s in secrets for i, key in enumerate(keys)]
        found = [_parse(self._near.get(redis_key), kind) for *_, redis_key in places[: len(keys)]]
        NEAR_HITS.inc(len(found) - found.count(None))
        far = [place for place in places if found[place[1]] is None]
        if far:
            changes = self._near.changes
            values = await self._read([redis_key for *_, redis_key in far])
            for (secret, index, redis_key), value in zip(far, values, strict=True):
                data = _open(value, secret, redis_key)
                if data is not None and secret is newest and len(keys) <= FEW_KEYS:
                    self._near.keep(redis_key, data, changes=changes)
                found[index] = found[index] or _parse(data, kind)
        misses = found.count(None)
        HITS.inc(len(found) - misses)
        MISSES.inc(misses)
        return found

    async def put_many(self, values: Mapping[CacheKey, tuple[Kept, float]], *, client: str = "") -> None:
        """Keep each message for its number of seconds: one round trip."""
        if not values or self._breaker.is_open:
            return
        secret = self._secrets()[0]
        packed = {
            (redis_key := secret.redis_key(client, key)): (secret.seal(redis_key, _pack(message)), seconds)
            for key, (message, seconds) in values.items()
        }
        try:
            async with asyncio.timeout(self._timeout_s * 4):  # writes are many, and come when all else is done
                pipeline = self._redis.pipeline(transaction=False)
                for key, (data, seconds) in packed.items():
                    pipeline.set(key, data, px=max(1, round(seconds * 1000)))
                await pipeline.execute()
            self._breaker.succeeded()
        except FAULTS as error:
            self._failed(error)
        self._near.changed([*packed])  # without waiting for the word of Redis

    async def purge(self, client: str, contents: set[bytes] | None) -> int:
        """Delete a client's values, or only those made from texts with these digests; return how many there were.

        Looks at every key in Redis. Raises CacheAway if it does not answer; then some may be deleted.
        """
        try:
            return sum([await self._purge(secret, client, contents) for secret in self._secrets()])
        except FAULTS as error:
            raise CacheAway from error
        finally:
            self._near.changed(None)  # without waiting for the word of Redis

    async def _purge(self, secret: CacheSecret, client: str, contents: set[bytes] | None) -> int:
        prefix = secret.prefix(client)
        tags = None if contents is None else {secret.content_tag(client, content) for content in contents}
        purged, cursor = 0, 0
        while True:
            async with asyncio.timeout(self._timeout_s * 4):
                cursor, keys = await self._redis.scan(cursor, match=prefix + b"*", count=PURGE_AT_ONCE)
                if tags is not None:
                    keys = [key for key in keys if key[len(prefix) : len(prefix) + CONTENT_BYTES] in tags]
                purged += await self._redis.unlink(*keys) if keys else 0
            if cursor == 0:
                return purged

    async def answers(self) -> bool:
        """Tell whether the cache answers in time just now."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return bool(await self._redis.ping())
        except FAULTS:
            return False

    async def close(self) -> None:
        """Close the connections. Work that is being cancelled may still come to keep something: it opens none anew."""
        await self._near.close()
        self._breaker.open_for_good()
        await self._redis.aclose()

    async def _read(self, keys: Sequence[bytes]) -> Sequence[Stored]:
        """Return what lies under the keys, nothing where Redis does not answer.

        The few keys that a whole article takes go to Redis together with those that others ask for while it answers: a
        round trip costs this process as much as all else that it does for a kept article.
        """
        if len(keys) > FEW_KEYS:
            return await self._mget(keys)
        if self._reading:
            found: asyncio.Future[Sequence[Stored]] = asyncio.get_running_loop().create_future()
            self._waiting.append((keys, found))
            return await found
        self._reading = True
        try:
            return await self._mget(keys)
        finally:
            if self._waiting:
                self._reader = asyncio.create_task(self._read_what_waits())
            else:
                self._reading = False

    async def _read_what_waits(self) -> None:
        asked: list[tuple[Sequence[bytes], asyncio.Future[Sequence[Stored]]]] = []
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                values = await self._mget([key for keys, _ in asked for key in keys])
                end = 0
                for keys, found in asked:
                    start, end = end, end + len(keys)
                    if not found.done():  # its caller may have left
                        found.set_result(values[start:end])
        except BaseException as error:  # whoever waits must not wait for ever
            for _, found in (*asked, *self._waiting):
                if not found.done():
                    found.set_exception(error)
            self._waiting = []
            raise
        finally:
            self._reading = False

    async def _mget(self, keys: Sequence[bytes]) -> Sequence[Stored]:
        """Return a value for each key, None for all if Redis is left alone or does not answer in time."""
        if not self._breaker.is_open:
            try:
                async with asyncio.timeout(self._timeout_s):
                    values: Sequence[Stored] = await self._redis.mget(keys)
                if len(values) != len(keys):
                    raise ValueError(f"asked for {len(keys)} values, got {len(values)}")
                self._breaker.succeeded()
                return values
            except FAULTS as error:
                self._failed(error)
        return [None] * len(keys)

    def _failed(self, error: BaseException) -> None:
        FAILURES.inc()
        self._breaker.failed(error)


def _pack(message: Kept) -> bytes:
    return _compressor.compress(message.SerializeToString())


def _open(value: Stored, secret: CacheSecret, redis_key: bytes) -> bytes | None:
    """Return what `_pack` was given as bytes, or None for a value that is none: whatever lies there is only a miss.

    Not every kind reads all of its bytes, so what has no checksum was not written by us, and zstd tests the rest.
    """
    data = secret.open(redis_key, value) if isinstance(value, bytes) else None
    if data is None:
        return None
    try:
        frame = zstandard.get_frame_parameters(data)
        if frame.content_size > MAX_VALUE_BYTES or not frame.has_checksum:
            return None
        return _decompressor.decompress(data, max_output_size=MAX_VALUE_BYTES)
    except zstandard.ZstdError:
        return None


def _parse(data: bytes | None, kind: type[Value]) -> Value | None:
    """Return the message, or None where there is none."""
    if data is None:
        return None
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message
