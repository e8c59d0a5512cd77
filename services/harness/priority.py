"""How urgent the call in hand is: somebody waits for it, or it is one article of a job.

Set where the work begins, read where it is shared out: the translator's queue decodes interactive work ahead of jobs
and keeps a share for them.
"""

from contextvars import ContextVar

INTERACTIVE = "interactive"
JOB = "job"
PRIORITIES = (INTERACTIVE, JOB)
"""The more urgent first."""

_name: ContextVar[str] = ContextVar("priority_name", default=INTERACTIVE)


def start(name: str) -> None:
    """Give the current task, and those it starts, the priority `name`, one of `PRIORITIES`."""
    if name not in PRIORITIES:
        raise ValueError(f"the priority is {name!r}; it can be {' or '.join(PRIORITIES)}")
    _name.set(name)


def name() -> str:
    """Return the priority, `INTERACTIVE` unless something else was started."""
    return _name.get()
