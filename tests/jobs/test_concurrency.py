"""How many articles are under way: as many as the gateway takes, without being told."""

import asyncio
import time

import pytest

from khulasa.errors import (
    BadRequest,
    InternalError,
    KhulasaError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from khulasa.jobs import concurrency
from khulasa.jobs.answer import TRIES, TRIES_WHILE_AWAY, Answerer
from khulasa.jobs.concurrency import START, AdaptiveLimit, Closed
from khulasa.jobs.failures import RunStopped
from khulasa.types import Article, CacheUse, Provenance, Result, Translation, Verdict

ARTICLE = Article(text="وصل الوزير.")
NUMBERS = {"paragraphs": 1, "cached_paragraphs": 0, "sentences": 1, "flagged_sentences": 0}
TIMES = {"total_s": 0.0, "translation_s": 0.0, "summary_s": 0.0}
PROVENANCE = Provenance("m", "d", "e", "p", cache_use=CacheUse.MISS, verdict=Verdict.NO_DOUBTS, **NUMBERS, **TIMES)
RESULT = Result(Translation(None, (), None), (), PROVENANCE)


class Gateway:
    """Takes `capacity` articles at once and refuses more; each takes `seconds` times the articles under way."""

    def __init__(self, capacity: int, seconds: float = 0.001) -> None:
        self.capacity = capacity
        self.seconds = seconds
        self.under_way = self.most = self.refused = 0

    async def process(self, article: Article) -> Result:
        if self.under_way >= self.capacity:
            self.refused += 1
            raise Overloaded("full", retry_after_s=0.01)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        return RESULT


async def answer_all(answerer: Answerer, count: int) -> None:
    await asyncio.gather(*(answerer.answer(ARTICLE) for _ in range(count)))


async def test_the_limit_rises_to_what_the_gateway_takes() -> None:
    """A gateway with room is given more and more, one that refuses is given what it takes, and all are answered."""
    for capacity, reached in ((1000, 40), (12, 6)):
        gateway = Gateway(capacity, seconds=0.02)
        await answer_all(Answerer(gateway.process, AdaptiveLimit(64), 60), 2000)
        assert reached <= gateway.most <= min(capacity, 64)
        assert gateway.refused < 500


async def test_an_article_longer_than_a_days_quota_is_its_own_error() -> None:
    """No time makes it fit, so it is not waited for, and the others are not held up."""

    async def process(article: Article) -> Result:
        raise Overloaded("Split it.", reason="QUOTA_EXCEEDED")

    with pytest.raises(Overloaded, match="Split it"):
        await Answerer(process, AdaptiveLimit(4), 60).answer(ARTICLE)


async def test_one_overload_is_one_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals of calls that began before the limit was lowered tell nothing new."""
    now = [100.0]
    limit = AdaptiveLimit(64, clock=lambda: now[0])
    before = limit.now
    limit.overloaded(99.0, 1.0)
    now[0] = 101.0
    limit.overloaded(99.5, 1.0)
    assert limit.now == pytest.approx(before * 0.7)
    limit.overloaded(100.5, 1.0)
    assert limit.now == pytest.approx(before * 0.7**2)


async def test_waiting_in_the_gateway_lowers_the_limit_and_cached_answers_do_not() -> None:
    """Answers that take many times as long mean that articles wait in a queue."""
    now = [0.0]
    limit = AdaptiveLimit(64, clock=lambda: now[0])
    limit.under_way = 64
    for _ in range(200):
        now[0] += 1
        limit.answered(now[0] - 1, 1000, cached=False)
        limit.answered(now[0] - 0.001, 1000, cached=True)
    risen = limit.now
    assert risen > START
    for _ in range(60):
        now[0] += 20
        limit.answered(now[0] - 20, 1000, cached=False)
    assert limit.now < risen


async def test_a_gateway_that_is_away_is_waited_for_and_not_for_ever() -> None:
    """One that comes back answers all; one that does not stops the run after the patience."""
    away = 3

    async def process(article: Article) -> Result:
        nonlocal away
        away -= 1
        if away >= 0:
            raise Unavailable("away")
        return RESULT

    await answer_all(Answerer(process, AdaptiveLimit(64), 60), 10)
    away = 1000
    with pytest.raises(RunStopped, match="same command goes on"):
        await Answerer(process, AdaptiveLimit(64), 0).answer(ARTICLE)


@pytest.mark.parametrize("error", [Unavailable("away"), BadRequest("another model", reason="MODEL_UNEXPECTED")])
async def test_an_outage_is_no_articles_failure(monkeypatch: pytest.MonkeyPatch, error: KhulasaError) -> None:
    """However often an article is tried meanwhile; a model that the operator does not want is an outage too."""
    monkeypatch.setattr(concurrency, "AWAY_S", 0.0001)
    monkeypatch.setattr(concurrency, "LONGEST_AWAY_S", 0.0001)
    tries = 0

    async def process(article: Article) -> Result:
        nonlocal tries
        tries += 1
        if tries <= 3 * TRIES_WHILE_AWAY:
            raise error
        return RESULT

    assert await Answerer(process, AdaptiveLimit(1), 60).answer(ARTICLE) == RESULT


async def test_an_article_that_ends_the_gateway_while_others_are_answered_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the tries between which somebody was answered count."""
    monkeypatch.setattr(concurrency, "AWAY_S", 0.0001)
    monkeypatch.setattr(concurrency, "LONGEST_AWAY_S", 0.0001)
    deadly, tries = Article(text="وصل الوفد."), 0

    async def process(article: Article) -> Result:
        nonlocal tries
        if article == deadly:
            tries += 1
            raise Unavailable("away")
        return RESULT

    answerer = Answerer(process, AdaptiveLimit(2), 60)

    async def answer_others() -> None:
        while True:
            await answerer.answer(ARTICLE)
            await asyncio.sleep(0)

    others = asyncio.create_task(answer_others())
    with pytest.raises(Unavailable):
        await answerer.answer(deadly)
    others.cancel()
    assert tries >= TRIES_WHILE_AWAY


@pytest.mark.parametrize("last", ["none", "answered", "refused"])
async def test_patience_begins_with_the_first_time_of_being_put_off(last: str) -> None:
    """A pipe that says nothing for an hour is no gateway that gives no answer; nor is one that refused an article."""
    slept_s, found = 3600.0, [Unavailable("away"), BadRequest("empty")]
    if last == "none":
        found = []
    elif last == "answered":
        found.pop()

    async def process(article: Article) -> Result:
        if found:
            raise found.pop(0)
        return RESULT

    answerer = Answerer(process, AdaptiveLimit(4, clock=lambda: time.monotonic() - slept_s), 60)
    if last == "refused":
        with pytest.raises(BadRequest):
            await answerer.answer(ARTICLE)
    elif last == "answered":
        await answerer.answer(ARTICLE)
    slept_s = 0.0
    found = [Unavailable("away")]
    assert await answerer.answer(ARTICLE) == RESULT


@pytest.mark.parametrize("error", [Unauthenticated("No such token."), PermissionDenied("Not you.")])
async def test_credentials_that_are_not_taken_stop_the_run(error: KhulasaError) -> None:
    """It would be said of every article that is left, and is no failure of one."""

    async def process(article: Article) -> Result:
        raise error

    with pytest.raises(RunStopped, match="same command goes on"):
        await Answerer(process, AdaptiveLimit(4), 60).answer(ARTICLE)


async def test_a_used_up_day_is_told_and_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends for certain, so no patience is lost; the operator may allow more before."""
    monkeypatch.setattr(concurrency, "LONGEST_WAIT_S", 0.001)
    looks, told = 0, []

    async def process(article: Article) -> Result:
        nonlocal looks
        looks += 1
        if looks <= 5:
            raise Overloaded("Try again tomorrow.", reason="QUOTA_EXCEEDED", retry_after_s=40_000)
        return RESULT

    async with asyncio.timeout(60):
        assert await Answerer(process, AdaptiveLimit(4), 0, told.append).answer(ARTICLE) == RESULT
    assert "come back at" in told[0]
    assert "QUOTA_EXCEEDED" in told[0]


async def test_a_fault_of_the_server_is_tried_again_a_few_times() -> None:
    """It may be the article's own, so it does not hold up the others for ever."""
    calls = 0

    async def process(article: Article) -> Result:
        nonlocal calls
        calls += 1
        raise InternalError("a fault")

    with pytest.raises(InternalError):
        await Answerer(process, AdaptiveLimit(4), 60).answer(ARTICLE)
    assert calls == TRIES


async def test_nothing_begins_after_the_end() -> None:
    """Who waits for a place is told that there will be none."""
    limit = AdaptiveLimit(1)
    async with limit.place():
        waiting = asyncio.create_task(limit.place().__aenter__())
        await asyncio.sleep(0)
        await limit.close()
        with pytest.raises(Closed):
            await waiting
