"""Memory goes back to the system now and then, not after every batch."""

import ctypes

import pytest

from services.translator.memory import EVERY_S, Trimmer


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library cannot trim")
def test_memory_is_trimmed_when_it_is_time() -> None:
    """Many batches within the time are one trim; the next time is counted from the last trim."""
    now = [0.0]
    trimmer = Trimmer(clock=lambda: now[0])
    trimmed_at = []
    for tenth in range(1, 36):
        now[0] = tenth * EVERY_S / 10
        if trimmer.after_batch():
            trimmed_at.append(tenth)
    assert trimmed_at == [10, 20, 30]
