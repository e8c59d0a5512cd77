"""A job outlasts whatever is killed in its middle: gateways, Redis, the client that sends it."""

import pytest

from benchmarks.job_faults import run


@pytest.mark.parametrize("seed", [11, 12])
async def test_nothing_is_lost_and_nothing_doubled(seed: int) -> None:
    """With processes killed at random moments every article has its one right result, and the counts add up."""
    outcome = await run(seed, articles=120, kills=3)
    assert sum(outcome.killed.values()) >= 3
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, 0)
    assert outcome.done + outcome.failed == outcome.articles == 120
    assert outcome.saved > 0
