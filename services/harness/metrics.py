"""The metrics that every process has. What only one process counts stands beside what it counts."""

import time
from contextlib import AbstractContextManager
from functools import cache
from types import TracebackType

from prometheus_client import Counter, Gauge, Histogram

from services.harness import tracing

CALLS = Counter("khulasa_calls_total", "Calls answered, by method and status.", ["method", "code"])
CALL_SECONDS = Histogram(
    "khulasa_call_seconds",
    "Time from request to last answer, by method.",
    ["method"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
CALLS_IN_PROGRESS = Gauge("khulasa_calls_in_progress", "Calls being worked on, by method.", ["method"])
REFUSALS = Counter(
    "khulasa_refusals_total", "Calls, and articles of a stream, that were refused, by reason.", ["reason"]
)
STAGE_SECONDS = Histogram(
    "khulasa_stage_seconds",
    "Time of one step on an article's way, by step; several groups of one article are in a step at once.",
    ["stage"],
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
READY = Gauge("khulasa_ready", "1 while the process can do its work, 0 before that and while it drains.")


def stage(name: str) -> AbstractContextManager[None]:
    """Measure one step on an article's way, and show it in the call's trace."""
    return _Stage(name)


class _Stage:  # and no generator, which would cost a cached article a hundredth of its time
    def __init__(self, name: str) -> None:
        self._name = name
        self._span = tracing.span(name)

    def __enter__(self) -> None:
        self._started = time.perf_counter()
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._span.__exit__(kind, error, traceback)
        _seconds_of(self._name).observe(time.perf_counter() - self._started)


@cache  # looking a series up costs more than counting in it
def _seconds_of(name: str) -> Histogram:
    return STAGE_SECONDS.labels(name)
