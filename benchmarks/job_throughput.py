"""Articles per minute of a job, against the bare engine on the same sentences in the same run.

    python -m benchmarks.job_throughput [--articles FILE.jsonl.gz] [--count 40]

The bare engine is that of `benchmarks.throughput`, the best case. The job is sent to the three services as `khulasa up`
runs them, with the cache bypassed, and its time counts from the first article sent to the last result there. Articles
that are the same but for how they are set are translated once, which the bare engine does not do; how many is printed.
"""

import argparse
import asyncio
import time
from pathlib import Path

from benchmarks import articles, results_file
from benchmarks.throughput import bare_as_served, tokenized
from khulasa import Article, AsyncClient, Job, Options, Result
from khulasa.up import Services
from services.translator.model import Model
from services.translator.settings import TranslatorSettings


def main() -> None:
    """Measure both, print the ratio, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    texts = articles.load(args.articles, args.count)
    settings = TranslatorSettings()
    model = Model.open(settings.model)
    sentences = tokenized(texts, model)
    bare_s = bare_as_served(sentences, model, settings)
    job, job_s = asyncio.run(as_job(texts))
    best_s = min(bare_s, bare_as_served(sentences, model, settings))
    result: dict[str, object] = {
        "model": model.digest,
        "articles": len(texts),
        "sentences": len(sentences),
        "done": job.done,
        "failed": job.failed,
        "duplicates": job.duplicates,
        "flagged_sentences": job.flagged_sentences,
        "bare_engine_s": round(best_s, 2),
        "job_s": round(job_s, 2),
        "articles_per_minute_bare": round(len(texts) / best_s * 60, 1),
        "articles_per_minute_job": round(len(texts) / job_s * 60, 1),
        "ratio": round(best_s / job_s, 3),
    }
    print(result)
    print(results_file.keep("job_throughput", result))


async def as_job(texts: list[str]) -> tuple[Job, float]:
    """Return the ended job of the articles, checked for a result of each, and its seconds."""
    async with (
        await Services.start(quiet=True) as services,
        AsyncClient(services.addresses["gateway"]) as client,
    ):
        await client.process(Article(text=texts[0]), Options(bypass_cache=True))  # all have been used once
        started = time.perf_counter()
        named = ((str(number), Article(text=text)) for number, text in enumerate(texts))
        job = await client.create_job(named, Options(bypass_cache=True))
        job = await client.wait_for_job(job.name)
        spent_s = time.perf_counter() - started
        found = {result.id: result.answer async for result in client.job_results(job.name)}
    if set(found) != {str(number) for number in range(len(texts))}:
        raise RuntimeError(f"{len(texts)} articles were sent, {len(found)} have results")
    if sum(isinstance(answer, Result) for answer in found.values()) != job.done:
        raise RuntimeError("the job's counts are not those of its results")
    return job, spent_s


if __name__ == "__main__":
    main()
