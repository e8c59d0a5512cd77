"""What happens around every call. In this order, outermost first:

    served      shows the call in its trace, if traces are made
    _Measured   counts the call and writes its log line
    except      turns exceptions into statuses (`_refusal_for`, `_abort`)
    timeout     gives the call its time
    _identify   tells who calls, where only its certificate does; a token is looked at before the call is read

Health and reflection are left alone: probes would drown the log. Only a health check is answered to whom has no
credentials; watching health is a call without an end, and strangers could hold all places with it.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cache
from typing import Any, NoReturn, TypeAlias

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
                # The handler runs in the task of this, and sees it.
                caller.start(self._credentials.caller_of(_authorization(handler_call_details.invocation_metadata)))
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
            time_s = self._start_time(context, endless=endless)
            with tracing.served(method, context.invocation_metadata), _Measured(method):
                try:
                    async with asyncio.timeout(time_s):
                        self._identify(context)
                        return await behaviour(_readable(request), context)
                except Exception as error:
                    await _abort(context, _refusal_for(error, time_s))

        return call

    def _streaming(
        self, method: str, behaviour: Callable[..., AsyncIterator[Message]], *, endless: bool
    ) -> Callable[..., AsyncIterator[Message]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Message]:
            time_s = self._start_time(context, endless=endless)
            with tracing.served(method, context.invocation_metadata), _Measured(method):
                try:
                    async with asyncio.timeout(time_s):
                        self._identify(context)
                        async for response in behaviour(_readable(request), context):
                            yield response
                except Exception as error:
                    await _abort(context, _refusal_for(error, time_s))

        return call

    def _identify(self, context: Context) -> None:
        if self._certificates:
            caller.start(
                self._credentials.caller_of(_authorization(context.invocation_metadata()), _certificate(context))
            )
        if name := caller.name():
            logs.call_fields(caller=name)

    def _start_time(self, context: Context, *, endless: bool) -> float | None:
        """Bound the call by the caller's deadline and ours; an `endless` stream of requests by the caller's alone."""
        # Without a deadline of the caller the library reports None or centuries, depending on its version.
        left_s = context.time_remaining()
        time_s = min(math.inf if left_s is None else left_s, math.inf if endless else self._max_time_s)
        deadline.start(time_s)
        return None if math.isinf(time_s) else time_s


# A class and no generator: around every call that costs less.
class _Measured:
    """Counts a call and writes its log line."""

    def __init__(self, method: str) -> None:
        self._method = method.rpartition("/")[2]
        self._in_progress, self._seconds = _measures_of(self._method)

    def __enter__(self) -> None:
        self._started = time.perf_counter()
        self._fields = logs.start_call_fields()
        self._in_progress.inc()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        code = grpc.StatusCode.OK
        if isinstance(error, asyncio.CancelledError | GeneratorExit):  # the latter of who leaves within a stream
            code = grpc.StatusCode.CANCELLED
        elif isinstance(error, _Aborted):
            code = error.code
        spent_s = time.perf_counter() - self._started
        tracing.ended(code.name)
        self._in_progress.dec()
        _calls_of(self._method, code.name).inc()
        self._seconds.observe(spent_s)
        # Processes ask each other what they run every few seconds: worth a line only if it fails.
        level = logging.DEBUG if self._method.startswith("Describe") and code is grpc.StatusCode.OK else logging.INFO
        log.log(level, "call", method=self._method, code=code.name, ms=round(spent_s * 1000), **self._fields)
        if isinstance(error, _Aborted):
            raise error.cause from None


# Looking a series up costs more than counting in it. There are as many as methods and statuses.
@cache
def _measures_of(method: str) -> tuple[Gauge, Histogram]:
    return metrics.CALLS_IN_PROGRESS.labels(method), metrics.CALL_SECONDS.labels(method)


@cache
def _calls_of(method: str, code: str) -> Counter:
    return metrics.CALLS.labels(method, code)


def _refusal_for(error: Exception, time_s: float | None) -> Refusal:
    """Return what is told of an exception to the caller of a call that was given `time_s`."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TimeoutError) and time_s is not None:
        return _too_late(time_s)
    return logs.log_internal_error()


def _too_late(time_s: float) -> Refusal:
    return Refusal(
        Reason.DEADLINE_EXCEEDED,
        f"The call was not done in its {time_s:.3f} s. Allow more time, or send less at once.",
        time_s=f"{time_s:.3f}",
    )


async def _abort(context: Context, refusal: Refusal) -> NoReturn:
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
    """Carries the status past `_Measured`, which puts the library's own exception back."""

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
        with _Measured(method):
            await _abort(context, refusal)
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
