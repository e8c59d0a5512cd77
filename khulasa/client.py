"""The client: articles to a gateway, answers and typed errors back.

    async with khulasa.AsyncClient("localhost:50050") as client:
        result = await client.process(khulasa.Article(text=arabic))

`Client` is the same without `await`.
"""

import asyncio
import contextlib
import random
import threading
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc

from khulasa import convert, errors
from khulasa.channel import OPTIONS, PRIORITY, Tls, open_channel, token_from_environment
from khulasa.types import Article, Event, GatewayState, Job, JobResult, Options, Priority, Provenance, Result
from khulasa.v1 import gateway_pb2, gateway_pb2_grpc, jobs_pb2, jobs_pb2_grpc

DEFAULT_ADDRESS = "127.0.0.1:50050"
DEFAULT_TIMEOUT_S = 300.0
RETRIES = 3
BACKOFF_S = 0.25
LOOK_S = 1.0
"""Between two looks for new results of a job."""

Answer = TypeVar("Answer")
Options_ = Options | None


class AsyncClient:
    """A connection to one gateway, for any number of calls at once.

    `token` is what the gateway knows the caller by, where it asks: by default KHULASA_TOKEN, or the content of the file
    of KHULASA_TOKEN_FILE. `tls` encrypts the connection, and is needed where the token crosses a network that others
    can read; by default what the variables say (`Tls.from_environment`).

    `timeout_s` bounds each call, but not `process_many`, whose articles have the server's limit each. Only what is safe
    to repeat is tried again, up to `retries` times: a service that is away, an overload that says when to come back.
    With the `priority` of a job its articles are done behind those that somebody waits for.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = RETRIES,
        priority: Priority = Priority.INTERACTIVE,
        token: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Connect at the first call. Raises UnreadableFile, or Unauthenticated for what cannot be a token."""
        self._timeout_s = timeout_s
        self._retries = retries
        self._metadata = ((PRIORITY, priority.value),)
        sent = _sendable(token or token_from_environment())
        self._channel = open_channel(
            address,
            token=(lambda: sent) if sent else None,
            tls=tls or Tls.from_environment(),
            options=[
                *OPTIONS,
                ("grpc.enable_retries", 0),  # ours know the server's own delay, and what may be repeated
            ],
        )
        self._gateway = gateway_pb2_grpc.GatewayStub(self._channel)
        self._jobs = jobs_pb2_grpc.JobsStub(self._channel)
        self._operations = operations_pb2_grpc.OperationsStub(self._channel)

    async def process(self, article: Article, options: Options_ = None) -> Result:
        """Translate and summarize one article. Raises a KhulasaError."""
        request = gateway_pb2.ProcessArticleRequest(article=_article(article), options=_options(options))
        return convert.result_from_proto(await self._call(self._gateway.ProcessArticle, request))

    async def stream(self, article: Article, options: Options_ = None) -> AsyncIterator[Event]:
        """Yield the parts of an answer as they are done; the last one is a `Provenance`.

        Raises a KhulasaError, also in the middle. Not repeated by itself once something has come.
        """
        request = gateway_pb2.StreamArticleRequest(article=_article(article), options=_options(options))
        finished = False
        try:
            async for response in self._gateway.StreamArticle(
                request, timeout=self._timeout_s, metadata=self._metadata
            ):
                event = convert.event_from_proto(response)
                if event is not None:
                    finished = isinstance(event, Provenance)
                    yield event
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from None
        if not finished:
            raise errors.InternalError("The stream ended before the article was finished.")

    async def process_many(
        self, articles: AsyncIterable[tuple[str, Article]] | Iterable[tuple[str, Article]], options: Options_ = None
    ) -> AsyncIterator[tuple[str, Result | errors.KhulasaError]]:
        """Send (id, article) pairs over one call; yield (id, result or error) in order of completion.

        A bad article is an error in its own place. Raises a KhulasaError if the call itself fails.
        """
        sent_options = _options(options)

        async def requests() -> AsyncIterator[gateway_pb2.ProcessArticlesRequest]:
            async for name, article in _each(articles):
                yield gateway_pb2.ProcessArticlesRequest(id=name, article=_article(article), options=sent_options)

        try:
            async for response in self._gateway.ProcessArticles(requests(), metadata=self._metadata):
                if response.status.code:
                    yield response.id, errors.from_status(response.status)
                else:
                    yield response.id, convert.result_from_proto(response.result)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from None

    async def purge_article(self, article: Article, *, client: str = "") -> int:
        """Have the cache forget an article, of the caller's own or as an administrator of another client's.

        Returns how many values were forgotten. Raises a KhulasaError.
        """
        request = gateway_pb2.PurgeArticleRequest(article=_article(article), client=client)
        return int((await self._call(self._gateway.PurgeArticle, request)).purged_values)

    async def purge_client(self, client: str = "") -> int:
        """Have the cache forget all of the caller's own, or as an administrator all of another client's.

        Returns how many values were forgotten. Raises a KhulasaError.
        """
        request = gateway_pb2.PurgeClientRequest(client=client)
        return int((await self._call(self._gateway.PurgeClient, request)).purged_values)

    async def describe(self) -> GatewayState:
        """Return what the gateway runs on. Raises a KhulasaError."""
        response = await self._call(self._gateway.DescribeGateway, gateway_pb2.DescribeGatewayRequest())
        return convert.state_from_proto(response)

    async def create_job(
        self,
        articles: AsyncIterable[tuple[str, Article]] | Iterable[tuple[str, Article]],
        options: Options_ = None,
        *,
        request_id: str = "",
        display_name: str = "",
    ) -> Job:
        """Send (id, article) pairs to be worked off in the background; return the job when all have been taken in.

        The same `request_id` with the same articles and options returns the job that there is, so whoever gives one
        may call again after an error; by default each call makes a new job. Not bounded by `timeout_s`. Raises a
        KhulasaError.
        """
        header = jobs_pb2.JobHeader(
            request_id=request_id or str(uuid.uuid4()), display_name=display_name, options=_options(options)
        )

        async def requests() -> AsyncIterator[jobs_pb2.CreateJobRequest]:
            yield jobs_pb2.CreateJobRequest(header=header)
            async for name, article in _each(articles):
                yield jobs_pb2.CreateJobRequest(article=jobs_pb2.JobArticle(id=name, article=_article(article)))

        try:
            return convert.job_from_proto(await self._jobs.CreateJob(requests()))
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from None

    async def job(self, name: str) -> Job:
        """Return a job as it is now. Raises a KhulasaError."""
        request = operations_pb2.GetOperationRequest(name=name)
        return convert.job_from_proto(await self._call(self._operations.GetOperation, request))

    async def jobs(self) -> AsyncIterator[Job]:
        """Yield the caller's jobs, newest first. Raises a KhulasaError."""
        token = ""
        while True:
            request = operations_pb2.ListOperationsRequest(page_token=token)
            page = await self._call(self._operations.ListOperations, request)
            for operation in page.operations:
                yield convert.job_from_proto(operation)
            token = page.next_page_token
            if not token:
                return

    async def wait_for_job(self, name: str, *, timeout_s: float | None = None) -> Job:
        """Return a job when it has ended, or as it is after `timeout_s`. Raises a KhulasaError.

        Without `timeout_s` a gateway that goes away meanwhile is waited for, as `job_results` does.
        """
        loop = asyncio.get_running_loop()
        ends_at = None if timeout_s is None else loop.time() + timeout_s
        call = self._call
        while True:
            left_s = self._timeout_s / 2 if ends_at is None else min(self._timeout_s / 2, ends_at - loop.time())
            request = operations_pb2.WaitOperationRequest(name=name)
            request.timeout.FromMilliseconds(max(0, round(left_s * 1000)))
            job = convert.job_from_proto(await call(self._operations.WaitOperation, request))
            if not job.running or (ends_at is not None and loop.time() >= ends_at):
                return job
            if ends_at is None:
                call = self._call_patiently

    async def job_results(self, name: str, *, follow: bool = False) -> AsyncIterator[JobResult]:
        """Yield the results of a job in the order in which they came about; with `follow` until the job has ended.

        A gateway that goes away while it is followed is waited for, as long as a call may take. Raises a KhulasaError.
        """
        token = ""
        call = self._call
        while True:
            request = jobs_pb2.ListJobResultsRequest(job=name, page_token=token)
            page = await call(self._jobs.ListJobResults, request)
            if follow:
                call = self._call_patiently
            for result in page.results:
                yield convert.job_result_from_proto(result)
            token = page.next_page_token
            if not token or (not page.results and not follow):
                return
            if not page.results:
                await asyncio.sleep(LOOK_S)

    async def cancel_job(self, name: str) -> None:
        """Stop a job; the results that there are stay. No effect on one that has ended. Raises a KhulasaError."""
        await self._call(self._operations.CancelOperation, operations_pb2.CancelOperationRequest(name=name))

    async def delete_job(self, name: str) -> None:
        """Remove a job that has ended, and its results. Raises a KhulasaError."""
        await self._call(self._operations.DeleteOperation, operations_pb2.DeleteOperationRequest(name=name))

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, method: Callable[..., Any], request: Any) -> Any:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._timeout_s
        for attempt in range(self._retries + 1):
            try:
                return await method(request, timeout=max(0.001, ends_at - loop.time()), metadata=self._metadata)
            except grpc.aio.AioRpcError as rpc_error:
                error = errors.from_rpc_error(rpc_error)
                wait_s = _wait_s(error, attempt)
                if wait_s is None or attempt == self._retries or loop.time() + wait_s >= ends_at:
                    raise error from None
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _call_patiently(self, method: Callable[..., Any], request: Any) -> Any:
        """Call as `_call` does, and go on for `timeout_s` while the service is away: who waits for hours has time."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._timeout_s
        while True:
            try:
                return await self._call(method, request)
            except errors.Unavailable:
                if loop.time() >= ends_at:
                    raise
            await asyncio.sleep(LOOK_S)


class Client:
    """`AsyncClient` without `await`, for scripts and notebooks. Safe to use from several threads."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = RETRIES,
        priority: Priority = Priority.INTERACTIVE,
        token: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Connect at the first call. Raises UnreadableFile, or Unauthenticated for what cannot be a token."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="khulasa-client", daemon=True)
        self._thread.start()

        async def connect() -> AsyncClient:  # within the loop: gRPC binds to the one that runs
            return AsyncClient(address, timeout_s=timeout_s, retries=retries, priority=priority, token=token, tls=tls)

        self._client = self._wait(connect())

    def process(self, article: Article, options: Options_ = None) -> Result:
        """See `AsyncClient.process`."""
        return self._wait(self._client.process(article, options))

    def stream(self, article: Article, options: Options_ = None) -> Iterator[Event]:
        """See `AsyncClient.stream`."""
        return self._iterate(self._client.stream(article, options))

    def process_many(
        self, articles: Iterable[tuple[str, Article]], options: Options_ = None
    ) -> Iterator[tuple[str, Result | errors.KhulasaError]]:
        """See `AsyncClient.process_many`. `articles` is read in the client's own thread."""
        return self._iterate(self._client.process_many(articles, options))

    def purge_article(self, article: Article, *, client: str = "") -> int:
        """See `AsyncClient.purge_article`."""
        return self._wait(self._client.purge_article(article, client=client))

    def purge_client(self, client: str = "") -> int:
        """See `AsyncClient.purge_client`."""
        return self._wait(self._client.purge_client(client))

    def describe(self) -> GatewayState:
        """See `AsyncClient.describe`."""
        return self._wait(self._client.describe())

    def create_job(
        self,
        articles: Iterable[tuple[str, Article]],
        options: Options_ = None,
        *,
        request_id: str = "",
        display_name: str = "",
    ) -> Job:
        """See `AsyncClient.create_job`. `articles` is read in the client's own thread."""
        return self._wait(self._client.create_job(articles, options, request_id=request_id, display_name=display_name))

    def job(self, name: str) -> Job:
        """See `AsyncClient.job`."""
        return self._wait(self._client.job(name))

    def jobs(self) -> Iterator[Job]:
        """See `AsyncClient.jobs`."""
        return self._iterate(self._client.jobs())

    def wait_for_job(self, name: str, *, timeout_s: float | None = None) -> Job:
        """See `AsyncClient.wait_for_job`."""
        return self._wait(self._client.wait_for_job(name, timeout_s=timeout_s))

    def job_results(self, name: str, *, follow: bool = False) -> Iterator[JobResult]:
        """See `AsyncClient.job_results`."""
        return self._iterate(self._client.job_results(name, follow=follow))

    def cancel_job(self, name: str) -> None:
        """See `AsyncClient.cancel_job`."""
        self._wait(self._client.cancel_job(name))

    def delete_job(self, name: str) -> None:
        """See `AsyncClient.delete_job`."""
        self._wait(self._client.delete_job(name))

    def close(self) -> None:
        """Close the connection and end the client's thread."""
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _iterate(self, items: AsyncIterator[Answer]) -> Iterator[Answer]:
        try:
            while True:
                try:
                    yield self._wait(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            self._wait(_close(items))


def _sendable(token: str | None) -> str:
    if token and not (token.isascii() and token.isprintable()):
        raise errors.Unauthenticated("The token has characters that no token of ours has.", reason="TOKEN_UNREADABLE")
    return token or ""


def _article(article: Article) -> Any:
    try:
        return convert.article_to_proto(article)
    except (UnicodeEncodeError, ValueError) as error:
        raise errors.BadRequest(
            f"The article is not valid Unicode: {error}. A lone surrogate comes from a broken conversion.",
            reason="UNREADABLE_REQUEST",
        ) from None


def _options(options: Options_) -> Any:
    try:
        return convert.options_to_proto(options or Options())
    except (UnicodeEncodeError, ValueError) as error:
        raise errors.BadRequest(
            f"An option is out of range or not valid Unicode: {error}.", reason="UNREADABLE_REQUEST"
        ) from None


def _wait_s(error: errors.KhulasaError, attempt: int) -> float | None:
    """Return how long to wait before the next attempt, None where there must be none.

    An article is the same answer however often it is sent, so what never began, or was refused, may be sent again.
    """
    if not isinstance(error, errors.Unavailable | errors.Overloaded):
        return None
    backoff_s: float = BACKOFF_S * 2**attempt * random.uniform(0.75, 1.25)  # spread, or all clients return together
    return max(error.retry_after_s or 0.0, backoff_s)


async def _each(items: AsyncIterable[Answer] | Iterable[Answer]) -> AsyncIterator[Answer]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _next(items: AsyncIterator[Answer]) -> Answer:
    return await anext(items)


async def _close(items: AsyncIterator[Any]) -> None:
    with contextlib.suppress(AttributeError):
        await items.aclose()  # type: ignore[attr-defined]  # generators have it, the protocol does not
