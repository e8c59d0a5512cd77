"""How good our summaries are, against the first sentences of the article, chance, and the summarizers of sumy.

    python -m benchmarks.summary_quality --folds benchmarks/results/…-fit_ranking.json --words 75
    python -m benchmarks.summary_quality --folds … --translated models/ar-en    # Arabic chosen through our English

With `--folds` each document is summarized with the weights that `fit_ranking.py` fitted without its fold; without it
with the shipped ones, which were fitted on all of these documents, so that they look a little better than they are.

All systems choose whole sentences from the same list under the same budget; a sentence that is too long for what is
left is passed over. Longer sentences gain by ROUGE where the budget counts sentences; `--words 75` shows what is left
without that. Where people wrote several reference summaries, a score is the mean over them. Intervals are 95 % by
bootstrap over documents, differences in pairs. The data may be measured on, not passed on: it is no part of the
repository. `sumy_systems.py` says how to get sumy.
"""

import argparse
import asyncio
import dataclasses
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rouge_score import rouge_scorer

from benchmarks import results_file, sumy_systems
from services.summarizer.budget import Budget
from services.summarizer.score import WEIGHTS, Weights
from services.summarizer.summarize import SourceSentence, summarize
from services.translator import engine
from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.threads import usable_processors
from services.translator.translation import ParagraphTranslator

ROUGE = ("rouge1", "rouge2", "rougeL")
METRICS = (*ROUGE, "sentences")
RANDOM_RUNS = 5
BOOTSTRAP_RUNS = 2000
LANGUAGE_OF = {"easc_dev": "ar", "english_news_dev": "en"}


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """An article and what people chose of it."""

    sentences: list[str]
    title: str
    language: str
    references: list[str]
    selected: list[list[int]]
    doubtful: list[bool]
    weights: Weights = WEIGHTS
    twin: "Document | None" = None
    """The same in the other language, sentence by sentence."""


Choose = Callable[[Document, Budget], list[int]]


def main() -> None:
    """Measure, print a table, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/summaries"))
    parser.add_argument("--folds", type=Path, help="a result of fit_ranking")
    parser.add_argument("--documents", type=int, help="at most so many of each set")
    parser.add_argument("--translated", type=Path, metavar="MODEL", help="translate the Arabic set with it")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--sentences", type=int, default=3)
    limit.add_argument("--words", type=int)
    arguments = parser.parse_args()
    if arguments.translated and arguments.words:
        parser.error("--translated compares choices of sentences across languages: give its budget in --sentences")
    unit, value = ("words", arguments.words) if arguments.words else ("sentences", arguments.sentences)
    fitted = json.loads(arguments.folds.read_text())["fitted_without_each_fold"] if arguments.folds else []
    weights = [Weights(**values) for values in fitted] or [WEIGHTS]
    sets = {
        path.stem: [
            dataclasses.replace(document, weights=weights[number % len(weights)])
            for number, document in enumerate(load(path)[: arguments.documents])
        ]
        for path in sorted(arguments.data.glob("*.jsonl"))
    }
    if arguments.translated:
        arabic, english = asyncio.run(translate(sets["easc_dev"], arguments.translated))
        sets = {"easc_dev": arabic, "easc_dev in our English": english}
    result: dict[str, Any] = {
        "weights": f"fitted without each of {len(fitted)} folds" if fitted else "shipped, fitted on these documents",
        "budget": {unit: value},
        "sumy": sumy_systems.VERSION,
        "rouge-score": version("rouge-score"),
        "bootstrap_runs": BOOTSTRAP_RUNS,
        "translated_by": Model.open(arguments.translated).digest if arguments.translated else None,
        "data": {},
    }
    for name, documents in sets.items():
        result["data"][name] = measured = compare(documents, Budget(**{unit: value}))
        print(f"{name}: {len(documents)} articles, {value} {unit}, weights {result['weights']}")
        for system, row in measured["systems"].items():
            cells = "  ".join(f"{metric} {row[metric]['mean']:5.1f}" for metric in METRICS)
            print(f"  {system:24} {cells}  {row['words']:.0f} words")
        print("  khulasa minus …")
        for system, row in measured["khulasa_minus"].items():
            print(f"  {system:24} " + "  ".join(f"{metric} {_interval(row[metric])}" for metric in METRICS))
    print(results_file.keep("summary_quality", result))


def load(path: Path) -> list[Document]:
    """Return the documents of one data set in the order of the file."""
    language = LANGUAGE_OF.get(path.stem, "en")
    with path.open(encoding="utf-8") as lines:
        return [
            Document(
                sentences=row["sentences"],
                # Titles of the Arabic set are "sport (5)" and the like, made by those who collected it.
                title=row["title"] if language == "en" else "",
                language=language,
                references=row["summaries"],
                selected=row["selected"],
                doubtful=[False] * len(row["sentences"]),
            )
            for row in map(json.loads, lines)
        ]


async def translate(documents: Sequence[Document], folder: Path) -> tuple[list[Document], list[Document]]:
    """Return the documents and their translations by the model in `folder`, each the other's twin.

    An English sentence is doubtful where it is flagged; its references are the translations of what people chose.
    """
    model = Model.open(folder)
    workers = usable_processors()
    queue = TranslationQueue(
        engine.load(model, workers=workers, threads_per_worker=1),
        workers=workers,
        batch_tokens=1536,
        capacity=4096,
        window=256,
    )
    arabic, english = [], []
    try:
        for document in documents:
            paragraphs = await ParagraphTranslator(model, queue).translate(document.sentences)
            texts = [" ".join(sentence.translation for sentence in paragraph) for paragraph in paragraphs]
            twin = Document(
                sentences=texts,
                title="",
                language="en",
                references=[" ".join(texts[index] for index in chosen) for chosen in document.selected],
                selected=document.selected,
                doubtful=[any(sentence.doubts for sentence in paragraph) for paragraph in paragraphs],
                weights=document.weights,
            )
            arabic.append(dataclasses.replace(document, twin=twin))
            english.append(dataclasses.replace(twin, twin=document))
    finally:
        await queue.close()
    return arabic, english


def compare(documents: Sequence[Document], budget: Budget) -> dict[str, Any]:
    """Return scores of all systems with intervals, and ours less each other's in pairs."""
    measured = {name: measure(documents, choose, budget) for name, choose in systems(documents).items()}
    generator = np.random.default_rng(0)
    return {
        "documents": len(documents),
        "systems": {
            name: {metric: bootstrap(scores[:, column], generator) for column, metric in enumerate(METRICS)}
            | {"words": float(scores[:, -1].mean())}
            for name, scores in measured.items()
        },
        "khulasa_minus": {
            name: {
                metric: bootstrap((measured["khulasa"] - scores)[:, column], generator)
                for column, metric in enumerate(METRICS)
            }
            for name, scores in measured.items()
            if name != "khulasa"
        },
    }


def measure(documents: Sequence[Document], choose: Sequence[Choose], budget: Budget) -> NDArray[np.float64]:
    """Return a row for each document, the mean over `choose`: F1 of `METRICS` times 100, number of words."""
    return np.mean([[judge(document, way(document, budget)) for document in documents] for way in choose], axis=0)


def judge(document: Document, chosen: Sequence[int]) -> list[float]:
    """Return F1 of `METRICS` times 100 and the number of words of one summary."""
    scorer = rouge_scorer.RougeScorer(ROUGE, tokenizer=Tokenizer())
    summary = " ".join(document.sentences[index] for index in chosen)
    scores = [scorer.score(reference, summary) for reference in document.references]
    return [
        *(100 * float(np.mean([score[metric].fmeasure for score in scores])) for metric in ROUGE),
        100 * float(np.mean([_sentence_f1(chosen, selected) for selected in document.selected])),
        len(summary.split()),
    ]


def _sentence_f1(chosen: Sequence[int], selected: Sequence[int]) -> float:
    return 2 * len(set(chosen) & set(selected)) / max(1, len(set(chosen)) + len(set(selected)))


def systems(documents: Sequence[Document]) -> Mapping[str, Sequence[Choose]]:
    """Return the ways to choose by name; several of one name are averaged."""
    generator = np.random.default_rng(0)

    def at_random(document: Document, budget: Budget) -> list[int]:
        return while_they_fit(document, generator.permutation(len(document.sentences)).tolist(), budget)

    def lead(document: Document, budget: Budget) -> list[int]:
        return while_they_fit(document, range(len(document.sentences)), budget)

    def by_sumy(name: str) -> Choose:
        def choose(document: Document, budget: Budget) -> list[int]:
            return while_they_fit(document, sumy_systems.order(name, document.sentences, document.language), budget)

        return choose

    def through_twin(document: Document, budget: Budget) -> list[int]:
        assert document.twin is not None
        return khulasa(document.twin, budget)

    found: dict[str, Sequence[Choose]] = {"khulasa": [khulasa], "lead": [lead], "random": [at_random] * RANDOM_RUNS}
    found |= {name: [by_sumy(name)] for name in sumy_systems.SUMMARIZERS}
    if documents and documents[0].twin:
        found[f"khulasa on the {documents[0].twin.language}"] = [through_twin]
    return found


def khulasa(document: Document, budget: Budget) -> list[int]:
    """Choose as the summarizer does."""
    sentences = [
        SourceSentence(text, 0, doubt) for text, doubt in zip(document.sentences, document.doubtful, strict=True)
    ]
    chosen = summarize(
        sentences, budget=budget, language=document.language, title=document.title, weights=document.weights
    )
    return [choice.index for choice in chosen]


def while_they_fit(document: Document, order: Iterable[int], budget: Budget) -> list[int]:
    """Take sentences in `order` and return them in that of the article; what is too long is passed over."""
    chosen, room = [], budget.capacity(len(document.sentences))
    for index in order:
        cost = budget.cost(document.sentences[index])
        if cost <= room:
            chosen.append(index)
            room -= cost
    return sorted(chosen)


class Tokenizer:
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


def bootstrap(values: NDArray[np.float64], generator: np.random.Generator) -> dict[str, float]:
    """Return the mean and its 95 % interval over resampled documents."""
    samples = generator.integers(0, len(values), size=(BOOTSTRAP_RUNS, len(values)))
    low, high = np.percentile(values[samples].mean(axis=1), (2.5, 97.5))
    return {"mean": round(float(values.mean()), 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def _interval(scores: Mapping[str, float]) -> str:
    return f"{scores['mean']:+5.1f} [{scores['low']:+5.1f}, {scores['high']:+5.1f}]"


if __name__ == "__main__":
    main()
