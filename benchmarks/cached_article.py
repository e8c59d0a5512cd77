"""A cached article against a bare grpc.aio method that does one Redis GET and returns the bytes, in one run.

    python -m benchmarks.cached_article [--words 600] [--callers 8] [--rounds 7] [--seconds 3] [--far]

Both servers are processes of their own before the same Redis, get the same request bytes and send answers of the same
size; the callers neither write nor read messages, so that they cost both the same. Rounds alternate. Then both get
calls at a steady half of our rate, whether or not earlier ones are answered, for p50 and p99. The article is asked for
so often that the gateway has it in its own memory; with --far Redis must not tell it of changes, so that it asks Redis
each time.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import psutil
from redis.asyncio import Redis

from benchmarks import articles, results_file
from benchmarks.latency import quantiles
from gateway.embedded_redis import EmbeddedRedis
from khulasa.up import Services
from khulasa.v1 import article_pb2, gateway_pb2

OURS, BARE = "/khulasa.v1.Gateway/ProcessArticle", "/bare.Store/Get"
KEY = b"bare"
HALF = 0.5

Call = Callable[[bytes], Awaitable[bytes]]


def main() -> None:
    """Measure both, print the ratio, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=600)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--far", action="store_true", help="have the gateway ask Redis for every article")
    parser.add_argument("--bare", metavar="REDIS_URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        asyncio.run(serve_bare(args.bare))
        return
    result = asyncio.run(measure(args.words, args.callers, args.rounds, args.seconds, far=args.far))
    print(result)
    print(results_file.keep("cached_article", result))


async def serve_bare(redis_url: str) -> None:
    """Serve the bare method on a free port, which is printed, until killed."""
    redis = Redis.from_url(redis_url)

    async def get(request: bytes, context: object) -> bytes:
        value: bytes = await redis.get(KEY)
        return value

    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler("bare.Store", {"Get": grpc.unary_unary_rpc_method_handler(get)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


@asynccontextmanager
async def bare_server(redis_url: str) -> Any:
    """Run `serve_bare` in a process of its own; yield its address and process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.cached_article", "--bare", redis_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(await process.stdout.readline())}", process
    finally:
        process.kill()
        await process.wait()


async def measure(words: int, callers: int, rounds: int, seconds: float, *, far: bool) -> dict[str, object]:
    """Return both rates, their ratio round by round, processor time of each call, and times at half the rate."""
    text = articles.of_words(words)
    request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text=text)).SerializeToString()
    redis = await EmbeddedRedis.start(memory_mb=64)
    # The one translation before the first hit is not what is measured; without second tries it takes seconds.
    settings = os.environ | {"KHULASA_REDIS_URL": redis.url, "KHULASA_SECOND_TRIES": "false"}
    try:
        if far:
            async with Redis.from_url(redis.url) as connection:
                await connection.acl_setuser(
                    "far", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client"]
                )
            settings["KHULASA_REDIS_URL"] = f"{redis.url}?username=far&password=none"
        async with (
            await Services.start(settings=settings) as services,
            bare_server(redis.url) as (bare_address, bare_process),
            grpc.aio.insecure_channel(services.addresses["gateway"]) as our_channel,
            grpc.aio.insecure_channel(bare_address) as bare_channel,
        ):
            ours, bare = our_channel.unary_unary(OURS), bare_channel.unary_unary(BARE)
            await ours(request)
            hit = await ours(request)
            answer = gateway_pb2.ProcessArticleResponse.FromString(hit)
            assert answer.provenance.cache_use == article_pb2.Provenance.CACHE_USE_HIT, "the cache has not kept it"
            async with Redis.from_url(redis.url) as connection:
                await connection.set(KEY, hit)
            processes = {
                "cached": psutil.Process(services.processes["gateway"].pid),
                "bare": psutil.Process(bare_process.pid),
            }
            calls = {"cached": ours, "bare": bare}
            for call in calls.values():
                await closed_loop(call, request, callers, 1)

            rates: dict[str, list[float]] = {"cached": [], "bare": []}
            processor_ms: dict[str, list[float]] = {"cached": [], "bare": []}
            for number in range(rounds):
                for name in ("cached", "bare") if number % 2 else ("bare", "cached"):
                    before_s = sum(processes[name].cpu_times()[:2])
                    done = await closed_loop(calls[name], request, callers, seconds)
                    rates[name].append(done / seconds)
                    processor_ms[name].append((sum(processes[name].cpu_times()[:2]) - before_s) * 1000 / done)
            half = statistics.median(rates["cached"]) * HALF
            at_half = {
                name: quantiles(await open_loop(call, request, half, rounds * seconds / 2))
                for name, call in calls.items()
            }
    finally:
        await redis.stop()
    ratios = [ours / bare for ours, bare in zip(rates["cached"], rates["bare"], strict=True)]
    return {
        "far": far,
        "words": len(text.split()),
        "request_bytes": len(request),
        "answer_bytes": len(hit),
        "callers": callers,
        "cached_per_s": [round(rate) for rate in rates["cached"]],
        "bare_per_s": [round(rate) for rate in rates["bare"]],
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "server_processor_ms": {name: round(statistics.median(values), 3) for name, values in processor_ms.items()},
        "half_rate_per_s": round(half),
        "ms_at_half_rate": at_half,
    }


async def closed_loop(call: Call, request: bytes, callers: int, seconds: float) -> int:
    """Let each caller call again as soon as it is answered; return the answers in `seconds`."""
    end = time.perf_counter() + seconds
    answers = 0

    async def caller() -> None:
        nonlocal answers
        while time.perf_counter() < end:
            await call(request)
            answers += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return answers


async def open_loop(call: Call, request: bytes, rate: float, seconds: float) -> list[float]:
    """Call at `rate` a second whatever happens to earlier calls; return milliseconds from when each was due."""
    times: list[float] = []
    started = time.perf_counter()

    async def one(due: float) -> None:
        await call(request)
        times.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for number in range(round(rate * seconds)):
            due = started + number / rate
            if (early_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            tasks.create_task(one(due))
    return times


if __name__ == "__main__":
    main()
