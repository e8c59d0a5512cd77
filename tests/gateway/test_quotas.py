"""Limits of clients: counted over all gateways, given back when due, and kept by each gateway alone without Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from redis.asyncio import Redis

from gateway import quotas
from gateway.quotas import Quotas
from khulasa import Article, AsyncClient, Overloaded, Result
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness.clients import Clients, Limits
from services.harness.errors import Reason, Refusal
from tests.conftest import start_stack
from tests.harness.test_credentials import OTHER_TOKEN, TOKEN, write_clients

NOWHERE = "redis://127.0.0.1:1"


async def admit(quotas: Quotas, name: str = "newsroom", characters: int = 10) -> str:
    """Ask for one article that takes no time; return the reason of a refusal, or nothing."""
    try:
        async with quotas.admitted(name, characters):
            return ""
    except Refusal as refusal:
        return refusal.reason


@pytest.fixture(params=["redis", "away"])
async def gateways(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[list[Quotas]]:
    """The counts of two gateways, once with a Redis and once with none that answers: then twice the same gateway."""
    limits = Limits(articles_per_minute=3, articles_at_once=2, characters_per_day=100)
    url = redis_url if request.param == "redis" else NOWHERE
    first = Quotas(url, defaults=limits)
    second = Quotas(url, defaults=limits) if request.param == "redis" else first
    yield [first, second]
    await asyncio.gather(first.close(), second.close())


async def test_articles_a_minute_are_counted_over_gateways(gateways: list[Quotas]) -> None:
    """The fourth article of a minute is refused wherever it comes, with the time to wait; another client's is not."""
    first, second = gateways
    assert [await admit(first), await admit(second), await admit(first)] == ["", "", ""]
    with pytest.raises(Refusal) as raised:
        async with second.admitted("newsroom", 10):
            pass
    assert raised.value.reason == Reason.RATE_EXCEEDED
    assert 0 < (raised.value.retry_after_s or 0) <= 20  # a third of a minute
    assert await admit(second, "archive") == ""


async def test_articles_at_once_are_counted_over_gateways(gateways: list[Quotas]) -> None:
    """A third article waits until one of two is done."""
    first, second = gateways
    async with first.admitted("newsroom", 10):
        async with second.admitted("newsroom", 10):
            assert await admit(first) == Reason.TOO_MANY_AT_ONCE
            assert await admit(second, "archive") == ""
        assert await admit(second) == ""


async def test_characters_a_day_are_counted_over_gateways(gateways: list[Quotas]) -> None:
    """The article that would pass the day's characters is refused and costs nothing; a shorter one still fits."""
    first, second = gateways
    assert await admit(first, characters=90) == ""
    with pytest.raises(Refusal) as raised:
        async with second.admitted("newsroom", 11):
            pass
    refusal = raised.value
    assert (refusal.reason, refusal.metadata["used"]) == (Reason.QUOTA_EXCEEDED, "90")
    assert 0 < (refusal.retry_after_s or 0) <= 86_400
    assert await admit(second, characters=10) == ""


async def test_an_article_longer_than_a_day_is_not_told_to_come_back(gateways: list[Quotas]) -> None:
    """What will never fit has no time to retry after."""
    with pytest.raises(Refusal) as raised:
        async with gateways[0].admitted("newsroom", 101):
            pass
    assert (raised.value.reason, raised.value.retry_after_s) == (Reason.QUOTA_EXCEEDED, None)


async def test_a_failed_articles_characters_are_given_back(gateways: list[Quotas]) -> None:
    """An article that was not done does not count for the day; one whose caller left does."""
    first, second = gateways
    with pytest.raises(Refusal):
        async with first.admitted("newsroom", 100):
            raise Refusal(Reason.OVERLOADED, "The queue is full.")
    with pytest.raises(asyncio.CancelledError):
        async with second.admitted("newsroom", 100):
            raise asyncio.CancelledError
    assert await admit(first, characters=1) == Reason.QUOTA_EXCEEDED


async def test_an_article_that_was_sent_in_part_counts(gateways: list[Quotas]) -> None:
    """Who streams an article and has its time end before the last paragraph has not had the rest for nothing."""

    async def break_off() -> None:
        async with gateways[0].admitted("newsroom", 100) as place:
            place.sent = True
            raise Refusal(Reason.DEADLINE_EXCEEDED, "The translator was not done in the time that was left.")

    with pytest.raises(Refusal):
        await break_off()
    assert await admit(gateways[1], characters=1) == Reason.QUOTA_EXCEEDED


async def test_a_killed_gateways_places_come_free(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that nobody renews is free when its lease is over; one that is renewed is not."""
    monkeypatch.setattr(quotas, "LEASE_S", 2.0)
    monkeypatch.setattr(quotas, "RENEW_S", 0.1)
    killed, alive = (Quotas(redis_url, defaults=Limits(articles_at_once=1)) for _ in range(2))
    holding = await killed._redis.admit("newsroom", killed.limits("newsroom"), 10, "place")  # type: ignore[union-attr]
    assert holding.limit == ""
    assert await admit(alive) == Reason.TOO_MANY_AT_ONCE
    async with asyncio.timeout(10):
        while await admit(alive):  # noqa: ASYNC110  # Redis has no event for it
            await asyncio.sleep(0.05)
    async with alive.admitted("newsroom", 10):
        await asyncio.sleep(2.5)  # longer than a lease
        assert await admit(killed) == Reason.TOO_MANY_AT_ONCE
    await asyncio.gather(killed.close(), alive.close())


async def test_without_limits_redis_is_not_asked(redis_url: str) -> None:
    """Who has no limits costs no round trip and leaves no trace."""
    unlimited = Quotas(redis_url)
    assert await admit(unlimited) == ""
    async with Redis.from_url(redis_url) as redis:
        assert await redis.keys() == []
    await unlimited.close()


async def test_a_stream_keeps_to_its_callers_places(model_folder: Path, redis_url: str) -> None:
    """Who sends many articles over one call has as many done at once as it may, and none refused for it."""
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, defaults=Limits(articles_at_once=2))
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=20))
        articles = [(str(number), Article(text=f"وصل الوزير رقم {number} إلى المدينة.")) for number in range(6)]
        answers = [answer async for _, answer in client.process_many(articles)]
        assert [type(answer) for answer in answers] == [Result] * 6


async def test_a_purge_counts_as_an_article(model_folder: Path, redis_url: str) -> None:
    """It is work too; it has no characters, so that who has used up the day may still have something forgotten."""
    async with AsyncExitStack() as parts:
        limits = Limits(articles_per_minute=2, characters_per_day=23)
        stack = await start_stack(model_folder, redis_url, parts, defaults=limits)
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=5))
        article = Article(text="وصل الوزير إلى المدينة.")
        await client.process(article)
        assert await client.purge_article(article) > 0
        with pytest.raises(Overloaded, match="2 articles a minute"):
            await client.purge_client()


async def test_a_refusal_travels_with_its_details(model_folder: Path, redis_url: str, tmp_path: Path) -> None:
    """Over gRPC a client past its limit gets RESOURCE_EXHAUSTED with QuotaFailure and RetryInfo; others are served."""
    path = write_clients(tmp_path / "clients.toml", archive=OTHER_TOKEN, newsroom=TOKEN)
    path.write_text(path.read_text() + "\ncharacters_per_day = 30\n")
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, clients=Clients(path))
        address = stack.addresses["gateway"]
        newsroom = await parts.enter_async_context(AsyncClient(address, token=TOKEN, timeout_s=20))
        archive = await parts.enter_async_context(AsyncClient(address, token=OTHER_TOKEN, timeout_s=20))
        text = "وصل الوزير إلى المدينة."
        await newsroom.process(Article(text=text))
        with pytest.raises(Overloaded, match="newsroom may send 30 characters a day") as raised:
            await newsroom.process(Article(text=text))
        assert raised.value.reason == "QUOTA_EXCEEDED"
        await archive.process(Article(text=text))

        channel = await parts.enter_async_context(grpc.aio.insecure_channel(address))
        stub = gateway_pb2_grpc.GatewayStub(channel)
        request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text=text))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.ProcessArticle(request, metadata=[("authorization", f"Bearer {TOKEN}")])
        status = rpc_status.from_call(failed.value)  # type: ignore[arg-type]
        assert status is not None
        over, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
        assert any(detail.Unpack(over) for detail in status.details)
        assert any(detail.Unpack(retry) for detail in status.details)
        assert over.violations[0].subject == "client:newsroom"
