"""How much time the call in hand has left.

gRPC does not hand a deadline on by itself in Python, so the interceptor sets one for every call and whoever calls
another service asks here.
"""

import asyncio
from contextvars import ContextVar

_ends_at: ContextVar[float] = ContextVar("call_ends_at")


def start(time_s: float) -> None:
    """Give the current task, and those it starts, `time_s` seconds from now."""
    _ends_at.set(asyncio.get_running_loop().time() + time_s)


def remaining_s() -> float:
    """Return the seconds left, at least 0. Only within a call (LookupError elsewhere)."""
    return max(0.0, _ends_at.get() - asyncio.get_running_loop().time())
