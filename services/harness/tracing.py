"""Where the time of a call goes, across the processes, for a collector that speaks OpenTelemetry.

Nothing of OpenTelemetry is loaded unless `KHULASA_TRACES_ENDPOINT` names a collector. A trace begins with the caller's
`traceparent` (W3C Trace Context) or at the gateway, and goes on to the translator and the summarizer by the same
metadata. Spans carry names and statuses: neither article text nor the messages of exceptions.

The contributed instrumentation of grpc.aio has open faults with streams, hence these few lines of our own.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import grpc

SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Statuses that are the server's doing; the others are answers that the caller asked for."""
SAY_NOTHING_OF_EXCEPTIONS = {"record_exception": False, "set_status_on_exception": False}


class TracingUnavailable(Exception):
    """Traces are asked for and the packages for them are not installed."""


class _Tracer:
    """OpenTelemetry's parts that are needed here, loaded once."""

    def __init__(self, provider: Any) -> None:
        self.trace = import_module("opentelemetry.trace")
        self.propagator = import_module("opentelemetry.trace.propagation.tracecontext").TraceContextTextMapPropagator()
        self.provider = provider
        self.tracer = provider.get_tracer("khulasa")


_tracer: _Tracer | None = None
_NO_SPAN = nullcontext()


def configure(endpoint: str, *, process: str) -> None:
    """Send spans to the OTLP collector at `endpoint`, such as "http://collector:4317"; empty: none are made.

    Raises TracingUnavailable if the extra "tracing" is not installed.
    """
    if not endpoint:
        return
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
        resources = import_module("opentelemetry.sdk.resources")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
    except ModuleNotFoundError as error:
        raise TracingUnavailable(
            f"KHULASA_TRACES_ENDPOINT is {endpoint!r} and the package {error.name} is missing. "
            "Install the extra: pip install '.[tracing]'"
        ) from None
    resource = resources.Resource.create({"service.name": f"khulasa-{process}"})
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter(endpoint=endpoint)))
    use(provider)


def use(provider: Any | None) -> None:
    """Make spans with this OpenTelemetry `TracerProvider` from now on, or none."""
    global _tracer
    _tracer = _Tracer(provider) if provider is not None else None


def stop() -> None:
    """Send what was not sent yet."""
    if _tracer is not None:
        _tracer.provider.shutdown()


def trace_id() -> str:
    """Return the trace of the call in hand, 32 hexadecimal digits; "" without one."""
    if _tracer is None:
        return ""
    context = _tracer.trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def span(name: str) -> AbstractContextManager[object]:
    """Show one step of a call in its trace. Not around a `yield` of an asynchronous generator."""
    if _tracer is None or not trace_id():
        return _NO_SPAN
    started: AbstractContextManager[object] = _tracer.tracer.start_as_current_span(name, **SAY_NOTHING_OF_EXCEPTIONS)
    return started


def served(
    method: str, metadata: Callable[[], Iterable[tuple[str, str | bytes]] | None]
) -> AbstractContextManager[object]:
    """Show a call that this process answers, as a part of its caller's trace if the metadata names one."""
    if _tracer is None:
        return _NO_SPAN
    carrier = {key: value for key, value in metadata() or () if isinstance(value, str)}
    started: AbstractContextManager[object] = _tracer.tracer.start_as_current_span(
        method.strip("/"),
        context=_tracer.propagator.extract(carrier),
        kind=_tracer.trace.SpanKind.SERVER,
        attributes={"rpc.system": "grpc"},
        **SAY_NOTHING_OF_EXCEPTIONS,
    )
    return started


def ended(code: str) -> None:
    """Say with which status the call in hand ended."""
    if _tracer is not None:
        _say_code(_tracer, _tracer.trace.get_current_span(), code)


def client_interceptors() -> list[grpc.aio.ClientInterceptor]:
    """Return what a channel needs for its calls to be in the trace: nothing where no traces are made."""
    return [] if _tracer is None else [_CallingInterceptor(_tracer)]


class _CallingInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Shows a call to another process, and tells that process which trace it belongs to."""

    def __init__(self, tracer: _Tracer) -> None:
        self._tracer = tracer

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        if not trace_id():  # what processes ask each other by themselves every few seconds is no one's call
            return await continuation(client_call_details, request)
        method = client_call_details.method
        name = method.decode() if isinstance(method, bytes) else method
        with self._tracer.tracer.start_as_current_span(
            name.strip("/"),
            kind=self._tracer.trace.SpanKind.CLIENT,
            attributes={"rpc.system": "grpc"},
            **SAY_NOTHING_OF_EXCEPTIONS,
        ) as current:
            carrier: dict[str, str] = {}
            self._tracer.propagator.inject(carrier)
            metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()), *carrier.items())
            details = grpc.aio.ClientCallDetails(
                method=client_call_details.method,
                timeout=client_call_details.timeout,
                metadata=metadata,
                credentials=client_call_details.credentials,
                wait_for_ready=client_call_details.wait_for_ready,
            )
            call = await continuation(details, request)
            try:
                _say_code(self._tracer, current, (await call.code()).name)
            except asyncio.CancelledError:
                call.cancel()  # nobody but us knows this call, so nobody else would
                raise
            return call


def _say_code(tracer: _Tracer, current: Any, code: str) -> None:
    current.set_attribute("rpc.grpc.status", code)
    if code in SERVER_FAULTS:
        current.set_status(tracer.trace.StatusCode.ERROR)
