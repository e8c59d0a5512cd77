"""Articles per minute through the gateway, against the bare engine on the same sentences in the same run.

    python -m benchmarks.throughput [--articles FILE.jsonl.gz] [--count 40] [--callers 8]

The bare engine gets all sentences at once, tokenized and sorted by length into full batches: the best case. The gateway
gets the articles over gRPC from `--callers` at a time, with the cache bypassed.
"""

import argparse
import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import articles, results_file
from khulasa import Article, AsyncClient, Options
from khulasa.up import Services
from services.translator import engine
from services.translator.batch import choose_batch
from services.translator.language import language_of
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.settings import TranslatorSettings
from services.translator.split import split


def main() -> None:
    """Measure both, print the ratio, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--callers", type=int, default=8)
    args = parser.parse_args()
    texts = articles.load(args.articles, args.count)
    settings = TranslatorSettings()
    model = Model.open(settings.model)
    sentences = tokenized(texts, model)

    bare_s = bare(sentences, model, settings)
    through_s = asyncio.run(through_gateway(texts, args.callers))
    bare_again_s = bare(sentences, model, settings)
    best_s = min(bare_s, bare_again_s)
    result: dict[str, object] = {
        "model": model.digest,
        "articles": len(texts),
        "sentences": len(sentences),
        "callers": args.callers,
        "bare_engine_s": [round(bare_s, 2), round(bare_again_s, 2)],
        "gateway_s": round(through_s, 2),
        "articles_per_minute_bare": round(len(texts) / best_s * 60, 1),
        "articles_per_minute_gateway": round(len(texts) / through_s * 60, 1),
        "ratio": round(best_s / through_s, 3),
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


def bare(sentences: list[list[str]], model: Model, settings: TranslatorSettings) -> float:
    """Return the seconds that the engine alone takes, loaded and warm."""
    loaded = engine.load(model, workers=settings.threads, threads_per_worker=1)
    loaded.decode(sentences[:1])
    waiting = sorted(sentences, key=len, reverse=True)
    batches = []
    while waiting:
        chosen = set(choose_batch([len(tokens) for tokens in waiting], settings.batch_tokens))
        batches.append([tokens for index, tokens in enumerate(waiting) if index in chosen])
        waiting = [tokens for index, tokens in enumerate(waiting) if index not in chosen]
    started = time.perf_counter()
    with ThreadPoolExecutor(settings.threads) as threads:
        list(threads.map(loaded.decode, batches))
    return time.perf_counter() - started


async def through_gateway(texts: list[str], callers: int) -> float:
    """Return the seconds that the articles take through all three services."""
    async with (
        await Services.start(settings=os.environ, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=3600) as client,
    ):
        waiting = iter(texts)

        async def caller() -> None:
            for text in waiting:
                await client.process(Article(text=text), Options(bypass_cache=True, translate_boilerplate=True))

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
