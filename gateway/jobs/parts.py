"""The parts of a gateway that have to do with jobs, put together: their Redis, the services, the worker."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

import grpc
import structlog
from google.longrunning import operations_pb2_grpc
from redis.exceptions import RedisError

from gateway.embedded_redis import EmbeddedRedis
from gateway.glossaries import Glossaries
from gateway.jobs.service import JobsService, OperationsService
from gateway.jobs.store import Evicts, JobLimits, JobStore, why
from gateway.jobs.worker import Pace, Worker
from gateway.pipeline import Pipeline
from gateway.settings import GatewaySettings
from khulasa.v1 import jobs_pb2_grpc

MB = 1_000_000
DAY_S = 24 * 60 * 60

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobParts:
    """Running parts. `names` are the services that `register` adds."""

    jobs: JobsService
    operations: OperationsService
    names: tuple[str, ...] = ("khulasa.v1.Jobs", "google.longrunning.Operations")

    @classmethod
    async def start(
        cls, settings: GatewaySettings, pipeline: Pipeline, glossaries: Glossaries, parts: AsyncExitStack
    ) -> Self:
        """Start what jobs need; `parts` stops it. Ends the process if a Redis was given that may drop jobs.

        A Redis that is away is no error: jobs are refused until it is back, articles are not.
        """
        url = settings.jobs_redis_url
        if not url:
            # Twice the articles: while a job runs, results come before all of its articles have gone.
            try:
                embedded = await EmbeddedRedis.start_keeping(settings.jobs_folder, memory_mb=2 * settings.jobs_mb + 64)
            except (RuntimeError, OSError) as error:
                log.error("cannot start", why=f"KHULASA_JOBS_FOLDER {settings.jobs_folder}: {error}")
                raise SystemExit(1) from None
            parts.push_async_callback(embedded.stop)
            url = embedded.url
            if settings.jobs_folder is None:
                log.info("jobs end with this gateway", keep="KHULASA_JOBS_FOLDER or KHULASA_JOBS_REDIS_URL")
        limits = JobLimits(
            caller_jobs=settings.caller_jobs,
            all_jobs=settings.jobs,
            caller_bytes=settings.caller_jobs_mb * MB,
            all_bytes=settings.jobs_mb * MB,
        )
        store = JobStore(url, limits=limits, keep_s=settings.job_days * DAY_S)
        parts.push_async_callback(store.close)
        try:
            await store.check()
        except Evicts as policy:
            log.error(
                "cannot start",
                why=f"The Redis of KHULASA_JOBS_REDIS_URL drops keys (maxmemory-policy {policy}), and with them jobs. "
                "Set it to noeviction, and give the cache another.",
            )
            raise SystemExit(1) from None
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("the jobs' Redis does not answer", why=why(error))
        worker = Worker(
            store, pipeline, Pace(articles_at_once=settings.job_articles_at_once, idle_s=settings.job_idle_s)
        )
        working = asyncio.create_task(worker.run())
        working.add_done_callback(_complain)
        parts.push_async_callback(_stop, working)
        return cls(JobsService(store, glossaries, begun=worker.wake), OperationsService(store, cancelled=worker.drop))

    def register(self, server: grpc.aio.Server) -> None:
        """Add the services to a server."""
        jobs_pb2_grpc.add_JobsServicer_to_server(self.jobs, server)
        operations_pb2_grpc.add_OperationsServicer_to_server(self.operations, server)


async def _stop(working: "asyncio.Task[None]") -> None:
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def _complain(working: "asyncio.Task[None]") -> None:
    if not working.cancelled() and (error := working.exception()):
        log.error("the worker of jobs has ended; restart this gateway", exc_info=error)
