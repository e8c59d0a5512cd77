"""Log lines: one event with fields a line, never a word of an article.

Exceptions are logged by their types and places alone. Their messages quote what they are about: of a text that cannot
be encoded, Python's own has the whole text.

On a terminal they are aligned for people, elsewhere JSON for machines; docs/operations.md lists events and fields.
`call_fields` lets a handler add to the one line that is written for its call.
"""

import json
import logging
import sys
import traceback
import uuid
from contextvars import ContextVar
from functools import partial

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
            partial(_add_process, process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_messages,
            _add_trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if people
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,  # a line a call: putting the logger together anew would cost as much again
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    try:
        tracing.configure(traces_endpoint, process=process)
    except tracing.TracingUnavailable as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


class _Libraries(logging.Handler):
    """Brings what libraries log into our form. Of a message only its first line: asyncio quotes exceptions below it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        logger = structlog.get_logger()
        numbers = isinstance(record.args, tuple) and all(isinstance(value, int | float) for value in record.args)
        message = record.getMessage() if numbers else str(record.msg)  # other arguments can be anything
        event = message.partition("\n")[0]
        logger.log(record.levelno, event, logger=record.name, exc_info=record.exc_info or None)


def describe(error: BaseException) -> str:
    """Return types and places of an exception and of those that led to it: a traceback without messages."""
    parts: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        number = f" {current.errno}" if isinstance(current, OSError) and current.errno else ""
        parts.append("".join(traceback.format_tb(current.__traceback__)) + type(current).__name__ + number)
        waiting.append(current.__cause__ or (None if current.__suppress_context__ else current.__context__))
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
    return "\ncaused by or together with:\n".join(parts)


def _without_messages(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = describe(error)
    return event


_json = json.JSONEncoder(ensure_ascii=False, default=repr)


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> bytes:
    return _json.encode(event).encode()


def _add_process(process: str, _: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    line["process"] = process
    return line


def _add_trace(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if trace := tracing.trace_id():
        line["trace"] = trace
    return line


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
