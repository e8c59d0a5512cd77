"""Which sentences make the summary: the best that fit, each thing once, doubtful ones only where there is no other."""

from collections.abc import Sequence

import numpy as np

from services.summarizer.budget import Budget
from services.summarizer.features import Features, Floats, Integers, Vectors

REDUNDANCY = 0.5
"""Share of its score that a sentence loses at most for resembling a chosen one (maximal marginal relevance, Carbonell
and Goldstein 1998). ROUGE does not tell 0.25 from 0.75; a reader does not want the same thing twice."""
NEAR_DUPLICATE = 0.8
"""Cosine from which two sentences say the same, so that only one is chosen: agency copy edited in a word or two."""
WEIGHED = 100
"""Choices after which resemblance no longer lowers a score and only near-duplicates are refused: weighing costs a pass
over the article for each choice. It is the highest budget in sentences; only ratio or words of a book go beyond."""
COMPARED = 50
"""Beyond `WEIGHED`, with how many chosen sentences a candidate is compared for each of its rare words, the latest ones:
a bound on time. A near-duplicate is missed only if each rare word it shares stands in 50 sentences chosen since."""


def select(
    texts: Sequence[str],
    counted: Features,
    scores: Floats,
    *,
    budget: Budget,
    doubtful: Sequence[bool],
    credits: Sequence[bool] | None = None,
    context_only: Sequence[bool] | None = None,
    shown: Sequence[str] | None = None,
) -> list[int]:
    """Return the numbers of the chosen sentences, rising.

    The summary never costs more than the budget, where a sentence costs what is `shown` of it (itself by default).
    Sentences that hold nothing but white space or are there for `context_only` are never chosen, and of sentences that
    say the same only one. Doubtful sentences are chosen only from an article that has no other, and so are `credits`.
    Where a sentence is too long for what is left, a shorter one takes its place.
    """
    context_only = context_only or [False] * len(texts)
    best: dict[str, int] = {}
    for index in _candidates(texts, doubtful, credits or [False] * len(texts), context_only):
        same = best.setdefault(counted.identities[index], index)
        if (not context_only[index], scores[index]) > (not context_only[same], scores[same]):
            best[counted.identities[index]] = index
    costs = np.array([budget.cost(text) for text in shown or texts], dtype=np.int64)
    choice = _Choice(counted.vectors, scores, costs, budget.capacity(len(best)))
    choice.fill(sorted(index for index in best.values() if not context_only[index]))
    return sorted(choice.chosen)


def _candidates(
    texts: Sequence[str], doubtful: Sequence[bool], credits: Sequence[bool], context_only: Sequence[bool]
) -> list[int]:
    """Return the best sort of sentences of which one may be chosen; those for context too, as a ratio counts them."""
    eligible = [index for index, text in enumerate(texts) if text.strip()]
    sound = [index for index in eligible if not doubtful[index]]
    telling = [index for index in sound if not credits[index]]
    for sort in (telling, sound, eligible):
        if any(not context_only[index] for index in sort):
            return sort
    return []


class _Choice:
    """What is chosen so far and what it leaves room for."""

    def __init__(self, vectors: Vectors, scores: Floats, costs: Integers, room: int) -> None:
        self.chosen: list[int] = []
        self._vectors = vectors
        self._scores = scores
        self._costs = costs
        self._room = room
        # Highest cosine of each sentence with the chosen ones that were weighed.
        self._resemblance = np.zeros(len(costs))
        self._unweighed = _Neighbours(vectors)

    def fill(self, candidates: Sequence[int]) -> None:
        """Choose among `candidates`, no two of them equal, while they fit."""
        left = self._fill_weighing(np.array(candidates, dtype=np.int64))
        for index in left[np.argsort(-self._worth(left), kind="stable")].tolist():
            if self._costs[index] <= self._room and not self._unweighed.near_duplicate(index):
                self._choose(index)
                self._unweighed.add(index)

    def _fill_weighing(self, left: Integers) -> Integers:
        """Choose until there are `WEIGHED`, each time the best in the light of those before; return the rest."""
        while len(self.chosen) < WEIGHED:
            fitting = left[self._costs[left] <= self._room]
            if not fitting.size:
                break
            index = int(fitting[np.argmax(self._worth(fitting))])
            self._choose(index)
            np.maximum(self._resemblance, self._vectors.similarity(index), out=self._resemblance)
            left = left[(left != index) & (self._resemblance[left] < NEAR_DUPLICATE)]
        return left

    def _worth(self, candidates: Integers) -> Floats:
        return self._scores[candidates] * (1.0 - REDUNDANCY * self._resemblance[candidates])

    def _choose(self, index: int) -> None:
        self.chosen.append(index)
        self._room -= int(self._costs[index])


class _Neighbours:
    """Finds near-duplicates among many chosen sentences without comparing with all of them.

    Vectors have length 1. If the weightiest words of a sentence are taken away until what is left is shorter than
    `NEAR_DUPLICATE`, no sentence without one of the words that were taken away can be a near-duplicate.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._with_word: dict[int, list[int]] = {}

    def add(self, index: int) -> None:
        for column in self._vectors.of(index)[0].tolist():
            self._with_word.setdefault(column, []).append(index)

    def near_duplicate(self, index: int) -> bool:
        if not self._with_word:
            return False
        columns, weights = self._vectors.of(index)
        by_weight = np.argsort(-weights, kind="stable")
        left_over = 1.0 - np.cumsum(weights[by_weight] ** 2)
        telling = columns[by_weight][: int(np.sum(left_over >= NEAR_DUPLICATE**2)) + 1]
        weight_of = dict(zip(columns.tolist(), weights.tolist(), strict=True))
        return any(
            self._cosine(other, weight_of) >= NEAR_DUPLICATE
            for column in telling.tolist()
            for other in self._with_word.get(column, [])[-COMPARED:]
        )

    def _cosine(self, other: int, weight_of: dict[int, float]) -> float:
        columns, weights = self._vectors.of(other)
        pairs = zip(columns.tolist(), weights.tolist(), strict=True)
        return float(sum(weight * weight_of.get(column, 0.0) for column, weight in pairs))
