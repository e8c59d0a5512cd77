"""A reader pastes an article and reads it: every test is a browser's."""

import asyncio
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from gateway.glossaries import read_glossaries
from gateway.http import reader
from gateway.http.server import HttpServer
from khulasa.types import FlagReason
from khulasa.v1 import article_pb2
from khulasa.words import FLAG_WORDS
from services.translator.normalize import SCHEMES
from tests.conftest import Stack, plausible_english
from tests.page.conftest import Watched
from training.user_pairs import read_user_pairs

BETTER = (
    "The Civil Defence Authority in the Zahra Valley region announced on Sunday that the floods that have hit the area "
    "since Friday evening have forced about 12,000 people to leave their homes, killed 7 and injured 43 others."
)


async def paste(page: Page, text: str) -> None:
    """Put text into the field as a paste does, and ask for its translation."""
    await page.fill("#source", text)
    await page.click("#translate")


async def read(page: Page, text: str) -> None:
    """Paste an article and wait until it is done."""
    await paste(page, text)
    await expect(page.locator("#status")).to_contain_text("Done")


def doubtful(arabic: str) -> str:
    """Say something plausible, but lose the numbers of some sentences."""
    english = plausible_english(arabic)
    return re.sub(r"\d[\d,.]*", "", english) if "12" in arabic else english


async def test_article_streams_in(stack: Stack, page: Page, flood: str) -> None:
    """The first paragraph is on the page while the others are still being translated; then come summary and verdict."""
    await read(page, flood.split("\n\n")[0])
    await page.click("#new")
    stack.engine.released.clear()
    await paste(page, flood)
    await expect(page.locator(".row")).to_have_count(1)
    await expect(page.locator("#summary")).to_be_hidden()
    stack.engine.released.set()
    await expect(page.locator("#status")).to_contain_text("Done: 14 sentences")
    await expect(page.locator(".row")).to_have_count(10)
    await expect(page.locator("#summary-list li")).to_have_count(3)
    assert await page.locator(".waiting").count() == 0


async def test_arabic_stands_right_to_left_beside_the_english(page: Page, flood: str) -> None:
    """The Arabic is the text as sent, in the right column, in the face that comes with the page."""
    await read(page, flood)
    english, arabic = page.locator(".row .en").nth(1), page.locator(".row .ar").nth(1)
    left, right = await english.bounding_box(), await arabic.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    style = await arabic.evaluate("e => [getComputedStyle(e).direction, getComputedStyle(e).textAlign]")
    assert style == ["rtl", "right"]
    assert await page.evaluate("document.fonts.check('16px \"Noto Naskh Arabic\"', 'ع')")
    faces = await page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert any("Noto Naskh Arabic" in face for face in faces)
    shown = await page.locator(".row .ar .text").all_inner_texts()
    assert [line.split() for line in shown] == [line.split() for line in flood.splitlines() if line.strip()]


async def test_pointing_lights_the_counterpart(page: Page, flood: str) -> None:
    """Pointing at a sentence in either language lights it and its counterpart, and nothing else."""
    await read(page, flood)
    for side in ("en", "ar"):
        await page.hover(f"#{side}-s3")
        lit = await page.eval_on_selector_all(".s.lit", "all => all.map(e => e.id).sort()")
        assert lit == ["ar-s3", "en-s3"]


async def test_summary_jumps_to_its_source(page: Page, flood: str) -> None:
    """Following a sentence of the summary focuses the very same sentence in the article and lights its Arabic."""
    await read(page, flood)
    link = page.locator("#summary-list a").last
    text = await link.inner_text()
    await link.click()
    focused = page.locator(":focus")
    assert " ".join((await focused.inner_text()).split()) == " ".join(text.split())
    await expect(focused).to_be_in_viewport()
    identity = await focused.get_attribute("id")
    assert identity
    await expect(page.locator(f"#ar-{identity[3:]}")).to_have_class(re.compile("lit"))


async def test_keyboard_alone_is_enough(page: Page, flood: str) -> None:
    """From the field by Tab to the button, by arrows through the sentences, by Enter into the details."""
    await page.focus("#source")
    await page.keyboard.insert_text(flood)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "translate"
    await page.keyboard.press("Enter")
    await expect(page.locator("#status")).to_contain_text("Done")
    await page.evaluate("document.body.focus(), document.activeElement.blur()")
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.matches('.en .s')"):
            break
    assert await page.evaluate("document.activeElement.id") == "en-s0"
    await page.keyboard.press("ArrowDown")
    assert await page.evaluate("document.activeElement.id") == "en-s1"
    await expect(page.locator("#ar-s1")).to_have_class(re.compile("lit"))
    await page.keyboard.press("Enter")
    await expect(page.locator(".inspector")).to_be_visible()
    assert await page.evaluate("document.activeElement.id") == "better"
    await page.keyboard.press("Escape")
    await expect(page.locator(".inspector")).to_have_count(0)
    assert await page.evaluate("document.activeElement.id") == "en-s1"


async def test_doubt_is_told_in_words(stack: Stack, page: Page, flood: str) -> None:
    """A flagged sentence is underlined, its note says why in words, and a screen reader is given the note."""
    stack.engine.say = doubtful
    await read(page, flood)
    sentence = page.locator(".en .s.doubt").first
    note = await sentence.get_attribute("aria-describedby")
    await expect(page.locator(f"#{note}")).to_contain_text("A number or date differs from the Arabic")
    assert "wavy" in await sentence.evaluate("e => getComputedStyle(e).textDecorationStyle")
    await expect(page.locator("#status")).to_contain_text("doubtful")


def test_every_reason_has_words() -> None:
    """Each reason of the protos has words on the page, and the client's list has no other."""
    names = {name for name in dict(article_pb2.Flag.Reason.items()) if name != "REASON_UNSPECIFIED"}
    assert {f"REASON_{reason.name}" for reason in FLAG_WORDS} - {"REASON_UNKNOWN"} == names
    assert len(set(FLAG_WORDS.values())) == len(FlagReason)


async def test_offsets_hold_beyond_the_first_plane(page: Page) -> None:
    """Signs that are two units in JavaScript do not shift what is cut out by code points."""
    text = "🌊🌊 أعلنت وزارة الصحة 🏥 عن خطة جديدة في وادي الزهراء. وصل الوفد 🚁 إلى وادي الزهراء."
    await page.locator("#glossary-box summary").click()
    await page.fill("#glossary", "وادي الزهراء\tZahra Valley")
    await read(page, text)
    assert await page.locator(".row .ar .text").inner_text() == text
    assert await page.locator(".ar mark").all_inner_texts() == ["وادي الزهراء", "وادي الزهراء"]


async def test_glossary_is_shown(stack: Stack, page: Page) -> None:
    """A term that was found is marked, and a note says whether the English has it."""
    stack.engine.say = lambda arabic: plausible_english(arabic) if "Zahra" not in arabic else "nothing of it"
    await page.locator("#glossary-box summary").click()
    await page.fill("#glossary", "الوزارة = the Ministry")
    await read(page, "أعلنت الوزارة عن الخطة.")
    await expect(page.locator(".notes")).to_contain_text("الوزارة")
    await expect(page.locator(".notes")).to_contain_text("“the Ministry”")


@pytest.mark.parametrize("kind", ["txt", "md", "json"])
async def test_article_can_be_downloaded(page: Page, flood: str, kind: str, tmp_path: Path) -> None:
    """As text, Markdown and JSON; the JSON is the answer of the API."""
    await read(page, flood)
    async with page.expect_download() as download:
        await page.click(f"[data-download={kind}]")
    path = tmp_path / "article"
    await (await download.value).save_as(path)
    content = path.read_text()
    summary = await page.locator("#summary-list a").first.inner_text()
    if kind == "json":
        answer = json.loads(content)
        assert answer["summary"]["sentences"][0]["text"].split() == summary.split()
        assert len(answer["translation"]["paragraphs"]) == 10
    else:
        assert " ".join(summary.split()[:4]) in content


async def test_file_is_read_in_its_encoding(page: Page, flood: str, tmp_path: Path) -> None:
    """An old file in Windows-1256 is opened as it is."""
    old = tmp_path / "old.txt"
    text = flood.replace("٦", "6").replace("٢٥", "25")
    old.write_bytes(text.encode("cp1256"))
    await page.set_input_files("#file", old)
    await expect(page.locator("#status")).to_contain_text("Done")
    assert (await page.locator(".row .ar .text").first.inner_text()).split() == text.splitlines()[0].split()


async def test_file_can_be_dropped(page: Page, flood: str) -> None:
    """A file that is dropped anywhere on the page is translated."""
    data = await page.evaluate_handle(
        "text => { const d = new DataTransfer(); d.items.add(new File([text], 'a.txt')); return d }",
        flood,
    )
    await page.dispatch_event("body", "dragover", {"dataTransfer": data})
    await expect(page.locator("#drop")).to_be_visible()
    await page.dispatch_event("body", "drop", {"dataTransfer": data})
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator("#drop")).to_be_hidden()


async def test_html_of_an_article_is_never_run(stack: Stack, page: Page, watched: Watched) -> None:
    """Scripts, handlers and pictures of a pasted page, and markup in a translation, are text at most."""
    stack.engine.say = lambda arabic: '<img src=x onerror="window.hit=1"><script>window.hit=2</script> the plan'
    hostile = (
        "<html><body><article><h1>عنوان <img src='https://evil.example/x.png' onerror='window.hit=3'></h1>"
        "<p>أعلنت الوزارة عن الخطة الجديدة في المدينة يوم الأحد.<script>window.hit=4</script></p>"
        "<p>قال الوزير &lt;script&gt;window.hit=5&lt;/script&gt; إن الخطة ستبدأ في الأسبوع المقبل.</p>"
        "<iframe src='javascript:parent.hit=6'></iframe></article></body></html>"
    )
    await read(page, hostile)
    await page.locator(".en .s").first.click()
    await asyncio.sleep(0.2)
    assert await page.evaluate("window.hit") is None
    assert await page.locator("#article img, #article script, #article iframe").count() == 0
    assert "evil.example" not in watched.hosts
    await expect(page.locator(".en").first).to_contain_text("<img src=x")


async def test_refusal_is_told(page: Page, watched: Watched) -> None:
    """What the gateway refuses stands on the page in its own words, and the text is still there."""
    await paste(page, "<html><body></body></html>")
    await expect(page.locator("#problem")).to_contain_text("no article")
    assert await page.input_value("#source")
    await page.fill("#source", "   ")
    await page.click("#translate")
    await expect(page.locator("#problem")).to_contain_text("no text yet")
    assert all("422" in complaint for complaint in watched.complaints)  # which Chromium itself writes
    watched.complaints.clear()


async def test_stopping_cancels(stack: Stack, page: Page, flood: str) -> None:
    """Stop ends the work in the gateway too."""
    stack.engine.released.clear()
    await paste(page, flood)
    await page.click("#stop")
    await expect(page.locator("#status")).to_contain_text("Stopped")
    assert stack.gateway is not None
    async with asyncio.timeout(10):
        while stack.gateway._pipeline.flights._flights:  # noqa: ASYNC110  # a flight's end is no event
            await asyncio.sleep(0.02)
    stack.engine.released.set()


async def test_recent_articles_stay_in_the_browser(page: Page, flood: str, server: HttpServer) -> None:
    """An article is there again after a reload without asking the gateway, until it is cleared."""
    await read(page, flood)
    await expect(page.locator("#recent-list .open")).to_be_visible()  # it is kept after "Done" is said
    await page.reload()
    await page.wait_for_selector("html[data-ready]")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await page.click("#recent-list .open")
    await expect(page.locator(".row")).to_have_count(10)
    await expect(page.locator("#summary-list li")).to_have_count(3)
    assert not [path for path in asked if not path.startswith("/page/")]
    await page.click("#clear")
    await expect(page.locator("#recent")).to_be_hidden()
    await page.reload()
    await page.wait_for_selector("html[data-ready]")
    await expect(page.locator("#recent")).to_be_hidden()


async def test_correction_becomes_a_training_pair(page: Page, flood: str, tmp_path: Path) -> None:
    """Corrections are downloaded in the form that `khulasa train --pairs` reads; the page shows them from then on."""
    await read(page, flood)
    await page.click("#en-s1")
    await page.fill("#better", BETTER.replace(" on ", "\ton ").replace(" that ", "\n that "))
    await page.click("#save-correction")
    await expect(page.locator("#en-s1")).to_have_text(BETTER)
    async with page.expect_download() as download:
        await page.click("#corrections")
    path = tmp_path / "corrections.tsv"
    await (await download.value).save_as(path)
    # One correction is too few to train with; the reader's own minimum is met by pairs beside it.
    others = "".join(
        f"وصل الوفد رقم {n} إلى المدينة\tDelegation number {n} reached the city\n" for n in range(100, 220)
    )
    path.write_text(path.read_text() + others)
    pairs = read_user_pairs(path, SCHEMES["plain-1"], seed=1)
    assert not pairs.dropped
    english = [right for _, right in [*pairs.train, *pairs.held_out]]
    assert BETTER in english


async def test_term_becomes_a_glossary(stack: Stack, page: Page, flood: str, tmp_path: Path) -> None:
    """A term is downloaded as a glossary that the gateway reads, and is sent with the next article."""
    await read(page, flood)
    await page.click("#en-s1")
    await page.fill("#term-source", "وادي الزهراء")
    await page.fill("#term-target", "Zahra Valley")
    await page.click("#save-term")
    async with page.expect_download() as download:
        await page.click("#terms")
    await (await download.value).save_as(tmp_path / "names.tsv")
    [term] = read_glossaries(tmp_path)["names"]
    assert (term.source, term.target) == ("وادي الزهراء", "Zahra Valley")
    await page.click("#new")
    async with page.expect_request("**/v1/articles:stream") as asked:
        await read(page, flood)
    sent = json.loads((await asked.value).post_data or "")
    assert sent["options"]["glossary"]["terms"] == [{"source": "وادي الزهراء", "target": "Zahra Valley"}]


async def axe_findings(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical on the page as it is."""
    results = await Axe().run(page)
    return [
        f"{violation['id']}: {node['target']}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nobody_is_shut_out(stack: Stack, page: Page, flood: str, scheme: str) -> None:
    """axe-core finds nothing serious: empty page, article with doubts, details open; light and dark."""
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert await axe_findings(page) == []
    stack.engine.say = doubtful
    await read(page, flood)
    assert await axe_findings(page) == []
    await page.click("#en-s1")
    await expect(page.locator(".inspector")).to_be_visible()
    assert await axe_findings(page) == []


async def test_dark_mode_is_dark(page: Page) -> None:
    """With a dark system the paper is dark and the ink is light."""
    brightness = "e => getComputedStyle(e).{}.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3"
    for scheme, is_dark in (("dark", True), ("light", False)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        paper = await page.eval_on_selector("body", brightness.format("backgroundColor"))
        ink = await page.eval_on_selector("body", brightness.format("color"))
        assert (paper < ink) == is_dark


async def test_narrow_screens_need_no_sideways_scrolling(page: Page, flood: str) -> None:
    """At 360 px everything fits the width, the Arabic below its English."""
    await page.set_viewport_size({"width": 360, "height": 740})
    await read(page, flood)
    await page.click("#en-s1")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    english, arabic = (
        await page.locator(".row .en").nth(1).bounding_box(),
        await page.locator(".row .ar").nth(1).bounding_box(),
    )
    assert english is not None
    assert arabic is not None
    assert arabic["y"] >= english["y"] + english["height"]


async def test_print_has_only_the_article(page: Page, flood: str) -> None:
    """On paper there are summary and both languages, and no buttons."""
    await read(page, flood)
    await page.emulate_media(media="print")
    await expect(page.locator("#summary")).to_be_visible()
    await expect(page.locator(".row").first).to_be_visible()
    assert await page.locator("button:visible, textarea:visible").count() == 0


def test_page_is_small() -> None:
    """Without its fonts the page is under 200 kB."""
    size = sum(path.stat().st_size for path in reader.FOLDER.iterdir() if path.suffix != ".woff2")
    assert size < 200_000
