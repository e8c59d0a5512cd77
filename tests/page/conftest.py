"""The reader page in a real browser: Chromium of this machine, headless, in front of the services in this process."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright

from gateway.http.server import HttpServer
from tests.conftest import Stack
from tests.http.conftest import http_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",  # Chromium refuses to run as root with it, and what it opens is our own
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say why, where there is no browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium here: make page-test gets it"))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser, started once."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def server(stack: Stack) -> AsyncIterator[HttpServer]:
    """A ready HTTP side on a free port."""
    server = http_server(stack)
    await server.start()
    server.set_ready(True)
    yield server
    await server.drain(0)


class Watched:
    """What a page asked for and complained of."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []


@pytest.fixture
def watched() -> Watched:
    """Filled while the test runs."""
    return Watched()


@pytest.fixture
async def page(browser: Browser, server: HttpServer, watched: Watched) -> AsyncIterator[Page]:
    """The reader page in an empty browser. Fails the test if it asked another host, or the script failed."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page = await context.new_page()
    page.set_default_timeout(15_000)
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).hostname or request.url[:5]))
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("console", lambda said: watched.complaints.append(said.text) if said.type == "error" else None)
    await page.goto(f"http://127.0.0.1:{server.port}/")
    await page.wait_for_selector("html[data-ready]")
    yield page
    await context.close()
    assert watched.hosts <= {"127.0.0.1", "blob:"}
    assert watched.complaints == []
