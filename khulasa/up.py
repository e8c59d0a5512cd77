"""The three services on this machine, as processes of one command: `khulasa up`, the demo and the tests run them so.

Works from a checkout or an image, where the services' code is; the installed package alone holds only the client.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Self

import grpc
from grpc_health.v1 import health_pb2

from khulasa.errors import KhulasaError

START_S = 120.0
STOP_S = 30.0
MODULES = {
    "translator": "services.translator",
    "summarizer": "services.summarizer",
    "gateway": "gateway",
}
DOOR = ("KHULASA_TLS_CERT", "KHULASA_TLS_KEY", "KHULASA_TLS_CLIENT_CA")


class CannotStart(KhulasaError):
    """A service ended at its start, or was not ready in time; its own log says why."""


@dataclass(slots=True)
class Services:
    """Running processes and their addresses.

    async with await Services.start() as services:
        AsyncClient(services.addresses["gateway"])
    """

    addresses: dict[str, str]
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    service_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What the three know each other by: other users of this machine can reach their ports too."""
    health_address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    """The gateway's second address, where only health is answered."""
    modules: Mapping[str, str] = field(default_factory=lambda: MODULES)
    """What is run as each service; tests and measurements put stubs in their places."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With which all were started, for starting one again."""

    @classmethod
    async def start(
        cls,
        *,
        gateway_address: str | None = None,
        http_address: str = "",
        settings: Mapping[str, str] | None = None,
        quiet: bool = False,
        modules: Mapping[str, str] | None = None,
    ) -> Self:
        """Start all three and return when the gateway is ready. Raises CannotStart.

        The translator and the summarizer get free ports; without `http_address` there is no HTTP. `settings` are
        `KHULASA_*` variables for all of them; `quiet` drops their logs below WARNING. `modules` are run in the places
        of those that ship.
        """
        if find_spec("services.translator") is None or find_spec("gateway") is None:
            raise CannotStart(
                "The services' code is not here: run this from a checkout of Khulasa, or in an image of it."
            )
        addresses = {name: f"127.0.0.1:{free_port()}" for name in MODULES}
        addresses["gateway"] = gateway_address or addresses["gateway"]
        defaults = {"KHULASA_HTTP_ADDRESS": http_address, "KHULASA_LOG_LEVEL": "WARNING" if quiet else "INFO"}
        environment = os.environ | defaults | dict(settings or {})
        services = cls(addresses, modules=MODULES | dict(modules or {}), environment=environment)
        try:
            for name in MODULES:
                await services.start_one(name, environment)
            await services._wait_until_ready()
        except BaseException:
            await services.stop()
            raise
        return services

    async def start_one(self, name: str, environment: Mapping[str, str]) -> None:
        """Start one service at its address; also after it was ended, to stand in its own place again."""
        own = {
            "KHULASA_ADDRESS": self.addresses[name],
            "KHULASA_TRANSLATOR": self.addresses["translator"],
            "KHULASA_SUMMARIZER": self.addresses["summarizer"],
            "KHULASA_SERVICE_TOKEN": self.service_token,
            # Readiness is asked for here, whatever the gateway asks of its callers.
            "KHULASA_HEALTH_ADDRESS": self.health_address if name == "gateway" else "",
        }
        # What guards the gateway's door; the other two are behind it, on loopback.
        guards = {"KHULASA_SERVICE_TOKEN_FILE", *([] if name == "gateway" else DOOR)}
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.modules[name],
            env={key: value for key, value in environment.items() if key not in guards} | own,
            start_new_session=True,  # a Ctrl-C is ours: the gateway must drain before what it calls is gone
        )

    async def wait(self) -> str:
        """Return the name of the first service that ends."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self.processes.items()}
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return waits[done.pop()]

    async def stop(self) -> None:
        """Let every service drain and end, the gateway first; what does not end in time is killed."""
        for name in reversed(MODULES):
            process = self.processes.get(name)
            if process is not None and process.returncode is None:
                await end(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _wait_until_ready(self) -> None:
        ready = asyncio.create_task(until_serving(self.health_address))
        ended = asyncio.create_task(self.wait())
        done, pending = await asyncio.wait({ready, ended}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if ended in done:
            name = ended.result()
            raise CannotStart(
                f"The {name} ended at its start with status {self.processes[name].returncode}; see its log."
            )
        if not done:
            raise CannotStart(f"The services were not ready within {START_S:g} s.")


async def until_serving(address: str) -> None:
    """Return when the server at `address` says that it can do its work; it may not even listen yet."""
    async with grpc.aio.insecure_channel(address) as channel:
        while True:
            if await is_serving(channel, timeout_s=5):
                return
            await asyncio.sleep(0.05)


async def is_serving(channel: grpc.aio.Channel, *, timeout_s: float) -> bool:
    """Tell whether the server says within `timeout_s` that it can do its work."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        response = await check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=timeout_s)
    except grpc.aio.AioRpcError:
        return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


async def end(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal that ends the process, and wait for its end; what does not end in time is killed."""
    process.send_signal(how)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
