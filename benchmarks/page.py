"""How long a reader waits: from asking for a pasted article of about 600 words to its first paragraph on the screen.

    python -m benchmarks.page [--repeats 5]

In a real browser, with the shipped model, every time with an empty cache. Needs a Chromium (make page-test gets one).
"""

import argparse
import asyncio
import statistics

from playwright.async_api import Browser, async_playwright

from benchmarks import articles, results_file
from khulasa.up import Services, free_port
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


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    result = asyncio.run(measure(args.repeats))
    print(result)
    print(results_file.keep("page", result))


async def measure(repeats: int) -> dict[str, object]:
    """Return the medians and all runs."""
    text = articles.of_words(WORDS)
    runs = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(repeats):
            address = f"127.0.0.1:{free_port()}"
            # Services anew for each run: their embedded cache is empty, and the first article finds them warm but new.
            async with await Services.start(http_address=address, quiet=True):
                runs.append(await read(browser, address, text))
                print(runs[-1], flush=True)
        version = browser.version
        await browser.close()
    medians = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    return {"words": len(text.split()), "median": medians, "runs": runs, "chromium": version}


async def read(browser: Browser, address: str, text: str) -> dict[str, float]:
    """Return seconds to the first row, to the summary and to the whole, for one article nobody asked for before."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    await page.goto(f"http://{address}/")
    await page.wait_for_selector("html[data-ready]")
    await page.fill("#source", text)
    seen = await page.evaluate(WATCH)
    await context.close()
    return {f"{name}_s": seen[name] / 1000 for name in ("first", "summary", "whole")} | {"rows": seen["rows"]}


if __name__ == "__main__":
    main()
