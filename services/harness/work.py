"""The whole that a call is a part of: the gateway sends an article to the translator in several calls.

Whoever sends the parts starts a work with its full size, so that the first call tells whether there is time for all of
them, and none is refused after the others have cost their time.
"""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """Several calls that only together are worth their time."""

    id: str
    chars: int
    """Code points of all its calls together."""


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def start(chars: int) -> None:
    """Make what the current task sends from now on, and those it starts, parts of a new work."""
    _current.set(Work(uuid.uuid4().hex, chars))


def resume(work: Work | None) -> None:
    """Make the current task's work a part of one that was started elsewhere; None: it stands alone."""
    _current.set(work)


def current() -> Work | None:
    """Return the work that the current task is part of, if any."""
    return _current.get()
