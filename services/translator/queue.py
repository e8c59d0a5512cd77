"""The sentences of all callers in one queue, decoded in batches of like length and bounded cost.

CTranslate2 is fast when it is given many sentences at once; callers come with a few each. A call takes a `Place`
(`admission.py` tells whether there is time for it); its sentences wait their turn (`fair_share.py`); workers take who
is next and whatever is like it in length (`batch.py`), and tell how long it took (`speed.py`).
"""

import asyncio
import bisect
import itertools
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from prometheus_client import Counter, Gauge, Histogram

from services.harness import caller, deadline, priority
from services.harness import work as harness_work
from services.harness.errors import Reason, Refusal
from services.translator.admission import MARGIN, RESERVE_S, Admission, Work, no_time_for_more
from services.translator.batch import batch_budget, choose_batch
from services.translator.engine import Decoded, Engine, Search
from services.translator.fair_share import FairShare
from services.translator.memory import Trimmer
from services.translator.settings import TranslatorSettings
from services.translator.speed import Speed

QUEUED = Gauge("khulasa_queue_sentences", "Sentences waiting to be decoded.")
BATCH_SENTENCES = Histogram(
    "khulasa_batch_sentences", "Sentences decoded together.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
DECODE_SECONDS = Counter("khulasa_decode_seconds_total", "Time of workers spent on decoding.", ["search"])
DECODED = Counter("khulasa_decoded_sentences_total", "Sentences decoded.", ["search"])
SHARED = Counter("khulasa_shared_sentences_total", "Sentences answered by the decoding of an equal one.")
RETRY_AFTER_S = 2.0
MAX_CHARS = 16_000_000
"""Of text let in at once: 16 of the largest articles, some 100 MB with tokens and answers."""
WAIT_S = 0.02
"""For calls that are being read, before a batch is begun far from full while another is decoded.

With an engine that takes 320 ms for a batch and 92 for each of its sentences, as the first model does, it gains 13 % of
throughput with 4 callers, 5 % with a lone one whose article comes in several calls, and loses nothing with 32. Five
times as long gains no more.
"""
SECOND_TRIES_LATER = 16
"""So many articles of jobs after its own an article's second tries are decoded, if there is time: by then there are
enough of them to make batches."""
ROOM_FOR_JOBS = 0.5
"""Of the queue: what people wait for finds room, whatever jobs have there."""
POOL = 1024
"""Sentences among which a batch finds those of like length; a batch has about 32."""


@dataclass(eq=False, slots=True)
class _Sentence:
    """A sentence that waits or is being decoded, once for all who want it."""

    tokens: list[str]
    search: Search
    lane: str
    """Of who wanted it first."""
    claims: dict["_Claim", None] = field(default_factory=dict)
    decoding: bool = False

    @property
    def key(self) -> Hashable:
        return self.search, tuple(self.tokens)

    @property
    def cost(self) -> int:
        return max(1, len(self.tokens)) * self.search.value

    def unanswered(self) -> "list[asyncio.Future[Any]]":
        """Return what its callers wait on."""
        return [claim.answer for claim in self.claims if not claim.answer.done()]


@dataclass(eq=False, slots=True)
class _Claim:
    """One caller's wish for a sentence."""

    sentence: _Sentence
    work: Work
    answer: asyncio.Future[Any] = field(repr=False)

    def waits_no_longer(self) -> None:
        """Tell the work that a batch with the sentence was begun, or that the sentence is wanted no more."""
        self.work.waiting[self.sentence.search] -= len(self.sentence.tokens)


class Place:
    """What a call has in the queue once it was let in. Made by `TranslationQueue.place`."""

    def __init__(self, queue: "TranslationQueue", work: Work, tokens: float) -> None:
        self._queue = queue
        self._work = work
        self._unread = tokens
        self._first_tokens = 0

    async def decode(self, sentences: Sequence[list[str]], *, chars: int = 0) -> list[Decoded]:
        """Return one answer for each sentence of the call, in order. `chars` is what they have as text.

        If the caller is cancelled, what waits for it alone is dropped.
        """
        self._first_tokens = sum(map(len, sentences))
        self._queue.speed.saw_text(chars, self._first_tokens)
        self._read()
        return await self._queue.answers(self._work, sentences, Search.PLAIN)

    async def decode_more(self, sentences: Sequence[list[str]]) -> list[Decoded]:
        """Return one answer for each of sentences that the call was not let in with.

        Raises Refusal (OVERLOADED) if there is no room for them, no time, or no time any more.
        """
        return await self._queue.more_answers(self._work, sentences, Search.PLAIN)

    async def decode_safer(self, sentences: Sequence[list[str]]) -> list[list[Decoded]]:
        """Return several answers for each sentence. Raises what `decode_more` raises."""
        return await self._queue.more_answers(self._work, sentences, Search.SAFER)

    def tried_again(self, sentences: Sequence[list[str]]) -> None:
        """Tell which of the first tries are doubtful, whether or not they are decoded again."""
        self._queue.speed.saw_second_tries(self._first_tokens, sum(map(len, sentences)))

    def _read(self) -> None:
        """What was estimated is known now."""
        if self._unread:
            self._work.unread = max(0.0, self._work.unread - self._unread)
            self._queue.calls_unread -= 1
            self._unread = 0.0


class TranslationQueue:
    """Shares one engine among all calls of the process.

    `capacity` bounds the sentences that wait: at that length nobody is let in, and who is in feeds its sentences as
    others are answered. So does a call that alone has more than its `window`, and a caller that has as many waiting as
    there are places left: whoever comes finds room, however much others have brought (dynamic thresholds, Choudhury and
    Hahne 1998).
    """

    def __init__(
        self,
        engine: Engine,
        *,
        workers: int,
        batch_tokens: int,
        capacity: int,
        window: int,
        job_share: float = 0.2,
        max_chars: int = MAX_CHARS,
    ) -> None:
        self._engine = engine
        self._trimmer = Trimmer()
        self._batch_tokens = batch_tokens
        self._capacity = capacity
        self._room_for_jobs = max(1, round(capacity * ROOM_FOR_JOBS))
        self._window = window
        self._sentences: dict[Hashable, _Sentence] = {}
        self._waiting = 0
        self._waiting_jobs = 0
        self._waiting_cost = 0
        self._in_hand: list[float] = []
        """When each of the batches that are being decoded will be done, as foretold."""
        self._share = FairShare[_Claim]({priority.INTERACTIVE: 1 - job_share, priority.JOB: job_share})
        loop = asyncio.get_running_loop()
        self.speed = Speed()
        self.calls_unread = 0
        self._admission = Admission(
            self.speed,
            workers=workers,
            batch_tokens=batch_tokens,
            job_share=job_share,
            max_chars=max_chars,
            busy_s=lambda: sum(max(0.0, ends_at - loop.time()) for ends_at in self._in_hand),
            clock=loop.time,
            later=loop.call_later,
        )
        self._changed = asyncio.Event()
        """Set when sentences have come; a worker clears it when it waits."""
        self._line: list[tuple[int, int, Work, asyncio.Future[None]]] = []
        """Who is in and waits for room: rank and number, the lowest first."""
        self._numbers = itertools.count()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    @classmethod
    def as_set(cls, engine: Engine, settings: TranslatorSettings) -> Self:
        """Return a queue with the bounds that the settings give it."""
        return cls(
            engine,
            workers=settings.threads,
            batch_tokens=settings.batch_tokens,
            capacity=settings.queue_sentences,
            window=settings.window_sentences,
            job_share=settings.job_share,
        )

    @contextmanager
    def place(self, chars: int) -> Iterator[Place]:
        """Let a call in whose text has `chars` code points, of the caller, priority, work and deadline in hand.

        Raises Refusal (OVERLOADED) if the queue is full, or what the call is part of cannot be done in its time.
        """
        whole = harness_work.current()
        key: Hashable = whole.id if whole else object()
        lane = priority.name()
        if self._left_for(lane) <= 0 and not self._admission.knows(key):  # who is in is fed as others are answered
            raise self._full(lane)
        work, tokens = self._admission.enter(
            key,
            # Without a name each article that somebody waits for is a caller's own. Those of jobs are all one's.
            caller=key if not caller.name() and lane == priority.INTERACTIVE else caller.name(),
            lane=lane,
            ends_at=deadline.ends_at(),
            chars=chars,
            whole_chars=whole.chars if whole else chars,
        )
        self.calls_unread += bool(tokens)
        place = Place(self, work, tokens)
        try:
            yield place
        finally:
            place._read()
            self._admission.leave(key, work)

    async def decode(self, sentences: Sequence[list[str]]) -> list[Decoded]:
        """Decode sentences that are a whole call, as `Place.decode` does. Raises what `place` does."""
        with self.place(0) as place:
            return await place.decode(sentences)

    async def decode_safer(self, sentences: Sequence[list[str]]) -> list[list[Decoded]]:
        """Decode sentences that are a whole call, as `Place.decode_safer` does. Raises what `place` does."""
        with self.place(0) as place:
            return await place.decode_safer(sentences)

    async def measure(self, sentence: list[str], *, together: int) -> None:
        """Learn the engine's speed from `sentence`, alone and as often as `together` in one batch."""
        loop = asyncio.get_running_loop()
        for batch in ([sentence], [sentence] * together):
            started = loop.time()
            await loop.run_in_executor(self._threads, self._decode, Search.PLAIN, batch)
            self.speed.saw_batch(Search.PLAIN, sum(map(len, batch)), loop.time() - started)

    async def more_answers(self, work: Work, sentences: Sequence[list[str]], search: Search) -> list[Any]:
        """Return what `answers` returns, for what comes on top of a call's first answers.

        Raises Refusal (OVERLOADED), in time for the first answers to be of use, if there is no room or time for it.
        """
        if self._left_for(work.lane) < min(len(sentences), self._window):
            raise self._full(work.lane)
        self._admission.check_more(work, search, sum(map(len, sentences)))
        # An article's later calls are owed their first answers too.
        owed_s = MARGIN * self._admission.seconds_until_done(work)
        try:
            async with asyncio.timeout_at(deadline.ends_at() - RESERVE_S - owed_s):
                return await self.answers(work, sentences, search)
        except TimeoutError:
            raise no_time_for_more() from None

    async def answers(self, work: Work, sentences: Sequence[list[str]], search: Search) -> list[Any]:
        """Return one answer of the engine for each sentence of a call that is in, in order."""
        places = asyncio.Semaphore(self._window)
        claims: list[_Claim] = []
        failed = False
        rank, number = self._rank(work, search), next(self._numbers)

        def ended(answer: "asyncio.Future[Any]") -> None:
            nonlocal failed
            failed = failed or answer.cancelled() or answer.exception() is not None
            places.release()

        work.waiting[search] += sum(map(len, sentences))
        try:
            for tokens in sentences:
                await places.acquire()
                while self._room_for(work) <= 0:
                    await self._wait_for_room(rank, number, work)
                if failed:  # what is still to come would be decoded for nobody
                    break
                claims.append(self._enter(work, tokens, search, rank))
                claims[-1].answer.add_done_callback(ended)
            return list(await asyncio.gather(*(claim.answer for claim in claims)))
        finally:
            for claim in claims:
                self._leave(claim)
            # What never came to the queue; each of the others has told that it was begun or left.
            work.waiting[search] -= sum(len(tokens) for tokens in sentences[len(claims) :])

    @property
    def sentences(self) -> int:
        """How many sentences wait or are being decoded."""
        return len(self._sentences)

    async def close(self) -> None:
        """Stop the workers; whoever still waits is cancelled."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for *_, called in self._line:
            called.cancel()
        for sentence in self._sentences.values():
            for claim in sentence.claims:
                claim.answer.cancel()
        self._threads.shutdown(wait=True)

    def _left_for(self, lane: str) -> int:
        """Return how many places of the queue are left to a lane."""
        left = self._capacity - self._waiting
        return min(left, self._room_for_jobs - self._waiting_jobs) if lane == priority.JOB else left

    def _room_for(self, work: Work) -> int:
        """Return for how many more sentences there is room: a caller leaves as many places to others as it takes."""
        return self._left_for(work.lane) - self._share.waiting(work.lane, work.caller)

    async def _wait_for_room(self, rank: int, number: int, work: Work) -> None:
        """Wait until there may be room for a sentence of `work`, behind the caller's own of lower rank and number."""
        own = rank, number, work, asyncio.get_running_loop().create_future()
        bisect.insort(self._line, own)
        try:
            await own[-1]
        finally:
            self._line.remove(own)

    def _call_in(self) -> None:
        """Wake whoever waits and has room now; they go on in the order of the line."""
        for _, _, work, called in self._line:
            if not called.done() and self._room_for(work) > 0:
                called.set_result(None)

    def _full(self, lane: str) -> Refusal:
        waiting, limit, whose = self._waiting, self._capacity, ""
        if lane == priority.JOB and self._left_for(lane) < limit - waiting:
            waiting, limit, whose = self._waiting_jobs, self._room_for_jobs, " of jobs"
        again = f"Try again in {RETRY_AFTER_S:g} s."
        return Refusal(
            Reason.OVERLOADED,
            f"The translator's queue is full ({waiting} of {limit} sentences{whose}). {again}",
            retry_after_s=RETRY_AFTER_S,
            queued=waiting,
            limit=limit,
        )

    def _rank(self, work: Work, search: Search) -> int:
        """Return where sentences of a work stand among those of its caller, the lowest first.

        Of a job whole articles are what counts, and its oldest is done first. Where people wait, short articles need
        not wait for the end of a long one of the same caller.
        """
        if work.lane != priority.JOB:
            return 0
        later = search is Search.SAFER and self._admission.can_wait_for_all(work)
        return work.number + SECOND_TRIES_LATER * later

    def _enter(self, work: Work, tokens: list[str], search: Search, rank: int) -> _Claim:
        sentence = _Sentence(tokens, search, work.lane)
        known = self._sentences.get(sentence.key)
        if known:
            sentence = known
            SHARED.inc()
        else:
            self._sentences[sentence.key] = sentence
            self._count(sentence, 1)
        claim = _Claim(sentence, work, asyncio.get_running_loop().create_future())
        sentence.claims[claim] = None
        if sentence.decoding:
            claim.waits_no_longer()
        else:
            self._share.add(work.lane, work.caller, claim, sentence.cost, rank=rank)
            self._changed.set()
        return claim

    def _leave(self, claim: _Claim) -> None:
        """End a claim. A sentence that nobody else wants is dropped unless it is being decoded."""
        if claim.answer.done() and not claim.answer.cancelled():
            claim.answer.exception()  # the caller has been told of the first failure; the others are no news
            return
        claim.answer.cancel()
        sentence = claim.sentence
        del sentence.claims[claim]
        if not sentence.decoding:
            claim.waits_no_longer()
            self._share.remove(claim.work.lane, claim.work.caller, claim)
            if not sentence.claims:
                del self._sentences[sentence.key]
                self._count(sentence, -1)

    def _count(self, sentence: _Sentence, change: int) -> None:
        self._waiting += change
        self._waiting_jobs += change * (sentence.lane == priority.JOB)
        self._waiting_cost += change * sentence.cost
        QUEUED.set(self._waiting)
        if change < 0:
            self._call_in()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                self._changed.clear()
                await self._changed.wait()
            await self._wait_for_more()
            if not self._waiting:
                continue
            try:
                batch = self._take_batch()
            except Exception as error:  # a fault of ours: all who wait hear of it, and the worker goes on
                self._fail_all(error)
                continue
            search, tokens = batch[0].search, [sentence.tokens for sentence in batch]
            BATCH_SENTENCES.observe(len(batch))
            started = loop.time()
            foretold = started + self.speed.batch_seconds(search, sum(map(len, tokens)))
            self._in_hand.append(foretold)
            try:
                answers = await loop.run_in_executor(self._threads, self._decode, search, tokens)
                spent_s = loop.time() - started
                self.speed.saw_batch(search, sum(map(len, tokens)), spent_s)
                DECODE_SECONDS.labels(search.name.lower()).inc(spent_s)
                DECODED.labels(search.name.lower()).inc(len(batch))
                for sentence, answer in zip(batch, answers, strict=True):
                    for future in sentence.unanswered():
                        future.set_result(answer)
            except Exception as error:  # the callers of this batch get it; the worker goes on with the next
                for sentence in batch:
                    for future in sentence.unanswered():
                        future.set_exception(error)
            finally:
                self._in_hand.remove(foretold)
                for sentence in batch:
                    del self._sentences[sentence.key]
                    for future in sentence.unanswered():  # the worker is being stopped
                        future.cancel()

    def _decode(self, search: Search, batch: Sequence[list[str]]) -> Sequence[Any]:
        """Ask the engine; in a thread of its own."""
        try:
            return self._engine.decode(batch) if search is Search.PLAIN else self._engine.decode_safer(batch)
        finally:
            self._trimmer.after_batch()

    async def _wait_for_more(self) -> None:
        """Wait a moment for calls that are being read, if the batch is far from full and others work meanwhile.

        On an idle machine nobody waits: what is here is begun at once.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + WAIT_S
        while self._in_hand and self.calls_unread and self._waiting_cost < self._batch_tokens // 2:
            left_s = until - loop.time()
            if left_s <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left_s):  # wait_for can swallow a cancellation before Python 3.12
                    await self._changed.wait()
            except TimeoutError:
                return

    def _take_batch(self) -> list[_Sentence]:
        """Take who is next and those like it, and leave to idle workers their part."""
        turns: dict[_Sentence, _Claim] = {}
        for claim in islice(self._share.in_turn(), POOL):
            turns.setdefault(claim.sentence, claim)
        first = next(iter(turns))
        alike = [sentence for sentence in turns if sentence.search is first.search]
        idle = len(self._workers) - len(self._in_hand)
        most = batch_budget(self._waiting_cost, self._batch_tokens, workers=len(self._workers))
        budget = min(most, -(-self._waiting_cost // idle)) / first.search.value
        lengths = [len(sentence.tokens) for sentence in alike]
        batch = [alike[index] for index in choose_batch(lengths, budget, self._engine.batch_cost)]
        for sentence in batch:
            turn = turns[sentence]
            self._share.serve(turn.work.lane, turn.work.caller, turn)
            self._take_out(sentence)
        return batch

    def _take_out(self, sentence: _Sentence) -> None:
        """Let a sentence wait no longer."""
        for claim in sentence.claims:
            claim.waits_no_longer()
            self._share.remove(claim.work.lane, claim.work.caller, claim)
        sentence.decoding = True
        self._count(sentence, -1)

    def _fail_all(self, error: Exception) -> None:
        """Answer all that waits with an error."""
        for sentence in [sentence for sentence in self._sentences.values() if not sentence.decoding]:
            self._take_out(sentence)
            del self._sentences[sentence.key]
            for future in sentence.unanswered():
                future.set_exception(error)
