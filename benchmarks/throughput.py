"""Articles per minute through the gateway, against the bare engine on the same sentences in the same run.

    python -m benchmarks.throughput [--articles FILE.jsonl.gz] [--count 100] [--words N] [--callers 32] [--rounds 3]

The bare engine gets all sentences at once, tokenized and sorted by length into full batches: the best case, and of that
the best of a grid of batch sizes, workers and threads. The grid is swept with some of the sentences, and its two best
points are run with all of them. The gateway gets the articles over gRPC from `--callers` at a time, with the cache
bypassed, in turns with the best point; the ratio is the median of the rounds'. Second tries are off: the bare engine
has none.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import articles, results_file
from khulasa import Article, AsyncClient, Options
from khulasa.up import Services
from services.translator import engine
from services.translator.batch import OF_A_LONG_QUEUE, choose_batch
from services.translator.language import language_of
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.settings import SHIPPED_MODEL, TranslatorSettings
from services.translator.split import split
from services.translator.threads import usable_processors

BATCH_TOKENS = (384, 768, 1536, 3072)
SWEPT = 192
"""Sentences with which the grid is swept: four of the largest batches."""


def main() -> None:
    """Measure both, print the ratio, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--words", type=int, help="cut each article to so many words")
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = articles.load(args.articles, args.count, words=args.words)
    model = Model.open(SHIPPED_MODEL)
    sentences = tokenized(texts, model)
    processors = usable_processors()

    def timed(some: Sequence[list[str]], point: dict[str, int]) -> dict[str, float]:
        seconds = round(bare(some, model=model, **point), 2)
        print(found := {"sentences": len(some), **point, "s": seconds}, flush=True)
        return found

    shapes = sorted({(processors, 1), (1, processors)})
    points = [
        {"batch_tokens": batch_tokens, "workers": workers, "threads": threads}
        for batch_tokens, (workers, threads) in itertools.product(BATCH_TOKENS, shapes)
    ]
    some = sentences[:: max(1, len(sentences) // SWEPT)]
    grid = [timed(some, point) for point in points]
    better = sorted(points, key=lambda point: grid[points.index(point)]["s"])[:2]
    whole = [timed(sentences, point) for point in better]
    best = min(better, key=lambda point: whole[better.index(point)]["s"])
    rounds = []
    for _ in range(args.rounds):
        gateway_s = asyncio.run(through_gateway(texts, args.callers))
        rounds.append({"gateway_s": round(gateway_s, 2), "bare_s": timed(sentences, best)["s"]})
    bare_s, gateway_s = (statistics.median(found[name] for found in rounds) for name in ("bare_s", "gateway_s"))
    result: dict[str, object] = {
        "model": model.digest,
        "articles": len(texts),
        "words": args.words,
        "sentences": len(sentences),
        "different_sentences": len(set(map(tuple, sentences))),
        "callers": args.callers,
        "grid": grid,
        "bare_engine": whole,
        "rounds": rounds,
        "articles_per_minute_bare": round(len(texts) / bare_s * 60, 1),
        "articles_per_minute_gateway": round(len(texts) / gateway_s * 60, 1),
        "ratio": round(statistics.median(found["bare_s"] / found["gateway_s"] for found in rounds), 3),
    }
    print(result)
    print(results_file.keep("throughput", result))


def tokenized(texts: list[str], model: Model) -> list[list[str]]:
    """Return the sentences that the translator would decode, as tokens."""
    tokenizer, scheme = Tokenizer(model), SCHEMES[model.manifest.normalization]
    found = []
    for text in texts:
        for line in text.splitlines():
            read = normalize(line, scheme).text
            for piece in split(read, max_tokens=model.manifest.max_source_tokens, count_tokens=tokenizer.count):
                if language_of(piece.span.of(read)) == "ar":
                    found.append(tokenizer.encode(piece.span.of(read)))
    return found


def bare(*waves: Sequence[list[str]], model: Model, batch_tokens: int, workers: int, threads: int) -> float:
    """Return the seconds that the engine alone takes when a batch is made of sentences of one wave.

    As the queue does, a wave too small to fill the batches of all workers is spread over them.
    """
    cost = engine.KINDS[model.manifest.kind].batch_cost
    batches = []
    for wave in waves:
        waiting = sorted(wave, key=len, reverse=True)
        budget = min(batch_tokens, -(-sum(map(len, wave)) // workers))
        while waiting:
            chosen = set(choose_batch([len(tokens) for tokens in waiting], budget, cost))
            batches.append([tokens for index, tokens in enumerate(waiting) if index in chosen])
            waiting = [tokens for index, tokens in enumerate(waiting) if index not in chosen]
    return decode(batches, model=model, workers=workers, threads=threads)


def decode(batches: Sequence[list[list[str]]], *, model: Model, workers: int, threads: int) -> float:
    """Return the seconds that the engine alone takes for the batches, loaded and warm."""
    loaded = engine.load(model, workers=workers, threads_per_worker=threads)
    loaded.decode(batches[0][:1])
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(loaded.decode, batches))
    return time.perf_counter() - started


def bare_as_served(*waves: Sequence[list[str]], model: Model, settings: TranslatorSettings) -> float:
    """Return the seconds of the engine alone with the batches and workers that the translator has."""
    batch_tokens = OF_A_LONG_QUEUE * settings.batch_tokens
    return bare(*waves, model=model, batch_tokens=batch_tokens, workers=settings.threads, threads=1)


async def through_gateway(texts: list[str], callers: int) -> float:
    """Return the seconds that the articles take through all three services."""
    async with (
        await Services.start(settings=os.environ | {"KHULASA_SECOND_TRIES": "false"}, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=3600) as client,
    ):
        return await through(client, texts, callers)


async def through(client: AsyncClient, texts: Sequence[str], callers: int) -> float:
    """Return the seconds that `callers` take for the articles, nothing from the cache; summaries are made too."""
    waiting = iter(texts)

    async def caller() -> None:
        for text in waiting:
            await client.process(Article(text=text), Options(bypass_cache=True, translate_boilerplate=True))

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
