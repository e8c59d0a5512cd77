"""What happens around every HTTP call of the API, as `services/harness/interceptors.py` does for gRPC. Outermost first:

measured     counts the call and writes its log line
answered     turns refusals into answers
limited      asks for credentials, gives the call its time, reads the body within its limit
accompanied  ends the work when the caller has gone
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.http import bodies
from gateway.http.problems import problem_response
from services.harness import caller, deadline, logs, metrics, relay
from services.harness.credentials import Credentials
from services.harness.errors import Reason, Refusal

TIMEOUT_HEADER = "Khulasa-Timeout"
MAX_TIMEOUT_S = 86_400
STRANGERS_SHARE = 8
"""One place in so many is for those whose body has to be read to know who they are: all could fill all places else."""
STRANGERS_S = 30.0
"""For such a body."""
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

log = structlog.get_logger()


@dataclass(slots=True)
class Door:
    """What all calls of one server share."""

    max_call_s: float
    max_calls: int
    credentials: Credentials | None = None
    """None: nobody is asked who they are."""
    ready: bool = False
    draining: bool = False
    calls: int = 0
    strangers: int = 0
    """Of the calls, those whose body is being read from who has not said yet who it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose body has been read."""

    request: Request
    body: bytes
    content_type: str


class EventStream(Response):
    """Server-sent events, each as soon as it is there: pairs of a name and a line of JSON.

    The first is waited for before anything is sent, so that what is refused at once is refused with its own status.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[tuple[str, str], None], on_refusal: Callable[[Refusal], tuple[str, str]]
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._on_refusal = on_refusal
        # No-store keeps articles out of the browser's cache; the other one keeps proxies from collecting events.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events. Raises Refusal if there is none, or after the event that tells of it."""
        async with aclosing(self._events) as events:
            first = await anext(events)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send(_body(_as_event(*first)))
            try:
                async for event in events:
                    await send(_body(_as_event(*event)))
            except Refusal as refusal:
                await self._fail(refusal, send)
            except Exception:
                await self._fail(logs.log_internal_error(), send)
        await send(_body(b"", more=False))

    async def fail(self, refusal: Refusal, send: Send) -> None:
        """End a stream under way whose time is up."""
        await send(_body(_as_event(*self._on_refusal(refusal))))
        await send(_body(b"", more=False))

    async def _fail(self, refusal: Refusal, send: Send) -> None:
        await send(_body(_as_event(*self._on_refusal(refusal))))
        logs.call_fields(reason=refusal.reason.value)
        metrics.REFUSALS.labels(refusal.reason.value).inc()


Behaviour = Callable[[Asked], Awaitable[Response]]


class Call:
    """One method of the API, as an ASGI application."""

    def __init__(
        self,
        door: Door,
        behaviour: Behaviour,
        *,
        content_types: tuple[str, ...] = (JSON,),
        key_in_body: Callable[[Asked], str | None] | None = None,
        refuse: Callable[[Refusal], Response] = problem_response,
    ) -> None:
        self._door = door
        self._behaviour = behaviour
        self._content_types = content_types
        self._key_in_body = key_in_body
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        job = scope.get("path_params", {}).get("job")
        path = scope["path"].replace(job, "JOB") if job else scope["path"]  # a path of ours: the router has matched it
        method = f"{scope['method']} {path}"
        started = time.perf_counter()
        fields = logs.start_call_fields()
        answer = _Answer(send)
        metrics.CALLS_IN_PROGRESS.labels(method).inc()
        self._door.calls += 1
        try:
            await self._answered(request, receive, answer)
        except bodies.ClientGone:
            pass  # there is nobody to tell
        finally:
            self._door.calls -= 1
            metrics.CALLS_IN_PROGRESS.labels(method).dec()
            metrics.CALLS.labels(method, answer.code).inc()
            spent_s = time.perf_counter() - started
            metrics.CALL_SECONDS.labels(method).observe(spent_s)
            log.info("call", method=method, code=answer.code, ms=round(spent_s * 1000), **fields)

    async def _answered(self, request: Request, receive: Receive, answer: "_Answer") -> None:
        try:
            time_s = self._time_s(request.headers)
            deadline.start(time_s)
            relay.receive_from_outside(request.headers.items())
            try:
                async with asyncio.timeout(time_s):
                    await self._limited(request, receive, answer)
            except TimeoutError:
                raise Refusal(
                    Reason.DEADLINE_EXCEEDED,
                    f"The call was not done in its {time_s:g} s. Allow more time, or send less at once.",
                    time_s=f"{time_s:g}",
                ) from None
        except Refusal as refusal:
            await self._tell(refusal, request, receive, answer)
        except (asyncio.CancelledError, bodies.ClientGone):
            raise
        except Exception:
            await self._tell(logs.log_internal_error(), request, receive, answer)

    async def _tell(self, refusal: Refusal, request: Request, receive: Receive, answer: "_Answer") -> None:
        logs.call_fields(reason=refusal.reason.value)
        metrics.REFUSALS.labels(refusal.reason.value).inc()
        if answer.stream is not None and answer.started:
            await answer.stream.fail(refusal, answer.send)
        elif not answer.started:
            response = self._refuse(refusal)
            if refusal.reason == Reason.BODY_TOO_LONG:
                response.headers["Connection"] = "close"  # the rest of the body is not read
            await response(request.scope, receive, answer.send)

    async def _limited(self, request: Request, receive: Receive, answer: "_Answer") -> None:
        door = self._door
        if door.draining:
            raise Refusal(Reason.DRAINING, "This gateway is stopping. Try again in 1 s.", retry_after_s=1)
        if door.calls > door.max_calls:
            raise Refusal(
                Reason.OVERLOADED,
                f"This gateway has {door.max_calls} calls, the limit. Try again in 2 s.",
                retry_after_s=2,
            )
        authorization = request.headers.get("authorization")
        if door.credentials and (authorization or self._key_in_body is None):
            self._begin(door.credentials, authorization)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and content_type not in self._content_types:
            expected = " or ".join(filter(None, self._content_types))
            raise Refusal(
                Reason.CONTENT_TYPE_UNSUPPORTED,
                f"The Content-Type is {content_type[:100]!r}, expected {expected}.",
                content_type=content_type[:100],
            )
        declared = request.headers.get("content-length")
        if door.credentials and not authorization and self._key_in_body:
            asked = Asked(request, await self._of_stranger(receive, declared), content_type)
            key = self._key_in_body(asked)
            self._begin(door.credentials, f"Bearer {key}" if key else None)
        else:
            asked = Asked(request, await bodies.read(receive, declared), content_type)
        await _accompanied(self._work(asked, receive, answer), receive, answer)

    async def _of_stranger(self, receive: Receive, declared: str | None) -> bytes:
        """Read the body in which a key may be. Raises ClientGone, Refusal."""
        door = self._door
        if door.strangers >= max(1, door.max_calls // STRANGERS_SHARE):
            raise Refusal(
                Reason.OVERLOADED,
                "Too many calls without a token in their header are coming in. Try again in 2 s, or send "
                "'Authorization: Bearer TOKEN'.",
                retry_after_s=2,
            )
        door.strangers += 1
        try:
            async with asyncio.timeout(STRANGERS_S):
                return await bodies.read(receive, declared)
        except TimeoutError:
            raise Refusal(
                Reason.DEADLINE_EXCEEDED,
                f"The body did not come in {STRANGERS_S:g} s. Send 'Authorization: Bearer TOKEN' to have more time.",
                limit_s=STRANGERS_S,
            ) from None
        finally:
            door.strangers -= 1

    @staticmethod
    def _begin(credentials: Credentials, authorization: str | None) -> None:
        name = credentials.caller_of(authorization)
        caller.start(name)
        logs.call_fields(caller=name)

    async def _work(self, asked: Asked, receive: Receive, answer: "_Answer") -> None:
        response = await self._behaviour(asked)
        answer.stream = response if isinstance(response, EventStream) else None
        await response(asked.request.scope, receive, answer.send)

    def _time_s(self, headers: Headers) -> float:
        asked = headers.get(TIMEOUT_HEADER)
        if asked is None:
            return self._door.max_call_s
        if not re.fullmatch("[0-9]{1,5}", asked) or not 1 <= int(asked) <= MAX_TIMEOUT_S:
            raise Refusal(
                Reason.UNREADABLE_REQUEST,
                f"{TIMEOUT_HEADER} is {asked[:20]!r}, expected whole seconds from 1 to {MAX_TIMEOUT_S}.",
                field=TIMEOUT_HEADER,
            )
        return min(float(asked), self._door.max_call_s)


class _Answer:
    """What has been sent in answer to a call."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.finished = False
        self.stream: EventStream | None = None
        self.code = "GONE"  # until something is sent

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.code = str(message["status"])
        else:
            self.finished = not message.get("more_body", False)
        await self._send(message)


async def _accompanied(work: Awaitable[None], receive: Receive, answer: _Answer) -> None:
    """Await the work; cancel it when the caller goes. Raises ClientGone then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and not answer.finished:  # to the server, the end of an answer is a disconnect too
            raise bodies.ClientGone
        await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}
