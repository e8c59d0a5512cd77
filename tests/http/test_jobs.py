"""Jobs over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.embedded_redis import EmbeddedRedis
from gateway.http.server import HttpServer
from gateway.settings import GatewaySettings
from tests.conftest import start_stack
from tests.http.conftest import http_server
from tests.http.test_openapi import tried

SENTENCE = "أعلنت وزارة الصحة عن خطة جديدة."


@pytest.fixture
async def server(model_folder: Path, redis_url: str) -> AsyncIterator[HttpServer]:
    """A gateway that takes jobs, in front of it HTTP."""
    async with AsyncExitStack() as parts:
        redis = await EmbeddedRedis.start_keeping(None, memory_mb=64)
        parts.push_async_callback(redis.stop)
        settings = GatewaySettings(jobs_redis_url=redis.url, job_idle_s=1)
        stack = await start_stack(model_folder, redis_url, parts, job_settings=settings)
        server = http_server(stack, jobs=stack.jobs)
        await server.start()
        parts.push_async_callback(server.drain, 0)
        yield server


def job(request_id: str, *texts: str) -> dict[str, Any]:
    """Return a request for a job of these texts."""
    articles = [{"id": f"a{number}", "article": {"text": text}} for number, text in enumerate(texts)]
    return {"requestId": request_id, "displayName": "Sunday", "articles": articles}


async def ended(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """Return the operation when it is done."""
    async with asyncio.timeout(20):
        while True:
            operation: dict[str, Any] = (await http.get(f"/v1/jobs/{name}")).json()
            if operation["done"]:
                return operation
            await asyncio.sleep(0.1)


async def test_job_is_begun_watched_and_fetched(http: httpx.AsyncClient) -> None:
    """A job goes in as one body; every article has its result, a bad one its own error."""
    response = await http.post("/v1/jobs", json=job("r1", SENTENCE, " ", f"{SENTENCE} {SENTENCE}"))
    assert response.status_code == 201
    name = response.json()["name"].removeprefix("operations/")
    operation = await ended(http, name)
    assert operation["response"]["doneArticles"] == 2
    assert operation["response"]["failedArticles"] == 1
    results: list[dict[str, Any]] = []
    token = ""
    while True:
        page = (await http.get(f"/v1/jobs/{name}/results", params={"pageSize": 2, "pageToken": token})).json()
        results += page["results"]
        token = page["nextPageToken"]
        if not token:
            break
    by_id = {result["id"]: result for result in results}
    assert by_id["a0"]["result"]["translation"]["paragraphs"]
    assert by_id["a1"]["status"]["details"][0]["reason"] == "ARTICLE_EMPTY"
    assert (await http.get("/v1/jobs")).json()["operations"][0]["name"] == f"operations/{name}"


async def test_same_request_is_the_same_job(http: httpx.AsyncClient) -> None:
    """Sent again, a job is not done again."""
    first = (await http.post("/v1/jobs", json=job("r1", SENTENCE))).json()
    again = (await http.post("/v1/jobs", json=job("r1", SENTENCE))).json()
    assert first["name"] == again["name"]
    other = await http.post("/v1/jobs", json=job("r1", SENTENCE, SENTENCE))
    assert (other.status_code, other.json()["reason"]) == (409, "REQUEST_ID_TAKEN")


async def test_job_is_stopped_and_removed(http: httpx.AsyncClient) -> None:
    """A cancelled job can be deleted, and then is not there."""
    created = (await http.post("/v1/jobs", json=job("r1", *(f"{SENTENCE} {n}" for n in range(50))))).json()
    name = created["name"].removeprefix("operations/")
    stopped = await http.post(f"/v1/jobs/{name}:cancel")
    assert stopped.status_code == 200
    await ended(http, name)
    assert (await http.delete(f"/v1/jobs/{name}")).status_code == 204
    gone = await http.get(f"/v1/jobs/{name}")
    assert (gone.status_code, gone.json()["reason"]) == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"requestId": "r", "articles": []}, 422, "JOB_EMPTY"),
        ({"requestId": "r", "articles": 3}, 400, "UNREADABLE_REQUEST"),
        ({"requestId": "r", "articles": [{"id": "a", "artikle": {}}]}, 400, "UNKNOWN_OPTION"),
        ({"articles": [{"id": "a", "article": {"text": SENTENCE}}]}, 422, "ID_MISSING"),
    ],
)
async def test_bad_jobs_are_refused(http: httpx.AsyncClient, body: object, status: int, reason: str) -> None:
    """What gRPC refuses is refused with the same reason."""
    response = await http.post("/v1/jobs", json=body)
    assert (response.status_code, response.json()["reason"]) == (status, reason)


async def test_paths_of_jobs_do_not_become_metrics(http: httpx.AsyncClient) -> None:
    """One counter serves all jobs: their names would be a new one each."""
    await http.get(f"/v1/jobs/{'0' * 32}")
    metrics = (await http.get("/metrics")).text
    assert 'method="GET /v1/jobs/JOB"' in metrics
    assert "0" * 32 not in metrics


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/{job}", "/v1/jobs/{job}:cancel", "/v1/jobs/{job}/results"])
async def test_schemathesis_finds_no_contradiction(server: HttpServer, path: str) -> None:
    """What the document allows of jobs is answered as it says."""
    await tried(server, path, "positive")
