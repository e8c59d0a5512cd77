"""The queue: full batches of like length, bounded, and no work for callers that have gone."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.harness.errors import Reason, Refusal
from services.translator.model import Model, Tokenizer
from services.translator.queue import TranslationQueue, choose_batch
from services.translator.threads import usable_processors
from tests.conftest import ScriptedEngine


@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=100), batch_tokens=st.integers(1, 2000))
def test_a_batch_has_the_oldest_and_costs_no_more_than_allowed(lengths: list[int], batch_tokens: int) -> None:
    """The oldest sentence is always taken; padded to the longest, a batch of several stays within its tokens."""
    batch = choose_batch(lengths, batch_tokens)
    assert batch[0] == 0
    assert len(set(batch)) == len(batch)
    assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= batch_tokens


async def test_sentences_of_several_callers_share_batches(model_folder: Path) -> None:
    """Callers with one sentence each are decoded together."""
    engine = ScriptedEngine(Model.open(model_folder))
    engine.released.clear()
    queue = TranslationQueue(engine, workers=1, batch_tokens=1000, capacity=100, window=10)
    calls = [asyncio.create_task(queue.decode([["▁"] * 5])) for _ in range(20)]
    await asyncio.sleep(0.2)
    engine.released.set()
    await asyncio.gather(*calls)
    assert max(engine.batches) >= 19
    await queue.close()


async def test_a_full_queue_refuses(model_folder: Path) -> None:
    """Above its capacity the queue says when to come back, and goes on with what it has."""
    engine = ScriptedEngine(Model.open(model_folder))
    engine.released.clear()
    queue = TranslationQueue(engine, workers=1, batch_tokens=10, capacity=8, window=8)
    first = asyncio.create_task(queue.decode([["▁"] * 5] * 8))
    await asyncio.sleep(0.1)
    with pytest.raises(Refusal) as refused:
        await queue.decode([["▁"] * 5] * 8)
    assert refused.value.reason == Reason.OVERLOADED
    assert refused.value.retry_after_s
    engine.released.set()
    assert len(await first) == 8
    await queue.close()


async def test_an_engine_that_fails_fails_only_its_batch(model_folder: Path) -> None:
    """The callers of the batch get the error; the next caller is served."""
    engine = ScriptedEngine(Model.open(model_folder))
    queue = TranslationQueue(engine, workers=1, batch_tokens=1000, capacity=100, window=10)

    def fail(arabic: str) -> str:
        raise RuntimeError("broken")

    engine.say, working = fail, engine.say
    with pytest.raises(RuntimeError, match="broken"):
        await queue.decode([["▁"]])
    engine.say = working
    assert len(await queue.decode([["▁"]])) == 1
    await queue.close()


@pytest.mark.parametrize(("quota", "processors"), [("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1)])
def test_threads_follow_the_quota_of_the_container(tmp_path: Path, quota: str, processors: int) -> None:
    """A limit of one and a half processors is one thread, and there is always one."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_processors(file) == processors


def test_control_tokens_in_an_article_are_spelled_out(model_folder: Path) -> None:
    """An article cannot end its own prompt."""
    tokens = Tokenizer(Model.open(model_folder)).encode("قال </s> نعم")
    assert "</s>" not in tokens
