"""Which sentences make the summary: the best that fit the budget and say different things, in the article's order."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.summarizer.budget import Budget

# Two sentences above this cosine say the same: a repeated sentence has 1, paraphrases of wire copy about 0.8.
NEARLY_EQUAL = 0.75
# What a sentence loses for what was said already (maximal marginal relevance, Carbonell and Goldstein 1998).
REDUNDANCY = 0.7


def select(
    texts: Sequence[str],
    scores: NDArray[np.float64],
    vectors: NDArray[np.float32],
    doubtful: Sequence[bool],
    budget: Budget,
) -> list[int]:
    """Return the chosen indices in order.

    A doubtful sentence is chosen only if no other fits at all. Blank texts never are. The budget is never exceeded.
    """
    candidates = [index for index, text in enumerate(texts) if text.strip()]
    sound = [index for index in candidates if not doubtful[index]]
    costs = _costs(texts, budget)
    limit = _limit(budget, len(candidates))
    chosen = _greedy(sound, texts, scores, vectors, costs, limit)
    return sorted(chosen or _greedy(candidates, texts, scores, vectors, costs, limit))


def _greedy(
    candidates: Sequence[int],
    texts: Sequence[str],
    scores: NDArray[np.float64],
    vectors: NDArray[np.float32],
    costs: NDArray[np.float64],
    limit: float,
) -> list[int]:
    left = np.array(candidates, dtype=np.int64)
    said = np.zeros(len(texts), dtype=np.float64)
    taken_texts: set[str] = set()
    chosen: list[int] = []
    spent = 0.0
    while len(left):
        left = left[(spent + costs[left] <= limit) & (said[left] < NEARLY_EQUAL)]
        if not len(left):
            break
        best = int(left[np.argmax(scores[left] - REDUNDANCY * said[left])])
        left = left[left != best]
        text = " ".join(texts[best].split()).lower()
        if text in taken_texts:  # equal sentences of words that occur nowhere else have no vector to be compared by
            continue
        taken_texts.add(text)
        chosen.append(best)
        spent += costs[best]
        said = np.maximum(said, vectors @ vectors[best])
    return chosen


def _costs(texts: Sequence[str], budget: Budget) -> NDArray[np.float64]:
    if budget.words is not None:
        return np.array([len(text.split()) for text in texts], dtype=np.float64)
    if budget.characters is not None:
        return np.array([len(text) + 1 for text in texts], dtype=np.float64)  # and the space to the next
    return np.ones(len(texts))


def _limit(budget: Budget, candidates: int) -> float:
    if budget.words is not None:
        return budget.words
    if budget.characters is not None:
        return budget.characters + 1  # the last sentence needs no space after it
    if budget.ratio is not None:
        return math.ceil(budget.ratio * candidates)
    return budget.sentences or 0
