"""The summary of one article: count ▸ score ▸ select ▸ say why. Called by the RPC edge and by benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.summarizer.budget import Budget
from services.summarizer.features import Features, Vectors, features
from services.summarizer.languages import LANGUAGES
from services.summarizer.score import Scores, score
from services.summarizer.selection import select


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence that may be chosen; a `doubtful` one only where there is no other."""

    text: str
    paragraph_index: int
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sentence of the summary: its number in the article, what it was given and why."""

    index: int
    score: float
    rationale: str


def summarize(sentences: Sequence[SourceSentence], *, budget: Budget, language: str, title: str) -> list[Chosen]:
    """Return the sentences that say most within `budget`, in the order of the article.

    `language` is a key of `LANGUAGES`. The same input always gives the same answer.
    """
    tables = LANGUAGES[language]
    texts = [sentence.text for sentence in sentences]
    doubtful = [sentence.doubtful for sentence in sentences]
    counted = features(texts, tables)
    scores = score(texts, counted, title=title, language=tables)
    chosen = select(texts, counted, scores.values, doubtful=doubtful, budget=budget)
    shared = _SharedWords(counted.vectors)
    return [
        Chosen(index, float(scores.values[index]), _rationale(index, counted, scores, shared, doubtful=doubtful[index]))
        for index in chosen
    ]


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
        "a question" if scores.questions[index] else "",
        "leans on the sentence before" if scores.dangling[index] else "",
        "half a quotation" if scores.split_quotations[index] else "",
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
