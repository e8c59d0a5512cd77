"""The queue: full batches of like length, fair shares, equal sentences decoded once, no work for callers that left."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.harness import caller, deadline, priority, work
from services.harness.errors import Reason, Refusal
from services.translator.batch import (
    BatchCost,
    Shape,
    batch_budget,
    choose_batch,
    decoder_only_cost,
    encoder_decoder_cost,
)
from services.translator.engine import Decoded, Search
from services.translator.model import Model, Tokenizer
from services.translator.queue import SECOND_TRIES_LATER, TranslationQueue
from services.translator.threads import usable_processors
from services.translator.translation import ParagraphTranslator
from tests.conftest import ScriptedEngine


class Echo:
    """An engine whose answer to a sentence is its tokens backwards; `free` lets one batch through for each release."""

    batch_cost = staticmethod(encoder_decoder_cost)

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[list[str]]] = []
        self.safer_after: list[int] = []
        """For each batch of second tries, how many of first tries were begun before it."""
        self.held = held
        self.free = threading.Semaphore(0)

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        self.batches.append(list(batch))
        if self.held:
            self.free.acquire()
        return [answer_to(tokens) for tokens in batch]

    def decode_safer(self, batch: Sequence[list[str]]) -> list[list[Decoded]]:
        self.safer_after.append(len(self.batches))
        return [[answer_to(tokens), answer_to([*tokens, "again"])] for tokens in batch]

    def release(self) -> None:
        """Hold nothing back any more."""
        self.held = False
        self.free.release(100)


def answer_to(tokens: list[str]) -> Decoded:
    return Decoded(tokens[::-1], -float(len(tokens)), truncated=False)


def sentence(number: int, length: int = 5) -> list[str]:
    """Return a sentence of `length` tokens that no other number has."""
    return [f"▁{number}"] * length


@pytest.fixture
async def engine() -> AsyncIterator[Echo]:
    """An engine that holds every batch until it is released."""
    engine = Echo(held=True)
    yield engine
    engine.release()


@pytest.fixture
async def queue(engine: Echo) -> AsyncIterator[TranslationQueue]:
    """A queue of one worker, in batches of ten short sentences."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=50, capacity=1000, window=100)
    yield queue
    engine.release()
    await queue.close()


async def call(
    queue: TranslationQueue, sentences: list[list[str]], *, name: str = "", urgency: str = priority.INTERACTIVE
) -> list[Decoded]:
    """Decode for a caller of that name; as a task of its own."""
    caller.start(name)
    priority.start(urgency)
    return await queue.decode(sentences)


async def settle() -> None:
    """Let everything happen that can happen now."""
    await asyncio.sleep(0.05)


COSTS = pytest.mark.parametrize("cost", [decoder_only_cost, encoder_decoder_cost])


@COSTS
@given(lengths=st.lists(st.integers(0, 200), min_size=1, max_size=100), batch_tokens=st.integers(1, 2000))
def test_a_batch_has_the_first_and_stays_within_its_tokens(
    cost: BatchCost, lengths: list[int], batch_tokens: int
) -> None:
    """The first in turn is always taken; padded to the longest, a batch of several stays within its tokens."""
    batch = choose_batch(lengths, batch_tokens, cost)
    assert batch[0] == 0
    assert len(set(batch)) == len(batch)
    assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= batch_tokens


@COSTS
def test_the_nearest_in_length_are_taken_and_of_these_the_first_in_turn(cost: BatchCost) -> None:
    """With room for three of five, those of the same length go before those of nearly the same."""
    assert choose_batch([20, 90, 22, 20, 21, 20], 66, cost) == [0, 3, 5]
    assert choose_batch([20, 90, 22, 21, 21], 66, cost) == [0, 3, 4]


@COSTS
def test_what_makes_a_token_dearer_waits_for_its_like(cost: BatchCost) -> None:
    """Short sentences do not sit through the decoding of a long one, though there were room."""
    assert choose_batch([8] * 12 + [150], 10_000, cost) == list(range(12))


def test_a_long_queue_is_decoded_in_larger_batches() -> None:
    """As long as little waits a batch has its usual size; where much waits it has twice that, and never more."""
    sizes = [batch_budget(waiting, 1000, workers=2) for waiting in (0, 2000, 3000, 4000, 1_000_000)]
    assert sizes == [1000, 1000, 1500, 2000, 2000]


def test_only_prompts_of_unlike_length_hold_each_other_up() -> None:
    """Beside a long prompt a shorter one is read step by step; an encoder reads both at once."""
    lengths = [60] * 16 + [30] * 8
    assert len(choose_batch(lengths, 10_000, decoder_only_cost)) == 16
    assert len(choose_batch(lengths, 10_000, encoder_decoder_cost)) == 24


async def test_sentences_of_several_callers_share_batches(engine: Echo, queue: TranslationQueue) -> None:
    """Callers with one sentence each are decoded together."""
    calls = [asyncio.create_task(call(queue, [sentence(n)])) for n in range(21)]
    await settle()
    engine.release()
    await asyncio.gather(*calls)
    assert [len(batch) for batch in engine.batches] == [20, 1]


async def test_a_lone_call_is_spread_over_idle_workers(engine: Echo) -> None:
    """With nobody else there, one call keeps all workers busy at once."""
    queue = TranslationQueue(engine, workers=2, batch_tokens=1000, capacity=100, window=10)
    decoding = asyncio.create_task(queue.decode([sentence(n) for n in range(8)]))
    await settle()
    assert [len(batch) for batch in engine.batches] == [4, 4]
    engine.release()
    await decoding
    await queue.close()


async def test_a_sentence_that_waits_twice_is_decoded_once(engine: Echo, queue: TranslationQueue) -> None:
    """Equal sentences share one answer, those that wait and one that is being decoded."""
    first = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    others = [asyncio.create_task(call(queue, [sentence(0), sentence(1), sentence(1)])) for _ in range(3)]
    await settle()
    engine.release()
    answers = await asyncio.gather(first, *others)
    assert answers == [[answer_to(sentence(0))], *[[answer_to(sentence(n)) for n in (0, 1, 1)]] * 3]
    assert engine.batches == [[sentence(0)], [sentence(1)]]


async def test_a_second_try_is_no_first_try(engine: Echo, queue: TranslationQueue) -> None:
    """The same tokens asked for in both ways get both answers."""
    engine.release()
    plain, safer = await asyncio.gather(queue.decode([sentence(0)]), queue.decode_safer([sentence(0)]))
    assert plain == [answer_to(sentence(0))]
    assert len(safer[0]) == 2


async def test_what_a_caller_leaves_is_dropped_unless_another_waits_for_it(
    engine: Echo, queue: TranslationQueue
) -> None:
    """Of a cancelled call only the sentence that somebody else wants is decoded."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    leaving = asyncio.create_task(call(queue, [sentence(1), sentence(2)]))
    staying = asyncio.create_task(call(queue, [sentence(2)]))
    await settle()
    leaving.cancel()
    await settle()
    engine.release()
    await asyncio.gather(running, staying)
    assert engine.batches == [[sentence(0)], [sentence(2)]]


async def test_a_small_call_does_not_wait_for_a_large_one(engine: Echo, queue: TranslationQueue) -> None:
    """Behind 90 sentences of one call, the five of another share the next batch with it."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    large = asyncio.create_task(call(queue, [sentence(n) for n in range(100, 190)]))
    await settle()
    small = asyncio.create_task(call(queue, [sentence(n) for n in range(1, 6)]))
    await settle()
    engine.free.release()
    await settle()
    assert sum(tokens in [sentence(n) for n in range(1, 6)] for tokens in engine.batches[1]) == 5
    engine.release()
    await asyncio.gather(running, large, small)


async def test_calls_of_one_caller_share_its_turns(engine: Echo, queue: TranslationQueue) -> None:
    """Nine calls under one name get as much of the next batch as one under another."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    many = [
        asyncio.create_task(call(queue, [sentence(10 * n + i) for i in range(10)], name="many")) for n in range(1, 10)
    ]
    one = asyncio.create_task(call(queue, [sentence(200 + i) for i in range(10)], name="one"))
    await settle()
    engine.free.release()
    await settle()
    batch = engine.batches[1]
    assert sum(int(tokens[0][1:]) >= 200 for tokens in batch) == len(batch) // 2
    engine.release()
    await asyncio.gather(running, one, *many)


async def test_jobs_have_their_share_and_no_more(engine: Echo, queue: TranslationQueue) -> None:
    """Interactive sentences that came later go first, but one in five is the job's; alone a job has everything."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    job = asyncio.create_task(call(queue, [sentence(n) for n in range(100, 130)], urgency=priority.JOB))
    await settle()
    interactive = asyncio.create_task(call(queue, [sentence(n) for n in range(1, 25)]))
    await settle()
    engine.release()
    await asyncio.gather(running, job, interactive)
    of_job = [int(tokens[0][1:]) >= 100 for batch in engine.batches[1:] for tokens in batch]
    assert (sum(of_job[:30]), all(of_job[30:])) == (6, True)


@pytest.mark.parametrize(
    ("urgency", "name", "late_first"),
    [(priority.JOB, "", True), (priority.JOB, "desk", True), (priority.INTERACTIVE, "desk", False)],
)
async def test_articles_of_a_job_are_done_in_their_order(
    engine: Echo, queue: TranslationQueue, urgency: str, name: str, late_first: bool
) -> None:
    """What the first article sends late goes before all that waits of the next; named or not. Where people wait it does
    not, so that short articles go between the sentences of a long one of the same caller."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    caller.start(name)
    priority.start(urgency)
    with queue.place(0) as first, queue.place(0) as second:
        sent_early, sent_late = [sentence(n) for n in range(100, 120)], [sentence(n) for n in range(1, 6)]
        early = asyncio.create_task(second.decode(sent_early))
        await settle()
        late = asyncio.create_task(first.decode(sent_late))
        await settle()
        engine.free.release()
        await settle()
        assert engine.batches[1][:5] == (sent_late if late_first else sent_early)[:5]
        engine.release()
        await asyncio.gather(running, early, late)


async def test_second_tries_of_a_job_gather_behind_its_next_articles(engine: Echo, queue: TranslationQueue) -> None:
    """They go before what waits of articles that are further behind."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    caller.start("desk")
    priority.start(priority.JOB)
    with ExitStack() as stack:
        places = []
        for _ in range(SECOND_TRIES_LATER + 3):  # readers come too, and are none of the articles that are counted
            priority.start(priority.INTERACTIVE)
            stack.enter_context(queue.place(0))
            priority.start(priority.JOB)
            places.append(stack.enter_context(queue.place(0)))
        tasks = [asyncio.create_task(place.decode([sentence(100 + n, 10 * n + 5)])) for n, place in enumerate(places)]
        tasks.append(asyncio.create_task(places[0].decode_safer([sentence(1)])))
        await settle()
        engine.release()
        await asyncio.gather(running, *tasks)
    first_of_each = [min(int(tokens[0][1:]) for tokens in batch) - 100 for batch in engine.batches[1:]]
    before = first_of_each[: engine.safer_after[0] - 1]
    assert before[-1] <= SECOND_TRIES_LATER < first_of_each[len(before)]


async def test_an_interactive_call_takes_a_sentence_out_of_a_job(engine: Echo, queue: TranslationQueue) -> None:
    """A sentence that waits for a job is decoded as soon as somebody interactive wants it too."""
    running = asyncio.create_task(call(queue, [sentence(0)]))
    await settle()
    job = asyncio.create_task(call(queue, [sentence(n) for n in range(1, 60)], urgency=priority.JOB))
    await settle()
    wanted = asyncio.create_task(call(queue, [sentence(59)]))
    await settle()
    engine.free.release()
    await settle()
    assert engine.batches[1][0] == sentence(59)
    engine.release()
    await asyncio.gather(running, job, wanted)


async def test_a_full_queue_refuses(engine: Echo) -> None:
    """At its capacity the queue says when to come back, and goes on with what it has."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=5, capacity=6, window=12)
    calls = []
    for number in range(7):  # the first is being decoded
        calls.append(asyncio.create_task(call(queue, [sentence(number)])))
        await settle()
    with pytest.raises(Refusal) as refused:
        await queue.decode([sentence(9)])
    assert refused.value.reason == Reason.OVERLOADED
    assert refused.value.retry_after_s
    engine.release()
    assert await asyncio.gather(*calls) == [[answer_to(sentence(number))] for number in range(7)]
    await queue.close()


@pytest.mark.parametrize("urgency", priority.PRIORITIES)
async def test_who_brings_much_leaves_room_for_others(engine: Echo, urgency: str) -> None:
    """However much one caller has, another one is let in, and has its turn next."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=5, capacity=40, window=100)
    flood = [
        asyncio.create_task(call(queue, [sentence(n) for n in range(40 * k, 40 * k + 40)], name="a", urgency=urgency))
        for k in range(3)
    ]
    await settle()
    other = asyncio.create_task(call(queue, [sentence(200), sentence(201)], name="b", urgency=urgency))
    await settle()
    for _ in range(4):
        engine.free.release()
        await settle()
    assert await other == [answer_to(sentence(200)), answer_to(sentence(201))]
    engine.release()
    assert [len(answers) for answers in await asyncio.gather(*flood)] == [40, 40, 40]
    await queue.close()


async def test_who_is_in_waits_for_room(engine: Echo) -> None:
    """A call that was let in feeds a queue that has filled since, instead of failing in its middle."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=10, capacity=4, window=100)
    with queue.place(100) as early:
        running = asyncio.create_task(queue.decode([sentence(n) for n in range(20)]))
        await settle()
        late = asyncio.create_task(early.decode([sentence(n) for n in range(20, 40)]))
        await settle()
        engine.release()
        assert await late == [answer_to(sentence(n)) for n in range(20, 40)]
    await running
    await queue.close()


async def test_a_later_call_of_an_article_finds_a_full_queue_open(engine: Echo) -> None:
    """What was let in as a whole is done as a whole; a stranger is refused meanwhile."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=10, capacity=1, window=100)

    async def article() -> list[Decoded]:
        work.start(400)
        first = asyncio.create_task(queue.decode([sentence(n) for n in range(10)]))
        await settle()
        with pytest.raises(Refusal, match="queue is full"):
            await asyncio.create_task(stranger())
        with queue.place(200) as place:
            later = asyncio.create_task(place.decode([sentence(n) for n in range(10, 20)]))
            engine.release()
            return [*await first, *await later]

    async def stranger() -> None:
        work.resume(None)
        await queue.decode([sentence(100)])

    assert await asyncio.create_task(article()) == [answer_to(sentence(n)) for n in range(20)]
    await queue.close()


async def test_jobs_leave_room_for_what_people_wait_for(engine: Echo) -> None:
    """Half of the queue is closed to jobs, also to those that are in and have more; people find it open."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=10, capacity=20, window=100)
    job = asyncio.create_task(call(queue, [sentence(n) for n in range(40)], name="job", urgency=priority.JOB))
    await settle()
    small_jobs = []
    for number in range(100, 105):  # the first has taken half of what is there for jobs
        one = [sentence(number)]
        small_jobs.append(asyncio.create_task(call(queue, one, name=f"job {number}", urgency=priority.JOB)))
        await settle()
    with pytest.raises(Refusal, match="10 of 10 sentences of jobs"):
        await asyncio.create_task(call(queue, [sentence(50)], name="other job", urgency=priority.JOB))
    reader = asyncio.create_task(call(queue, [sentence(60)], name="reader"))
    await settle()
    assert not reader.done()
    engine.release()
    assert await reader == [answer_to(sentence(60))]
    assert len(await job) == 40
    await asyncio.gather(*small_jobs)
    await queue.close()


async def test_what_comes_first_in_a_job_is_first_to_find_room(engine: Echo) -> None:
    """A later part of the oldest article does not wait until all of the next has found a place."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=5, capacity=8, window=100)
    priority.start(priority.JOB)
    with queue.place(10) as oldest, queue.place(10) as next_one:
        later = asyncio.create_task(next_one.decode([sentence(n) for n in range(100, 140)]))
        await settle()
        earlier = asyncio.create_task(oldest.decode([sentence(1), sentence(2)]))
        for _ in range(5):
            await settle()
            engine.free.release()
        await settle()
        assert earlier.done()
        assert not later.done()
        engine.release()
        await later
    await queue.close()


async def test_second_tries_leave_time_for_what_an_article_has_still_to_send(
    engine: Echo, queue: TranslationQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its later calls are owed first answers, so the more it has announced, the earlier second tries are given up."""
    ends: list[float] = []
    timeout_at = asyncio.timeout_at
    monkeypatch.setattr(asyncio, "timeout_at", lambda when: ends.append(when) or timeout_at(when))
    engine.release()
    queue.speed.saw_text(1000, 1000)
    queue.speed.saw_batch(Search.PLAIN, 100, 0.1)
    deadline.start(300)
    for announced in (10, 10_010):
        work.start(announced)
        with queue.place(10) as place:
            await place.decode([sentence(0)])
            await place.decode_safer([sentence(0)])
    assert deadline.ends_at() > ends[0] >= ends[1] + 10
    await queue.close()


async def test_of_a_call_that_has_failed_nothing_more_is_decoded(engine: Echo) -> None:
    """What had no room yet when the first of its batches failed would be decoded for nobody."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=5, capacity=8, window=100)
    engine.release()
    decode, engine.decode = engine.decode, Mock(side_effect=RuntimeError("out of memory"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="out of memory"):
        await queue.decode([sentence(n) for n in range(100)])
    await settle()
    assert engine.decode.call_count < 10  # type: ignore[attr-defined]
    engine.decode = decode  # type: ignore[method-assign]
    assert await queue.decode([sentence(0)]) == [answer_to(sentence(0))]
    await queue.close()


async def test_whoever_waits_when_the_queue_closes_is_cancelled(engine: Echo) -> None:
    """Also who waits for what is just being decoded, or for room."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=5, capacity=8, window=100)
    calls = [asyncio.create_task(call(queue, [sentence(number)])) for number in range(2)]
    calls.append(asyncio.create_task(call(queue, [sentence(number) for number in range(20, 60)])))
    await settle()
    assert len(engine.batches) == 1
    engine.release()
    await queue.close()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_an_engine_that_fails_fails_only_its_batch(engine: Echo, queue: TranslationQueue) -> None:
    """The callers of the batch get the error; who waits for the next batch is served."""
    decode = engine.decode

    def fail_first(batch: Sequence[list[str]]) -> list[Decoded]:
        answers = decode(batch)
        if len(engine.batches) == 1:
            raise RuntimeError("broken")
        return answers

    engine.decode = fail_first  # type: ignore[method-assign]
    failing = [asyncio.create_task(call(queue, [sentence(n)], name=f"{n}")) for n in range(2)]
    await settle()
    served = asyncio.create_task(call(queue, [sentence(n) for n in range(2, 8)], name="later"))
    await settle()
    engine.release()
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    broken = [outcome for outcome in outcomes if isinstance(outcome, RuntimeError)]
    assert len(broken) == len(engine.batches[0])
    assert await served == [answer_to(sentence(n)) for n in range(2, 8)]


async def test_a_fault_in_making_batches_is_told_and_the_next_caller_served(
    engine: Echo, queue: TranslationQueue
) -> None:
    """A worker that died in silence would leave everybody waiting until their deadlines."""
    engine.release()

    def broken(shape: Shape) -> float:
        raise ZeroDivisionError

    engine.batch_cost = broken  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        await queue.decode([sentence(n) for n in range(3)])
    assert not queue.sentences
    engine.batch_cost = encoder_decoder_cost  # type: ignore[assignment]
    assert await queue.decode([sentence(0)]) == [answer_to(sentence(0))]


async def test_what_is_not_arabic_teaches_nothing_of_arabic(model_folder: Path) -> None:
    """How long a text is to be in tokens is learnt from what is decoded: one text of Latin letters spoils nothing."""
    model = Model.open(model_folder)
    queue = TranslationQueue(ScriptedEngine(model), workers=1, batch_tokens=1000, capacity=100, window=100)
    translator, arabic = ParagraphTranslator(model, queue), "وصل الوزير إلى المدينة صباح اليوم."
    await translator.translate([arabic])
    foretold = queue.speed.tokens_of(1000)
    await translator.translate(["The minister came to town this morning. " * 500, arabic])
    assert queue.speed.tokens_of(1000) == pytest.approx(foretold)
    await queue.close()


@dataclass(frozen=True)
class Asked:
    """One call of the property test, in turns of the event loop."""

    numbers: list[int]
    name: str
    urgency: str
    safer: bool
    begins: int
    leaves: int | None


asked = st.builds(
    Asked,
    numbers=st.lists(st.integers(0, 12), max_size=25),
    name=st.sampled_from(["", "reuters", "صحيفة"]),
    urgency=st.sampled_from(priority.PRIORITIES),
    safer=st.booleans(),
    begins=st.integers(0, 30),
    leaves=st.none() | st.integers(0, 30),
)


@settings(max_examples=150, deadline=None)
@given(calls=st.lists(asked, min_size=1, max_size=12), workers=st.integers(1, 3), capacity=st.integers(1, 20))
def test_every_sentence_gets_its_own_answer(calls: list[Asked], workers: int, capacity: int) -> None:
    """However callers, cancellations and priorities fall together: each answer is its sentence's, and nothing stays."""

    async def ask(queue: TranslationQueue, it: Asked) -> None:
        for _ in range(it.begins):
            await asyncio.sleep(0)
        sentences = [sentence(number, 1 + number) for number in it.numbers]
        caller.start(it.name)
        priority.start(it.urgency)
        with suppress(Refusal):  # of a full queue
            if it.safer:
                alternatives = await queue.decode_safer(sentences)
                assert [several[0] for several in alternatives] == [answer_to(tokens) for tokens in sentences]
            else:
                assert await queue.decode(sentences) == [answer_to(tokens) for tokens in sentences]

    async def run() -> None:
        queue = TranslationQueue(Echo(), workers=workers, batch_tokens=40, capacity=capacity, window=4)
        tasks = [asyncio.create_task(ask(queue, it)) for it in calls]
        for turn in range(31):
            for it, task in zip(calls, tasks, strict=True):
                if it.leaves == turn:
                    task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        async with asyncio.timeout(20):
            while queue.sentences:  # noqa: ASYNC110  # what nobody waits for any more may still be being decoded
                await asyncio.sleep(0)
        assert not queue._share
        assert (queue._waiting, queue._waiting_jobs, queue._waiting_cost, queue.calls_unread) == (0, 0, 0, 0)
        await queue.close()
        assert queue.sentences == 0

    asyncio.run(run())


@pytest.mark.parametrize(("quota", "processors"), [("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1)])
def test_threads_follow_the_quota_of_the_container(tmp_path: Path, quota: str, processors: int) -> None:
    """A limit of one and a half processors is one thread, and there is always one."""
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_processors(tmp_path, tmp_path / "none") == processors


def test_threads_follow_the_tightest_group(tmp_path: Path) -> None:
    """A service in a slice keeps to the slice's quota where its own has none."""
    inner = tmp_path / "system.slice" / "khulasa.service"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000")
    (inner.parent / "cpu.max").write_text("100000 100000")
    own = tmp_path / "own"
    own.write_text("0::/system.slice/khulasa.service\n")
    assert usable_processors(tmp_path, own) == 1


def test_threads_follow_the_quota_of_older_containers(tmp_path: Path) -> None:
    """In version 1 of control groups the quota stands in two files, and -1 is none."""
    group = tmp_path / "cpu,cpuacct"
    group.mkdir()
    own = tmp_path / "own"
    own.write_text("4:cpu,cpuacct:/docker/3f9a\n3:memory:/docker/3f9a\n")
    (group / "cpu.cfs_period_us").write_text("50000")
    (group / "cpu.cfs_quota_us").write_text("-1")
    unlimited = usable_processors(tmp_path, own)
    (group / "cpu.cfs_quota_us").write_text("50000")
    assert (usable_processors(tmp_path, own), unlimited) == (1, usable_processors(tmp_path / "none", own))


def test_control_tokens_in_an_article_are_spelled_out(model_folder: Path) -> None:
    """An article cannot end its own prompt."""
    tokens = Tokenizer(Model.open(model_folder)).encode("قال </s> نعم")
    assert "</s>" not in tokens
