"""Leaves a Redis alone that does not answer, so that its absence costs one time limit now and then and not one for
every article."""

import math
import time

import structlog
from redis.exceptions import RedisError

FAULTS = (RedisError, OSError, TimeoutError, ValueError)
"""What a use of Redis can end with that is away, slow, or no Redis at all."""
OPEN_S = 5.0

log = structlog.get_logger()


class CircuitBreaker:
    """Opens for five seconds after so many failures in a row; the next use then is the trial.

    `opened` and `closed` are the events that the log has of it.
    """

    def __init__(self, failures: int, *, opened: str, closed: str) -> None:
        self._most = failures
        self._opened = opened
        self._closed = closed
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether Redis is to be left alone."""
        return time.monotonic() < self._open_until

    def succeeded(self) -> None:
        """Tell of a use that went well."""
        if self._failures >= self._most:
            log.info(self._closed)
        self._failures = 0

    def failed(self, error: BaseException) -> None:
        """Tell of a use that ended with one of `FAULTS`."""
        self._failures += 1
        if self._failures >= self._most:
            if self._failures == self._most:
                log.warning(self._opened, why=type(error).__name__, again_s=OPEN_S)
            self._open_until = max(self._open_until, time.monotonic() + OPEN_S)

    def open_for_good(self) -> None:
        """Let nobody use Redis any more."""
        self._open_until = math.inf
