"""What happens around every call. In this order, outermost first:

    measured  counts the call and writes its log line
    answered  turns exceptions into statuses
    limited   gives the call its time

Health and reflection are left alone: probes would drown the log.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message

from services.harness import deadline, logs, metrics
from services.harness.errors import Reason, Refusal
from services.harness.requests import Unreadable, strict

OUR_METHODS = ("/khulasa.", "/google.longrunning.")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of our own services."""

    def __init__(self, *, max_time_s: float) -> None:
        self._max_time_s = max_time_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.request_deserializer is None or not method.startswith(OUR_METHODS):
            return handler
        make, behaviour = _shape(handler)
        return make(
            self._streaming(method, behaviour, endless=handler.request_streaming)
            if handler.response_streaming
            else self._unary(method, behaviour, endless=handler.request_streaming),
            request_deserializer=strict(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(
        self, method: str, behaviour: Callable[..., Awaitable[Message]], *, endless: bool
    ) -> Callable[..., Awaitable[Message]]:
        async def call(request: Any, context: Context) -> Message:
            async with _measured(method), _answered(context), self._limited(context, endless=endless):
                return await behaviour(_readable(request), context)
            raise AssertionError("a call that is refused is aborted")

        return call

    def _streaming(
        self, method: str, behaviour: Callable[..., AsyncIterator[Message]], *, endless: bool
    ) -> Callable[..., AsyncIterator[Message]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Message]:
            async with _measured(method), _answered(context), self._limited(context, endless=endless):
                async for response in behaviour(_readable(request), context):
                    yield response

        return call

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


@asynccontextmanager
async def _measured(method: str) -> AsyncIterator[None]:
    started = time.perf_counter()
    fields = logs.start_call_fields()
    short = method.rpartition("/")[2]
    code = grpc.StatusCode.OK
    metrics.CALLS_IN_PROGRESS.labels(short).inc()
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
        metrics.CALLS_IN_PROGRESS.labels(short).dec()
        metrics.CALLS.labels(short, code.name).inc()
        metrics.CALL_SECONDS.labels(short).observe(spent_s)
        # Processes ask each other what they run every few seconds: worth a line only if it fails.
        level = logging.DEBUG if short.startswith("Describe") and code is grpc.StatusCode.OK else logging.INFO
        log.log(level, "call", method=short, code=code.name, ms=round(spent_s * 1000), **fields)


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
