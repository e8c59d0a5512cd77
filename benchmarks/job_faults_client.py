"""Random kills during `khulasa job run`: no article lost, none twice, no hand needed.

    python -m benchmarks.job_faults_client [--runs 20] [--articles 400] [--seed 1] [--output jsonl|parquet|both]

Gateway, summarizer and Redis are real, the translator has a stub engine. In each run the client, the gateway or the
translator is killed with -9 at random moments, three times; services are started again at their places, and the same
command is given until it ends by itself. Then the output is compared with the input.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import articles, results_file
from benchmarks.stub_translator import STUB
from khulasa.jobs.output import records_of
from khulasa.up import Services

KILLS = 3
DELAY_S = "0.05"


def main() -> None:
    """Make the runs, keep what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--articles", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", choices=["jsonl", "parquet", "both"], default="both")
    args = parser.parse_args()
    outputs = {"jsonl": ["out.jsonl"], "parquet": ["out"], "both": ["out.jsonl", "out"]}[args.output]
    runs = []
    for number in range(args.runs):
        dice = random.Random(args.seed * 1000 + number)
        with tempfile.TemporaryDirectory() as folder:
            runs.append(asyncio.run(one_run(Path(folder), outputs[number % len(outputs)], args.articles, dice)))
        print(json.dumps(runs[-1]), flush=True)
    bad = [run for run in runs if run["lost"] or run["twice"] or run["wrong"] or run["last_status"]]
    result: dict[str, object] = {
        "runs": args.runs,
        "articles": args.articles,
        "runs_with_a_fault": len(bad),
        "each": runs,
    }
    print(f"{len(bad)} of {args.runs} runs lost, doubled or changed an article.")
    print(results_file.keep("job_faults_client", result))
    raise SystemExit(bool(bad))


async def one_run(folder: Path, name: str, count: int, dice: random.Random) -> dict[str, object]:
    """Kill at random until enough was killed, then let the command end; return what the output has."""
    source, output = folder / "in.jsonl", folder / name
    texts = {f"a-{number}": text[:400] for number, text in enumerate(articles.load(None, count))}
    with source.open("w", encoding="utf-8") as file:
        for article_id, text in texts.items():
            file.write(json.dumps({"id": article_id, "text": text}, ensure_ascii=False) + "\n")
    began_at, killed, commands = time.monotonic(), list[str](), 0
    settings = {"KHULASA_STUB_DELAY_S": DELAY_S, "KHULASA_THREADS": "1"}
    async with await Services.start(quiet=True, settings=settings, modules=STUB) as services:
        arguments = [str(source), str(output), "--gateway", services.addresses["gateway"], "--no-cache"]
        while True:
            commands += 1
            client = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "khulasa", "job", "run", *arguments), stderr=asyncio.subprocess.DEVNULL
            )
            while len(killed) < KILLS and client.returncode is None:
                try:
                    async with asyncio.timeout(dice.uniform(1.5, 4)):
                        await client.wait()
                except TimeoutError:
                    victim = dice.choice(["client", "gateway", "translator"])
                    killed.append(victim)
                    if victim == "client":
                        client.kill()
                        break
                    services.processes[victim].kill()
                    await services.processes[victim].wait()
                    await services.start_one(victim, services.environment)
            status = await client.wait()
            if status >= 0:
                break
    found = Counter(record["id"] for record in records_of(output))
    wrong = sum(
        texts[record["id"]][s["span"]["start"] : s["span"]["end"]] != s["source"]
        for record in records_of(output)
        for paragraph in record["translation"]["paragraphs"]
        for s in paragraph["sentences"]
    )
    return {
        "output": name,
        "killed": killed,
        "commands": commands,
        "last_status": status,
        "lost": len(texts.keys() - found.keys()),
        "twice": sum(times > 1 for times in found.values()),
        "wrong": wrong,
        "seconds": round(time.monotonic() - began_at, 1),
    }


if __name__ == "__main__":
    main()
