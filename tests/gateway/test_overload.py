"""What the translator has to know of a caller reaches it, and its refusal reaches the caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from gateway.cache_key import ModelIdentity
from gateway.downstream import Downstream
from gateway.pipeline import HEAD_START_S
from khulasa import Article, AsyncClient, DeadlineExceeded, Overloaded, Priority
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness import caller, deadline, priority
from services.harness.errors import Reason, Refusal
from services.translator.admission import GRACE_S
from services.translator.engine import Search
from tests.conftest import Overheard, Stack


@pytest.fixture
async def downstream(stack: Stack) -> AsyncIterator[Downstream]:
    """The gateway's own connections to the services."""
    connections = Downstream(translator=stack.addresses["translator"], summarizer=stack.addresses["summarizer"])
    yield connections
    await connections.close()


def numbered(flood: str, articles: int) -> list[str]:
    """Return different articles of many paragraphs."""
    return ["\n".join(f"{line} رقم {n}." for line in flood.splitlines() if line) for n in range(articles)]


async def test_caller_and_priority_reach_the_translator(
    downstream: Downstream, overheard: Overheard, flood: str
) -> None:
    """A job's article is decoded as a job's, for whoever the job belongs to."""

    async def translate() -> None:
        caller.start("صحيفة النهار")
        priority.start(priority.JOB)
        deadline.start(10)
        model: ModelIdentity = await downstream.model()
        await downstream.translate([flood], model)

    await asyncio.create_task(translate())
    assert (overheard.callers, overheard.priorities) == (["صحيفة النهار"], [priority.JOB])


async def test_a_caller_may_put_its_articles_behind_those_of_others(
    stack: Stack, overheard: Overheard, flood: str
) -> None:
    """One by one, as a stream, and many over one call; another priority than the two there are is refused."""
    texts = numbered(flood, 3)
    async with AsyncClient(stack.addresses["gateway"], priority=Priority.JOB) as client:
        await client.process(Article(text=texts[0]))
        assert [event async for event in client.stream(Article(text=texts[1]))]
        assert [answer async for answer in client.process_many([("a", Article(text=texts[2]))])]
    assert set(overheard.priorities) == {priority.JOB}
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        gateway = gateway_pb2_grpc.GatewayStub(channel)
        request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text=flood))
        with pytest.raises(grpc.aio.AioRpcError, match="it can be interactive or job") as refused:
            await gateway.ProcessArticle(request, metadata=[("khulasa-priority", "urgent")])
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_deadline_of_the_caller_reaches_the_translator(
    stack: Stack, overheard: Overheard, flood: str
) -> None:
    """Equal callers share the work, and the work has their time, not the server's own maximum of 60 s."""
    async with AsyncClient(stack.addresses["gateway"], timeout_s=7) as client:
        await client.process(Article(text=flood))
    assert overheard.times_s
    assert all(5 < time_s < 7 for time_s in overheard.times_s)


async def test_all_calls_of_an_article_are_one_work(client: AsyncClient, overheard: Overheard, flood: str) -> None:
    """Each call of an article tells the size of the whole; another article is another work."""
    long, short = "\n".join(numbered(flood, 6)), flood
    await client.process(Article(text=long))
    wholes = set(overheard.works)
    assert len(overheard.works) > 2
    assert len(wholes) == 1
    await client.process(Article(text=short))
    assert len(set(overheard.works)) == 2


async def test_all_of_an_article_waits_while_its_beginning_is_decoded(
    client: AsyncClient, stack: Stack, flood: str
) -> None:
    """The translator has all sentences to make batches of, not those of the first paragraphs alone."""
    stack.engine.released.clear()
    answering = asyncio.create_task(client.process(Article(text="\n".join(numbered(flood, 4)))))
    await asyncio.sleep(3 * HEAD_START_S)
    waiting = stack.queue.sentences
    stack.engine.released.set()
    sentences = [s for paragraph in (await answering).translation.paragraphs for s in paragraph.sentences]
    assert waiting == len({sentence.source for sentence in sentences}) > 10


async def test_a_refused_part_ends_the_article_at_once_and_what_was_done_is_kept(
    client: AsyncClient, stack: Stack, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the first part of an article whose second is refused, and the third is not translated again."""
    assert stack.pipeline
    translate = stack.pipeline.downstream.translate
    calls, third_done, for_ever = 0, asyncio.Event(), asyncio.Event()

    async def in_parts(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        match calls:
            case 1:
                await for_ever.wait()
            case 2:
                await third_done.wait()
                raise Refusal(Reason.OVERLOADED, "No.", retry_after_s=60)
        answer = await translate(*arguments)  # type: ignore[arg-type]
        third_done.set()
        return answer

    monkeypatch.setattr(stack.pipeline.downstream, "translate", in_parts)
    article = Article(text="\n".join(numbered(flood, 12)))
    with pytest.raises(Overloaded):
        await client.process(article)
    monkeypatch.setattr(stack.pipeline.downstream, "translate", translate)
    assert (await client.process(article)).provenance.cached_paragraphs > 0


async def test_who_joins_with_more_time_is_not_late_with_the_first(stack: Stack, flood: str) -> None:
    """The first caller's time runs out in the middle; the second's, who asked for the same, goes on and is answered."""
    stack.engine.released.clear()
    async with AsyncExitStack() as clients:
        hurried = await clients.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=1))
        patient = await clients.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=30))
        first = asyncio.create_task(hurried.process(Article(text=flood)))
        await asyncio.sleep(0.3)
        second = asyncio.create_task(patient.process(Article(text=flood)))
        with pytest.raises(DeadlineExceeded):
            await first
        await asyncio.sleep(0.3)
        stack.engine.released.set()
        assert (await second).translation.paragraphs


async def test_an_article_without_a_chance_is_refused_until_another_leaves(stack: Stack, flood: str) -> None:
    """Behind much work a caller with little time is told at once when to come back; when that work is given up, there
    is time."""
    stack.queue.speed.saw_batch(Search.PLAIN, 1000, 10.0)
    stack.engine.released.clear()
    large, small = ("\n".join(numbered(flood, articles)) for articles in (8, 5))
    async with AsyncExitStack() as clients:
        patient = await clients.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=59))
        hurried = await clients.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=20))
        running = asyncio.create_task(patient.process(Article(text=large)))
        await asyncio.sleep(0.5)
        with pytest.raises(Overloaded, match="Try again in") as refused:
            await hurried.process(Article(text=small))
        assert refused.value.reason == "OVERLOADED"
        assert (refused.value.retry_after_s or 0) >= 0.5
        running.cancel()
        await asyncio.sleep(2 * GRACE_S)
        stack.engine.released.set()
        assert (await hurried.process(Article(text=small))).translation.paragraphs
