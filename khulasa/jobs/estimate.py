"""What `--dry-run` says: how much there is to do, and how long it takes, told from a few articles that it does."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from khulasa.errors import KhulasaError
from khulasa.jobs.duplicates import digest_of
from khulasa.jobs.index import Index
from khulasa.jobs.inputs import Input
from khulasa.jobs.output import recorded_ids
from khulasa.types import Article, CacheUse, Result

SAMPLE = 16
SAMPLE_CHARS = 40_000


async def estimate(source: Input, path: Path, process: Callable[[Article], Awaitable[Result]], at_once: int) -> str:
    """Return what to tell. Nothing is written; what the sample translates is in the gateway's cache afterwards."""
    index = Index()
    for article_id in recorded_ids(path):
        index.add_done(article_id)
    articles = chars = done = copies = bad = copied_chars = 0
    sample: list[Article] = []
    for entry in source.entries():
        if entry.article is None or not index.add_read(entry.id):
            bad += 1
        elif index.is_done(entry.id):
            done += 1
        else:
            articles += 1
            length, digest = len(entry.article.text or entry.article.html), digest_of(entry.article)
            chars += length
            if index.first(digest):
                copies += 1
                copied_chars += length
            else:
                index.add_first(digest, entry.id, 0)
                if len(sample) < SAMPLE and sum(len(a.text or a.html) for a in sample) < SAMPLE_CHARS:
                    sample.append(entry.article)
    index.close()
    counted = (
        f"{articles} articles to do with {chars} characters, {copies} of them copies; {done} done before; "
        f"{bad} that are no article or repeat an id."
    )
    if not sample:
        return counted
    return f"{counted} {await _time(sample, chars - copied_chars, process, at_once)}"


async def _time(
    sample: list[Article], chars: int, process: Callable[[Article], Awaitable[Result]], at_once: int
) -> str:
    places = asyncio.Semaphore(at_once)

    async def timed(article: Article) -> tuple[int, bool]:
        async with places:
            result = await process(article)
        return len(article.text or article.html), result.provenance.cache_use == CacheUse.HIT

    began_at = time.monotonic()
    answers = await asyncio.gather(*(timed(article) for article in sample), return_exceptions=True)
    seconds = time.monotonic() - began_at
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in errors:
        if not isinstance(error, KhulasaError):
            raise error
    timed_chars = sum(answer[0] for answer in answers if not isinstance(answer, BaseException) and not answer[1])
    if not timed_chars:
        why = f"the gateway says: {errors[0]}" if errors else "all that was tried was in the cache"
        return f"No estimate of the time: {why}"
    minutes = chars / timed_chars * seconds / 60
    return (
        f"About {minutes:.0f} minutes, told from {len(sample)} in {seconds:.1f} s; what is in the cache takes no time."
    )
