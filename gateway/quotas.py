"""What each client may ask for, over all gateways together: articles a minute, articles at once, characters a day.

    async with quotas.admitted("newsroom", characters):
        ...  # Refusal (RATE_EXCEEDED, TOO_MANY_AT_ONCE, QUOTA_EXCEEDED) if it may not

The counts stand in Redis. Where it does not answer, each gateway counts by itself with the same limits: an outage of
what only counts must not stop the news, and still nobody gets more than the limit from each gateway.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

import redis.asyncio
from prometheus_client import Counter

from gateway.circuit_breaker import FAULTS, CircuitBreaker
from services.harness.clients import Clients, Limits
from services.harness.errors import Reason, Refusal

REFUSALS = Counter("khulasa_quota_refusals_total", "Articles refused for a limit of their client, by limit.", ["limit"])
FAILURES = Counter("khulasa_quota_failures_total", "Times that Redis could not count, and this gateway did by itself.")

NO_LIMITS = Limits()
# A gateway that was killed holds its clients' places no longer than this.
LEASE_S = 30.0
RENEW_S = 10.0
AT_ONCE_RETRY_S = 1.0
DAY_S = 86_400

# The clock is Redis's own, so that gateways need not agree. First all is asked, then all is taken: what is refused
# costs nothing. KEYS: places, minute, day. ARGV: per minute, at once, per day (0: no limit), characters, place, its ms.
_ADMIT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local per_minute, at_once, per_day = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local characters, lease = tonumber(ARGV[4]), tonumber(ARGV[6])
local left, day, used = 0, math.floor(now / 86400000), 0
if at_once > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  if redis.call('ZCARD', KEYS[1]) >= at_once then return {'at_once', 0} end
end
if per_minute > 0 then
  local bucket = redis.call('HMGET', KEYS[2], 'left', 'at')
  left = math.min(per_minute, tonumber(bucket[1] or per_minute) + (now - (bucket[2] or now)) * per_minute / 60000)
  if left < 1 then return {'per_minute', math.ceil((1 - left) * 60000 / per_minute)} end
end
if per_day > 0 then
  local spent = redis.call('HMGET', KEYS[3], 'day', 'used')
  if tonumber(spent[1] or -1) == day then used = tonumber(spent[2]) end
  if used + characters > per_day then return {'per_day', (day + 1) * 86400000 - now, used} end
end
if at_once > 0 then
  redis.call('ZADD', KEYS[1], now + lease, ARGV[5])
  redis.call('PEXPIRE', KEYS[1], lease)
end
if per_minute > 0 then
  redis.call('HSET', KEYS[2], 'left', tostring(left - 1), 'at', now)
  redis.call('PEXPIRE', KEYS[2], 120000)
end
if per_day > 0 then
  redis.call('HSET', KEYS[3], 'day', day, 'used', used + characters)
  redis.call('PEXPIRE', KEYS[3], 172800000)
end
return {'', day}
"""
# KEYS: places. ARGV: place, its ms. A place that was lost meanwhile is not taken back: somebody else may have it.
_RENEW = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'XX', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
# KEYS: places, day. ARGV: place, characters to give back, the day that they were taken on.
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
if tonumber(ARGV[2]) > 0 and redis.call('HGET', KEYS[2], 'day') == ARGV[3] then
  redis.call('HINCRBY', KEYS[2], 'used', -ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class Admission:
    """What came of asking. `limit` is the one that was reached, empty if none was."""

    limit: str
    wait_s: float = 0.0
    used: int = 0
    day: int = 0


@dataclass(slots=True)
class Place:
    """An article that was admitted. `sent`: its caller has some of the answer, so it counts even if the rest fails."""

    sent: bool = False


class Quotas:
    """Admits articles. Without an URL every gateway counts by itself; without limits nobody counts."""

    def __init__(
        self,
        url: str = "",
        *,
        clients: Clients | None = None,
        defaults: Limits | None = None,
        timeout_s: float = 0.25,
    ) -> None:
        self._clients = clients
        self._defaults = defaults if defaults and defaults != NO_LIMITS else NO_LIMITS
        self._here = _Here()
        self._redis = _Shared(url, timeout_s) if url else None
        self._breaker = CircuitBreaker(
            1, opened="limits counted by this gateway alone", closed="limits counted for all gateways again"
        )

    def limits(self, name: str) -> Limits:
        """Return what the client may do now."""
        client = self._clients.all().get(name) if self._clients else None
        return client.limits(self._defaults) if client else self._defaults

    def admitted(self, name: str, characters: int) -> AbstractAsyncContextManager[Place]:
        """Hold a place for one article of a client. Raises Refusal when it is entered.

        The characters of an article that fails are given back, unless some of its answer was sent. Those of one whose
        caller left are not: they were work.
        """
        limits = self.limits(name)
        if limits is NO_LIMITS or limits == NO_LIMITS:  # comparing settings costs as much as a short call's metrics
            return nullcontext(Place())
        return self._counted(name, limits, characters)

    @asynccontextmanager
    async def _counted(self, name: str, limits: Limits, characters: int) -> AsyncIterator[Place]:
        held, place = Place(), uuid.uuid4().hex
        shared = await self._ask_shared(name, limits, characters, place)
        admission = shared or self._here.admit(name, limits, characters)
        if admission.limit:
            REFUSALS.labels(admission.limit).inc()
            raise _refusal(name, limits, characters, admission)
        renewing = asyncio.create_task(self._renew(name, place)) if shared else None
        give_back = 0
        try:
            yield held
        except Exception:
            give_back = 0 if held.sent else characters
            raise
        finally:
            if renewing:
                renewing.cancel()
                await self._leave_shared(name, place, give_back, admission.day)
            else:
                self._here.leave(name, limits, give_back, admission.day)

    async def close(self) -> None:
        """Close the connections."""
        if self._redis:
            await self._redis.close()

    async def _ask_shared(self, name: str, limits: Limits, characters: int, place: str) -> Admission | None:
        """Return what Redis says, None if it does not answer."""
        if not self._redis or self._breaker.is_open:
            return None
        try:
            admission = await self._redis.admit(name, limits, characters, place)
        except FAULTS as error:
            FAILURES.inc()
            self._breaker.failed(error)
            return None
        self._breaker.succeeded()
        return admission

    async def _renew(self, name: str, place: str) -> None:
        while self._redis:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(*FAULTS):
                await self._redis.renew(name, place)

    async def _leave_shared(self, name: str, place: str, give_back: int, day: int) -> None:
        if self._redis:
            with contextlib.suppress(*FAULTS):  # then the place is free when its lease ends
                await self._redis.leave(name, place, give_back, day)


class _Shared:
    """The counts of all gateways, in Redis."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None, retry_on_error=[]
        )
        self._timeout_s = timeout_s
        self._admit = self._redis.register_script(_ADMIT)
        self._renew = self._redis.register_script(_RENEW)
        self._leave = self._redis.register_script(_LEAVE)

    async def admit(self, name: str, limits: Limits, characters: int, place: str) -> Admission:
        per_minute, at_once, per_day = _numbers(limits)
        async with asyncio.timeout(self._timeout_s):
            limit, number, *used = await self._admit(
                keys=_keys(name), args=[per_minute, at_once, per_day, characters, place, round(LEASE_S * 1000)]
            )
        if not limit:
            return Admission("", day=int(number))
        return Admission(limit.decode(), int(number) / 1000, int(used[0]) if used else 0)

    async def renew(self, name: str, place: str) -> None:
        async with asyncio.timeout(self._timeout_s):
            await self._renew(keys=_keys(name)[:1], args=[place, round(LEASE_S * 1000)])

    async def leave(self, name: str, place: str, give_back: int, day: int) -> None:
        places, _, spent = _keys(name)
        async with asyncio.timeout(self._timeout_s):
            await self._leave(keys=[places, spent], args=[place, give_back, day])

    async def close(self) -> None:
        await self._redis.aclose()


@dataclass(slots=True)
class _Counts:
    left: float
    at: float
    day: int = 0
    used: int = 0
    held: int = 0


class _Here:
    """The counts of this gateway alone: the same as in the script above."""

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {}

    def admit(self, name: str, limits: Limits, characters: int) -> Admission:
        per_minute, at_once, per_day = _numbers(limits)
        now, today = time.time(), int(time.time() // DAY_S)
        counts = self._counts.setdefault(name, _Counts(per_minute, now))
        left = min(per_minute, counts.left + max(0.0, now - counts.at) * per_minute / 60)
        used = counts.used if counts.day == today else 0
        if at_once and counts.held >= at_once:
            return Admission("at_once")
        if per_minute and left < 1:
            return Admission("per_minute", (1 - left) * 60 / per_minute)
        if per_day and used + characters > per_day:
            return Admission("per_day", (today + 1) * DAY_S - now, used)
        counts.left, counts.at, counts.day, counts.used = left - 1, now, today, used + characters
        counts.held += 1
        return Admission("", day=today)

    def leave(self, name: str, limits: Limits, give_back: int, day: int) -> None:
        counts = self._counts[name]
        counts.held -= 1
        if counts.day == day:
            counts.used -= give_back


def _numbers(limits: Limits) -> tuple[int, int, int]:
    return limits.articles_per_minute or 0, limits.articles_at_once or 0, limits.characters_per_day or 0


def _keys(name: str) -> list[str]:
    return [f"khulasa-quota:{{{name}}}:{part}" for part in ("places", "minute", "day")]


def _refusal(name: str, limits: Limits, characters: int, admission: Admission) -> Refusal:
    who = name or "callers without a name"
    if admission.limit == "at_once":
        limit = limits.articles_at_once
        message = (
            f"{who} may have {limit} articles in the works at once, and has. Wait for an answer, then send the next."
        )
        return Refusal(
            Reason.TOO_MANY_AT_ONCE, message, retry_after_s=AT_ONCE_RETRY_S, quota_of=name, client=name, limit=limit
        )
    if admission.limit == "per_minute":
        limit, wait_s = limits.articles_per_minute, admission.wait_s
        message = f"{who} may send {limit} articles a minute. Try again in {wait_s:.1f} s."
        return Refusal(Reason.RATE_EXCEEDED, message, retry_after_s=wait_s, quota_of=name, client=name, limit=limit)
    limit = limits.characters_per_day or 0
    fits_tomorrow = characters <= limit
    return Refusal(
        Reason.QUOTA_EXCEEDED,
        f"{who} may send {limit} characters a day, has sent {admission.used} today (UTC), and this is {characters}. "
        + ("Try again tomorrow, or ask" if fits_tomorrow else "Split it, or ask")
        + " the operator for more.",
        retry_after_s=admission.wait_s if fits_tomorrow else None,
        quota_of=name,
        client=name,
        limit=limit,
        used=admission.used,
        characters=characters,
    )
