"""HTTP in the gateway's own process and loop: it comes, drains and goes with the gRPC server."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import structlog
import uvicorn

from gateway.http.app import application
from gateway.http.calls import Door
from gateway.jobs.parts import JobParts
from gateway.service import GatewayService
from services.harness.credentials import Credentials

log = structlog.get_logger()


class HttpServer:
    """The HTTP API and the reader page at one address."""

    def __init__(
        self,
        address: str,
        service: GatewayService,
        *,
        hosts: str,
        max_call_s: float,
        max_calls: int,
        credentials: Credentials | None = None,
        jobs: JobParts | None = None,
    ) -> None:
        """`address` is host and port, port 0 a free one; `hosts` are names to answer to beside those of loopback."""
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._door = Door(max_call_s=max_call_s, max_calls=max_calls, credentials=credentials)
        self._app = application(service, self._door, hosts=[*hosts.split(","), self._host], jobs=jobs)
        self._serving: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises RuntimeError if the address is taken."""
        try:
            listener = socket.create_server(
                (self._host, self._port), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET
            )
        except OSError as error:
            raise RuntimeError(f"cannot listen for HTTP on {self._host}:{self._port}: {error.strerror}") from None
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,  # every call has its line already, without its address
            server_header=False,
            proxy_headers=False,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        log.info("http", port=self.port)

    def set_ready(self, ready: bool) -> None:
        """Answer /readyz with it."""
        self._door.ready = ready

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls, let those in progress end within `grace_s`, then stop."""
        self._door.draining = True
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        await self._serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the process, which drains every way in at once."""
        yield
