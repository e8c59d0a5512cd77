"""The same articles through each way to do a job: same results, counts that add up, articles per minute of each.

    python -m benchmarks.job_ways [--articles FILE.jsonl.gz] [--count 40] [--words 0] [--ways run,gateway,ray]
                                  [--second-tries]

Ways are run (`khulasa job run`), gateway (`khulasa job submit`), ray and ray-in-process. Each starts with an empty
cache and the same model. What the same commands take for one short sentence is told apart: the start of Python, of Ray,
of its translators. The bare engine gets all sentences at once, tokenized and sorted by length into full batches, before
and after: the best case. It has no second tries, so the ways have none unless `--second-tries` is given. `--words` cuts
articles at that many words. Ray is left out where it is not installed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
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
SENTENCE = "وصل الوزير إلى المدينة اليوم."

Records = dict[str, dict[str, Any]]
"""By id, what of its record is compared."""


def main() -> None:
    """Go each way, compare, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--words", type=int, default=0)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--second-tries", action="store_true")
    args = parser.parse_args()
    os.environ["KHULASA_SECOND_TRIES"] = str(args.second_tries).lower()  # for all that is started here, Ray included
    texts = articles.load(args.articles, args.count)
    if args.words:
        texts = [articles.beginning(text, args.words) for text in texts]
    settings = TranslatorSettings()
    model = Model.open(settings.model)
    sentences = tokenized(texts, model)
    before_s = bare_as_served(sentences, model=model, settings=settings)
    ways: dict[str, dict[str, Any]] = {}
    found: dict[str, Records] = {}
    with tempfile.TemporaryDirectory(prefix="kw-") as folder:
        for way in args.ways.split(","):
            if way.startswith("ray") and find_spec("ray") is None:
                ways[way] = {"left_out": "ray is not installed"}
            else:
                ways[way], found[way] = asyncio.run(go(way, texts, Path(folder)))
            print(way, json.dumps(ways[way]), flush=True)
    after_s = bare_as_served(sentences, model=model, settings=settings)
    bare_s = min(before_s, after_s)
    for figures in ways.values():
        if "seconds" in figures:
            started_s = figures["seconds"] - figures["start_s"]
            figures["articles_per_minute"] = round(len(texts) / figures["seconds"] * 60, 1)
            figures["articles_per_minute_once_started"] = round(len(texts) / started_s * 60, 1)
            figures["share_of_bare_engine"] = round(bare_s / figures["seconds"], 3)
            figures["share_of_bare_engine_once_started"] = round(bare_s / started_s, 3)
    result: dict[str, object] = {
        "model": model.digest,
        "articles": len(texts),
        "words": args.words,
        "sentences": len(sentences),
        "second_tries": args.second_tries,
        "bare_engine_s": [round(before_s, 2), round(after_s, 2)],
        "ways": ways,
        "against_the_first_way": differences(found),
    }
    print(json.dumps(result, indent=1))
    print(results_file.keep("job_ways", result))


async def go(way: str, texts: Sequence[str], folder: Path) -> tuple[dict[str, Any], Records]:
    """Do the articles in one way; return its figures, and of each id what is compared."""
    async with AsyncExitStack() as parts:
        gateway = ""
        if way != "ray-in-process":
            services = await parts.enter_async_context(await Services.start(settings=os.environ, quiet=True))
            gateway = services.addresses["gateway"]
        start_s, _, _ = await _timed(way, gateway, [SENTENCE], folder / f"{way}-start")
        seconds, counts, records = await _timed(way, gateway, texts, folder / way)
    results = {record["id"]: _compared(record) for record in records}
    figures = {
        "seconds": round(seconds, 2),
        "start_s": round(start_s, 2),
        "records": len(records),
        "ids": len(results),
        "adds_up": len(records) == len(results) == len(texts),
        "counts": counts,
    }
    return figures, results


def differences(found: Mapping[str, Records]) -> dict[str, dict[str, float | int]]:
    """Say how each other way's results differ from the first one's.

    In int8 the English depends a little on what stands in the same batch. Sources and spans may not differ.
    """
    if not found:
        return {}
    first, *others = found.values()
    compared = {}
    for way, other in zip(list(found)[1:], others, strict=True):
        pairs = [(first[name], other[name]) for name in first.keys() & other.keys()]
        same_source = [(one, two) for one, two in pairs if one["sources"] == two["sources"]]
        english = [
            mine == theirs
            for one, two in same_source
            for mine, theirs in zip(one["english"], two["english"], strict=True)
        ]
        compared[way] = {
            "ids_of_one_way_only": len(first.keys() ^ other.keys()),
            "ids_with_other_sources_or_spans": len(pairs) - len(same_source),
            "share_of_ids_with_equal_records": _share([one == two for one, two in pairs]),
            "share_of_sentences_with_equal_english": _share(english),
            "share_of_ids_with_equal_summaries": _share([one["summary"] == two["summary"] for one, two in pairs]),
        }
    return compared


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4) if hits else 0.0


async def _timed(
    way: str, gateway: str, texts: Sequence[str], name: Path
) -> tuple[float, dict[str, Any], list[dict[str, Any]]]:
    """Return the seconds from the first command to the end of the last, what it counted, and its records."""
    source, output, at = name.with_suffix(".in.jsonl"), name.with_suffix(".jsonl"), ("--gateway", gateway)
    lines = [json.dumps({"id": f"a-{number}", "text": text}, ensure_ascii=False) for number, text in enumerate(texts)]
    source.write_text("\n".join(lines))
    started = time.perf_counter()
    if way == "gateway":
        job = (await _khulasa("submit", str(source), *at)).strip()
        await _khulasa("results", job, "--follow", "--output", str(output), *at)
        counts = await _khulasa("status", job, "--json", *at)
    else:
        threads = str(TranslatorSettings().threads)
        extra = {
            "run": at,
            "ray": ("--engine", "ray", *at),
            "ray-in-process": ("--engine", "ray", "--in-process", "--actor-cpus", threads),
        }
        counts = await _khulasa("run", str(source), str(output), *extra[way], "--json")
    return time.perf_counter() - started, json.loads(counts), list(records_of(output))


def _compared(record: dict[str, Any]) -> dict[str, Any]:
    sentences = [s for paragraph in record["translation"]["paragraphs"] for s in paragraph["sentences"]]
    return {
        "sources": [(s["source"], s["span"]) for s in sentences],
        "english": [s["translation"] for s in sentences],
        "flags": [s["flags"] for s in sentences],
        "summary": [s["sentence_index"] for s in record["summary"]],
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
