"""The same articles through each way to do a job: same results, counts that add up, articles per minute of each.

    python -m benchmarks.job_ways [--articles FILE.jsonl.gz] [--count 40] [--words 120] [--ways run,gateway,ray]

Ways are run (`khulasa job run`), gateway (`khulasa job submit`), ray and ray-in-process. Each starts with an empty
cache and the same model. The bare engine gets all sentences at once, tokenized and sorted by length into full batches,
before and after: the best case. `--words` cuts articles at that many words, 0 leaves them whole. Ray is left out where
it is not installed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import articles, results_file
from benchmarks.throughput import bare_as_served, tokenized
from khulasa.jobs.output import records_of
from khulasa.up import Services
from services.translator.model import Model
from services.translator.settings import TranslatorSettings

WAYS = ("run", "gateway", "ray", "ray-in-process")


def main() -> None:
    """Go each way, compare, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--words", type=int, default=120)
    parser.add_argument("--ways", default=",".join(WAYS))
    args = parser.parse_args()
    texts = articles.load(args.articles, args.count)
    if args.words:
        texts = [articles.beginning(text, args.words) for text in texts]
    settings = TranslatorSettings()
    model = Model.open(settings.model)
    sentences = tokenized(texts, model)
    before_s = bare_as_served(sentences, model, settings)
    ways: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        with source.open("w", encoding="utf-8") as file:
            for number, text in enumerate(texts):
                file.write(json.dumps({"id": f"a-{number}", "text": text}, ensure_ascii=False) + "\n")
        for way in args.ways.split(","):
            if way.startswith("ray") and find_spec("ray") is None:
                ways[way] = {"left_out": "ray is not installed"}
            else:
                ways[way], found[way] = asyncio.run(go(way, source, Path(folder), len(texts)))
            print(way, json.dumps(ways[way]), flush=True)
    after_s = bare_as_served(sentences, model, settings)
    bare_s = min(before_s, after_s)
    for figures in ways.values():
        if "seconds" in figures:
            figures["articles_per_minute"] = round(len(texts) / figures["seconds"] * 60, 1)
            figures["share_of_bare_engine"] = round(bare_s / figures["seconds"], 3)
    first = next(iter(found.values()), {})
    result: dict[str, object] = {
        "model": model.digest,
        "articles": len(texts),
        "words": args.words,
        "sentences": len(sentences),
        "second_tries": settings.second_tries,
        "bare_engine_s": [round(before_s, 2), round(after_s, 2)],
        "ways": ways,
        "ids_with_the_same_result_in_all_ways": sum(
            all(others.get(article_id) == record for others in found.values()) for article_id, record in first.items()
        ),
        "ids_that_differ": [
            article_id
            for article_id, record in first.items()
            if any(others.get(article_id) != record for others in found.values())
        ],
    }
    print(json.dumps(result, indent=1))
    print(results_file.keep("job_ways", result))


async def go(way: str, source: Path, folder: Path, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Do the articles in one way; return its figures, and of each id what must be the same in all ways."""
    output = folder / f"{way}.jsonl"
    if way == "ray-in-process":
        started = time.perf_counter()
        threads = str(TranslatorSettings().threads)
        extra = ("--engine", "ray", "--in-process", "--actor-cpus", threads)
        counts = json.loads(await _khulasa("run", str(source), str(output), *extra, "--json"))
        seconds = time.perf_counter() - started
    else:
        async with await Services.start(settings=os.environ, quiet=True) as services:
            gateway = ("--gateway", services.addresses["gateway"])
            started = time.perf_counter()
            if way == "gateway":
                name = (await _khulasa("submit", str(source), *gateway)).strip()
                await _khulasa("results", name, "--follow", "--output", str(output), *gateway)
                counts = json.loads(await _khulasa("status", name, "--json", *gateway))
            else:
                extra = ("--engine", "ray") if way == "ray" else ()
                counts = json.loads(await _khulasa("run", str(source), str(output), *gateway, *extra, "--json"))
            seconds = time.perf_counter() - started
    records = list(records_of(output))
    results = {record["id"]: _same(record) for record in records}
    figures = {
        # Reading, starting Ray and loading models included: what somebody waits for.
        "seconds": round(seconds, 2),
        "records": len(records),
        "ids": len(results),
        "adds_up": len(records) == len(results) == count,
        "counts": counts,
    }
    return figures, results


def _same(record: dict[str, Any]) -> dict[str, Any]:
    sentences = [
        {name: sentence[name] for name in ("source", "translation", "span", "flags")}
        for paragraph in record["translation"]["paragraphs"]
        for sentence in paragraph["sentences"]
    ]
    return {
        "sentences": sentences,
        "summary": [s["sentence_index"] for s in record["summary"]],
        "flags": record["flags"],
    }


async def _khulasa(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "khulasa", "job", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"khulasa job {arguments[0]} ended with status {process.returncode}")
    return out.decode()


if __name__ == "__main__":
    main()
