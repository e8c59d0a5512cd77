"""The life of a server process: start, warm up, ready, drain, stop.

    asyncio.run(serve(settings, Service(...)))

`Service` is what a process adds: its handlers, and what must have happened before it is ready.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
import prometheus_client
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.harness.interceptors import CallInterceptor
from services.harness.settings import ServerSettings

# The largest message: an article of 1 MB comes back in both languages with offsets, about 6 MB.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """What one process serves."""

    name: str
    """Full name in the proto, e.g. "khulasa.v1.Translator": the name that health is asked for."""
    register: Callable[[grpc.aio.Server], None]
    warm_up: Callable[[], Awaitable[None]]
    """Returns when the service can do its work; until then its health is NOT_SERVING. An error ends the process."""
    others: tuple[str, ...] = ()
    """Full names of further services that `register` adds, for reflection."""


class Server:
    """A gRPC server with health, reflection and metrics around one service."""

    def __init__(self, settings: ServerSettings, service: Service) -> None:
        self._settings = settings
        self._service = service
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(max_time_s=settings.max_call_s)],
            maximum_concurrent_rpcs=settings.max_calls,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # a second process on the port is an error, not a silent share of the calls
            ],
        )
        self.port = 0

    async def start(self) -> None:
        """Listen, answer health with NOT_SERVING, and come to ready in the background of the caller's choice."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._service.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (self._service.name, *self._service.others, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.port = self._server.add_insecure_port(self._settings.address)
        await self._server.start()

    async def warm_up(self) -> None:
        """Do what the service needs before its work, then tell the world that it is ready."""
        await self._service.warm_up()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        log.info("ready", service=self._service.name, port=self.port)

    async def drain(self) -> None:
        """Stop being found, let the calls in progress end within the limit, then stop."""
        await self._health.enter_graceful_shutdown()
        log.info("draining", limit_s=self._settings.drain_s)
        await asyncio.sleep(self._settings.drain_notice_s)
        await self._server.stop(grace=self._settings.drain_s)
        log.info("stopped")

    async def _set_health(self, status: int) -> None:
        for name in ("", self._service.name):
            await self._health.set(name, status)


async def serve(settings: ServerSettings, service: Service) -> None:
    """Run the server until SIGTERM or SIGINT, drained; a second signal ends it at once."""
    stop = _stop_signal()
    server = Server(settings, service)
    if settings.metrics_address:
        host, _, port = settings.metrics_address.rpartition(":")
        prometheus_client.start_http_server(int(port), host)
    try:
        await server.start()
    except RuntimeError as error:  # gRPC's way to say that the port is taken
        log.error("cannot start", why=str(error), address=settings.address)
        raise SystemExit(1) from None
    warming = asyncio.create_task(server.warm_up())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({warming, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if warming.done() and warming.exception():
        log.error("cannot start", why=str(warming.exception()))
        stop.set()
    await stopping
    failed = warming.done() and warming.exception() is not None
    warming.cancel()
    await server.drain()
    if failed:
        raise SystemExit(1)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
