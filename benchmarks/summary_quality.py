"""How good our summaries are by ROUGE, against the first sentences of the article and against chance.

    pip install rouge-score
    python -m benchmarks.summary_quality                      # the half that no constant was tuned on
    python -m benchmarks.summary_quality --half even          # the half they were tuned on

All systems choose whole sentences from the same list under the same budget, so only the choice differs. Longer
sentences gain by ROUGE where the budget counts sentences; `--words 75` shows what is left without that. Where people
wrote several reference summaries, a score is the mean over them. Intervals are 95 % by bootstrap over documents; the
difference to lead is bootstrapped in pairs. The data may be measured on, not passed on: it is no part of the
repository.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rouge_score import rouge_scorer

from services.summarizer.budget import Budget
from services.summarizer.summarize import SourceSentence, summarize

METRICS = ("rouge1", "rouge2", "rougeL")
RANDOM_RUNS = 5
BOOTSTRAP_RUNS = 2000
# Titles of the Arabic set are "sport (5)" and the like, made by those who collected it.
LANGUAGE_OF = {"easc_dev": "ar", "english_news_dev": "en"}


@dataclass(frozen=True, slots=True)
class Document:
    """An article and what people chose of it."""

    sentences: list[str]
    title: str
    language: str
    references: list[str]


Choose = Callable[[Document, Budget], list[int]]


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/summaries"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--half", choices=("odd", "even", "all"), default="odd")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--sentences", type=int, default=3)
    limit.add_argument("--words", type=int)
    arguments = parser.parse_args()
    unit, value = ("words", arguments.words) if arguments.words else ("sentences", arguments.sentences)
    report: dict[str, Any] = {
        "what": "summary_quality",
        "half": arguments.half,
        "budget": {unit: value},
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "rouge-score")},
        "bootstrap_runs": BOOTSTRAP_RUNS,
        "data": {},
    }
    for path in sorted(arguments.data.glob("*.jsonl")):
        documents = half(load(path), arguments.half)
        report["data"][path.stem] = result = compare(documents, Budget(**{unit: value}))
        print(f"{path.stem}: {len(documents)} articles, {value} {unit}, half: {arguments.half}")
        for name, row in result["systems"].items():
            cells = "  ".join(f"{metric} {_interval(row[metric])}" for metric in METRICS)
            print(f"  {name:15} {cells}  {row['words']:.0f} words")
        cells = "  ".join(f"{metric} {_interval(result['khulasa_minus_lead'][metric])}" for metric in METRICS)
        print(f"  {'minus lead':15} {cells}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"summary_quality-{report['date']}-{arguments.half}-{value}-{unit}.json"
    (arguments.out / name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> list[Document]:
    """Return the documents of one data set in the order of the file."""
    language = LANGUAGE_OF.get(path.stem, "en")
    with path.open(encoding="utf-8") as lines:
        return [
            Document(
                sentences=row["sentences"],
                title=row["title"] if language == "en" else "",
                language=language,
                references=row["summaries"],
            )
            for row in map(json.loads, lines)
        ]


def half(documents: list[Document], which: str) -> list[Document]:
    """Return the even-numbered documents (to tune on), the odd-numbered (to report), or all. The first one is 0."""
    return documents if which == "all" else documents[{"even": 0, "odd": 1}[which] :: 2]


def compare(documents: Sequence[Document], budget: Budget) -> dict[str, Any]:
    """Return scores of all systems with intervals, and ours less lead's in pairs."""
    measured = {name: measure(documents, choose, budget) for name, choose in _systems().items()}
    generator = np.random.default_rng(0)
    return {
        "documents": len(documents),
        "systems": {
            name: {metric: _bootstrap(scores[:, column], generator) for column, metric in enumerate(METRICS)}
            | {"words": float(scores[:, -1].mean())}
            for name, scores in measured.items()
        },
        "khulasa_minus_lead": {
            metric: _bootstrap((measured["khulasa"] - measured["lead"])[:, column], generator)
            for column, metric in enumerate(METRICS)
        },
    }


def measure(documents: Sequence[Document], choose: Choose, budget: Budget) -> NDArray[np.float64]:
    """Return a row for each document: F1 of `METRICS` times 100, number of words."""
    rows = []
    for document in documents:
        scorer = rouge_scorer.RougeScorer(METRICS, tokenizer=_Tokenizer())
        summary = " ".join(document.sentences[index] for index in choose(document, budget))
        scores = [scorer.score(reference, summary) for reference in document.references]
        means = [100 * float(np.mean([score[metric].fmeasure for score in scores])) for metric in METRICS]
        rows.append([*means, len(summary.split())])
    return np.array(rows)


def _systems() -> dict[str, Choose]:
    generator = np.random.default_rng(0)

    def at_random(document: Document, budget: Budget) -> list[int]:
        return sorted(_while_they_fit(document, generator.permutation(len(document.sentences)).tolist(), budget))

    def lead(document: Document, budget: Budget) -> list[int]:
        return _while_they_fit(document, range(len(document.sentences)), budget)

    return {"khulasa": khulasa, "lead": lead} | {f"random {run + 1}": at_random for run in range(RANDOM_RUNS)}


def khulasa(document: Document, budget: Budget) -> list[int]:
    """Choose as the summarizer does."""
    sentences = [SourceSentence(text, 0, False) for text in document.sentences]
    chosen = summarize(sentences, budget=budget, language=document.language, title=document.title)
    return [choice.index for choice in chosen]


def _while_they_fit(document: Document, order: Iterable[int], budget: Budget) -> list[int]:
    """Take sentences in `order`; one that is too long for what is left is passed over, as the summarizer does."""
    chosen, spent = [], 0
    for index in order:
        cost = len(document.sentences[index].split()) if budget.words else 1
        if spent + cost <= (budget.words or budget.sentences or 0):
            chosen.append(index)
            spent += cost
    return chosen


class _Tokenizer:
    """Words in lower case, Arabic ones with one alef, ya and ha and without vowels; no stems, stop words kept.

    The tokenizer of rouge-score drops every letter that is not ASCII. This one is not the summarizer's, so that a
    change there does not move the measure.
    """

    def tokenize(self, text: str) -> list[str]:
        folded = _MARKS.sub("", unicodedata.normalize("NFKC", text)).lower()
        return _WORD.findall(folded.translate(_LETTERS))


_MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f]")
_LETTERS = str.maketrans("أإآٱىة", "اااايه")
_WORD = re.compile(r"\w+")


def _bootstrap(values: NDArray[np.float64], generator: np.random.Generator) -> dict[str, float]:
    samples = generator.integers(0, len(values), size=(BOOTSTRAP_RUNS, len(values)))
    low, high = np.percentile(values[samples].mean(axis=1), (2.5, 97.5))
    return {"mean": round(float(values.mean()), 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def _interval(scores: dict[str, float]) -> str:
    return f"{scores['mean']:5.1f} [{scores['low']:5.1f}, {scores['high']:5.1f}]"


def _commit() -> str:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return described.stdout.strip()


if __name__ == "__main__":
    main()
