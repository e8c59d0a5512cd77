"""Articles out of HTML, in a process that may be killed."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest

from gateway.html import HtmlExtractor, HtmlTooHard, NoArticleInHtml
from tests.conftest import ARTICLES

PAGE = (ARTICLES / "satellite.html").read_text()


@pytest.fixture
async def extractor() -> AsyncIterator[HtmlExtractor]:
    extractor = HtmlExtractor()
    yield extractor
    await extractor.close()


async def test_a_fragment_is_an_article_too(extractor: HtmlExtractor) -> None:
    """A single paragraph is too small for a page, but it is what was sent."""
    assert (await extractor.extract("<p>نص قصير</p>", timeout_s=20)).text == "نص قصير"


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>var x = 'نص'</script>", "<!-- نص -->"])
async def test_a_page_without_text_is_told_apart(extractor: HtmlExtractor, page: str) -> None:
    """Nothing to read is an error of its own; scripts and comments are nothing to read."""
    with pytest.raises(NoArticleInHtml):
        await extractor.extract(page, timeout_s=20)


@pytest.mark.parametrize("page", ["<div>" * 20_000 + "نص", "<" * 500_000, "<p>\x00نص\x00</p>"])
async def test_hostile_pages_cost_no_more_than_their_time(extractor: HtmlExtractor, page: str) -> None:
    """Deep nesting and broken markup end in an answer or a typed error, and the next page is read."""
    with contextlib.suppress(NoArticleInHtml, HtmlTooHard):
        await extractor.extract(page, timeout_s=20)
    assert "هدهد" in (await extractor.extract(PAGE, timeout_s=20)).text


async def test_a_frozen_reader_is_replaced(extractor: HtmlExtractor) -> None:
    """A page that is not read in time is given up, and the next one gets a fresh process."""
    await extractor.extract(PAGE, timeout_s=20)
    assert extractor._process is not None
    extractor._process.send_signal(signal.SIGSTOP)
    with pytest.raises(HtmlTooHard):
        await extractor.extract(PAGE, timeout_s=0.2)
    assert "هدهد" in (await extractor.extract(PAGE, timeout_s=20)).text


async def test_a_killed_reader_is_replaced(extractor: HtmlExtractor) -> None:
    """A crash costs at most one page."""
    await extractor.extract(PAGE, timeout_s=20)
    assert extractor._process is not None
    extractor._process.kill()
    await extractor._process.wait()
    assert "هدهد" in (await extractor.extract(PAGE, timeout_s=20)).text


async def test_a_caller_that_leaves_takes_its_answer_along(extractor: HtmlExtractor) -> None:
    """The next caller never gets the page of one that was cancelled."""
    await extractor.extract(PAGE, timeout_s=20)
    leaving = asyncio.create_task(extractor.extract(PAGE, timeout_s=20))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await extractor.extract("<p>نص آخر</p>", timeout_s=20)).text == "نص آخر"
