"""Articles out of HTML, in a process that may be killed."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

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


async def test_a_paragraph_stays_one_line(extractor: HtmlExtractor) -> None:
    """Neither bold words nor the line breaks of the source cut a paragraph, in a page or in a fragment."""
    assert (await extractor.extract("<p>نص <b>غامق</b>\n آخر</p>", timeout_s=20)).text == "نص غامق آخر"
    sentences = [f"وقالت قائدة الفريق إن الصورة رقم {number} ظهرت على الشاشة ثم ساد الصمت." for number in range(4)]
    page = "<article>" + "".join(f"<p>{sentence}</p>" for sentence in sentences).replace(" ", "\n  ") + "</article>"
    assert (await extractor.extract(page, timeout_s=20)).text.split("\n") == sentences


async def test_a_menu_is_no_article(extractor: HtmlExtractor) -> None:
    """A page of links and a footer has nothing to translate."""
    page = "<body><nav><a>الرئيسية</a><a>رياضة</a></nav><footer>جميع الحقوق محفوظة</footer></body>"
    with pytest.raises(NoArticleInHtml):
        await extractor.extract(page, timeout_s=20)


async def test_tags_that_are_never_closed_lose_no_text(extractor: HtmlExtractor) -> None:
    """What is nested deep is read, and what is nested too deep is refused: never cut off without a word."""
    assert (await extractor.extract("<font>ا" * 1_000, timeout_s=20)).text.count("ا") == 1_000
    with pytest.raises(HtmlTooHard):
        await extractor.extract("<font>ا" * 5_000, timeout_s=20)


async def test_only_what_is_seen_is_extracted(extractor: HtmlExtractor) -> None:
    """Scripts, styles, templates and their like are not text."""
    hidden = "".join(f"<{tag}>سر</{tag}>" for tag in ("script", "style", "noscript", "template", "textarea"))
    page = PAGE.replace("</article>", f"{hidden}</article>")
    assert "سر" not in (await extractor.extract(page, timeout_s=20)).text.replace("سرية", "سر")


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


async def test_a_reader_that_cannot_start_is_not_the_fault_of_the_page(
    extractor: HtmlExtractor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A missing package is an internal error, its reason is on standard error, and once it is there pages are read."""
    (tmp_path / "trafilatura.py").write_text("raise ImportError('lxml.html.clean is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="did not start"):
        await extractor.extract(PAGE, timeout_s=20)
    assert "lxml.html.clean is missing" in capfd.readouterr().err
    monkeypatch.delenv("PYTHONPATH")
    assert "هدهد" in (await extractor.extract(PAGE, timeout_s=20)).text


async def test_the_start_of_the_reader_is_not_on_the_time_of_the_page(
    extractor: HtmlExtractor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first page has as long as any other, however long the machine takes to start its reader."""
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(4)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert (await extractor.extract("<p>نص قصير</p>", timeout_s=3)).text == "نص قصير"


async def test_nothing_of_a_page_is_on_standard_error(
    extractor: HtmlExtractor, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the reader complains of quotes the page, and standard error is the log."""
    with contextlib.suppress(NoArticleInHtml, HtmlTooHard):
        await extractor.extract("<html><body>" + "<font>سر" * 5_000, timeout_s=20)
    assert "سر" not in capfd.readouterr().err
