"""One article through all three services, twice: the second answer comes from the cache. `make demo` runs it."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from khulasa import Article, AsyncClient
from khulasa.show import show_provenance, show_result
from khulasa.up import CannotStart, Services

ARTICLE = Path(__file__).parents[1] / "tests" / "articles" / "flood.txt"


async def main(name: str, article: Article) -> None:
    """Start the services, send the article twice, stop the services."""
    console = Console(width=110)
    console.print(f"Starting gateway, translator and summarizer; the article is {name}.\n")
    async with await Services.start(quiet=True) as services, AsyncClient(services.addresses["gateway"]) as client:
        show_result(await client.process(article), console)
        console.print("\nThe same article again:")
        show_provenance(await client.process(article), console)
    console.print("\nAll three services have stopped.")


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ARTICLE
    try:
        asyncio.run(main(path.name, Article(text=path.read_text(encoding="utf-8"))))
    except CannotStart as error:
        sys.exit(f"The demo cannot run: {error}")
