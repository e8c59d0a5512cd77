"""The sentences of all callers in one queue, decoded in batches of like length and bounded cost.

CTranslate2 is fast when it is given many sentences at once; callers come with a few each. Workers take from the
queue what is oldest and whatever is of like length, up to `batch_tokens`, so that little is padded.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Gauge, Histogram

from services.harness.errors import Reason, Refusal
from services.translator.engine import Decoded, Engine

QUEUED = Gauge("khulasa_queue_sentences", "Sentences waiting to be decoded.")
BATCH_SENTENCES = Histogram(
    "khulasa_batch_sentences", "Sentences decoded together.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
RETRY_AFTER_S = 2.0


Call = Callable[[Sequence[list[str]]], list[Any]]


@dataclass(slots=True)
class _Waiting:
    tokens: list[str]
    call: Call
    """What the engine is asked to do with it; a batch is of one kind."""
    answer: asyncio.Future[Any] = field(repr=False)


class TranslationQueue:
    """Shares one engine among all calls of the process.

    `capacity` bounds the sentences that wait. A call that alone has more than its `window` feeds them in as the earlier
    ones are answered, so a long article neither fills the queue nor is refused for its length.
    """

    def __init__(self, engine: Engine, *, workers: int, batch_tokens: int, capacity: int, window: int) -> None:
        self._engine = engine
        self._batch_tokens = batch_tokens
        self._capacity = capacity
        self._window = window
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Condition()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def decode(self, sentences: Sequence[list[str]]) -> list[Decoded]:
        """Return one answer for each sentence, in order.

        Raises Refusal (OVERLOADED) if the queue is full. If the caller is cancelled, what has not begun is dropped.
        """
        return await self._answers(sentences, self._engine.decode)

    async def decode_safer(self, sentences: Sequence[list[str]]) -> list[list[Decoded]]:
        """Return several answers for each sentence, as `decode` does."""
        return await self._answers(sentences, self._engine.decode_safer)

    async def _answers(self, sentences: Sequence[list[str]], call: Call) -> list[Any]:
        if len(self._waiting) + min(len(sentences), self._window) > self._capacity:
            raise Refusal(
                Reason.OVERLOADED,
                f"The translator's queue is full ({len(self._waiting)} of {self._capacity} sentences). "
                f"Try again in {RETRY_AFTER_S:g} s.",
                retry_after_s=RETRY_AFTER_S,
                queued=len(self._waiting),
                limit=self._capacity,
            )
        places = asyncio.Semaphore(self._window)
        entries: list[_Waiting] = []
        try:
            for tokens in sentences:
                await places.acquire()
                entry = _Waiting(tokens, call, asyncio.get_running_loop().create_future())
                entry.answer.add_done_callback(lambda _: places.release())
                entries.append(entry)
                await self._enter(entry)
            return list(await asyncio.gather(*(entry.answer for entry in entries)))
        finally:
            for entry in entries:
                entry.answer.cancel()

    async def close(self) -> None:
        """Stop the workers; whoever still waits is cancelled."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for entry in self._waiting:
            entry.answer.cancel()
        self._threads.shutdown(wait=True)

    async def _enter(self, entry: _Waiting) -> None:
        async with self._arrived:
            self._waiting.append(entry)
            QUEUED.set(len(self._waiting))
            self._arrived.notify()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._take_batch()
            BATCH_SENTENCES.observe(len(batch))
            try:
                answers = await loop.run_in_executor(self._threads, batch[0].call, [e.tokens for e in batch])
            except Exception as error:  # the callers of this batch get it; the worker goes on with the next
                for entry in batch:
                    if not entry.answer.done():
                        entry.answer.set_exception(error)
                continue
            for entry, answer in zip(batch, answers, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(answer)

    async def _take_batch(self) -> list[_Waiting]:
        async with self._arrived:
            while True:
                self._waiting = [entry for entry in self._waiting if not entry.answer.done()]
                if self._waiting:
                    break
                QUEUED.set(0)
                await self._arrived.wait()
        alike = [entry for entry in self._waiting if entry.call == self._waiting[0].call]
        taken = [alike[index] for index in choose_batch([len(entry.tokens) for entry in alike], self._batch_tokens)]
        chosen = set(map(id, taken))
        self._waiting = [entry for entry in self._waiting if id(entry) not in chosen]
        QUEUED.set(len(self._waiting))
        return taken


def choose_batch(lengths: Sequence[int], batch_tokens: int) -> list[int]:
    """Return the indices of a batch: the oldest sentence and those nearest to it in length.

    A batch costs its longest sentence times its size, since the others are padded to it; that product stays within
    `batch_tokens`. A single sentence is a batch whatever its length.
    """
    oldest = lengths[0]
    by_likeness = sorted(range(1, len(lengths)), key=lambda index: (abs(lengths[index] - oldest), index))
    batch, longest = [0], oldest
    for index in by_likeness:
        longest = max(longest, lengths[index])
        if longest * (len(batch) + 1) > batch_tokens:
            break
        batch.append(index)
    return batch
