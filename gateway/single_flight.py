"""Equal work at the same moment is done once: many newsrooms send the same wire story in the same minute."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Generic, TypeVar

from services.harness import deadline

Event = TypeVar("Event")


class SingleFlight(Generic[Event]):
    """Shares streams of events among callers with the same key.

    A caller that joins late gets all events from the first. The work has the time of whichever of its callers has most
    left, told anew whenever it asks (`deadline`), and is cancelled when its last caller has left.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Event]] = {}

    async def run(
        self, key: Hashable, work: Callable[[], AsyncIterator[Event]], *, at_most_s: float = math.inf
    ) -> AsyncIterator[Event]:
        """Yield the events of `work`, or of the same work if it is under way for somebody else.

        This caller gives the work the time it has left, `at_most_s` if that is less.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(work, on_end=lambda ended: self._forget(key, ended))
        async for event in flight.events(at_most_s):
            yield event

    def _forget(self, key: Hashable, ended: "_Flight[Event]") -> None:
        # Work that was cancelled ends a moment later, when a new caller may have begun the same anew.
        if self._flights.get(key) is ended:
            del self._flights[key]


class _Flight(Generic[Event]):
    def __init__(self, work: Callable[[], AsyncIterator[Event]], *, on_end: "Callable[[_Flight[Event]], None]") -> None:
        self._events: list[Event] = []
        self._error: BaseException | None = None
        self._ended = False
        self._ends: dict[object, float] = {}
        """When each caller's time is over."""
        self._changed = asyncio.Event()
        self._on_end = on_end
        self._task = asyncio.create_task(self._collect(work))

    async def events(self, at_most_s: float) -> AsyncIterator[Event]:
        caller = object()
        self._ends[caller] = min(deadline.ends_at(), asyncio.get_running_loop().time() + at_most_s)
        position = 0
        try:
            while True:
                while position < len(self._events):
                    position += 1
                    yield self._events[position - 1]
                if self._ended:
                    break
                await self._changed.wait()
            if self._error:
                raise self._error
        finally:
            del self._ends[caller]
            if not self._ends and not self._ended:
                self._on_end(self)  # at once, so that nobody joins work that is being cancelled
                self._task.cancel()

    async def _collect(self, work: Callable[[], AsyncIterator[Event]]) -> None:
        deadline.follow(lambda: max(self._ends.values(), default=0.0))
        try:
            async for event in work():
                self._events.append(event)
                self._announce()
        except BaseException as error:  # its callers get it, whatever it is
            self._error = error
        finally:
            self._ended = True
            self._on_end(self)
            self._announce()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
