"""Fit what the translator doubts on two development sets, and report on two others what it catches.

    python -m benchmarks.doubts --model models/ar-en --write

Shows for every kind of bad translation the share that is flagged and for good ones the share that is flagged wrongly;
precision and recall of each flag; what a second try rescues; and how well confidence is calibrated, with a plot.
`--write` puts the calibration into the model folder. Takes about ten minutes on two cores; needs the `train` extra.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks import drawing, results_file
from benchmarks.doubts import report
from benchmarks.doubts.fit import as_json, fit
from benchmarks.doubts.labelled import Labelled, build
from benchmarks.doubts.score import scorer
from services.translator import confidence
from services.translator.engine import Decoded, Engine, load
from services.translator.judge import Judge
from services.translator.model import Model, Tokenizer
from training.export import write_manifest

FITTED_ON, REPORTED_ON = ("tico19_dev", "tatoeba_dev"), ("flores_dev", "un_dev")
BATCH = 16


def in_batches(decode: Callable[[Sequence[list[str]]], list[Any]], sentences: Sequence[list[str]]) -> list[Any]:
    """Decode in batches of like length; return the answers in the order of the sentences."""
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
    answers: dict[int, Any] = {}
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        answers |= dict(zip(batch, decode([sentences[index] for index in batch]), strict=True))
    return [answers[index] for index in range(len(sentences))]


def measure(judge: Judge, engine: Engine, examples: Sequence[Labelled]) -> dict[str, Any]:
    """Return every table for the examples of one set."""
    judged = report.judge_all(judge, examples)
    started = time.monotonic()
    tries = report.second_tries(judge, lambda sentences: in_batches(engine.decode_safer, sentences), judged)
    return {
        "flagged": report.flagged_shares(judged),
        "per_flag": report.per_flag(judged),
        "confidence": report.reliability(judged),
        "second_try": tries | {"seconds": round(time.monotonic() - started, 1)},
    }


def plot(tables: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the share of good answers over confidence, a line for each set; right confidence lies on the diagonal."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, table in tables.items():
        bins = table["confidence"]["bins"]
        axes.plot([it["confidence"] for it in bins], [it["good"] for it in bins], marker="o", label=name)
    axes.set(
        xlabel="confidence", ylabel=f"share with chrF of at least {confidence.GOOD_CHRF:g}", xlim=(0, 1), ylim=(0, 1)
    )
    axes.legend()
    drawing.save(figure, path)


def show(tables: dict[str, dict[str, Any]]) -> None:
    """Print the tables for people."""
    for name, table in tables.items():
        print(f"\n{name}")
        for kind, row in table["flagged"].items():
            print(f"  {kind:28} {row['n']:5}  flagged {row['flagged']:6.1%}  by text {row['flagged_by_text']:6.1%}")
        for reason, row in table["per_flag"].items():
            print(f"  {reason:28} {row['given']:5}  precision {row['precision']:.2f}  recall {row['recall']:.3f}")
        print(f"  confidence and chrF correlate {table['confidence']['correlation_with_chrf']}")
        print(f"  second try: {table['second_try']}")


def main(folder: Path, dev: Path, *, limit: int, spoilt: int, write: bool) -> None:
    model = Model.open(folder)
    engine = load(model, workers=1, threads_per_worker=2)
    tokenizer = Tokenizer(model)
    started = time.monotonic()

    def decode(sentences: Sequence[list[str]]) -> list[Decoded]:
        return in_batches(engine.decode, sentences)

    examples = list(
        build(model, decode, scorer(model), dev=dev, names=FITTED_ON + REPORTED_ON, limit=limit, spoilt=spoilt)
    )
    print(f"{len(examples)} examples after {time.monotonic() - started:.0f} s")
    uncalibrated = Judge(model, tokenizer, calibration=None)
    calibration = fit(uncalibrated, [it for it in examples if it.set in FITTED_ON])
    content = as_json(calibration, fitted_on=FITTED_ON)
    print(json.dumps(content, indent=1))
    judge = Judge(model, tokenizer, calibration=calibration)
    tables = {
        name: measure(judge, engine, [it for it in examples if it.set == name]) for name in FITTED_ON + REPORTED_ON
    }
    show(tables)
    kept = results_file.keep(
        "doubts", {"model": model.manifest.name, "digest": model.digest, "calibration": content, "sets": tables}
    )
    plot({name: tables[name] for name in REPORTED_ON}, kept.with_suffix(".svg"))
    if write:
        (folder / confidence.FILE).write_text(json.dumps(content, indent=1) + "\n")
        write_manifest(folder, json.loads((folder / "manifest.json").read_text()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--limit", type=int, default=1000, help="sentences of each set that the model translates")
    parser.add_argument("--spoilt", type=int, default=200, help="human translations of each set that are spoilt")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    main(arguments.model, arguments.dev, limit=arguments.limit, spoilt=arguments.spoilt, write=arguments.write)
