"""Jobs as callers see them: sent, worked off, fetched; over real gRPC and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from redis.asyncio import Redis

from gateway.jobs import worker
from gateway.jobs.store import JobStore
from gateway.settings import GatewaySettings
from khulasa import (
    Article,
    AsyncClient,
    BadRequest,
    CacheUse,
    Cancelled,
    Client,
    Job,
    JobState,
    Options,
    Overloaded,
    Result,
    SummaryBudget,
    Unavailable,
)
from khulasa.errors import code_of, from_status
from khulasa.types import JobResult
from khulasa.v1 import jobs_pb2, jobs_pb2_grpc
from services.harness import caller, priority
from services.harness.clients import Clients
from services.harness.errors import Reason, Refusal
from tests.conftest import ARTICLES, Stack, start_stack
from tests.gateway.jobs.test_store import begin
from tests.gateway.test_article import check_offsets
from tests.harness.test_credentials import OTHER_TOKEN, TOKEN, write_clients

Answer = TypeVar("Answer")


def articles() -> list[tuple[str, Article]]:
    """The texts and the page of tests/articles."""
    texts = [(path.stem, Article(text=path.read_text())) for path in sorted(ARTICLES.glob("*.txt"))]
    return [*texts, ("satellite", Article(html=(ARTICLES / "satellite.html").read_text()))]


def short(count: int) -> list[tuple[str, Article]]:
    """Short articles that differ."""
    return [(f"a-{number}", Article(text=f"وصل الوزير رقم {number} إلى المدينة.")) for number in range(count)]


async def ended(client: AsyncClient, job: Job) -> Job:
    """Wait for the job's end."""
    job = await client.wait_for_job(job.name, timeout_s=30)
    assert not job.running
    return job


async def results(client: AsyncClient, job: Job) -> dict[str, JobResult]:
    """Fetch all results, each article once."""
    found = [result async for result in client.job_results(job.name)]
    assert len({result.id for result in found}) == len(found)
    return {result.id: result for result in found}


async def keys(url: str) -> list[str]:
    """Name what lies in the jobs' Redis, but for counts of bytes that are zero."""
    async with Redis.from_url(url, decode_responses=True) as connection:
        counts = "khulasa:{jobs}:bytes"
        used = await connection.hvals(counts)  # type: ignore[misc]  # a coroutine here
        return [key for key in await connection.keys() if key != counts or set(used) != {"0"}]


async def until(ask: Callable[[], Awaitable[Answer]], fits: Callable[[Answer], bool]) -> None:
    """Wait until an answer fits, ten seconds at most."""
    for _ in range(1000):
        if fits(await ask()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


async def test_a_job_gives_what_single_calls_give(client: AsyncClient) -> None:
    """Every article of a job has the translation and summary that ProcessArticle gives for it, and its place."""
    job = await client.create_job(articles(), Options(SummaryBudget(sentences=2)), display_name="six articles")
    assert (job.articles, job.display_name) == (6, "six articles")
    job = await ended(client, job)
    assert (job.state, job.done, job.failed, job.duplicates) == (JobState.ENDED, 6, 0, 0)
    assert job.created
    assert job.ended
    assert job.expires
    assert job.created <= job.ended < job.expires
    found = await results(client, job)
    flagged = 0
    for index, (name, article) in enumerate(articles()):
        single, of_job = await client.process(article, Options(SummaryBudget(sentences=2))), found[name]
        assert isinstance(of_job.answer, Result)
        assert of_job.index == index
        assert (of_job.answer.translation, of_job.answer.summary) == (single.translation, single.summary)
        flagged += single.provenance.flagged_sentences
    assert job.flagged_sentences == flagged


async def test_articles_set_otherwise_are_translated_once(client: AsyncClient, stack: Stack, flood: str) -> None:
    """Copies with other white space, tatweel, vowel signs and invisible marks have the translation, and own offsets."""
    copies = {
        "spaced": flood.replace(" ", " \u00a0 ").replace("\n", " \n\n\t "),
        "vowels": flood.replace("المدني", "المَدَنِيّ").replace("الفيضانات", "الفيضـــانات"),
        "marked": "\ufeff\u200f" + flood.replace(" من ", " \u200fمن\u200e "),
        "same": flood,
    }
    stack.engine.released.clear()
    job = await client.create_job([("first", Article(text=flood)), *((n, Article(text=t)) for n, t in copies.items())])
    stack.engine.released.set()
    job = await ended(client, job)
    assert (job.done, job.duplicates) == (5, 4)
    found = await results(client, job)
    first = found.pop("first")
    assert isinstance(first.answer, Result)
    assert first.duplicate_of == ""
    assert stack.engine.sentences == first.answer.provenance.sentences
    for name, result in found.items():
        assert isinstance(result.answer, Result)
        assert result.duplicate_of == "first"
        check_offsets(copies[name], result.answer)
        assert [p.translation for p in result.answer.translation.paragraphs] == [
            p.translation for p in first.answer.translation.paragraphs
        ]
        assert [chosen.text for chosen in result.answer.summary] == [chosen.text for chosen in first.answer.summary]
        for chosen in result.answer.summary:
            assert chosen.source == copies[name][chosen.span.start : chosen.span.end]
        assert result.answer.provenance.cache_use == CacheUse.HIT


async def test_titles_count_for_what_is_the_same(client: AsyncClient) -> None:
    """A headline of its own makes an article of its own; one set otherwise has offsets into its own headline."""
    text = "وصل الوزير صباحا إلى المدينة."
    titles = {"a": "زيارة الوزير", "b": "زيـارة  الوزير", "c": "غياب الوزير"}
    job = await client.create_job((name, Article(text=text, title=title)) for name, title in titles.items())
    assert (await ended(client, job)).duplicates == 1
    found = await results(client, job)
    assert found["b"].duplicate_of == "a"
    for name, title in titles.items():
        answer = found[name].answer
        assert isinstance(answer, Result)
        assert answer.translation.title
        [sentence] = answer.translation.title.sentences
        assert sentence.source == title[sentence.span.start : sentence.span.end] == title


async def test_a_bad_article_is_its_own_result(client: AsyncClient) -> None:
    """Empty, too long, or a page without an article: each has its error, and the others are done."""
    bad = {
        "empty": (Article(text=" "), "ARTICLE_EMPTY"),
        "long": (Article(text="نص " * 400_000), "ARTICLE_TOO_LONG"),
        "page": (Article(html="<html><body></body></html>"), "NO_ARTICLE_IN_HTML"),
    }
    job = await client.create_job([*((name, article) for name, (article, _) in bad.items()), *short(3)])
    job = await ended(client, job)
    assert (job.state, job.done, job.failed) == (JobState.ENDED, 3, 3)
    found = await results(client, job)
    for name, (_, reason) in bad.items():
        answer = found[name].answer
        assert isinstance(answer, BadRequest)
        assert answer.reason == reason
    only_bad = await client.create_job([("empty", Article(text=" "))])
    assert (only_bad.state, only_bad.failed) == (JobState.ENDED, 1)


async def test_duplicates_of_a_page_that_fails_fail_too(client: AsyncClient) -> None:
    """Nothing is saved where nothing was translated: each copy has its own error."""
    page = Article(html="<html><body></body></html>")
    job = await ended(client, await client.create_job((f"p-{number}", page) for number in range(3)))
    assert (job.failed, job.duplicates) == (3, 0)
    assert {type(result.answer) for result in (await results(client, job)).values()} == {BadRequest}


async def test_a_request_makes_one_job(client: AsyncClient, jobs_url: str) -> None:
    """Sent again, the job that there is comes back; with another article or option it is refused; nothing is left."""
    first = await client.create_job(short(3), request_id="monday")
    again = await client.create_job(short(3), request_id="monday", display_name="other words for people")
    assert again.name == first.name
    for other in ((short(2), None), (short(3), Options(summary_first=True)), (list(reversed(short(3))), None)):
        with pytest.raises(BadRequest) as caught:
            await client.create_job(other[0], other[1], request_id="monday")
        assert caught.value.reason == "REQUEST_ID_TAKEN"
        assert caught.value.metadata["job"] == first.name
    assert (await client.create_job(short(3), request_id="tuesday")).name != first.name
    jobs = {job.name async for job in client.jobs()}
    for name in jobs:
        await client.wait_for_job(name)
        await client.delete_job(name)
    assert await keys(jobs_url) == []
    assert (await client.create_job(short(2), request_id="monday")).name not in jobs


async def test_equal_requests_at_once_make_one_job(client: AsyncClient) -> None:
    """Of callers that race with one request_id all get the same job."""
    made = await asyncio.gather(*(client.create_job(short(20), request_id="race") for _ in range(5)))
    assert len({job.name for job in made}) == 1
    assert len([job async for job in client.jobs()]) == 1


async def test_a_call_that_breaks_off_leaves_nothing(client: AsyncClient, jobs_url: str) -> None:
    """Whether the client went away or an id came twice, no article stays behind and no bytes are counted."""

    async def endless() -> AsyncIterator[tuple[str, Article]]:
        for item in short(500):
            yield item
        await asyncio.sleep(60)

    call = asyncio.create_task(client.create_job(endless()))
    await until(lambda: keys(jobs_url), lambda found: any(key.endswith(":articles") for key in found))
    call.cancel()
    with pytest.raises(BadRequest) as caught:
        await client.create_job([*short(300), *short(1)])
    assert caught.value.reason == "REPEATED_ID"
    await until(lambda: keys(jobs_url), lambda found: not found)
    assert [job async for job in client.jobs()] == []


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "JOB_HEADER_MISSING"),
        ([jobs_pb2.CreateJobRequest(article=jobs_pb2.JobArticle(id="a"))], "JOB_HEADER_MISSING"),
        ([jobs_pb2.CreateJobRequest(header=jobs_pb2.JobHeader())], "ID_MISSING"),
        ([jobs_pb2.CreateJobRequest(header=jobs_pb2.JobHeader(request_id="x" * 201))], "ID_TOO_LONG"),
        (
            [jobs_pb2.CreateJobRequest(header=jobs_pb2.JobHeader(request_id="x", display_name="x" * 201))],
            "NAME_TOO_LONG",
        ),
        ([jobs_pb2.CreateJobRequest(header=jobs_pb2.JobHeader(request_id="x"))], "JOB_EMPTY"),
        ([jobs_pb2.CreateJobRequest(header=jobs_pb2.JobHeader(request_id="x"))] * 2, "JOB_HEADER_REPEATED"),
    ],
)
async def test_a_stream_that_is_no_job_is_refused(
    stack: Stack, jobs_url: str, requests: list[jobs_pb2.CreateJobRequest], reason: str
) -> None:
    """The refusal names what is wrong, and nothing is kept."""
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await jobs_pb2_grpc.JobsStub(channel).CreateJob(iter(requests))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"{reason}".encode() in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    assert await keys(jobs_url) == []


async def test_a_caller_sees_only_its_own_jobs(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's job is not found by any method, is in no list, and its request_id is free."""
    who = "anna"
    monkeypatch.setattr(caller, "name", lambda: who)
    hers = await client.create_job(short(2), request_id="r")
    await ended(client, hers)
    who = "bert"
    for call in (
        client.job(hers.name),
        client.wait_for_job(hers.name),
        client.cancel_job(hers.name),
        client.delete_job(hers.name),
        anext(client.job_results(hers.name)),
    ):
        with pytest.raises(BadRequest) as caught:
            await call
        assert caught.value.reason == "JOB_NOT_FOUND"
    assert [job async for job in client.jobs()] == []
    his = await client.create_job(short(3), request_id="r")
    assert his.name != hers.name
    who = "anna"
    assert [job.name async for job in client.jobs()] == [hers.name]


async def test_an_article_runs_as_its_caller_and_as_a_job(
    client: AsyncClient, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shares out between callers and by urgency sees whose article it is, and that nobody waits for it."""
    assert stack.pipeline
    seen: list[tuple[str, str]] = []
    translate, own_name = stack.pipeline.downstream.translate, caller.name

    async def watched(*arguments: object) -> object:
        seen.append((own_name(), priority.name()))
        return await translate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stack.pipeline.downstream, "translate", watched)
    monkeypatch.setattr(caller, "name", lambda: "anna")
    await ended(client, await client.create_job(short(2)))
    assert seen == [("anna", "job")] * 2
    await client.process(Article(text="خبر عاجل من المدينة."))
    assert seen[2:] == [("", "interactive")]


async def test_results_come_in_pages(client: AsyncClient, stack: Stack) -> None:
    """Pages follow each other without gap and overlap, in an order that stays; foreign tokens and sizes are refused."""
    job = await ended(client, await client.create_job(short(7)))
    other = await client.create_job(short(1))
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        stub = jobs_pb2_grpc.JobsStub(channel)
        orders = []
        for size in (3, 7, 1000):
            token, order = "", []
            while True:
                page = await stub.ListJobResults(
                    jobs_pb2.ListJobResultsRequest(job=job.name, page_size=size, page_token=token)
                )
                assert len(page.results) <= size
                order += [result.id for result in page.results]
                token = page.next_page_token
                if not token:
                    break
            orders.append(order)
        assert orders[0] == orders[1] == orders[2]
        assert sorted(orders[0]) == sorted(name for name, _ in short(7))
        page = await stub.ListJobResults(jobs_pb2.ListJobResultsRequest(job=job.name, page_size=3))
        for bad in (
            {"job": job.name, "page_size": -1},
            {"job": job.name, "page_size": 1001},
            {"job": job.name, "page_token": "nonsense"},
            {"job": job.name, "page_token": "é"},
            {"job": other.name, "page_token": page.next_page_token},
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListJobResults(jobs_pb2.ListJobResultsRequest(**bad))  # type: ignore[arg-type]
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListJobResults(jobs_pb2.ListJobResultsRequest(job="operations/../x"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_results_can_be_followed(client: AsyncClient, stack: Stack) -> None:
    """Results are there while the job runs, and following it yields every one and ends with it."""
    stack.engine.released.clear()
    job = await client.create_job([("bad", Article(text=" ")), *short(5)])
    assert [result.id async for result in client.job_results(job.name)] == ["bad"]
    found = []
    async for result in client.job_results(job.name, follow=True):
        found.append(result.id)
        stack.engine.released.set()
    assert sorted(found) == sorted(["bad", *(name for name, _ in short(5))])


async def test_a_cancelled_job_stops_and_keeps_its_results(client: AsyncClient, stack: Stack, jobs_url: str) -> None:
    """No article is begun after it, the operation says why it ended, what was done can be fetched, then removed."""
    stack.engine.released.clear()
    job = await client.create_job([("bad", Article(text=" ")), *short(40)])
    with pytest.raises(BadRequest) as caught:
        await client.delete_job(job.name)
    assert caught.value.reason == "JOB_RUNNING"
    await client.cancel_job(job.name)
    stack.engine.released.set()
    cancelled = await client.wait_for_job(job.name, timeout_s=5)
    assert (cancelled.state, cancelled.done, cancelled.failed) == (JobState.CANCELLED, 0, 1)
    await asyncio.sleep(0.3)
    decoded = stack.engine.sentences
    assert decoded < 40
    await asyncio.sleep(0.7)
    assert stack.engine.sentences == decoded
    assert [result.id async for result in client.job_results(job.name)] == ["bad"]
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        request = operations_pb2.GetOperationRequest(name=job.name)
        operation = await operations_pb2_grpc.OperationsStub(channel).GetOperation(request)
    assert operation.done
    assert operation.error.code == grpc.StatusCode.CANCELLED.value[0]
    await client.cancel_job(job.name)  # no effect
    await client.delete_job(job.name)
    with pytest.raises(BadRequest):
        await client.job(job.name)
    assert await keys(jobs_url) == []


async def test_an_operation_says_what_became_of_the_job(client: AsyncClient, stack: Stack) -> None:
    """While it runs it is not done; then its response has the counts."""
    stack.engine.released.clear()
    job = await client.create_job([("bad", Article(text=" ")), *short(2)])
    assert (await client.wait_for_job(job.name, timeout_s=0.1)).running
    stack.engine.released.set()
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        operations = operations_pb2_grpc.OperationsStub(channel)
        operation = await operations.WaitOperation(operations_pb2.WaitOperationRequest(name=job.name), timeout=20)
        outcome = jobs_pb2.JobOutcome()
        assert operation.done
        assert operation.response.Unpack(outcome)
        assert (outcome.done_articles, outcome.failed_articles) == (2, 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await operations.ListOperations(operations_pb2.ListOperationsRequest(filter="done=true"))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_jobs_are_listed_newest_first(client: AsyncClient, stack: Stack) -> None:
    """In pages too, each once."""
    names = [(await client.create_job(short(1), display_name=str(number))).name for number in range(5)]
    assert [job.name async for job in client.jobs()] == sorted(names, reverse=True)
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        operations, token, found = operations_pb2_grpc.OperationsStub(channel), "", []
        while True:
            request = operations_pb2.ListOperationsRequest(name="operations", page_size=2, page_token=token)
            page = await operations.ListOperations(request)
            found += [operation.name for operation in page.operations]
            token = page.next_page_token
            if not token:
                break
    assert found == sorted(names, reverse=True)


async def test_what_passes_by_itself_is_waited_for(
    client: AsyncClient, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A translator that is overloaded, missing or not yet upgraded delays a job and fails no article, however often."""
    assert stack.pipeline
    monkeypatch.setattr(worker, "LONGEST_WAIT_S", 0.02)
    translate = stack.pipeline.downstream.translate
    refused = 0

    async def often_refused(*arguments: object) -> object:
        nonlocal refused
        refused += 1
        if refused <= 30:
            reason = (Reason.OVERLOADED, Reason.TRANSLATOR_UNAVAILABLE, Reason.MODEL_UNEXPECTED)[refused % 3]
            raise Refusal(reason, "Come back later.", retry_after_s=0.01)
        return await translate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stack.pipeline.downstream, "translate", often_refused)
    job = await ended(client, await client.create_job(short(6)))
    assert (job.done, job.failed) == (6, 0)
    assert refused >= 36


async def test_what_fails_is_tried_a_few_times(
    client: AsyncClient, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is an article's result after five tries, and the job ends."""
    assert stack.pipeline
    monkeypatch.setattr(worker, "LONGEST_WAIT_S", 0.01)
    tries = 0

    async def broken(*_: object) -> object:
        nonlocal tries
        tries += 1
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(stack.pipeline.downstream, "translate", broken)
    job = await ended(client, await client.create_job(short(1)))
    assert (job.done, job.failed, tries) == (0, 1, worker.MAX_TIMES)
    [result] = (await results(client, job)).values()
    assert not isinstance(result.answer, Result)
    assert result.answer.reason == "INTERNAL"


async def test_an_article_that_gateways_die_of_is_given_up(
    model_folder: Path, redis_url: str, jobs_url: str, store: JobStore
) -> None:
    """Taken more than five times by workers that fell silent, it is an error, and the job's other article is done."""
    job = await begin(store, 2, request_id="deadly")
    deadly = await store.take(job, "first")
    assert deadly
    for number in range(worker.MAX_TIMES):
        [claimed] = await store.claim(job, f"next {number}", idle_s=0, count=1)
    assert claimed.times == worker.MAX_TIMES + 1
    async with AsyncExitStack() as parts:
        settings = GatewaySettings(jobs_redis_url=jobs_url, job_idle_s=0.1)
        stack = await start_stack(model_folder, redis_url, parts, job_settings=settings)
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=30))
        ended_job = await client.wait_for_job(f"operations/{job}", timeout_s=20)
        assert (ended_job.done, ended_job.failed) == (1, 1)
        found = await results(client, ended_job)
    given_up = found[f"a-{deadly.index}"].answer
    assert not isinstance(given_up, Result)
    assert given_up.reason == "ARTICLE_GIVEN_UP"


async def test_a_copy_with_a_mark_between_sentences_is_done_by_itself(client: AsyncClient) -> None:
    """Where the copy's offsets cannot be told for certain, it is translated and not marked."""
    texts = {"a": "وصل الوزير صباحا.\nوغادر مساء.", "b": "وصل الوزير صباحا.\n\u200f\nوغادر مساء."}
    job = await ended(client, await client.create_job((name, Article(text=text)) for name, text in texts.items()))
    assert (job.done, job.duplicates) == (2, 0)
    for name, result in (await results(client, job)).items():
        assert isinstance(result.answer, Result)
        assert result.duplicate_of == ""
        check_offsets(texts[name], result.answer)


async def test_reflection_names_the_services_of_jobs(stack: Stack) -> None:
    """Tools that ask a gateway for its services find both."""
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    names = {service.name for service in answer.list_services_response.service}
    assert {"khulasa.v1.Gateway", "khulasa.v1.Jobs", "google.longrunning.Operations"} <= names


async def test_as_many_jobs_and_bytes_as_the_settings_allow(model_folder: Path, redis_url: str, jobs_url: str) -> None:
    """The next one is refused with the limit, sending a job again is not, and a deleted job makes room."""
    settings = GatewaySettings(jobs_redis_url=jobs_url, caller_jobs=2, caller_jobs_mb=1)
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, job_settings=settings)
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=30))
        first = await client.create_job(short(300), request_id="first")  # 300 articles count for 600 KB and their text
        with pytest.raises(Overloaded) as caught:
            await client.create_job(short(300))
        assert (caught.value.reason, caught.value.metadata["unit"]) == ("JOBS_FULL", "bytes")
        assert (await client.create_job(short(300), request_id="first")).name == first.name
        await client.create_job(short(1))
        with pytest.raises(Overloaded) as caught:
            await client.create_job(short(1))
        assert (caught.value.metadata["unit"], caught.value.metadata["limit"]) == ("jobs", "2")
        await ended(client, first)
        await client.delete_job(first.name)
        await client.create_job(short(300))


async def test_callers_take_turns(
    model_folder: Path, redis_url: str, jobs_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller with two articles does not wait for the twenty of another who came first, in however many jobs."""
    who = "anna"
    settings = GatewaySettings(jobs_redis_url=jobs_url, job_articles_at_once=1)
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, job_settings=settings)
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=30))
        assert stack.pipeline
        order: list[str] = []
        translate, own_name = stack.pipeline.downstream.translate, caller.name

        async def watched(*arguments: object) -> object:
            order.append(own_name())
            return await translate(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(stack.pipeline.downstream, "translate", watched)
        monkeypatch.setattr(caller, "name", lambda: who)
        stack.engine.released.clear()
        jobs = [
            await client.create_job((f"a-{n}", Article(text=f"وصل الوزير رقم {job} {n}.")) for n in range(10))
            for job in range(2)
        ]
        who = "bert"
        brief = await client.create_job((f"b-{n}", Article(text=f"خبر رقم {n} من القرية.")) for n in range(2))
        stack.engine.released.set()
        assert (await ended(client, brief)).done == 2
        who = "anna"
        assert [(await ended(client, job)).done for job in jobs] == [10, 10]
    assert len(order) == 22
    assert max(place for place, name in enumerate(order) if name == "bert") <= 5


async def test_a_caller_at_its_limit_holds_nobody_up(
    model_folder: Path, redis_url: str, jobs_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose caller has used up the day leaves its place to others, and goes on when the caller may have more."""
    monkeypatch.setattr(worker, "LONGEST_WAIT_S", 0.1)
    path = write_clients(tmp_path / "clients.toml", archive=OTHER_TOKEN, newsroom=TOKEN)
    path.write_text(path.read_text() + "\ncharacters_per_day = 40\n")
    settings = GatewaySettings(jobs_redis_url=jobs_url, job_articles_at_once=2)
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, clients=Clients(path), job_settings=settings)
        newsroom, archive = [
            await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], token=token, timeout_s=30))
            for token in (TOKEN, OTHER_TOKEN)
        ]
        over = await newsroom.create_job(short(6))
        await until(lambda: newsroom.job(over.name), lambda job: job.done == 1)
        assert (await ended(archive, await archive.create_job(short(6)))).done == 6
        assert (await newsroom.job(over.name)).running
        path.write_text(path.read_text().replace("= 40", "= 40_000"))
        over = await ended(newsroom, over)
        assert (over.done, over.failed) == (6, 0)


async def test_without_their_redis_jobs_are_unavailable_and_articles_are_not(
    model_folder: Path, redis_url: str, flood: str
) -> None:
    """Job calls say that and why; a single article is translated."""
    settings = GatewaySettings(jobs_redis_url="redis://127.0.0.1:1/0")
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, job_settings=settings)
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=1.5))
        for call in (client.create_job(short(1)), client.job("operations/" + "0" * 32), anext(client.jobs())):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.reason == "JOBS_UNAVAILABLE"
        check_offsets(flood, await client.process(Article(text=flood)))


async def test_a_redis_that_evicts_is_refused(model_folder: Path, redis_url: str) -> None:
    """The gateway does not start with the cache's Redis as that of the jobs."""
    async with AsyncExitStack() as parts:
        with pytest.raises(SystemExit):
            await start_stack(model_folder, redis_url, parts, job_settings=GatewaySettings(jobs_redis_url=redis_url))


async def test_the_client_without_await_has_jobs_too(stack: Stack) -> None:
    """Sent, waited for, fetched, cancelled, listed, deleted."""

    def use() -> None:
        with Client(stack.addresses["gateway"], timeout_s=30) as client:
            job = client.create_job(short(3))
            assert client.wait_for_job(job.name, timeout_s=30).done == 3
            assert {result.id for result in client.job_results(job.name)} == {"a-0", "a-1", "a-2"}
            assert [listed.name for listed in client.jobs()] == [job.name]
            client.cancel_job(job.name)
            assert client.job(job.name).state == JobState.ENDED
            client.delete_job(job.name)
            assert list(client.jobs()) == []

    await asyncio.to_thread(use)


def test_a_cancelled_job_is_an_error_of_its_own() -> None:
    """The status of a cancelled operation becomes `Cancelled`."""
    refusal = Refusal(Reason.JOB_CANCELLED, "The job was cancelled.")
    assert isinstance(from_status(refusal.to_status()), Cancelled)
    assert code_of(from_status(refusal.to_status())) == "CANCELLED"


async def test_options_are_checked_at_once(client: AsyncClient, jobs_url: str) -> None:
    """A budget out of range or an unknown glossary ends the call before an article is taken."""
    for options, reason in (
        (Options(SummaryBudget(sentences=0)), "BUDGET_OUT_OF_RANGE"),
        (Options(glossary="absent"), "UNKNOWN_GLOSSARY"),
    ):
        with pytest.raises(BadRequest) as caught:
            await client.create_job(short(1), options)
        assert caught.value.reason == reason
    assert await keys(jobs_url) == []
