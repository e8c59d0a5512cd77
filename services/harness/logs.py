"""Log lines: one event with fields a line, never a word of an article.

On a terminal they are aligned for people, elsewhere JSON for machines; docs/operations.md lists events and fields.
`call_fields` lets a handler add to the one line that is written for its call.
"""

import json
import logging
import sys
import uuid
from contextvars import ContextVar

import structlog

from services.harness import tracing
from services.harness.errors import Reason, Refusal

_call_fields: ContextVar[dict[str, object]] = ContextVar("call_fields")


def configure(level: str, *, process: str, traces_endpoint: str = "") -> None:
    """Set up logging and tracing for this process, once, at its start; ends it with status 2 if it cannot trace."""
    people = sys.stderr.isatty()
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if people else _as_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if people
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,  # a line a call: putting the logger together anew would cost as much again
    )
    structlog.contextvars.bind_contextvars(process=process)
    try:
        tracing.configure(traces_endpoint, process=process)
    except tracing.TracingUnavailable as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _add_trace(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if trace := tracing.trace_id():
        line["trace"] = trace
    return line


_json = json.JSONEncoder(ensure_ascii=False, default=repr)


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> bytes:
    return _json.encode(event).encode()


def start_call_fields() -> dict[str, object]:
    """Begin the fields of a call's log line and return them."""
    fields: dict[str, object] = {}
    _call_fields.set(fields)
    return fields


def call_fields(**fields: object) -> None:
    """Add fields to the log line of the call in hand: counts, times and digests, no text."""
    _call_fields.get().update(fields)


def log_internal_error() -> Refusal:
    """Log the exception being handled and return what its caller may know of it: where to find it."""
    call = uuid.uuid4().hex[:12]
    structlog.get_logger().exception("internal error", call=call)
    return Refusal(Reason.INTERNAL, f"An internal error. The server's log has it under call {call}.", call=call)
