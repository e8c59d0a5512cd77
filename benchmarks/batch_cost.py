"""What a sentence costs when 1, 2, 4, … 1,000 articles come at once: less until the batches are full, then the same.

    python -m benchmarks.batch_cost [--articles FILE.jsonl.gz] [--words 20] [--most 1000]

All articles of a step are sent to the gateway together, the cache bypassed. The cost is the time from the first
article to the last answer, times the processors, over the sentences decoded; beside it the time that the engine itself
was busy.
Second tries are off, since how many there are differs from article to article.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

from benchmarks import articles, results_file
from benchmarks.metrics import SETTINGS, Metrics
from khulasa import Article, AsyncClient, Options
from khulasa.up import Services
from services.translator.threads import usable_processors

LIMITS = {"KHULASA_MAX_CALLS": "8192", "KHULASA_MAX_CALL_S": "3600", "KHULASA_SECOND_TRIES": "false"}
AT_LEAST = 16
"""Articles of a step: small steps are repeated, so that each rests on as many."""


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--words", type=int, default=20, help="cut each article to so many words")
    parser.add_argument("--most", type=int, default=1000)
    args = parser.parse_args()
    steps = asyncio.run(measure(articles.load(args.articles, 2 * args.most, words=args.words), args.most))
    full = min(step["cost_ms"] for step in steps)
    result: dict[str, object] = {
        "words": args.words,
        "processors": usable_processors(),
        "steps": steps,
        "most_over_least": round(steps[-1]["cost_ms"] / full, 3),
        "one_over_least": round(steps[0]["cost_ms"] / full, 2),
    }
    print({key: value for key, value in result.items() if key != "steps"})
    print(results_file.keep("batch_cost", result))


async def measure(texts: list[str], most: int) -> list[dict[str, Any]]:
    """Return the costs of each step."""
    sizes = [2**power for power in range(most.bit_length()) if 2**power < most] + [most]
    steps = []
    async with (
        await Services.start(settings=os.environ | SETTINGS | LIMITS, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=3600) as client,
    ):
        metrics = Metrics(services, "translator")
        await client.process(Article(text=texts[-1]), Options(bypass_cache=True))
        for size in sizes:
            before = await metrics.read()
            spent_s = 0.0
            rounds = max(1, AT_LEAST // size)
            for number in range(rounds):
                own = [texts[(number * size + index) % len(texts)] for index in range(size)]
                started = time.perf_counter()
                await asyncio.gather(*(client.process(Article(text=text), Options(bypass_cache=True)) for text in own))
                spent_s += time.perf_counter() - started
            now = await metrics.read()
            did = {
                name: now.get(f"khulasa_{name}_total", 0.0) - before.get(f"khulasa_{name}_total", 0.0)
                for name in ("decoded_sentences", "shared_sentences", "decode_seconds")
            }
            sentences = did["decoded_sentences"]
            steps.append(
                {
                    "articles": size,
                    "rounds": rounds,
                    "sentences": sentences,
                    "shared": did["shared_sentences"],
                    "cost_ms": round(1000 * spent_s * usable_processors() / sentences, 1),
                    "engine_ms": round(1000 * did["decode_seconds"] / sentences, 1),
                }
            )
            print(steps[-1], flush=True)
    return steps


if __name__ == "__main__":
    main()
