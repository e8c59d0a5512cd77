"""Values that were read lately, in this process's memory, for as long as Redis tells of every change to them.

Redis names to who asks for it each key that is written, deleted, evicted or expired ("client-side caching",
https://redis.io/docs/latest/develop/reference/client-side-caching/). A value is kept from when it was read until its
key is named, its time is up, or Redis is silent. Where Redis does not do that, or this process may not ask for it,
nothing is kept, and every value is read from Redis.
"""

import asyncio
import math
import time
from collections import OrderedDict

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import InvalidResponse

from gateway.circuit_breaker import FAULTS

MOST_BYTES = 16 * 1024 * 1024
"""Of all values: a thousand answers to articles of 600 words."""
KEEP_S = 60.0
"""Of a value. Then it is read anew, so that Redis knows that it is in use and evicts others."""
PING_S = 1.0
AGAIN_S = 5.0
CHANNEL = "__redis__:invalidate"

log = structlog.get_logger()


class NearCache:
    """Bytes by key, the least recently used dropped first. Nothing is found or kept unless `start` was called.

    What was changed in Redis is found here for `PING_S` and `timeout_s` more at worst, when the connection hangs; else
    until the message comes.
    """

    def __init__(self, url: str, *, prefix: bytes, timeout_s: float, most_bytes: int = MOST_BYTES) -> None:
        self.changes = 0
        """Rises whenever something may have changed. What was read is kept only if it is the same after reading."""
        self._url = url
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._values: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._trusted_until = -math.inf
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow what Redis tells."""
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Keep nothing any more."""
        if self._following:
            self._following.cancel()
            await asyncio.wait([self._following])

    def get(self, key: bytes) -> bytes | None:
        """Return the value, None where it is not known to be what Redis has."""
        now = time.monotonic()
        data, until = self._values.get(key, (None, 0.0))
        if now >= min(until, self._trusted_until):
            return None
        self._values.move_to_end(key)
        return data

    def keep(self, key: bytes, data: bytes, *, changes: int) -> None:
        """Keep what was read, unless something has changed since `changes` was taken, before reading."""
        now = time.monotonic()
        if changes != self.changes or now >= self._trusted_until or len(data) > self._most_bytes:
            return
        self.forget(key)
        self._values[key] = data, now + KEEP_S
        self._bytes += len(data)
        while self._bytes > self._most_bytes:
            _, (oldest, _) = self._values.popitem(last=False)
            self._bytes -= len(oldest)

    def forget(self, key: bytes) -> None:
        """Drop the value of a key."""
        data, _ = self._values.pop(key, (b"", 0.0))
        self._bytes -= len(data)

    def changed(self, keys: list[bytes] | None) -> None:
        """Drop the values of keys that were changed; None stands for all."""
        self.changes += 1
        if keys is None:
            self._values.clear()
            self._bytes = 0
        else:
            for key in keys:
                self.forget(key)

    async def _follow(self) -> None:
        """Listen, and begin again whenever that ends."""
        told = ""
        while True:
            redis = Redis.from_url(self._url, protocol=2, socket_timeout=None, retry=None, retry_on_error=[])
            try:
                async with asyncio.timeout(self._timeout_s):
                    connection = await self._ask(redis)
                if told:
                    log.info("near cache in use again")
                    told = ""
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._listen(connection))
                    both.create_task(self._ping(connection))
            except* FAULTS as group:
                why = type(group.exceptions[0]).__name__
                if why != told:
                    log.info("near cache not in use", why=why, again_s=AGAIN_S)
                    told = why
            finally:
                self._trusted_until = -math.inf
                self.changed(None)
                await redis.aclose()
            await asyncio.sleep(AGAIN_S)

    async def _ask(self, redis: Redis) -> AbstractConnection:
        """Return a connection on which Redis tells of changes from now on. Raises FAULTS."""
        connection: AbstractConnection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        await connection.send_command("CLIENT", "ID")
        own = await connection.read_response()
        await connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", own, "BCAST", "PREFIX", self._prefix)
        await connection.read_response()
        await connection.send_command("SUBSCRIBE", CHANNEL)
        await connection.read_response()
        self._heard()
        return connection

    async def _listen(self, connection: AbstractConnection) -> None:
        while True:
            match await connection.read_response():
                case [b"message", _, None | list() as keys]:
                    self.changed(keys)
                case [b"pong", *_]:
                    pass
                case _:
                    raise InvalidResponse
            self._heard()

    async def _ping(self, connection: AbstractConnection) -> None:
        while time.monotonic() < self._trusted_until + AGAIN_S:  # this process may be what was slow
            await connection.send_command("PING")
            await asyncio.sleep(PING_S)
        raise TimeoutError

    def _heard(self) -> None:
        self._trusted_until = time.monotonic() + PING_S + self._timeout_s
