"""How long a reader waits: from asking for a pasted article of about 600 words to its first paragraph on the screen.

    python -m benchmarks.page [REPEATS]

In a real browser, with the shipped model, every time with an empty cache. Needs a Chromium (make page-test gets one).
"""

import asyncio
import json
import platform
import socket
import statistics
import sys
from datetime import UTC, datetime

from playwright.async_api import Browser, async_playwright

from khulasa.up import Services
from tests.conftest import ARTICLES
from tests.page.conftest import CHROMIUM, FLAGS

WORDS = 600
# The browser itself notes when rows come; asking it from here would add the way there and back.
WATCH = """
() => new Promise((resolve) => {
  const began = performance.now();
  const seen = {};
  const look = () => {
    const rows = document.querySelectorAll(".row").length;
    if (rows && !("first" in seen)) seen.first = performance.now() - began;
    if (!document.querySelector("#summary").hidden) seen.summary ??= performance.now() - began;
    if (document.querySelector("#status").textContent.startsWith("Done")) {
      resolve({ ...seen, whole: performance.now() - began, rows });
    } else requestAnimationFrame(look);
  };
  document.querySelector("#translate").click();
  requestAnimationFrame(look);
})
"""


def article() -> str:
    """Return whole paragraphs of the project's own articles, about `WORDS` words."""
    paragraphs: list[str] = []
    for path in sorted(ARTICLES.glob("*.txt")):
        paragraphs += [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    chosen: list[str] = []
    while sum(len(paragraph.split()) for paragraph in chosen) < WORDS:
        chosen.append(paragraphs[len(chosen)])
    return "\n\n".join(chosen)


async def measure(browser: Browser, address: str, text: str) -> dict[str, float]:
    """Return seconds to the first row, to the summary and to the whole, for one article nobody asked for before."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    await page.goto(f"http://{address}/")
    await page.wait_for_selector("html[data-ready]")
    await page.fill("#source", text)
    seen = await page.evaluate(WATCH)
    await context.close()
    return {f"{name}_s": seen[name] / 1000 for name in ("first", "summary", "whole")} | {"rows": seen["rows"]}


async def main(repeats: int) -> None:
    """Print the medians and all runs as JSON."""
    text = article()
    runs = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(repeats):
            with socket.create_server(("127.0.0.1", 0)) as free:
                address = f"127.0.0.1:{free.getsockname()[1]}"
            # Services anew for each run: their embedded cache is empty, and the first article finds them warm but new.
            async with await Services.start(http_address=address, quiet=True):
                runs.append(await measure(browser, address, text))
                print(runs[-1], file=sys.stderr)
        version = browser.version
        await browser.close()
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    print(
        json.dumps(
            {
                "words": len(text.split()),
                "median": medians,
                "runs": runs,
                "chromium": version,
                "machine": platform.processor() or platform.machine(),
                "date": datetime.now(UTC).date().isoformat(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
