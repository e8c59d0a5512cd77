"""Values that were read lately, in this process's memory, for as long as Redis tells of every change to them.

Redis names to who asks for it each key that is written, deleted, evicted or expired ("client-side caching",
https://redis.io/docs/latest/develop/reference/client-side-caching/). A value is given out until its key is named, its
time is up, or Redis is silent. Where Redis does not tell, or this process may not ask it to, nothing is kept, and every
value is read from Redis.
"""

import asyncio
import math
import time
from contextlib import aclosing
from typing import Any

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool, parse_url
from redis.exceptions import InvalidResponse

MOST_BYTES = 16 * 1024 * 1024
"""Of all values: a thousand answers to articles of 600 words."""
ENTRY_BYTES = 256
"""What an entry takes beside its key and its value."""
KEEP_S = 60.0
"""Of a value. Then it is read anew, so that Redis knows that it is in use and evicts others."""
PING_S = 1.0
SILENT_S = 5.0
"""A connection without an answer for so long is given up."""
AGAIN_S = 5.0
CHANNEL = "__redis__:invalidate"
OWN_CONNECTION: dict[str, Any] = {
    "protocol": 2,
    "decode_responses": False,
    "socket_timeout": None,
    "health_check_interval": 0,
}
"""Whatever the URL says of connections is for questions that are answered at once. In the older protocol what Redis
tells can come on the connection that asked for it."""

log = structlog.get_logger()


class NearCache:
    """Bytes by key, the oldest dropped first. Nothing is found or kept unless `start` was called.

    What was written, deleted or evicted in Redis is not found once its word has come, and at worst `PING_S` and
    `timeout_s` later: so long is Redis believed after a ping that it answered, since its words come in their order.
    What is over by its lifetime is found until Redis removes it, at most `KEEP_S` longer.
    """

    def __init__(self, url: str, *, prefix: bytes, timeout_s: float, most_bytes: int = MOST_BYTES) -> None:
        self.changes = 0
        """Rises whenever something may have changed. What was read is kept only if it is the same after reading."""
        self._url = url
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._values: dict[bytes, tuple[bytes, float]] = {}
        """By key, with the time until which they are good: all are kept equally long, so the first ends first."""
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
        data, until = self._values.get(key, (None, 0.0))
        return data if time.monotonic() < min(until, self._trusted_until) else None

    def keep(self, key: bytes, data: bytes, *, changes: int) -> None:
        """Keep what was read, unless something has changed since `changes` was taken, before reading."""
        now = time.monotonic()
        if changes != self.changes or now >= self._trusted_until or _size(key, data) > self._most_bytes:
            return
        self._forget(key)
        self._values[key] = data, now + KEEP_S
        self._bytes += _size(key, data)
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._values)))

    def changed(self, keys: list[bytes] | None) -> None:
        """Drop the values of keys that were changed; None stands for all."""
        self.changes += 1
        if keys is None:
            self._values.clear()
            self._bytes = 0
        else:
            for key in keys:
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        if key in self._values:
            data, _ = self._values.pop(key)
            self._bytes -= _size(key, data)

    def _forget_what_is_over(self) -> None:
        now = time.monotonic()
        while self._values:
            key, (_, until) = next(iter(self._values.items()))
            if now < until:
                return
            self._forget(key)

    async def _follow(self) -> None:
        """Listen to Redis, and begin again whenever that ends."""
        told = ""
        while True:
            try:
                async with aclosing(ConnectionPool(**{**parse_url(self._url), **OWN_CONNECTION})) as pool:
                    connection = await self._subscribed(pool)
                    if told:
                        log.info("near cache in use again")
                        told = ""
                    await self._listen(connection)
            except Exception as error:  # a server may send anything, and without its word all is read from Redis
                why = type(error).__name__
                if why != told:
                    log.info("near cache not in use", why=why, again_s=AGAIN_S)
                told = why
            finally:
                self._trusted_until = -math.inf
                self.changed(None)
            await asyncio.sleep(AGAIN_S)

    async def _subscribed(self, pool: ConnectionPool) -> AbstractConnection:
        """Return a connection on which Redis tells of every change from now on."""
        async with asyncio.timeout(self._timeout_s):
            connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
            await connection.send_command("CLIENT", "ID")
            own = await connection.read_response()
            await connection.send_command("CLIENT", "TRACKING", "ON", "REDIRECT", own, "BCAST", "PREFIX", self._prefix)
            await connection.read_response()
            await connection.send_command("SUBSCRIBE", CHANNEL)
            await connection.read_response()
        self.changed(None)  # of what changed while others were reading, nothing was told before now
        return connection

    async def _listen(self, connection: AbstractConnection) -> None:
        """Take in what Redis tells until that ends. Raises TimeoutError when it is silent."""
        loop = asyncio.get_running_loop()
        pinging = asyncio.create_task(self._ping(connection))
        try:
            async with asyncio.timeout(SILENT_S) as silence:
                while True:
                    match await connection.read_response():
                        case [b"message", _, None | list() as keys]:
                            self.changed(keys)
                        case [b"pong", sent_at]:
                            self._trusted_until = float(sent_at) + PING_S + self._timeout_s
                            silence.reschedule(loop.time() + SILENT_S)
                        case _:
                            raise InvalidResponse
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)

    async def _ping(self, connection: AbstractConnection) -> None:
        while True:
            self._forget_what_is_over()
            await connection.send_command("PING", repr(time.monotonic()))
            await asyncio.sleep(PING_S)


def _size(key: bytes, data: bytes) -> int:
    return len(key) + len(data) + ENTRY_BYTES
