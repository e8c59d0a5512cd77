"""The life of a server process: start, warm up, ready, drain, stop.

    asyncio.run(serve(settings, Service(...)))

`Service` is what a process adds: its handlers, and what must have happened before it is ready.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
import prometheus_client
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.harness import metrics, tracing
from services.harness.credentials import Credentials
from services.harness.interceptors import CallInterceptor
from services.harness.settings import ServerSettings
from services.harness.tls import server_credentials

# The name under which health is asked whether the process lives: it answers, whether or not it is ready.
LIVE = "live"
HEALTH_CALLS = 64
# The largest message: an article of 1 MB comes back in both languages with offsets, about 6 MB.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
# Callers send pings every three seconds (`khulasa/channel.py`), which a server by default takes for an attack.
PINGS_ALLOWED = [("grpc.http2.min_ping_interval_without_data_ms", 2000)]

log = structlog.get_logger()


class Door(Protocol):
    """Another way into the service, which comes, drains and goes with the gRPC server."""

    async def start(self) -> None:
        """Listen. Raises RuntimeError if the address is taken."""

    def set_ready(self, ready: bool) -> None:
        """Tell those who ask whether the service can do its work."""

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls, let those in progress end within `grace_s`, then stop."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one process serves."""

    name: str
    """Full name in the proto, e.g. "khulasa.v1.Translator": the name that health is asked for."""
    register: Callable[[grpc.aio.Server], None]
    warm_up: Callable[[], Awaitable[None]]
    """Returns when the service can do its work; until then its health is NOT_SERVING. An error ends the process."""
    credentials: Credentials | None = None
    """Tells who calls; None: what the settings say."""
    others: tuple[str, ...] = ()
    """Full names of further services that `register` adds, for reflection."""
    doors: Sequence[Door] = ()


class Server:
    """A gRPC server with health, reflection and metrics around one service."""

    def __init__(self, settings: ServerSettings, service: Service) -> None:
        self._settings = settings
        self._service = service
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[
                CallInterceptor(
                    max_time_s=settings.max_call_s,
                    credentials=service.credentials or settings.credentials(),
                    certificates=settings.tls_client_ca is not None,
                )
            ],
            maximum_concurrent_rpcs=settings.max_calls,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                *PINGS_ALLOWED,
                ("grpc.max_concurrent_streams", settings.max_calls),  # of one connection: the rest wait at the caller's
                ("grpc.so_reuseport", 0),  # a second process on the port is an error, not a silent share of the calls
                *_connection_age(settings.max_connection_age_s),
            ],
        )
        # Anybody can reach it, and a Watch of health never ends.
        self._health_server = grpc.aio.server(maximum_concurrent_rpcs=HEALTH_CALLS) if settings.health_address else None
        self.port = 0
        self.health_port = 0

    async def start(self) -> None:
        """Listen, answer health with NOT_SERVING, and come to ready in the background of the caller's choice."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._service.register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (self._service.name, *self._service.others, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self.port = self._listen()
        await self._server.start()
        if self._health_server:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)
            self.health_port = self._health_server.add_insecure_port(self._settings.health_address)
            await self._health_server.start()
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        for door in self._service.doors:
            await door.start()

    async def warm_up(self) -> None:
        """Do what the service needs before its work, then tell the world that it is ready."""
        await self._service.warm_up()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        metrics.READY.set(1)
        for door in self._service.doors:
            door.set_ready(True)
        log.info("ready", service=self._service.name, port=self.port)

    async def drain(self) -> None:
        """Stop being found, let the calls in progress end within the limit, then stop."""
        await self._health.enter_graceful_shutdown()
        metrics.READY.set(0)
        for door in self._service.doors:
            door.set_ready(False)
        log.info("draining", limit_s=self._settings.drain_s)
        await asyncio.sleep(self._settings.drain_notice_s)
        grace_s = self._settings.drain_s
        await asyncio.gather(self._server.stop(grace_s), *(door.drain(grace_s) for door in self._service.doors))
        if self._health_server:
            await self._health_server.stop(grace=0)
        log.info("stopped")

    def _listen(self) -> int:
        settings = self._settings
        if settings.tls_cert and settings.tls_key:
            tls = server_credentials(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            return self._server.add_secure_port(settings.address, tls)
        return self._server.add_insecure_port(settings.address)

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
    except RuntimeError as error:  # gRPC's way, and a door's, to say that the port is taken
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
    tracing.stop()
    if failed:
        raise SystemExit(1)


def _connection_age(seconds: float) -> list[tuple[str, int]]:
    """Return the option, if any. Calls in progress have all the time they need: the library's default."""
    return [("grpc.max_connection_age_ms", round(seconds * 1000))] if seconds else []


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
