"""Who makes the call in hand, as the credentials of the call say.

Set once for every call, before its handler runs; the work the handler starts sees it too. Whoever shares something out
between callers (the queue, quotas, jobs) asks here.
"""

from contextvars import ContextVar

ANONYMOUS = ""
"""The name of every caller where no credentials are asked for."""

_name: ContextVar[str] = ContextVar("caller_name", default=ANONYMOUS)


def start(name: str) -> None:
    """Give the current task, and those it starts, the caller `name`."""
    _name.set(name)


def name() -> str:
    """Return the caller's name."""
    return _name.get()
