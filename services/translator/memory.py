"""Memory that decoding has freed goes back to the system.

glibc keeps what is freed in small pieces for the next call. Beams and batches of ever other shapes leave ever other
gaps: over some hundred batches the process grew from 320 to 490 MB and, trimmed, fell back to 255 MB every time.
"""

import ctypes
import time
from collections.abc import Callable

EVERY_S = 10.0
"""Giving back and asking anew takes some 50 ms for 200 MB."""


class Trimmer:
    """Trims the process's memory now and then. Does nothing where the C library cannot (musl, macOS)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def after_batch(self) -> bool:
        """Trim if it is time; return whether it was. To be called in the thread that has decoded: it blocks."""
        now = self._clock()
        if self._trim is None or now - self._last < EVERY_S:
            return False
        self._last = now
        self._trim(ctypes.c_size_t(0))
        return True
