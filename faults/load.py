"""Steady load: calls at a fixed rate, whatever the answers do, and a record of each."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from faults.reference import Reference, articles
from khulasa import Article, AsyncClient, KhulasaError, Options

TIMEOUT_S = 15.0
"""What a caller gives an article here: about a thousand times what it takes in calm."""

CALLS_OF_A_CLIENT = 20
"""Then another comes in its place: a client that has lost its first gateway stays with the second."""


@dataclass(slots=True)
class Call:
    """One article sent, as its caller saw it. Times in seconds of `time.monotonic`."""

    started: float
    ended: float = 0.0
    error: str = ""
    """The typed reason of a failure."""
    wrong: str = ""
    """What was wrong with the answer."""


@dataclass(slots=True)
class Load:
    """Sends articles at `rate_per_s` through every gateway in turn until it is stopped."""

    gateways: Sequence[str]
    reference: Reference
    rate_per_s: float
    seed: int = 1
    calls: list[Call] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Load":
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop sending, and wait for what is under way."""
        assert self._sender is not None
        self._sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sender

    async def until_normal(self, *, since: float, calls: int = 20, within_s: float = 60.0) -> float:
        """Return the seconds from `since` to the last trouble, once `calls` in a row have gone well after it.

        A call is trouble if it failed, or took more than a second, which none does in calm. inf if that lasts longer
        than `within_s`.
        """
        while time.monotonic() - since < within_s:
            later = [call for call in self.calls if call.started >= since]
            done = list(itertools.takewhile(lambda call: call.ended, later))
            if len(done) >= calls and not any(map(_is_trouble, done[-calls:])):
                return max((call.started - since for call in done if _is_trouble(call)), default=0.0)
            await asyncio.sleep(0.1)
        return float("inf")

    def count(self, *, since: float) -> dict[str, object]:
        """Return how many calls were sent, failed and were answered wrongly, and why, for those ended by now."""
        calls = [call for call in self.calls if call.started >= since and call.ended]
        return {
            "sent": len(calls),
            "failed": sum(bool(call.error) for call in calls),
            "wrong": sum(bool(call.wrong) for call in calls),
            "errors": dict(Counter(call.error for call in calls if call.error)),
            "faults": dict(Counter(call.wrong for call in calls if call.wrong)),
            "slowest_s": round(max((call.ended - call.started for call in calls), default=0.0), 2),
        }

    async def settle(self) -> None:
        """Wait until every call sent so far has ended."""
        pending = set(self._running)
        if pending:
            await asyncio.wait(pending)

    async def _send(self) -> None:
        started = time.monotonic()
        clients: list[AsyncClient] = []
        try:
            for number, (article, options) in enumerate(articles(self.seed)):
                await asyncio.sleep(max(0.0, started + number / self.rate_per_s - time.monotonic()))
                if number % (CALLS_OF_A_CLIENT * len(self.gateways)) == 0:
                    self._start(_retire(clients, self._running.copy()))
                    clients = [AsyncClient(target, timeout_s=TIMEOUT_S) for target in self.gateways]
                self._start(self._one(clients[number % len(clients)], article, options))
        finally:
            await asyncio.gather(*self._running)
            await asyncio.gather(*(client.close() for client in clients))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, client: AsyncClient, article: Article, options: Options) -> None:
        call = Call(started=time.monotonic())
        self.calls.append(call)
        try:
            call.wrong = self.reference.fault_in(article, await client.process(article, options))
        except KhulasaError as error:
            call.error = error.reason or type(error).__name__
        call.ended = time.monotonic()


def _is_trouble(call: Call) -> bool:
    return bool(call.error or call.wrong) or call.ended - call.started > 1.0


async def _retire(clients: Sequence[AsyncClient], calls: set[asyncio.Task[None]]) -> None:
    """Close the clients when the calls that were under way have ended."""
    await asyncio.gather(*calls)
    await asyncio.gather(*(client.close() for client in clients))
