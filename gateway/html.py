"""Articles out of HTML pages, in a process that can be killed.

extracted = await extractor.extract(page, timeout_s=10)
"""

import asyncio
import json
import sys
from dataclasses import dataclass


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
        """Return the article of a page. Raises NoArticleInHtml, HtmlTooHard."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await self._ask(html)
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

    async def _ask(self, html: str) -> Extracted:
        process = await self._worker()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        data = json.dumps({"html": html}).encode()
        process.stdin.write(len(data).to_bytes(4, "big") + data)
        await process.stdin.drain()
        length = int.from_bytes(await process.stdout.readexactly(4), "big")
        return Extracted(**json.loads(await process.stdout.readexactly(length)))

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            # A fresh interpreter and not a fork: gRPC's threads do not survive one.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.html_worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # trafilatura's complaints quote the page
                start_new_session=True,
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
