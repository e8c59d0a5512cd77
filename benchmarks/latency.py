"""Latency of a cached article, against the bare RPC and against its first translation, in one run.

python -m benchmarks.latency [--count 300]
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks import articles, results_file
from khulasa import Article, AsyncClient
from khulasa.up import Services


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    result = asyncio.run(measure(args.count))
    print(result)
    print(results_file.keep("latency", result))


async def measure(count: int) -> dict[str, object]:
    """Return the times of one article, first and cached, and of a call that does next to nothing."""
    article = Article(text=articles.load(None, 1)[0])
    async with (
        await Services.start(settings=os.environ, quiet=True) as services,
        AsyncClient(services.addresses["gateway"]) as client,
    ):
        [first_ms] = await times_ms(lambda: client.process(article), 1)
        cached = await times_ms(lambda: client.process(article), count)
        bare = await times_ms(client.describe, count)
    return {
        "calls": count,
        "first_ms": round(first_ms, 1),
        "cached_ms": quantiles(cached),
        "describe_ms": quantiles(bare),
        "first_to_cached": round(first_ms / statistics.median(cached), 1),
        "cached_to_describe": round(statistics.median(cached) / statistics.median(bare), 2),
    }


async def times_ms(call: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Return the milliseconds of `count` calls, one after the other."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def quantiles(times: list[float]) -> dict[str, float]:
    """Return median, 95th and 99th percentile."""
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2)}


if __name__ == "__main__":
    main()
