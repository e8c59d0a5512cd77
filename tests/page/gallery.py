"""Take the pictures of docs/gallery.md anew: `python -m tests.page.gallery`.

The project's own articles through the shipped model and a real browser, so that nobody has to imagine the page.
"""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from khulasa.up import Services, free_port
from tests.conftest import ARTICLES, ROOT
from tests.page.conftest import CHROMIUM, FLAGS

FOLDER = ROOT / "docs" / "gallery"


async def main() -> None:
    """Start the services, take every picture, stop them."""
    address = f"127.0.0.1:{free_port()}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with await Services.start(http_address=address, quiet=True), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        await picture(browser, address, "flood", ARTICLES / "flood.txt", width=1200, height=1000)
        await picture(browser, address, "asked", ARTICLES / "satellite.html", width=1200, height=1150, asked="#en-s1")
        await picture(browser, address, "dark", ARTICLES / "election.txt", width=1200, height=900, scheme="dark")
        await picture(browser, address, "narrow", ARTICLES / "vaccine.txt", width=360, height=1100)
        await browser.close()


async def picture(
    browser: Browser,
    address: str,
    name: str,
    article: Path,
    *,
    width: int,
    height: int,
    scheme: str = "light",
    asked: str = "#en-s0",
) -> None:
    """Translate one article on the page and take its picture under `name`, a sentence of it lit."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page: Page = await context.new_page()
    await page.goto(f"http://{address}/")
    await page.wait_for_selector("html[data-ready]")
    text = await asyncio.to_thread(article.read_text, encoding="utf-8")
    await page.fill("#source", text)
    await page.click("#translate")
    await expect(page.locator("#status")).to_contain_text("Done", timeout=300_000)
    if asked != "#en-s0":
        await page.click(asked)
    await page.locator(asked).evaluate("e => e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))")
    await page.evaluate("document.fonts.ready")
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"{name}.png")
    await context.close()


if __name__ == "__main__":
    asyncio.run(main())
