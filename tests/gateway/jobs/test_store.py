"""What Redis keeps of a job, whatever ends in the middle: one result for an article, and none forgotten."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ReadOnlyError

from gateway.jobs import store as store_module
from gateway.jobs.store import Full, Gone, JobLimits, JobStore, Settled, State, Taken, why
from khulasa.v1 import article_pb2, gateway_pb2, jobs_pb2
from tests.gateway.jobs.conftest import LIMITS


def article(index: int) -> jobs_pb2.JobArticle:
    return jobs_pb2.JobArticle(id=f"a-{index}", article=article_pb2.Article(text=f"خبر رقم {index}."))


def result(index: int, words: str = "") -> Settled:
    """Return a result; `words` tells one from another of the same article."""
    answer = gateway_pb2.ProcessArticleResponse(provenance=article_pb2.Provenance(model=words))
    return Settled(jobs_pb2.JobResult(id=f"a-{index}", index=index, result=answer), flagged=2)


async def begin(store: JobStore, count: int, *, caller: str = "", request_id: str = "r", size: int = 1000) -> str:
    """Make a job of `count` articles, and return its id."""
    upload = await store.open_upload(caller)
    articles = {index: article(index) for index in range(count)}
    await store.stage(upload, size=size, articles=articles, todo=list(articles), refused=[])
    header = jobs_pb2.JobHeader(request_id=request_id)
    return await store.begin(upload, caller, header, digest="d", articles=count, refused=0, followers={})


async def take_all(store: JobStore, job: str, worker: str) -> list[Taken]:
    taken = []
    while one := await store.take(job, worker):
        taken.append(one)
    return taken


async def test_a_result_counts_once(store: JobStore) -> None:
    """The first result of an article stays, whoever brings another; the job ends when each has one."""
    job = await begin(store, 2)
    first, second = await take_all(store, job, "w")
    assert await store.settle(job, [result(0, "first")], entry=first.entry) == State.RUNNING
    assert await store.settle(job, [result(0, "late")], entry=first.entry) == State.RUNNING
    found = await store.get(job, "")
    assert (found.done, found.flagged, found.state) == (1, 2, State.RUNNING)
    assert await store.settle(job, [result(1)], entry=second.entry) == State.ENDED
    assert await store.settle(job, [result(1, "late")], entry=second.entry) == State.ENDED
    found = await store.get(job, "")
    assert (found.done, found.flagged, found.articles) == (2, 4, 2)
    kept = await store.results(job, start=0, count=10, max_bytes=10**6)
    assert [(one.id, one.result.provenance.model) for one in kept] == [("a-0", "first"), ("a-1", "")]


async def test_what_has_to_be_done_alone_is_begun_once(store: JobStore) -> None:
    """Said again after a time limit, with an outcome that nobody knows, it is not worked on twice."""
    job = await begin(store, 2)
    first, _ = await take_all(store, job, "w")
    for _ in range(2):
        await store.settle(job, [result(0)], entry=first.entry, alone=[1])
    assert [taken.index for taken in await take_all(store, job, "w")] == [1]


async def test_a_job_that_goes_leaves_the_next_page_reachable(store: JobStore, jobs_url: str) -> None:
    """A page from which one is removed while it is read is shorter, and not the last."""
    jobs = sorted([await begin(store, 1, request_id=f"{n}") for n in range(4)], reverse=True)
    async with Redis.from_url(jobs_url) as connection:
        [meta] = [key async for key in connection.scan_iter(match=f"*{jobs[1]}*meta*")]
        await connection.delete(meta)
    page, before = await store.of_caller("", count=2)
    assert [job.id for job in page] == jobs[:1]
    page, before = await store.of_caller("", count=2, before=before)
    assert [job.id for job in page] == jobs[2:]
    assert await store.of_caller("", count=2, before=before) == ([], "")


async def test_articles_are_taken_once(store: JobStore) -> None:
    """Workers that take from one job at the same time share it without an article twice."""
    job = await begin(store, 30)
    shares = await asyncio.gather(*(take_all(store, job, worker) for worker in "abc"))
    assert sorted(taken.index for share in shares for taken in share) == list(range(30))


def test_a_log_has_no_command_that_failed() -> None:
    """The library quotes the command in the error of a pipeline; where the Redis is may be told."""
    assert why(ReadOnlyError("Command # 1 (HSET khulasa:{jobs} display_name geheim) caused error")) == "ReadOnlyError"
    assert why(NoConnection("Error 111 connecting to redis:6379.")).endswith("redis:6379.")


async def test_a_silent_workers_articles_are_claimed(store: JobStore) -> None:
    """After the idle time another has them, with the number of times they were taken; the first hears of its loss."""
    job = await begin(store, 2)
    lost, kept = await take_all(store, job, "dead")
    await store.settle(job, [result(kept.index)], entry=kept.entry)
    assert await store.claim(job, "alive", idle_s=60, count=10) == []
    await asyncio.sleep(0.03)
    [claimed] = await store.claim(job, "alive", idle_s=0.02, count=10)
    assert (claimed.entry, claimed.index, claimed.times) == (lost.entry, lost.index, 2)
    assert await store.renew(job, "dead", [lost.entry]) == {lost.entry}
    assert await store.renew(job, "alive", [lost.entry]) == set()


async def test_a_worker_that_is_heard_of_keeps_its_articles(store: JobStore) -> None:
    """Renewing sets the idle time back, and does not count as taking the article once more."""
    job = await begin(store, 1)
    [taken] = await take_all(store, job, "slow")
    for _ in range(5):
        await asyncio.sleep(0.03)
        assert await store.renew(job, "slow", [taken.entry]) == set()
        assert await store.claim(job, "other", idle_s=0.05, count=10) == []
    await asyncio.sleep(0.06)
    [claimed] = await store.claim(job, "other", idle_s=0.05, count=10)
    assert claimed.times == 2


async def test_what_is_given_back_is_taken_at_once(store: JobStore) -> None:
    """A worker that stops in good order leaves no idle time to wait for, and its try does not count."""
    job = await begin(store, 1)
    [taken] = await take_all(store, job, "stopping")
    await store.release(job, "stopping", [taken.entry])
    [claimed] = await store.claim(job, "next", idle_s=3600, count=10)
    assert claimed.times == 1
    await store.release(job, "stopping", [taken.entry])  # no longer its own
    assert await store.renew(job, "next", [claimed.entry]) == set()


async def test_a_cancelled_job_takes_nothing(store: JobStore) -> None:
    """Results that come after it are dropped, workers hear that their articles are gone, and it is no longer active."""
    job = await begin(store, 3)
    taken = await store.take(job, "w")
    assert taken
    assert await store.active() == {job: ""}
    await store.cancel(job)
    assert await store.active() == {}
    assert await store.renew(job, "w", [taken.entry]) == {taken.entry}
    assert await store.settle(job, [result(taken.index)], entry=taken.entry) == State.CANCELLED
    assert await store.take(job, "w") is None
    assert await store.claim(job, "w", idle_s=0, count=10) == []
    assert (await store.get(job, "")).done == 0


async def test_what_has_had_its_time_is_removed(jobs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ended job after its retention, an upload that nobody went on with; a job that runs stays."""
    store = JobStore(jobs_url, limits=LIMITS, keep_s=0)
    running = await begin(store, 1, request_id="running")
    done = await begin(store, 1, request_id="done")
    taken = await store.take(done, "w")
    assert taken
    await store.settle(done, [result(0)], entry=taken.entry)
    monkeypatch.setattr(store_module, "UPLOAD_S", -1)
    upload = await store.open_upload("")
    await store.stage(upload, size=500, articles={0: article(0)}, todo=[0], refused=[])
    await asyncio.sleep(0.01)
    assert await store.sweep() == 2
    assert await store.sweep() == 0
    with pytest.raises(Gone):
        await store.get(done, "")
    with pytest.raises(Gone):
        await store.stage(upload, size=500, articles={1: article(1)}, todo=[1], refused=[])
    assert (await store.get(running, "")).state == State.RUNNING
    async with Redis.from_url(jobs_url, decode_responses=True) as connection:
        assert {key for key in await connection.keys() if done in key or upload in key} == set()
        assert await connection.hgetall("khulasa:{jobs}:bytes") == {"of:": "1000", "all": "1000"}  # type: ignore[misc]
    await store.close()


async def test_limits_hold_for_each_caller_and_for_all(jobs_url: str) -> None:
    """A caller that is full does not fill the others, all together are bounded too, and removing makes room."""
    limits = JobLimits(caller_jobs=2, all_jobs=3, caller_bytes=1000, all_bytes=1500)
    store = JobStore(jobs_url, limits=limits, keep_s=60)
    first = await begin(store, 1, caller="anna", request_id="1", size=600)
    with pytest.raises(Full) as caught:
        await begin(store, 1, caller="anna", request_id="2", size=600)
    assert (caught.value.whose, caught.value.unit, caught.value.limit) == ("caller", "bytes", 1000)
    await begin(store, 1, caller="bert", request_id="1", size=900)
    with pytest.raises(Full) as caught:
        await begin(store, 1, caller="carla", request_id="1", size=1)
    assert (caught.value.whose, caught.value.unit) == ("all", "bytes")
    await store.cancel(first)
    assert await store.remove(first)
    await begin(store, 1, caller="anna", request_id="3", size=200)
    await begin(store, 1, caller="anna", request_id="4", size=200)
    with pytest.raises(Full) as caught:
        await begin(store, 1, caller="anna", request_id="5", size=1)
    assert (caught.value.whose, caught.value.unit) == ("caller", "jobs")
    with pytest.raises(Full) as caught:
        await begin(store, 1, caller="carla", request_id="6", size=1)
    assert (caught.value.whose, caught.value.unit) == ("all", "jobs")
    await store.close()


async def test_a_page_ends_before_its_bytes(store: JobStore) -> None:
    """A page holds what fits, and one result at least."""
    job = await begin(store, 3)
    for taken in await take_all(store, job, "w"):
        await store.settle(job, [result(taken.index, "x" * 1000)], entry=taken.entry)
    assert len(await store.results(job, start=0, count=10, max_bytes=2500)) == 2
    assert len(await store.results(job, start=2, count=10, max_bytes=1)) == 1
    assert await store.results(job, start=3, count=10, max_bytes=1) == []


async def test_callers_and_requests_do_not_run_together(store: JobStore) -> None:
    """Caller "a" with request "bc" is not caller "ab" with request "c"."""
    first = await begin(store, 1, caller="a", request_id="bc")
    second = await begin(store, 1, caller="ab", request_id="c")
    assert first != second
    assert await store.of_request("a", "bc") == first
    with pytest.raises(Gone):
        await store.get(second, "a")
