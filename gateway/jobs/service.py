"""The RPCs of jobs: `khulasa.v1.Jobs`, and `google.longrunning.Operations` for what they return."""

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from redis.exceptions import OutOfMemoryError, RedisError

from gateway.glossaries import Glossaries
from gateway.jobs.intake import not_found, take_in
from gateway.jobs.store import Gone, Job, JobStore, State, why
from khulasa.v1 import jobs_pb2, jobs_pb2_grpc
from services.harness import caller, deadline
from services.harness.errors import Reason, Refusal
from services.harness.logs import call_fields

COLLECTION = "operations"
PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
PAGE_BYTES = 8 * 1024 * 1024
LOOK_S = 0.25
MARGIN_S = 0.05
"""Kept back of a call's time to answer within it."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
log = structlog.get_logger()

_NAME = re.compile(rf"{COLLECTION}/([0-9a-f]{{32}})")


class JobsService(jobs_pb2_grpc.JobsServicer):
    """`khulasa.v1.Jobs`. `begun` is told when a job has come."""

    def __init__(self, store: JobStore, glossaries: Glossaries, *, begun: Callable[[], None]) -> None:
        self._store = store
        self._glossaries = glossaries
        self._begun = begun

    async def CreateJob(
        self, requests: AsyncIterator[jobs_pb2.CreateJobRequest], context: Context
    ) -> operations_pb2.Operation:
        async with _answering():
            job = await take_in(requests, self._store, caller.name(), self._glossaries)
        self._begun()
        call_fields(job=job.id, articles=job.articles)
        return operation_of(job)

    async def ListJobResults(
        self, request: jobs_pb2.ListJobResultsRequest, context: Context
    ) -> jobs_pb2.ListJobResultsResponse:
        job_id = _id_of(request.job)
        count = _page_size(request.page_size)
        start = _place_in(request.page_token, job_id)
        async with _answering(), _found(job_id):
            job = await self._store.get(job_id, caller.name())  # first: if it has ended by now, no results come after
            results = await self._store.results(job_id, start=start, count=count, max_bytes=PAGE_BYTES)
            if not results and start < job.done + job.failed:
                raise Gone  # removed since
        end = start + len(results)
        more = job.state == State.RUNNING or end < job.done + job.failed
        return jobs_pb2.ListJobResultsResponse(results=results, next_page_token=_token(job_id, end) if more else "")


class OperationsService(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]  # it comes without types
    """`google.longrunning.Operations`. `cancelled` is told of a job that was cancelled here."""

    def __init__(self, store: JobStore, *, cancelled: Callable[[str], None]) -> None:
        self._store = store
        self._cancelled = cancelled

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        return operation_of(await self._get(_id_of(request.name)))

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        if request.filter:
            raise Refusal(
                Reason.UNKNOWN_OPTION,
                "filter is not supported. Leave it out and choose among the jobs.",
                field="filter",
            )
        if request.name not in ("", COLLECTION):
            raise not_found(request.name)
        count = _page_size(request.page_size)
        before = _job_before(request.page_token)
        async with _answering():
            jobs, before = await self._store.of_caller(caller.name(), count=count, before=before)
        token = _packed(before) if before else ""
        return operations_pb2.ListOperationsResponse(operations=map(operation_of, jobs), next_page_token=token)

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        job_id = _id_of(request.name)
        wait_s = max(0.0, deadline.remaining_s() - MARGIN_S)
        if request.HasField("timeout"):
            wait_s = min(wait_s, request.timeout.ToMicroseconds() / 1e6)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            job = await self._get(job_id)
            left_s = until - loop.time()
            if job.state != State.RUNNING or left_s <= 0:
                return operation_of(job)
            await asyncio.sleep(min(LOOK_S, left_s))

    async def CancelOperation(self, request: operations_pb2.CancelOperationRequest, context: Context) -> Empty:
        job = await self._get(_id_of(request.name))
        async with _answering():
            await self._store.cancel(job.id)
        self._cancelled(job.id)
        return Empty()

    async def DeleteOperation(self, request: operations_pb2.DeleteOperationRequest, context: Context) -> Empty:
        job = await self._get(_id_of(request.name))
        async with _answering():
            removed = await self._store.remove(job.id)
        if not removed:
            raise Refusal(
                Reason.JOB_RUNNING, f"{request.name} is running. Cancel it first.", field="name", job=request.name
            )
        return Empty()

    async def _get(self, job_id: str) -> Job:
        async with _answering(), _found(job_id):
            return await self._store.get(job_id, caller.name())
        raise AssertionError("it returns or raises")


def operation_of(job: Job) -> operations_pb2.Operation:
    """Return a job as callers see it."""
    metadata = jobs_pb2.JobMetadata(
        state=jobs_pb2.JobMetadata.State.Value(f"STATE_{job.state}"),
        display_name=job.display_name,
        request_id=job.request_id,
        articles=job.articles,
        done_articles=job.done,
        failed_articles=job.failed,
        flagged_sentences=job.flagged,
        duplicate_articles=job.duplicates,
        create_time=_time(job.created_ms),
        update_time=_time(job.updated_ms),
        end_time=_time(job.ended_ms),
        expire_time=_time(job.expires_ms),
    )
    operation = operations_pb2.Operation(name=f"{COLLECTION}/{job.id}", done=job.state != State.RUNNING)
    operation.metadata.Pack(metadata)
    if job.state == State.ENDED:
        operation.response.Pack(jobs_pb2.JobOutcome(done_articles=job.done, failed_articles=job.failed))
    elif job.state == State.CANCELLED:
        counted = job.done + job.failed
        cancelled = Refusal(
            Reason.JOB_CANCELLED,
            f"The job was cancelled when {counted} of its {job.articles} articles had results.",
            results=counted,
            articles=job.articles,
        )
        operation.error.CopyFrom(cancelled.to_status())
    return operation


@contextlib.asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Turn errors of Redis into refusals."""
    try:
        yield
    except OutOfMemoryError:
        raise Refusal(
            Reason.JOBS_FULL, "The memory for jobs is full. Delete jobs that are done with, or wait for some to expire."
        ) from None
    except (RedisError, OSError) as error:
        log.warning("the jobs' Redis does not answer", why=why(error))
        raise Refusal(
            Reason.JOBS_UNAVAILABLE,
            "Jobs are not available: their Redis does not answer. Try again in 2 s; single articles are translated.",
            retry_after_s=2,
        ) from None


@contextlib.asynccontextmanager
async def _found(job_id: str) -> AsyncIterator[None]:
    try:
        yield
    except Gone:
        raise not_found(job_id) from None


def _id_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    if not match:
        raise not_found(name.removeprefix(f"{COLLECTION}/"))
    return match.group(1)


def _page_size(asked: int) -> int:
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise Refusal(
            Reason.PAGE_SIZE_OUT_OF_RANGE,
            f"page_size is {asked}, allowed is 1 to {MAX_PAGE_SIZE}, or 0 for {PAGE_SIZE}.",
            field="page_size",
            value=asked,
            limit=MAX_PAGE_SIZE,
        )
    return asked or PAGE_SIZE


def _token(job_id: str, place: int) -> str:
    return _packed(f"{job_id} {place}")


def _place_in(token: str, job_id: str) -> int:
    if not token:
        return 0
    match = re.fullmatch(r"([0-9a-f]{32}) ([0-9]{1,9})", _unpacked(token))
    if not match or match.group(1) != job_id:
        raise _bad_token()
    return int(match.group(2))


def _job_before(token: str) -> str:
    name = _unpacked(token)
    if token and not re.fullmatch(r"[0-9a-f]{32}", name):
        raise _bad_token()
    return name


def _packed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode()


def _unpacked(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _bad_token() from None


def _bad_token() -> Refusal:
    return Refusal(
        Reason.BAD_PAGE_TOKEN,
        "page_token is not one that came with a page of this list. Begin again without one.",
        field="page_token",
    )


def _time(ms: int) -> Timestamp | None:
    if not ms:
        return None
    time = Timestamp()
    time.FromMilliseconds(ms)
    return time
