"""Articles out of HTML pages, in a process that can be killed.

extracted = await extractor.extract(page, timeout_s=10)
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

START_S = 60.0
"""For a fresh reader to be ready: its imports take a second, and several on a machine that is busy."""


class NoArticleInHtml(Exception):
    """The page has no running text."""


class HtmlTooHard(Exception):
    """The page took too much time or memory, or ended the process that read it."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The article of a page: a paragraph a line."""

    title: str
    text: str
    dropped_chars: int
    """Visible characters of the page, white space aside, that are not in `text`."""


class HtmlExtractor:
    """One worker process, started at first use, one page at a time; killed and replaced when a page is too hard."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def extract(self, html: str, *, timeout_s: float) -> Extracted:
        """Return the article of a page, read within `timeout_s`. Raises NoArticleInHtml, HtmlTooHard.

        Raises RuntimeError if the worker does not start, which is no fault of the page.
        """
        async with self._one_at_a_time:
            try:
                process = await self._worker()
                async with asyncio.timeout(timeout_s):
                    answer = await _ask(process, html)
            except TimeoutError:
                await self._kill()
                raise HtmlTooHard(f"it was not read within {timeout_s:g} s") from None
            except (asyncio.IncompleteReadError, ConnectionError):
                await self._kill()
                raise HtmlTooHard("reading it took too much memory, or broke the reader") from None
            except asyncio.CancelledError:
                await self._kill()  # or the next caller would be given this page's answer
                raise
        if not answer.text:
            raise NoArticleInHtml
        return answer

    async def close(self) -> None:
        """End the worker."""
        await self._kill()

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            # A fresh interpreter and not a fork: gRPC's threads do not survive one.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.html_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(START_S):
                    await _message(self._process)
            except (TimeoutError, asyncio.IncompleteReadError):
                await self._kill()
                raise RuntimeError("the reader of HTML pages did not start; it has written why to the log") from None
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _ask(process: asyncio.subprocess.Process, html: str) -> Extracted:
    if process.stdin is None:
        raise RuntimeError("the worker was started without pipes")
    data = json.dumps({"html": html}).encode()
    process.stdin.write(len(data).to_bytes(4, "big") + data)
    await process.stdin.drain()
    return Extracted(**await _message(process))


async def _message(process: asyncio.subprocess.Process) -> dict[str, Any]:
    if process.stdout is None:
        raise RuntimeError("the worker was started without pipes")
    length = int.from_bytes(await process.stdout.readexactly(4), "big")
    message: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    return message
