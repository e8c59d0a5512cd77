"""Latency, goodput, refusals and queue depth against load: articles arrive at a rate, whether or not others are done.

    python -m benchmarks.load [--articles FILE.jsonl.gz] [--words 60] [--deadline 15] [--seconds 40] [--overload 60]

First the capacity is measured with 32 callers that each send their next article when they have an answer. Then articles
arrive as a Poisson process at multiples of that rate, each with a deadline, the cache bypassed. Goodput leaves out the
first seconds of a run, in which the queue fills. Last comes the overload: three times the capacity for a minute, and
half of it right after. A plot lies beside the result.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from matplotlib.figure import Figure

from benchmarks import articles, drawing, results_file
from benchmarks.metrics import SETTINGS, Metrics, resident_mb
from khulasa.up import Services
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc

RATES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
CALLERS = 32
SAMPLE_S = 0.5
OVERLOAD = 3.0
AFTER = 0.5


@dataclass(slots=True)
class Run:
    """What came of the articles of one rate."""

    seconds: float
    """How long articles arrived."""
    settle_s: float
    done: list[tuple[float, float]] = field(default_factory=list)
    """When, from the run's start, and after how long."""
    refused: list[tuple[float, float]] = field(default_factory=list)
    late: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return rates by the second and times in milliseconds, of what came after the settling."""
        counted_s = self.seconds - self.settle_s
        inside = [taken for ended, taken in self.done if self.settle_s <= ended <= self.seconds]
        depths = [sample["queue_sentences"] for sample in self.samples]
        return {
            "sent": self.sent,
            "done": len(self.done),
            "refused": len(self.refused),
            "late": self.late,
            "failed": self.failed,
            "goodput_per_s": round(len(inside) / counted_s, 3),
            "done_ms": quantiles([taken for _, taken in self.done]),
            "refused_ms": quantiles([taken for _, taken in self.refused]),
            "queue_sentences_mean": round(statistics.fmean(depths), 1) if depths else None,
            "queue_sentences_max": max(depths, default=None),
        }


class Load:
    """Sends articles to one gateway."""

    def __init__(self, services: Services, texts: list[str], *, deadline_s: float, seed: int) -> None:
        self._services = services
        self._texts: Iterator[str] = itertools.cycle(texts)
        self._deadline_s = deadline_s
        self._random = random.Random(seed)
        self._channel = grpc.aio.insecure_channel(services.addresses["gateway"], options=[("grpc.enable_retries", 0)])
        self._stub = gateway_pb2_grpc.GatewayStub(self._channel)  # not the client, which tries again by itself
        self._metrics = Metrics(services, "translator")

    async def capacity(self, seconds: float) -> float:
        """Return the articles a second of callers that wait for their answers; the first third is left out."""
        ended: list[float] = []
        started = time.perf_counter()

        async def caller() -> None:
            while time.perf_counter() - started < seconds:
                await self._send(3600)
                ended.append(time.perf_counter() - started)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        from_s = seconds / 3
        return sum(from_s <= at <= seconds for at in ended) / (seconds - from_s)

    async def run(self, rate: float, seconds: float, *, settle_s: float) -> Run:
        """Let articles arrive at `rate` a second for so long; return when the last is answered."""
        run = Run(seconds, settle_s)
        started = time.perf_counter()
        sampling = asyncio.create_task(self._sample(run, started))
        sent: set[asyncio.Task[None]] = set()
        due = started
        while True:
            due += self._random.expovariate(rate)
            if due - started > seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent.add(asyncio.create_task(self._one(run, started)))
        await asyncio.gather(*sent)
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling  # if it ended before, what it found is not all there is
        return run

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _one(self, run: Run, started: float) -> None:
        run.sent += 1
        began = time.perf_counter()
        try:
            await self._send(self._deadline_s)
        except grpc.aio.AioRpcError as error:
            taken = time.perf_counter() - began
            code = error.code()
            if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
                run.refused.append((began - started + taken, taken))
            elif code == grpc.StatusCode.DEADLINE_EXCEEDED:
                run.late += 1
            else:
                run.failed[code.name] = run.failed.get(code.name, 0) + 1
        else:
            ended = time.perf_counter()
            run.done.append((ended - started, ended - began))

    async def _send(self, deadline_s: float) -> None:
        request = gateway_pb2.ProcessArticleRequest(
            article=article_pb2.Article(text=next(self._texts)),
            options=gateway_pb2.ArticleOptions(bypass_cache=True),
        )
        await self._stub.ProcessArticle(request, timeout=deadline_s)

    async def _sample(self, run: Run, started: float) -> None:
        while True:
            values = await self._metrics.read()
            run.samples.append(
                {
                    "s": round(time.perf_counter() - started, 1),
                    "queue_sentences": values["khulasa_queue_sentences"],
                    "queue_s": round(values["khulasa_queue_seconds"], 2),
                    "rss_mb": resident_mb(self._services),
                }
            )
            await asyncio.sleep(SAMPLE_S)


def main() -> None:
    """Measure, print, draw, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--words", type=int, default=60, help="cut each article to so many words")
    parser.add_argument("--deadline", type=float, default=15, help="seconds that each article is given")
    parser.add_argument("--seconds", type=float, default=40, help="of arrivals at each rate")
    parser.add_argument("--overload", type=float, default=60, help="seconds of the overload")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="multiples of the capacity")
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    result = asyncio.run(measure(args))
    path = results_file.keep("load", result)
    draw(result, path.with_suffix(".svg"))
    print(path)


async def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return capacity, a summary for each rate, and the overload with what came after it."""
    texts = articles.load(args.articles, 2000, words=args.words)
    random.Random(args.seed).shuffle(texts)
    settle_s = args.seconds / 4
    async with await Services.start(settings=os.environ | SETTINGS, quiet=True) as services:
        load = Load(services, texts, deadline_s=args.deadline, seed=args.seed)
        capacity = await load.capacity(args.seconds)
        print(f"capacity {capacity:.2f} articles a second", flush=True)
        rates = []
        for multiple in args.rates:
            run = await load.run(multiple * capacity, args.seconds, settle_s=settle_s)
            rates.append({"load": multiple, "rate_per_s": round(multiple * capacity, 3)} | run.summary())
            print(rates[-1], flush=True)
        before = resident_mb(services)
        over = await load.run(OVERLOAD * capacity, args.overload, settle_s=min(settle_s, args.overload / 4))
        after = await load.run(AFTER * capacity, args.seconds, settle_s=0)
        last = resident_mb(services)
        await load.close()
    peak = max(rate["goodput_per_s"] for rate in rates)
    overload = over.summary()
    result = {
        "words": args.words,
        "deadline_s": args.deadline,
        "seconds": args.seconds,
        "capacity_per_s": round(capacity, 3),
        "peak_goodput_per_s": peak,
        "rates": rates,
        "overload": overload
        | {
            "load": OVERLOAD,
            "seconds": args.overload,
            "goodput_of_peak": round(overload["goodput_per_s"] / peak, 3),
            "rss_mb_before": before,
            "rss_mb": [sample["rss_mb"] for sample in over.samples][:: max(1, len(over.samples) // 20)],
            "samples": [{key: it[key] for key in ("s", "queue_sentences", "queue_s")} for it in over.samples],
        },
        "after_overload": after.summary() | {"load": AFTER, "rss_mb_last": last},
    }
    print({key: result["overload"][key] for key in ("goodput_of_peak", "refused_ms", "done_ms", "late", "failed")})
    print(result["after_overload"], flush=True)
    return result


def draw(result: dict[str, Any], out: Path) -> None:
    """Write an SVG: latency above and what becomes of the articles below, against load."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    latency, goodput = figure.subplots(2, 1, sharex=True)
    rates = result["rates"]
    loads = [rate["load"] for rate in rates]
    for name in ("p50", "p95", "p99"):
        latency.plot(loads, [rate["done_ms"].get(name, float("nan")) / 1000 for rate in rates], "o-", label=name)
    refusals = [rate["refused_ms"].get("p99", float("nan")) / 1000 for rate in rates]
    latency.plot(loads, refusals, "x--", color="gray", label="p99 of refusals")
    latency.axhline(result["deadline_s"], color="black", linewidth=0.8, linestyle=":", label="deadline")
    latency.set_ylabel("seconds")
    latency.set_ylim(bottom=0)
    latency.legend()
    goodput.plot(loads, [rate["goodput_per_s"] for rate in rates], "o-", label="done in time")
    goodput.plot(loads, [rate["rate_per_s"] for rate in rates], color="gray", linewidth=0.8, label="arriving")
    goodput.axhline(
        result["capacity_per_s"], color="black", linewidth=0.8, linestyle=":", label="capacity, closed loop"
    )
    goodput.set_ylim(0, 1.6 * result["capacity_per_s"])
    goodput.set_ylabel("articles a second")
    goodput.set_xlabel("load, as a multiple of the capacity")
    goodput.legend()
    for axes in (latency, goodput):
        axes.grid(alpha=0.3)
    drawing.save(figure, out)


def quantiles(times_s: list[float]) -> dict[str, float]:
    """Return median, 95th and 99th percentile and the longest, in milliseconds; of fewer than two, nothing."""
    if len(times_s) < 2:
        return {}
    cuts = statistics.quantiles(times_s, n=100, method="inclusive")
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(times_s)}
    return {name: round(seconds * 1000, 1) for name, seconds in named.items()}


if __name__ == "__main__":
    main()
