"""What happens around every call. In this order, outermost first:

    served      shows the call in its trace, if traces are made
    measured    counts the call and writes its log line
    answered    turns exceptions into statuses
    identified  tells who calls
    limited     gives the call its time

Health and reflection are left alone: probes would drown the log. Only a health check is answered to whom has no
credentials; watching health is a call without an end, and strangers could hold all places with it.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter, Gauge, Histogram

from services.harness import caller, deadline, logs, metrics, tracing
from services.harness.credentials import Credentials
from services.harness.errors import Reason, Refusal
from services.harness.requests import Unreadable, strict

OUR_METHODS = ("/khulasa.", "/google.longrunning.")
OPEN_METHOD = "/grpc.health.v1.Health/Check"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of our own services. `certificates`: every caller has shown one."""

    def __init__(self, *, max_time_s: float, credentials: Credentials, certificates: bool = False) -> None:
        self._max_time_s = max_time_s
        self._credentials = credentials
        self._certificates = certificates
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method == OPEN_METHOD:
            return handler
        if not self._certificates:  # they are known only with the call itself; a token already here
            try:
                self._credentials.caller_of(_authorization(handler_call_details.invocation_metadata))
            except Refusal as refusal:
                return _refused(method, refusal)
        if handler.request_deserializer is None or not method.startswith(OUR_METHODS):
            return handler
        if method in self._wrapped:
            return self._wrapped[method]
        make, behaviour = _shape(handler)
        wrapped = self._wrapped[method] = make(
            self._streaming(method, behaviour, endless=handler.request_streaming)
            if handler.response_streaming
            else self._unary(method, behaviour, endless=handler.request_streaming),
            request_deserializer=strict(handler.request_deserializer),
            response_serializer=_serialized,
        )
        return wrapped

    def _unary(
        self, method: str, behaviour: Callable[..., Awaitable[Message]], *, endless: bool
    ) -> Callable[..., Awaitable[Message]]:
        async def call(request: Any, context: Context) -> Message:
            with tracing.served(method, context.invocation_metadata()), _measured(method):
                async with _answered(context), self._identified(context), self._limited(context, endless=endless):
                    return await behaviour(_readable(request), context)
            raise AssertionError("a call that is refused is aborted")

        return call

    def _streaming(
        self, method: str, behaviour: Callable[..., AsyncIterator[Message]], *, endless: bool
    ) -> Callable[..., AsyncIterator[Message]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Message]:
            with tracing.served(method, context.invocation_metadata()), _measured(method):
                async with _answered(context), self._identified(context), self._limited(context, endless=endless):
                    async for response in behaviour(_readable(request), context):
                        yield response

        return call

    @asynccontextmanager
    async def _identified(self, context: Context) -> AsyncIterator[None]:
        certificate = _certificate(context) if self._certificates else ""
        name = self._credentials.caller_of(_authorization(context.invocation_metadata()), certificate)
        caller.start(name)
        if name:
            logs.call_fields(caller=name)
        yield

    @asynccontextmanager
    async def _limited(self, context: Context, *, endless: bool = False) -> AsyncIterator[None]:
        """Bound the call by the caller's deadline and ours; an `endless` stream of requests by the caller's alone."""
        # Without a deadline of the caller the library reports None or centuries, depending on its version.
        left_s = context.time_remaining()
        time_s = min(math.inf if left_s is None else left_s, math.inf if endless else self._max_time_s)
        deadline.start(time_s)
        try:
            async with asyncio.timeout(None if math.isinf(time_s) else time_s):
                yield
        except TimeoutError:
            raise Refusal(
                Reason.DEADLINE_EXCEEDED,
                f"The call was not done in its {time_s:.3f} s. Allow more time, or send less at once.",
                time_s=f"{time_s:.3f}",
            ) from None


@contextmanager
def _measured(method: str) -> Iterator[None]:
    started = time.perf_counter()
    fields = logs.start_call_fields()
    short = method.rpartition("/")[2]
    code = grpc.StatusCode.OK
    in_progress, seconds = _measures_of(short)
    in_progress.inc()
    try:
        yield
    except asyncio.CancelledError:
        code = grpc.StatusCode.CANCELLED
        raise
    except _Aborted as aborted:
        code = aborted.code
        raise aborted.cause from None
    finally:
        spent_s = time.perf_counter() - started
        tracing.ended(code.name)
        in_progress.dec()
        _calls_of(short, code.name).inc()
        seconds.observe(spent_s)
        # Processes ask each other what they run every few seconds: worth a line only if it fails.
        level = logging.DEBUG if short.startswith("Describe") and code is grpc.StatusCode.OK else logging.INFO
        log.log(level, "call", method=short, code=code.name, ms=round(spent_s * 1000), **fields)


# Looking a series up costs more than counting in it. There are as many as methods and statuses.
@cache
def _measures_of(method: str) -> tuple[Gauge, Histogram]:
    return metrics.CALLS_IN_PROGRESS.labels(method), metrics.CALL_SECONDS.labels(method)


@cache
def _calls_of(method: str, code: str) -> Counter:
    return metrics.CALLS.labels(method, code)


@asynccontextmanager
async def _answered(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except Refusal as refusal:
        await _abort(context, refusal)
    except Exception:
        await _abort(context, logs.log_internal_error())


async def _abort(context: Context, refusal: Refusal) -> None:
    logs.call_fields(reason=refusal.reason.value)
    metrics.REFUSALS.labels(refusal.reason.value).inc()
    try:
        await context.abort(
            refusal.code,
            refusal.message,
            trailing_metadata=(("grpc-status-details-bin", refusal.to_status().SerializeToString()),),
        )
    except Exception as cause:  # the library's own way to end a call is an exception that has to reach it
        raise _Aborted(refusal.code, cause) from None


class _Aborted(Exception):
    """Carries the status past `_measured`, which puts the library's own exception back."""

    def __init__(self, code: grpc.StatusCode, cause: Exception) -> None:
        super().__init__(code)
        self.code = code
        self.cause = cause


def _serialized(response: Any) -> bytes:
    """Serialize a message, or what a handler returns in its place because it has the message's bytes already."""
    serialized: bytes = response.SerializeToString()
    return serialized


def _refused(method: str, refusal: Refusal) -> Handler:
    """Return a handler that refuses: a stream in its shape, so that no byte of the request is read for a stranger."""

    async def call(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        with _measured(method):
            async with _answered(context):
                raise refusal
        yield b""

    return grpc.stream_stream_rpc_method_handler(call)


def _authorization(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """Return the header, None without one; of two, which is meant is not for us to guess."""
    values = [str(value) for key, value in metadata or () if key == "authorization"]
    return ", ".join(values) if values else None


def _certificate(context: Context) -> str:
    """Return the name in the caller's certificate, empty where none was asked for."""
    shown = context.auth_context()
    names = [*shown.get("x509_common_name", ()), *shown.get("x509_subject_alternative_name", ())]
    return next((name.decode("utf-8", "replace") for name in names if name), "")


def _readable(request: Any) -> Any:
    if isinstance(request, Unreadable):
        raise request.refusal
    if isinstance(request, Message):
        return request
    return _readable_each(request)


async def _readable_each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _shape(handler: Handler) -> tuple[Callable[..., Handler], Any]:
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary
