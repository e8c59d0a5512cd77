"""The fault suite, shortened: the faults that a cluster meets every week, on real processes under steady load."""

from collections.abc import AsyncIterator

import pytest

from faults import suite
from faults.arena import Arena
from faults.breaks import FAULTS, Fault
from faults.reference import Reference, articles
from khulasa import AsyncClient

WEEKLY = [
    "translator killed",
    "gateway killed",
    "rolling restart",
    "model upgraded",
    "cache killed",
    "cache full",
    "values in the cache spoilt",
]


@pytest.fixture(scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """Two gateways, two translators, a summarizer and a cache, under load."""
    async with suite.arena(tmp_path_factory.mktemp("faults"), rate_per_s=5, broken_s=1) as arena:
        yield arena


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name in WEEKLY], ids=lambda fault: fault.name)
async def test_callers_do_not_notice(arena: Arena, fault: Fault) -> None:
    """No call fails, none is answered wrongly, and service is normal again."""
    outcome = await suite.run(arena, fault)
    assert outcome.counts["sent"]
    assert outcome.kept, outcome


async def test_a_wrong_answer_would_be_seen(arena: Arena) -> None:
    """The judge of answers is not blind: it objects to an answer to another article and to one of a foreign model."""
    (first, options), (second, _) = next(articles(seed=2)), next(articles(seed=3))
    async with AsyncClient(arena.cluster.gateways[0]) as client:
        result = await client.process(first, options)
    assert arena.load.reference.fault_in(first, result) == ""
    assert arena.load.reference.fault_in(second, result)
    assert Reference().fault_in(first, result)
