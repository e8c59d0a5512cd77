"""Memory and time per line of `khulasa job run` over many lines, without a gateway in the way.

    python -m benchmarks.job_lines [--lines 1000000] [--output parquet]

Reader, plan, copies, concurrency, records and writer are those of a run; only the answer is made up, at once. The lines
are generated, one in twenty being a copy of an earlier one, one in a hundred bad. Then the same run again, which finds
all done.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks import results_file
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.inputs import Fields, Input, open_input
from khulasa.jobs.plan import Plan
from khulasa.jobs.progress import RunProgress
from khulasa.jobs.run import Ledger, Run
from khulasa.types import (
    Article,
    CacheUse,
    Options,
    Paragraph,
    ParagraphKind,
    Provenance,
    Result,
    Sentence,
    Span,
    Translation,
    Verdict,
)

STEPS = 20
TEXT = "وصل الوزير إلى المدينة صباح اليوم بعد زيارة طويلة مع وفد كبير من رجال الأعمال في المنطقة"


def main() -> None:
    """Generate, run twice, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--output", choices=["jsonl", "parquet"], default="jsonl")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.jsonl", Path(folder) / ("out.jsonl" if args.output == "jsonl" else "out")
        expected = generate(source, args.lines)
        first = asyncio.run(measure(source, output, args.lines))
        again = asyncio.run(measure(source, output, args.lines))
    quarter = first["steps"][len(first["steps"]) // 4]["resident_mb"]
    times = [step["us_per_line"] for step in first["steps"]]
    middle = len(times) // 2
    growth = (sum(times[middle:]) / len(times[middle:])) / (sum(times[:middle]) / middle)
    result: dict[str, object] = {
        "lines": args.lines,
        "output": args.output,
        "counts_as_expected": {name: first["counts"][name] for name in expected} == expected,
        "memory_last_over_first_quarter": round(first["steps"][-1]["resident_mb"] / quarter, 3),
        "time_second_half_over_first": round(growth, 3),
        "first_run": first,
        "run_again": again,
    }
    print(json.dumps({name: value for name, value in result.items() if not isinstance(value, dict)}, indent=1))
    print(results_file.keep("job_lines", result))


def generate(path: Path, lines: int) -> dict[str, int]:
    """Write the input; return the counts that a run of it must have."""
    dice = random.Random(7)
    copies = bad = 0
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            if number % 100 == 50:
                bad += 1
                file.write('{"id": "broken"\n')
                continue
            of = number
            if number % 20 == 10 and number > 100:
                copies += 1
                of = number - number % 20 - 19  # never a copy itself, never bad
            text = f"{TEXT} {of}." if of == number else f"{TEXT.replace(' ', '  ')} {of}."
            file.write(json.dumps({"id": f"a-{number}", "text": text, "n": dice.random()}, ensure_ascii=False) + "\n")
    return {"read": lines, "done": lines - bad, "failed": bad, "duplicates": copies, "saved": copies}


async def measure(source: Path, output: Path, lines: int) -> dict[str, Any]:
    """Run once; return counts, and resident memory and time per line at each step."""
    reading = _Measured(open_input(str(source), Fields()), lines)
    ledger = Ledger.open(output, reading, Options())
    plan = Plan(ledger.index, ledger.counts)
    progress = RunProgress(ledger.counts, reading, Console(stderr=True))
    started = time.perf_counter()
    with progress:
        await Run(reading, ledger, plan, Answerer(made_up, AdaptiveLimit(64), 60), progress).run()
    ledger.close()
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "counts": ledger.counts.as_json(), "steps": reading.steps}


class _Measured(Input):
    """An input that looks at the process at each of `STEPS` steps."""

    def __init__(self, source: Input, lines: int) -> None:
        self._source = source
        self._step = max(1, lines // STEPS)
        self.steps: list[dict[str, float]] = []

    def identity(self) -> dict[str, Any]:
        return self._source.identity()

    def entries(self) -> Any:
        process, began_at = psutil.Process(), time.perf_counter()
        for number, entry in enumerate(self._source.entries(), start=1):
            self.share = self._source.share
            yield entry
            if number % self._step == 0:
                now = time.perf_counter()
                memory, each = process.memory_info().rss / 2**20, (now - began_at) / self._step * 1e6
                self.steps.append({"lines": number, "resident_mb": round(memory, 1), "us_per_line": round(each, 1)})
                began_at = now


async def made_up(article: Article) -> Result:
    """Answer at once, with one sentence."""
    span = Span(0, len(article.text))
    sentence = Sentence(0, article.text, "The minister came to the city this morning. " * 2, span, -0.3, 0.8, ())
    provenance = Provenance(
        *("made-up", "0" * 64, "none", "none", CacheUse.MISS),
        paragraphs=1,
        cached_paragraphs=0,
        sentences=1,
        flagged_sentences=0,
        verdict=Verdict.NO_DOUBTS,
        total_s=0.0,
        translation_s=0.0,
        summary_s=0.0,
    )
    return Result(Translation(None, (Paragraph(0, ParagraphKind.BODY, span, (sentence,)),), None), (), provenance)


if __name__ == "__main__":
    main()
