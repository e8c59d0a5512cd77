"""Works the jobs off, beside the gateway's own calls: articles go through the pipeline, results are kept.

Every gateway that shares the Redis of the jobs has one. An article is held by one worker at a time, which says every
few moments that it still has it; the articles of a worker that fell silent are claimed by the others.
"""

import asyncio
import contextlib
import itertools
import math
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import prometheus_client
import structlog
from redis.exceptions import RedisError

from gateway.jobs import duplicates
from gateway.jobs.store import Gone, JobStore, Settled, State, Taken, why
from gateway.pipeline import Pipeline, too_late
from khulasa.v1 import gateway_pb2, jobs_pb2
from services.harness import caller, deadline, priority
from services.harness.errors import Reason, Refusal
from services.harness.logs import log_internal_error

ARTICLES = prometheus_client.Counter(
    "khulasa_job_articles_total", "Articles of jobs that this gateway has settled, by outcome.", ["outcome"]
)

MAX_TIMES = 5
"""An article at which gateways end again and again may be what ends them."""
PASSING = {
    Reason.OVERLOADED,
    Reason.TRANSLATOR_UNAVAILABLE,
    Reason.SUMMARIZER_UNAVAILABLE,
    Reason.DRAINING,
    Reason.NOT_READY,
    Reason.MODEL_UNEXPECTED,  # while translators are upgraded after the gateways
}
"""What passes by itself: waited for, however long."""
OF_THE_CALLER = {Reason.RATE_EXCEEDED, Reason.TOO_MANY_AT_ONCE, Reason.QUOTA_EXCEEDED}
"""Limits of the job's caller. They may last until tomorrow, and other callers need the place."""
FAILING = {Reason.INTERNAL, Reason.DEADLINE_EXCEEDED}
"""What may have been bad luck: tried again, a few times."""
LONGEST_WAIT_S = 30.0
LOOK_S = 0.5
SWEEP_S = 60.0
FOLLOWERS_AT_ONCE = 50

Told = TypeVar("Told")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much a worker does at once, and how long it may be silent."""

    articles_at_once: int
    idle_s: float
    """A worker that is silent for so long is taken for dead."""


class Worker:
    """Works until it is stopped: `run` is its one task."""

    def __init__(self, store: JobStore, pipeline: Pipeline, pace: Pace) -> None:
        self._store = store
        self._pipeline = pipeline
        self._pace = pace
        self._name = uuid.uuid4().hex
        self._active: dict[str, str] = {}
        self._options: dict[str, gateway_pb2.ArticleOptions] = {}
        self._empty: set[str] = set()
        self._works: dict[tuple[str, str], _Work] = {}
        self._allowed = float(pace.articles_at_once)
        self._slowed_at = 0.0
        self._turns = itertools.count(1)
        self._turn_of: dict[str, int] = {}
        self._over: dict[str, float] = {}
        """When to try again for callers that have reached a limit of theirs."""
        self._wake = asyncio.Event()
        self._looked_at = self._claim_at = -math.inf
        self._away = False

    async def run(self) -> None:
        """Work until cancelled; then articles in the works are given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for each in (self._taking(), self._renewing(), self._sweeping()):
                    tasks.create_task(each)
        finally:
            await self._give_back()

    def wake(self) -> None:
        """Look for articles at once: a job has come."""
        self._looked_at = -math.inf
        self._wake.set()

    def drop(self, job: str) -> None:
        """Stop work on a job that was cancelled, without waiting to hear of it."""
        for work in [work for work in self._works.values() if work.taken.job == job]:
            work.task.cancel()

    async def _taking(self) -> None:
        while True:
            async with self._patient():
                await self._look()
                await self._claim()
                while self._places() and await self._take_one():
                    pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_S, self._pace.idle_s / 3)):
                    await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> None:
        """See which jobs run; not at every article's end, since there may be many jobs with nothing left to take."""
        now = asyncio.get_running_loop().time()
        if now < self._looked_at + LOOK_S:
            return
        self._active = await self._store.active()
        self._looked_at = now
        self._empty.clear()
        for job in self._options.keys() - self._active.keys():
            del self._options[job]
        live = self._active.keys() | {f"of {owner}" for owner in self._active.values()}
        self._turn_of = {name: turn for name, turn in self._turn_of.items() if name in live}

    async def _take_one(self) -> bool:
        """Take an article of the job whose turn it is; False if no job has any."""
        for job in self._by_turn():
            taken = await self._store.take(job, self._name)
            if taken:
                self._begin(taken)
                return True
            self._empty.add(job)
        return False

    def _by_turn(self) -> list[str]:
        """Return the jobs in the order of their turns: first by callers, so that nobody gains by many jobs."""
        busy = Counter(self._active.get(work.taken.job, "") for work in self._works.values())

        def turn(job: str) -> tuple[int, int, int]:
            owner = self._active[job]
            return busy[owner], self._turn_of.get(f"of {owner}", 0), self._turn_of.get(job, 0)

        now = asyncio.get_running_loop().time()
        over = {owner for owner, again_at in self._over.items() if again_at > now}
        return sorted((job for job in self._active.keys() - self._empty if self._active[job] not in over), key=turn)

    async def _claim(self) -> None:
        """Take over the articles of silent workers, when it is time to; before new ones, which may never end."""
        now = asyncio.get_running_loop().time()
        if now < self._claim_at:
            return
        self._over = {owner: again_at for owner, again_at in self._over.items() if again_at > now}
        for job, owner in list(self._active.items()):
            if owner in self._over:
                continue
            if not (places := self._places()):
                return  # there may be more of them: it stays time
            for taken in await self._store.claim(job, self._name, idle_s=self._pace.idle_s, count=places):
                self._begin(taken)
        # What was put back is had by claiming it, so as soon as its caller may have some again.
        self._claim_at = min([now + self._pace.idle_s / 3, *self._over.values()])

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(min(2.0, self._pace.idle_s / 10))
            async with self._patient():
                for job in {work.taken.job for work in self._works.values()}:
                    held = [work.taken.entry for work in self._works.values() if work.taken.job == job]
                    for entry in await self._store.renew(job, self._name, held):
                        if lost := self._works.get((job, entry)):
                            lost.task.cancel()

    async def _sweeping(self) -> None:
        while True:
            async with self._patient():
                while await self._store.sweep():
                    pass
            await asyncio.sleep(SWEEP_S * random.uniform(0.75, 1.25))  # replicas need not all do it at once

    def _places(self) -> int:
        return max(0, int(self._allowed) - len(self._works))

    def _begin(self, taken: Taken) -> None:
        if (taken.job, taken.entry) in self._works:  # our own, of which we were too busy to tell
            return
        owner = self._active.get(taken.job, caller.ANONYMOUS)
        self._turn_of[taken.job] = self._turn_of[f"of {owner}"] = next(self._turns)
        task = asyncio.create_task(self._work(taken, owner))
        self._works[taken.job, taken.entry] = _Work(taken, task)
        task.add_done_callback(lambda _: self._ended(taken, task))

    def _ended(self, taken: Taken, task: "asyncio.Task[None]") -> None:
        del self._works[taken.job, taken.entry]
        if not task.cancelled() and (error := task.exception()):  # it will be taken again, a few times
            log.error("an article of a job failed", job=taken.job, index=taken.index, exc_info=error)
        self._wake.set()

    async def _work(self, taken: Taken, owner: str) -> None:
        """Bring one article, and its duplicates, to a result. Ends only then, or when it is no longer ours."""
        caller.start(owner)
        priority.start(priority.JOB)
        with contextlib.suppress(Gone):
            article, options = await self._insist(lambda: self._read(taken))
            if article is None:  # settled before, by one who could not say so
                await self._keep(taken.job, [], entry=taken.entry)
                return
            try:
                result, answer = await self._result(taken, article, options)
            except Refusal as refusal:
                await self._put_back(taken, owner, refusal)
                return
            flagged = answer.provenance.flagged_sentences if answer else 0
            alone = await self._settle_followers(taken, article, answer)
            await self._keep(taken.job, [Settled(result, flagged)], entry=taken.entry, alone=alone)

    async def _result(
        self, taken: Taken, article: jobs_pb2.JobArticle, options: gateway_pb2.ArticleOptions
    ) -> tuple[jobs_pb2.JobResult, gateway_pb2.ProcessArticleResponse | None]:
        """Return the article's result. Raises Refusal for a limit of its caller that passes."""
        result = jobs_pb2.JobResult(id=article.id, index=taken.index)
        result.status.SetInParent()
        times, waits = taken.times, 0
        while True:
            try:
                if times > MAX_TIMES:
                    raise Refusal(
                        Reason.ARTICLE_GIVEN_UP,
                        f"Gateways ended {MAX_TIMES} times while they worked on the article. Send it by itself.",
                        times=MAX_TIMES,
                    )
                answer = await self._process(article, options)
            except Refusal as refusal:
                longer_than_a_day = refusal.reason == Reason.QUOTA_EXCEEDED and refusal.retry_after_s is None
                if refusal.reason in OF_THE_CALLER and not longer_than_a_day:
                    raise
                if refusal.reason in PASSING:
                    waits += 1
                    await asyncio.sleep(self._wait_s(refusal, waits))
                    continue
                if refusal.reason in FAILING and times < MAX_TIMES:
                    times += 1
                    waits += 1
                    await asyncio.sleep(self._wait_s(refusal, waits))
                    continue
                result.status.CopyFrom(refusal.to_status())
                return result, None
            self._allowed = min(float(self._pace.articles_at_once), self._allowed + 1 / self._allowed)
            result.result.CopyFrom(answer)
            return result, answer

    async def _put_back(self, taken: Taken, owner: str, refusal: Refusal) -> None:
        """Give back an article whose caller has reached a limit, and leave that caller's be for a while.

        Not until the day is over: the operator may allow more before.
        """
        wait_s = max(LOOK_S, min(LONGEST_WAIT_S, refusal.retry_after_s or 0.0))
        again_at = asyncio.get_running_loop().time() + wait_s * random.uniform(1.0, 1.25)
        self._over[owner] = max(again_at, self._over.get(owner, 0.0))
        self._claim_at = min(self._claim_at, again_at)
        async with self._patient():  # what cannot be given back is claimed when it has been silent for long enough
            await self._store.release(taken.job, self._name, [taken.entry])

    async def _process(
        self, article: jobs_pb2.JobArticle, options: gateway_pb2.ArticleOptions
    ) -> gateway_pb2.ProcessArticleResponse:
        """Do an article as `ProcessArticle` does. Raises Refusal."""
        limit_s = self._pipeline.max_article_s
        deadline.start(limit_s)
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._pipeline.answer(article.article, options)
                return answer.message()
        except Refusal:
            raise
        except TimeoutError:
            raise too_late(limit_s) from None
        except Exception:
            raise log_internal_error() from None

    def _wait_s(self, refusal: Refusal, waits: int) -> float:
        """Return how long to wait; an overload halves what is done at once, each article that is done adds to it."""
        now = asyncio.get_running_loop().time()
        wait_s: float = max(refusal.retry_after_s or 0.0, min(LONGEST_WAIT_S, 0.25 * 2 ** min(waits, 10)))
        if refusal.reason == Reason.OVERLOADED and now >= self._slowed_at + wait_s:
            self._slowed_at = now
            self._allowed = max(1.0, self._allowed / 2)
        return wait_s * random.uniform(0.75, 1.25)

    async def _settle_followers(
        self, taken: Taken, article: jobs_pb2.JobArticle, answer: gateway_pb2.ProcessArticleResponse | None
    ) -> list[int]:
        """Keep the results of the article's duplicates; return those that have to be done by themselves."""
        alone: list[int] = []
        followers = await self._insist(lambda: self._store.followers(taken.job, taken.index))
        if answer is None:
            return followers
        for first in range(0, len(followers), FOLLOWERS_AT_ONCE):
            indices = followers[first : first + FOLLOWERS_AT_ONCE]
            own_articles = await self._insist(partial(self._store.articles, taken.job, indices))
            settled = []
            for index, own in zip(indices, own_articles, strict=True):
                if own is None:
                    continue
                moved = duplicates.moved(answer, article.article, own.article)
                if moved is None:
                    alone.append(index)
                    continue
                result = jobs_pb2.JobResult(id=own.id, index=index, result=moved, duplicate_of=article.id)
                result.status.SetInParent()
                settled.append(Settled(result, moved.provenance.flagged_sentences))
            await self._keep(taken.job, settled)
        return alone

    async def _keep(self, job: str, settled: list[Settled], *, entry: str = "", alone: list[int] | None = None) -> None:
        """Keep results, however long the Redis is away. Raises Gone if the job does not run any more."""
        state = await self._insist(lambda: self._store.settle(job, settled, entry=entry, alone=alone or []))
        if state is None or state == State.CANCELLED:
            raise Gone
        for one in settled:
            ARTICLES.labels("failed" if one.result.status.code else "done").inc()

    async def _read(self, taken: Taken) -> tuple[jobs_pb2.JobArticle | None, gateway_pb2.ArticleOptions]:
        """Return an article, None if it was settled before, and its job's options."""
        article = await self._store.article(taken.job, taken.index)
        if taken.job not in self._options:
            self._options[taken.job] = await self._store.options(taken.job)
        return article, self._options[taken.job]

    async def _insist(self, ask: Callable[[], Awaitable[Told]]) -> Told:
        """Return what Redis says, however long it is away."""
        while True:
            async with self._patient():
                return await ask()

    @contextlib.asynccontextmanager
    async def _patient(self) -> AsyncIterator[None]:
        """Outlast a Redis that is away: what fails within is left, after a while, for the caller to do again."""
        try:
            yield
            # Before Python 3.12 wait_for, which redis-py puts around what it sends, can swallow a cancellation.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError
            if self._away:
                self._away = False
                log.info("the jobs' Redis is back")
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                self._away = True
                log.warning("jobs wait for their Redis", why=why(error))
            await asyncio.sleep(random.uniform(0.5, 1.0))

    async def _give_back(self) -> None:
        works = list(self._works.values())
        for work in works:
            work.task.cancel()
        await asyncio.gather(*(work.task for work in works), return_exceptions=True)
        for job in {work.taken.job for work in works}:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._store.release(job, self._name, [w.taken.entry for w in works if w.taken.job == job])


@dataclass(frozen=True, slots=True)
class _Work:
    taken: Taken
    task: "asyncio.Task[None]"
