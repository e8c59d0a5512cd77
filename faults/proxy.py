"""A TCP proxy that stands before a member and spoils what passes: late, slow, cut, or rubbish."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Proxy:
    """Listens on `port` and passes on to `target_port`, each chunk `delay_s` late.

    With `rubbish` nothing is passed on: every chunk that comes in is answered with random bytes.
    """

    port: int
    target_port: int
    delay_s: float = 0.0
    rubbish: bool = False
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.rubbish:
                while await reader.read(65536):
                    writer.write(os.urandom(64))
            else:
                await self._pass_on(reader, writer)
        except OSError:
            pass  # either side hung up
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._open.add(far_writer)
        try:
            await asyncio.gather(self._late(reader, far_writer), self._late(far_reader, writer))
        finally:
            self._open.discard(far_writer)
            far_writer.close()

    async def _late(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy until the end; chunks overlap, so that lateness costs time and not throughput."""
        call_later: Callable[..., object] = asyncio.get_running_loop().call_later
        while data := await reader.read(65536):
            call_later(self.delay_s, writer.write, data)
        await asyncio.sleep(self.delay_s)
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
