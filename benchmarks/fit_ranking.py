"""Fits `Weights` of the summarizer by coordinate search on the development documents, in five folds.

    python -m benchmarks.fit_ranking

For each fold weights are fitted on the other four, so that every document can be reported on with weights that never
saw it: `summary_quality.py --folds` does. Those shipped are what most folds agree on. What fitting is worth is the
difference to the present weights on the documents left out. The gain is the mean of ROUGE-1 and ROUGE-2 over both
languages, at 75 words and at 3 sentences.
"""

import argparse
import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results_file
from benchmarks.summary_quality import Document, Tokenizer, bootstrap, load
from services.summarizer.budget import Budget
from services.summarizer.features import Features, features
from services.summarizer.languages import LANGUAGES
from services.summarizer.score import WEIGHTS, Feature, Measures, Weights, measure, weigh
from services.summarizer.selection import select

FOLDS = 5
ROUNDS = 2
BUDGETS = (Budget(words=75), Budget(sentences=3))
GRID: dict[str, tuple[float, ...]] = {
    "position": (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0),
    "position_half": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "backward": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "short_words": (8.0, 16.0, 24.0, 32.0, 40.0, 50.0),
    "numbers": (0.0, 0.25, 0.5, 1.0),
    "names": (0.0, 0.25, 0.5, 1.0),
}


class Case:
    """A document, measured once, so that trying other weights is cheap."""

    def __init__(self, document: Document) -> None:
        language, tokenizer = LANGUAGES[document.language], Tokenizer()
        self.language = document.language
        self._texts = document.sentences
        self._counted: Features = features(document.sentences, language)
        self._measures: Measures = measure(self._counted, title=document.title, language=language)
        self._sentences = [_grams(tokenizer.tokenize(text)) for text in self._texts]
        self._references = [_grams(tokenizer.tokenize(text)) for text in document.references]

    def gain(self, weights: Weights) -> float:
        """Return what the summaries with `weights` score, times 100."""
        scores = weigh(self._measures, self._counted, weights)
        gains = []
        for budget in BUDGETS:
            chosen = select(
                self._texts,
                self._counted,
                scores.values,
                budget=budget,
                doubtful=[False] * len(self._texts),
                credits=scores.applies[Feature.CREDIT].tolist(),
            )
            summary = [sum((self._sentences[index][n] for index in chosen), Counter()) for n in (0, 1)]
            gains.append(np.mean([[_f1(summary[n], reference[n]) for n in (0, 1)] for reference in self._references]))
        return 100 * float(np.mean(gains))


def main() -> None:
    """Fit, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/summaries"))
    arguments = parser.parse_args()
    numbered = [pair for path in sorted(arguments.data.glob("*.jsonl")) for pair in enumerate(load(path))]
    cases = [Case(document) for _, document in numbered]
    fold_of = [number % FOLDS for number, _ in numbered]
    differences: dict[str, list[float]] = {"ar": [], "en": []}
    folds = []
    for fold in range(FOLDS):
        fitted = fit([case for case, of in zip(cases, fold_of, strict=True) if of != fold])
        folds.append(dataclasses.asdict(fitted))
        for case, of in zip(cases, fold_of, strict=True):
            if of == fold:
                differences[case.language].append(case.gain(fitted) - case.gain(WEIGHTS))
    generator = np.random.default_rng(0)
    final = fit(cases)
    result: dict[str, Any] = {
        "documents": len(cases),
        "present": dataclasses.asdict(WEIGHTS) | {"gain": round(mean_gain(cases, WEIGHTS), 3)},
        "fitted_on_all_folds": dataclasses.asdict(final) | {"gain": round(mean_gain(cases, final), 3)},
        "fitted_without_each_fold": folds,
        "held_out_fitted_minus_present": {
            language: bootstrap(np.array(values), generator) for language, values in differences.items()
        },
    }
    print(result)
    print(results_file.keep("fit_ranking", result))


def fit(cases: Sequence[Case]) -> Weights:
    """Return the weights of the grid with the highest mean gain, found one after the other, `ROUNDS` times."""
    best, highest = WEIGHTS, mean_gain(cases, WEIGHTS)
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            for value in values:
                tried = dataclasses.replace(best, **{name: value})
                gain = mean_gain(cases, tried)
                if gain > highest:
                    best, highest = tried, gain
    return best


def mean_gain(cases: Sequence[Case], weights: Weights) -> float:
    """Return the mean gain, both languages counting the same."""
    gains: dict[str, list[float]] = {}
    for case in cases:
        gains.setdefault(case.language, []).append(case.gain(weights))
    return float(np.mean([np.mean(values) for values in gains.values()]))


def _grams(words: Sequence[str]) -> tuple[Counter[Any], Counter[Any]]:
    return Counter(words), Counter(itertools.pairwise(words))


def _f1(one: Counter[Any], other: Counter[Any]) -> float:
    common = (one & other).total()
    return 2 * common / max(1, one.total() + other.total())


if __name__ == "__main__":
    main()
