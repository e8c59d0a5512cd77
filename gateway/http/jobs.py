"""`/v1/jobs`: the methods of `khulasa.v1.Jobs` and `google.longrunning.Operations`, in JSON.

A job that does not fit into one body goes in by gRPC (`khulasa job submit`), which takes articles one by one.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from starlette.responses import Response

from gateway.http import bodies
from gateway.http.articles import as_json
from gateway.http.calls import JSON, Asked
from gateway.jobs.service import COLLECTION, JobsService, OperationsService
from khulasa.v1 import jobs_pb2
from services.harness.errors import Reason, Refusal
from services.harness.requests import MAX_PARTS, too_many

_CONTEXT: Any = None
"""What gRPC hands to a method beside the request; none of these looks at it."""


class Jobs:
    """The methods on jobs."""

    def __init__(self, jobs: JobsService, operations: OperationsService) -> None:
        self._jobs = jobs
        self._operations = operations

    async def create(self, asked: Asked) -> Response:
        """Begin a job of the articles in the body."""
        header, articles = await asyncio.to_thread(_parts, asked.body)

        async def requests() -> AsyncIterator[jobs_pb2.CreateJobRequest]:
            yield jobs_pb2.CreateJobRequest(header=header)
            for article in articles:
                yield jobs_pb2.CreateJobRequest(article=article)

        return await _answer(await self._jobs.CreateJob(requests(), _CONTEXT), 201)

    async def list(self, asked: Asked) -> Response:
        """Answer with a page of the caller's jobs, newest first."""
        size, token = _page(asked)
        request = operations_pb2.ListOperationsRequest(page_size=size, page_token=token)
        return await _answer(await self._operations.ListOperations(request, _CONTEXT))

    async def get(self, asked: Asked) -> Response:
        """Answer with the state of a job."""
        return await _answer(await self._operations.GetOperation(_named(asked), _CONTEXT))

    async def results(self, asked: Asked) -> Response:
        """Answer with a page of the results that there are."""
        size, token = _page(asked)
        request = jobs_pb2.ListJobResultsRequest(job=_named(asked).name, page_size=size, page_token=token)
        return await _answer(await self._jobs.ListJobResults(request, _CONTEXT))

    async def cancel(self, asked: Asked) -> Response:
        """Stop a job; answer with the state it then has."""
        named = _named(asked)
        await self._operations.CancelOperation(operations_pb2.CancelOperationRequest(name=named.name), _CONTEXT)
        return await _answer(await self._operations.GetOperation(named, _CONTEXT))

    async def delete(self, asked: Asked) -> Response:
        """Remove a job that has ended, and its results."""
        request = operations_pb2.DeleteOperationRequest(name=_named(asked).name)
        await self._operations.DeleteOperation(request, _CONTEXT)
        return Response(status_code=204)


def _parts(body: bytes) -> tuple[jobs_pb2.JobHeader, list[jobs_pb2.JobArticle]]:
    value = bodies.json_object(body)
    articles = value.pop("articles", [])
    if not isinstance(articles, list) or not all(isinstance(article, dict) for article in articles):
        raise Refusal(
            Reason.UNREADABLE_REQUEST, "articles is no list of objects. Send one for each article.", field="articles"
        )
    if len(articles) > MAX_PARTS:
        raise too_many("articles", len(articles))
    header = bodies.message_from(value, jobs_pb2.JobHeader)
    return header, [
        bodies.message_from(article, jobs_pb2.JobArticle, f"articles[{number}].")
        for number, article in enumerate(articles)
    ]


def _named(asked: Asked) -> operations_pb2.GetOperationRequest:
    return operations_pb2.GetOperationRequest(name=f"{COLLECTION}/{asked.request.path_params['job']}")


def _page(asked: Asked) -> tuple[int, str]:
    parameters = asked.request.query_params
    unknown = sorted(set(parameters) - {"pageSize", "pageToken"})
    if unknown:
        raise Refusal(
            Reason.UNKNOWN_OPTION,
            f"{unknown[0][:100]!r} is not known here. pageSize and pageToken are.",
            field=unknown[0][:100],
        )
    size = parameters.get("pageSize", "0")
    if not (size.isascii() and size.isdecimal() and len(size) < 10):
        raise Refusal(
            Reason.UNREADABLE_REQUEST, f"pageSize is {size[:20]!r}, expected a whole number.", field="pageSize"
        )
    return int(size), parameters.get("pageToken", "")


async def _answer(message: Message, status: int = 200) -> Response:
    text = await asyncio.to_thread(as_json, message)
    return Response(text, status, {"Cache-Control": "no-store"}, JSON)
