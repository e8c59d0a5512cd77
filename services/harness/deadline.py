"""How much time the call in hand has left.

gRPC does not hand a deadline on by itself in Python, so the interceptor sets one for every call and whoever calls
another service asks here.
"""

import asyncio
import math
from collections.abc import Callable
from contextvars import ContextVar

_ends_at: ContextVar[Callable[[], float]] = ContextVar("call_ends_at")


def start(time_s: float) -> None:
    """Give the current task, and those it starts, `time_s` seconds from now."""
    end = asyncio.get_running_loop().time() + time_s
    _ends_at.set(lambda: end)


def follow(ends_at: Callable[[], float]) -> None:
    """Give the current task, and those it starts, an end that can still move, on the clock of the event loop."""
    _ends_at.set(ends_at)


def ends_at() -> float:
    """Return when the time is over, on the clock of the event loop; outside of a call it never is."""
    end = _ends_at.get(None)
    return end() if end else math.inf


def remaining_s() -> float:
    """Return the seconds left, at least 0. Only within a call (LookupError elsewhere)."""
    return max(0.0, _ends_at.get()() - asyncio.get_running_loop().time())
