"""The summary of one article: count ▸ score ▸ select ▸ say why. Called by the RPC edge and by benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.summarizer.budget import Budget
from services.summarizer.features import Features, Vectors, features
from services.summarizer.languages import LANGUAGES
from services.summarizer.score import WEIGHTS, Feature, Scores, Weights, score
from services.summarizer.selection import select


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence that may be chosen; a `doubtful` one only where there is no other."""

    text: str
    paragraph_index: int
    doubtful: bool
    shown_text: str = ""
    """What the summary will show in its place and the budget counts; the text itself if empty."""
    context_only: bool = False
    """It tells how much the others say and is never chosen."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sentence of the summary: its number in the article, what it was given and why."""

    index: int
    score: float
    rationale: str
    parts: Mapping[Feature, float]
    """What each feature added to the score or took away; those that did neither are left out."""


def summarize(
    sentences: Sequence[SourceSentence], *, budget: Budget, language: str, title: str, weights: Weights = WEIGHTS
) -> list[Chosen]:
    """Return the sentences that say most within `budget`, in the order of the article.

    `language` is a key of `LANGUAGES`. The same input always gives the same answer.
    """
    tables = LANGUAGES[language]
    texts = [sentence.text for sentence in sentences]
    doubtful = [sentence.doubtful for sentence in sentences]
    counted = features(texts, tables)
    scores = score(counted, title=title, language=tables, weights=weights)
    chosen = select(
        texts,
        counted,
        scores.values,
        budget=budget,
        doubtful=doubtful,
        credits=scores.applies[Feature.CREDIT].tolist(),
        context_only=[sentence.context_only for sentence in sentences],
        shown=[sentence.shown_text or sentence.text for sentence in sentences],
    )
    shared = _SharedWords(counted.vectors)
    return [
        Chosen(
            index,
            float(scores.values[index]),
            _rationale(index, counted, scores, shared, doubtful=doubtful[index]),
            {
                feature: float(points[index])
                for feature, points in scores.parts.items()
                if abs(points[index]) > ROUNDING
            },
        )
        for index in chosen
    ]


_DRAWBACKS = {
    Feature.QUESTION: "a question",
    Feature.DANGLING: "leans on the sentence before",
    Feature.QUOTATION: "part of a quotation, or one that does not say whose",
    Feature.UNFINISHED: "breaks off",
    Feature.OFF_TOPIC: "shares no words with the rest",
    Feature.CREDIT: "a credit or a link",
}
ROUNDING = 1e-9
"""Smaller parts of a score are what rounding left of nothing."""
NEAR_START = 0.5
"""Value of the position from which a sentence is "near the start"."""


def _rationale(index: int, counted: Features, scores: Scores, shared: "_SharedWords", *, doubtful: bool) -> str:
    sentences, title_words, numbers = shared.count(index), int(scores.title_words[index]), int(counted.numbers[index])
    reasons = [
        "doubtful, but there is no other" if doubtful else "",
        "near the start" if scores.position[index] >= NEAR_START else "",
        f"shares words with {_number(sentences, 'sentence')}" if sentences else "",
        f"has {_number(title_words, 'word')} of the title" if title_words else "",
        f"names {counted.names[index]}" if counted.names[index] else "",
        f"gives {_number(numbers, 'number')}" if numbers else "",
        *(words for feature, words in _DRAWBACKS.items() if scores.applies[feature][index]),
    ]
    return "; ".join(filter(None, reasons)) or "nothing better is left"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class _SharedWords:
    """Counts the sentences that share at least two telling words with a given one."""

    def __init__(self, vectors: Vectors) -> None:
        by_word = np.argsort(vectors.columns, kind="stable")
        self._vectors = vectors
        self._sentences = vectors.rows[by_word]
        self._starts = np.searchsorted(vectors.columns[by_word], np.arange(len(vectors.vocabulary) + 1))

    def count(self, index: int) -> int:
        columns, _ = self._vectors.of(index)
        if not columns.size:
            return 0
        having = [self._sentences[self._starts[column] : self._starts[column + 1]] for column in columns.tolist()]
        words_shared = np.bincount(np.concatenate(having))
        words_shared[index] = 0
        return int(np.sum(words_shared >= 2))
