"""The processes that the suite breaks: two gateways, two translators, a summarizer, Redis for the cache and for jobs.

They stand at fixed addresses, as replicas in a cluster do, so that what was ended comes back in its own place.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
import psutil

from gateway.embedded_redis import redis_server
from khulasa.up import end, is_serving

START_S = 60.0
GATEWAYS = ("gateway-a", "gateway-b")
TRANSLATORS = ("translator-a", "translator-b")
SERVICES = (*TRANSLATORS, "summarizer", *GATEWAYS)
"""In the order in which they start; they end in the other."""
CACHE, JOBS = "cache", "jobs"
STORES = {
    CACHE: ("--save", "", "--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lfu"),
    JOBS: ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
}
"""Each Redis and how it is run."""


@dataclass(slots=True)
class Member:
    """One process: how it is started, and where it listens."""

    name: str
    command: list[str]
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def move(self, port: int) -> None:
        """Listen at another port from the next start on; who calls it is not told."""
        self.command = [str(port) if word == str(self.port) else word for word in self.command]
        if "KHULASA_ADDRESS" in self.environment:
            self.environment["KHULASA_ADDRESS"] = f"127.0.0.1:{port}"
        self.port = port

    @property
    def pid(self) -> int:
        """Process id; RuntimeError if it does not run."""
        if self.process is None or self.process.returncode is not None:
            raise RuntimeError(f"{self.name} does not run")
        return self.process.pid


class Cluster:
    """All members, and what can be done to each.

    async with Cluster(folder, model) as cluster:
        await cluster.kill("translator-a")
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        *,
        translator: str = "services.translator",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`translator` is the module that runs as both of them; `settings` are `KHULASA_*` variables for all."""
        self.folder = folder
        self._translator = translator
        self.members: dict[str, Member] = {}
        self._held = {name: _held_port() for name in (*SERVICES, *STORES)}
        ports = {name: held.getsockname()[1] for name, held in self._held.items()}
        for name in SERVICES:
            self.members[name] = Member(name, self._command(name), ports[name])
        for name, arguments in STORES.items():
            data, port = folder / f"{name}-data", ports[name]
            data.mkdir()
            address = ("--bind", "127.0.0.1", "--port", str(port))
            self.members[name] = Member(name, [redis_server(), *address, "--dir", str(data), *arguments], port)
        translators = ",".join(self.members[name].address for name in TRANSLATORS)
        for name in SERVICES:
            self.members[name].environment = {
                "KHULASA_ADDRESS": self.members[name].address,
                "KHULASA_TRANSLATOR": f"ipv4:{translators}",
                "KHULASA_SUMMARIZER": self.members["summarizer"].address,
                "KHULASA_REDIS_URL": f"redis://{self.members[CACHE].address}",
                "KHULASA_JOBS_REDIS_URL": f"redis://{self.members[JOBS].address}",
                "KHULASA_MODEL": str(model),
                "KHULASA_THREADS": "1",
                "KHULASA_DRAIN_NOTICE_S": "0.5",
            } | dict(settings or {})

    @property
    def gateways(self) -> list[str]:
        """Targets for clients, one for each gateway, the other one second: a client that loses its first takes that."""
        first, second = (self.members[name].address for name in GATEWAYS)
        return [f"ipv4:{first},{second}", f"ipv4:{second},{first}"]

    async def start(self, name: str, **environment: str) -> None:
        """Start a member, with settings beside its own, and return when it serves."""
        member = self.members[name]
        member.environment |= environment
        with (self.folder / f"{name}.log").open("ab") as log:
            member.process = await asyncio.create_subprocess_exec(
                *member.command,
                env=os.environ | member.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self.until_ready(name)

    async def until_ready(self, name: str) -> None:
        """Return when the member serves; TimeoutError after a minute, RuntimeError if it ended instead."""
        member = self.members[name]
        async with asyncio.timeout(START_S):
            while not await (_accepts(member.port) if name in STORES else _serves(member.address)):
                if member.process is None or member.process.returncode is not None:
                    raise RuntimeError(f"{name} ended at its start; see {self.folder / name}.log")
                await asyncio.sleep(0.05)

    async def kill(self, name: str) -> None:
        """End it without a word: SIGKILL."""
        await self._end(name, signal.SIGKILL)

    async def drain(self, name: str) -> None:
        """End it as a rolling restart does: SIGTERM, and wait for it."""
        await self._end(name, signal.SIGTERM)

    async def restart(self, name: str, **environment: str) -> None:
        """Drain it and start it again."""
        await self.drain(name)
        await self.start(name, **environment)

    def freeze(self, name: str) -> None:
        """Stop it where it is: its connections stay open and nothing answers."""
        os.kill(self.members[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        os.kill(self.members[name].pid, signal.SIGCONT)

    def use(self) -> dict[str, dict[str, float]]:
        """Return resident megabytes, descriptors and threads of each running member."""
        found = {}
        for name, member in self.members.items():
            if member.process is not None and member.process.returncode is None:
                process = psutil.Process(member.process.pid)
                found[name] = {
                    "rss_mb": round(process.memory_info().rss / 2**20, 1),
                    "descriptors": process.num_fds(),
                    "threads": process.num_threads(),
                }
        return found

    async def __aenter__(self) -> Self:
        try:
            for name in (*STORES, *SERVICES):
                await self.start(name)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in (*reversed(SERVICES), *STORES):
            with contextlib.suppress(RuntimeError):
                self.thaw(name)
                await self.drain(name)
        for held in self._held.values():
            held.close()

    async def _end(self, name: str, how: signal.Signals) -> None:
        process = self.members[name].process
        if process is None or process.returncode is not None:
            raise RuntimeError(f"{name} does not run")
        await end(process, how)

    def _command(self, name: str) -> list[str]:
        modules = {"gateway": "gateway", "translator": self._translator, "summarizer": "services.summarizer"}
        return [sys.executable, "-m", modules[name.partition("-")[0]]]


def _held_port() -> socket.socket:
    """Return a socket that keeps a port for a member: while that is away, no other program is given its port.

    It does not listen, so that who connects is refused, and the member itself may bind beside it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


async def _serves(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        return await is_serving(channel, timeout_s=2)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
