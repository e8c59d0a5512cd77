"""Memory of each process over many articles.

    python -m benchmarks.memory [--count 1000] [--words 60]

Articles are cut to `--words` words, so that a thousand are done in minutes; the cache is bypassed.
"""

import argparse
import asyncio
import os
from pathlib import Path

from benchmarks import articles, results_file
from benchmarks.metrics import resident_mb
from khulasa import Article, AsyncClient, Options
from khulasa.up import Services


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--words", type=int, default=60)
    args = parser.parse_args()
    texts = articles.load(args.articles, args.count, words=args.words)
    samples = asyncio.run(measure(texts))
    growth = {name: round(samples[-1][name] / samples[len(samples) // 4][name], 3) for name in samples[0]}
    result: dict[str, object] = {
        "articles": len(texts),
        "words": args.words,
        "rss_mb": samples,
        "last_to_first_quarter": growth,
    }
    print(result)
    print(results_file.keep("memory", result))


async def measure(texts: list[str]) -> list[dict[str, float]]:
    """Return the resident megabytes of each process, twenty times over the run."""
    samples = []
    async with (
        await Services.start(settings=os.environ, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=600) as client,
    ):
        waiting = iter(texts)

        async def caller() -> None:
            for text in waiting:
                await client.process(Article(text=text), Options(bypass_cache=True))
                done.append(text)
                if len(done) % max(1, len(texts) // 20) == 0:
                    samples.append(resident_mb(services))

        done: list[str] = []
        await asyncio.gather(*(caller() for _ in range(8)))
    return samples


if __name__ == "__main__":
    main()
