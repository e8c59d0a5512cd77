"""A gateway that takes jobs, on a real Redis that forgets nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.embedded_redis import EmbeddedRedis
from gateway.jobs.store import JobLimits, JobStore
from gateway.settings import GatewaySettings
from tests.conftest import Stack, start_stack

LIMITS = JobLimits(caller_jobs=100, all_jobs=1000, caller_bytes=10**9, all_bytes=10**9)


@pytest.fixture(scope="session")
async def jobs_redis() -> AsyncIterator[EmbeddedRedis]:
    """The redis-server that the embedded jobs run, in memory."""
    server = await EmbeddedRedis.start_keeping(None, memory_mb=64)
    yield server
    await server.stop()


@pytest.fixture
async def jobs_url(jobs_redis: EmbeddedRedis) -> str:
    """A Redis without jobs."""
    async with Redis.from_url(jobs_redis.url) as connection:
        await connection.flushall()
    return jobs_redis.url


@pytest.fixture
async def stack(model_folder: Path, redis_url: str, jobs_url: str) -> AsyncIterator[Stack]:
    """A ready gateway that takes jobs, with an empty cache."""
    settings = GatewaySettings(jobs_redis_url=jobs_url, job_idle_s=1)
    async with AsyncExitStack() as parts:
        yield await start_stack(model_folder, redis_url, parts, job_settings=settings)


@pytest.fixture
async def store(jobs_url: str) -> AsyncIterator[JobStore]:
    """The store alone, with no worker at it."""
    store = JobStore(jobs_url, limits=LIMITS, keep_s=3600)
    yield store
    await store.close()
