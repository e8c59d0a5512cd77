"""How good a model folder is, as served: BLEU and chrF on the development sets, against stored outputs of others, how
often a sentence is doubted and why, and its speed beside a second folder.

    python -m benchmarks.translation_quality --model models/ar-en [--beside ../shared/models/teacher] [--limit 100]

The texts go through the translator's own normalization, splitting, batches and checks; only gRPC is left out. The
difference to each stored output is tested by paired bootstrap resampling (Koehn 2004) with sacrebleu. Speed is a ratio:
both folders translate the same sentences in turns, a batch of one and a batch of the other, so that other work on the
machine hits both. It is taken twice, of first tries alone and as served: a model without lexicon and calibration is
doubted less, and what is not doubted is not tried again.
"""

import argparse
import dataclasses
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sacrebleu
from sacrebleu.significance import PairedTest

from benchmarks import results_file
from services.translator.check import Reason
from services.translator.model import FORMAT, MANIFEST, Manifest
from services.translator.settings import SHIPPED_MODEL
from training.distill import PROMPT_END
from training.evaluate import SETS, corpus_scores, read_set
from training.served import Answer, ServedModel

RESAMPLES = 1000
TURN = 100
"""Sentences that one folder translates before it is the other's turn: three full batches."""
SPEED_SENTENCES = 400


def main() -> None:
    """Measure, print, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--limit", type=int, help="only the first sentences of each set")
    parser.add_argument("--beside", type=Path, help="compare the speed with this folder")
    parser.add_argument("--outputs", type=Path, help="keep the translations in this folder")
    args = parser.parse_args()
    served = ServedModel(args.model)
    result: dict[str, Any] = {"model": served.model.manifest.name, "digest": served.model.digest, "sets": {}}
    for name in args.sets:
        arabic, english = read_set(args.dev, name, limit=args.limit)
        answers = served.translate(arabic)
        translations = [answer.translation for answer in answers]
        others = read_others(args.dev / "other_systems", name, limit=args.limit)
        measured = corpus_scores(translations, english) | {
            "flagged": flag_rates(answers),
            "others": compare(translations, others, english),
        }
        result["sets"] |= {name: measured}
        show(name, measured)
        if args.outputs:
            args.outputs.mkdir(parents=True, exist_ok=True)
            (args.outputs / f"{name}.en").write_text("\n".join(translations) + "\n")
    if args.beside:
        arabic, _ = read_set(args.dev, args.sets[0], limit=min(SPEED_SENTENCES, args.limit or SPEED_SENTENCES))
        with model_folder(args.beside) as beside:
            once = (ServedModel(folder, second_tries=False) for folder in (args.model, beside))
            ratios = {
                "first_tries": speed_ratio(*once, arabic),
                "as_served": speed_ratio(served, ServedModel(beside), arabic),
            }
        result["speed"] = {"beside": args.beside.name, "sentences": len(arabic), "times_faster": ratios}
        print(result["speed"])
    print(results_file.keep("translation_quality", result))


def show(name: str, measured: dict[str, Any]) -> None:
    """Print the figures of a set: ours, the doubts, and each system with its lead and the chance of that lead."""
    print(f"{name}: {measured['n']} sentences, BLEU {measured['bleu']}, chrF {measured['chrf']}")
    print("  doubted", "  ".join(f"{reason} {100 * rate:.1f} %" for reason, rate in measured["flagged"].items()))
    for system, row in measured["others"].items():
        if system not in ("signatures", "ours"):
            cells = (f"{metric} {it['score']} ({it['lead']:+}, p {it['p']})" for metric, it in row.items())
            print(f"  {system:24}", "  ".join(cells), flush=True)


def read_others(folder: Path, name: str, *, limit: int | None) -> dict[str, list[str]]:
    """Return the stored outputs for a set by the names of the systems: `flores_dev.argos.en` is of argos."""
    paths = sorted(folder.glob(f"{name}.*.en"))
    return {path.name.split(".")[1]: path.read_text().splitlines()[:limit] for path in paths}


def flag_rates(answers: list[Answer]) -> dict[str, float]:
    """Return the share of texts with each reason for doubt, the most frequent first, and with any."""
    counts = Counter(reason for answer in answers for reason in answer.reasons)
    rates = {Reason(reason).name: round(number / len(answers), 4) for reason, number in counts.most_common()}
    return {"any": round(sum(bool(answer.reasons) for answer in answers) / len(answers), 4)} | rates


def compare(ours: list[str], others: dict[str, list[str]], references: list[str]) -> dict[str, dict[str, object]]:
    """Return for each system and metric its score, its lead over ours, and the chance of such a lead between equals.

    `ours` gets the 95 % interval of our own score.
    """
    if not others:
        return {}
    test = PairedTest(
        [("ours", ours), *others.items()],
        {"bleu": sacrebleu.BLEU(), "chrf": sacrebleu.CHRF()},
        [references],
        test_type="bs",
        n_samples=RESAMPLES,
    )
    signatures, table = test()
    names = {"bleu": "BLEU", "chrf": "chrF2"}
    compared: dict[str, dict[str, object]] = {
        "signatures": {metric: str(signatures[column]) for metric, column in names.items()}
    }
    for index, system in enumerate(table["System"]):
        name = "ours" if index == 0 else str(system)
        compared[name] = {}
        for metric, column in names.items():
            found, own = table[column][index], table[column][0]
            row = {"score": round(float(found.score), 1), "interval": round(float(found.ci), 1)}
            if index:
                row |= {"lead": round(float(found.score - own.score), 1), "p": round(float(found.p_value), 4)}
            compared[name][metric] = row
    return compared


def speed_ratio(ours: ServedModel, other: ServedModel, texts: list[str]) -> float:
    """Return how many times faster ours is on `texts`, in turns, after a warm-up of both."""
    seconds = {ours: 0.0, other: 0.0}
    for served in seconds:
        served.translate(texts[:1])
    for turn, start in enumerate(range(0, len(texts), TURN)):
        # Who goes first changes: what one leaves behind in caches and clocks helps or hurts both alike.
        for served in (ours, other) if turn % 2 == 0 else (other, ours):
            started = time.perf_counter()
            served.translate(texts[start : start + TURN])
            seconds[served] += time.perf_counter() - started
    return round(seconds[other] / seconds[ours], 2)


@contextmanager
def model_folder(folder: Path) -> Iterator[Path]:
    """Yield `folder` if it has a manifest, or else a folder of links with the manifest that the teacher needs."""
    if (folder / MANIFEST).exists():
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        linked = Path(name)
        for path in folder.iterdir():
            (linked / path.name).symlink_to(path.resolve())
        manifest = dataclasses.asdict(TEACHER)
        manifest["files"] = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(linked.iterdir())
        }
        (linked / MANIFEST).write_text(json.dumps(manifest))
        yield linked


TEACHER = Manifest(
    format=FORMAT,
    name="teacher",
    kind="decoder-only",
    source_language="ar",
    target_language="en",
    normalization="plain-1",
    source_tokenizer="tokenizer.model",
    target_tokenizer="tokenizer.model",
    source_prefix=["<bos>"],
    source_suffix=PROMPT_END,
    target_prefix=[],
    end_token="<eos>",
    max_source_tokens=160,
    max_target_tokens=256,
    beam_size=1,
    licence="",
    sources=[],
    scores={},
    files={},
)
"""How the teacher, which comes without a manifest, is to be asked."""


if __name__ == "__main__":
    main()
