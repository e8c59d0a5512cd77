"""How many articles are under way at once: found out while running, not set.

The limit doubles with every round of answers; after the first cut it rises by one a round, as TCP does. It falls by a
third when the gateway says RESOURCE_EXHAUSTED, and a little when answers take sixteen times as long as they have taken.
While the gateway is away or has said when to come back, nobody calls.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

START = 4
CUT = 0.7
CUT_FOR_LATENCY = 0.9
QUEUEING = 16.0
"""So many times the best latency are too many. Up to there it pays that articles wait in the translator's queue, where
sentences of like length are found for its batches, and nobody waits behind them: the calls are those of a job."""
SMOOTHING = 0.1
FORGETTING = 1.002
"""By this factor the best latency is forgotten with each answer: a gateway may become slower."""
AWAY_S = 0.5
LONGEST_AWAY_S = 15.0
LONGEST_WAIT_S = 30.0
"""Whatever the gateway says, somebody looks again after so long: the operator may have allowed more before."""
CHARS_OF_OVERHEAD = 500


class Closed(Exception):
    """The run ends: no more calls are begun."""


class AdaptiveLimit:
    """Places for calls. `highest` is never passed; `now` is the limit of the moment."""

    def __init__(self, highest: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.highest = highest
        self.now = float(min(START, highest))
        self.under_way = 0
        self.answers = 0
        self._clock = clock
        self._last_cut_at = 0.0
        self._closed_until = 0.0
        self._away_times = 0
        self._silent_since: float | None = None
        self._latency_s: float | None = None
        self._best_latency_s: float | None = None
        self._changed = asyncio.Condition()
        self._closed = False

    @property
    def silent_s(self) -> float:
        """For how long everybody has been put off: since the first time after the gateway was last heard."""
        return 0.0 if self._silent_since is None else self._clock() - self._silent_since

    @asynccontextmanager
    async def place(self) -> AsyncIterator[float]:
        """Wait for a place and hold it; yields the time at which it was got. Raises Closed."""
        async with self._changed:
            while not self._closed and (pause_s := self._pause_s()) is not None:
                try:
                    async with asyncio.timeout(pause_s or None):
                        await self._changed.wait()
                except TimeoutError:
                    pass
            if self._closed:
                raise Closed
            self.under_way += 1
        try:
            yield self._clock()
        finally:
            self.under_way -= 1
            await self._tell()

    def answered(self, began_at: float, chars: int, *, cached: bool) -> None:
        """Learn from an answer. What came from the cache says nothing about the engine."""
        now = self._clock()
        self.answers += 1
        self._away_times = 0
        self.heard()
        if not cached:
            # Articles differ in length, and the time of each is about in proportion to it.
            latency_s = (now - began_at) / (chars + CHARS_OF_OVERHEAD)
            last = self._latency_s
            self._latency_s = latency_s if last is None else last + SMOOTHING * (latency_s - last)
            best = self._best_latency_s
            self._best_latency_s = self._latency_s if best is None else min(best * FORGETTING, self._latency_s)
            if self._latency_s > QUEUEING * self._best_latency_s:
                self._cut(CUT_FOR_LATENCY, began_at)
                return
        if self.under_way >= int(self.now):  # only a limit that is reached may rise
            self.now = min(float(self.highest), self.now + (1 / self.now if self._last_cut_at else 1))

    def heard(self) -> None:
        """Learn that the gateway is there, if only to refuse one article for good."""
        self._silent_since = None

    def overloaded(self, began_at: float, retry_after_s: float | None) -> None:
        """Learn that the gateway has too much to do."""
        self._put_off()
        self._cut(CUT, began_at)
        self.wait(retry_after_s or AWAY_S)

    def wait(self, seconds: float) -> None:
        """Learn that nobody is to call for a while, which says nothing of how many may."""
        # Spread, or all clients return together.
        wait_s = min(LONGEST_WAIT_S, seconds) * random.uniform(1.0, 1.25)
        self._closed_until = max(self._closed_until, self._clock() + wait_s)

    def away(self, retry_after_s: float | None) -> None:
        """Learn that the gateway is away: nobody calls for a while, longer each time, up to 15 s."""
        self._put_off()
        if self._clock() >= self._closed_until:
            backoff_s = min(LONGEST_AWAY_S, AWAY_S * 2 ** min(self._away_times, 10))
            self._away_times += 1
            self.wait(max(backoff_s, retry_after_s or 0.0))

    async def close(self) -> None:
        """Begin no more calls."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()

    def _pause_s(self) -> float | None:
        """Return None if a call may begin, seconds to wait, or 0 to wait for the end of another call."""
        if (pause_s := self._closed_until - self._clock()) > 0:
            return pause_s
        return None if self.under_way < int(self.now) else 0.0

    def _cut(self, factor: float, began_at: float) -> None:
        """Lower the limit once for all calls that began before it was last lowered: they tell the same thing."""
        if began_at >= self._last_cut_at:
            self.now = max(1.0, self.now * factor)
            self._last_cut_at = self._clock()

    def _put_off(self) -> None:
        if self._silent_since is None:
            self._silent_since = self._clock()

    async def _tell(self) -> None:
        async with self._changed:
            # As many as there is room for; each that is woken in vain costs time.
            self._changed.notify(max(1, int(self.now) - self.under_way))
