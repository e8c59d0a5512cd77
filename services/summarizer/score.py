"""How much each sentence says of its article: where it stands, what it shares with the others, what it can be without.

News puts what matters first, so position weighs most; plain centrality alone loses to taking the first sentences
(PacSum, arXiv:1906.03508), and together they gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.summarizer.features import Features, content_stems, tf_idf, words_of
from services.summarizer.languages import Language

# Vectors of 50,000 sentences then take 400 MB at most; the first sentences of an article stand for its themes.
MAX_TERMS = 2_000
# A row compares two sentences when it is above this share of common weight (LexRank, arXiv:1109.2128, used 0.1).
SIMILAR = 0.1


@dataclass(frozen=True, slots=True)
class Weights:
    """What each feature is worth. First estimates, to be fitted when the summarizer's own turn comes."""

    position: float = 1.0
    centrality: float = 0.6
    title: float = 0.4
    facts: float = 0.15
    dangling: float = -0.35
    question: float = -0.5
    short: float = -0.8
    """Below six words: headings, captions, "He declined."."""
    long: float = -0.2
    """Above 45 words: more than one thing, and dear under a budget of words."""


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores and, for the rationale, what they are made of. Shapes (sentences,)."""

    total: NDArray[np.float64]
    position: NDArray[np.float64]
    connected: NDArray[np.int64]
    """Sentences that share words with it."""
    in_title: NDArray[np.float64]
    """Share of the headline's content words that it has."""
    vectors: NDArray[np.float32]
    """`tf_idf` of the sentences."""


def score(
    features: Features, paragraph_indices: Sequence[int], title: str, language: Language, weights: Weights = WEIGHTS
) -> Scores:
    """Return the scores of all sentences of an article."""
    count = len(features.content)
    vectors = tf_idf(features.content, max_terms=MAX_TERMS)
    similarity, connected = _centrality(vectors)
    position = _position(paragraph_indices)
    wanted = set(content_stems(words_of(title), language))
    in_title = np.array(
        [len(wanted.intersection(stems)) / len(wanted) if wanted else 0.0 for stems in features.content]
    )
    total = (
        weights.position * position
        + weights.centrality * _scaled(similarity)
        + weights.title * in_title
        + weights.facts * np.minimum(features.facts / 4, 1)
        + weights.dangling * features.dangling
        + weights.question * features.question
        + weights.short * (features.word_counts < 6)
        + weights.long * (features.word_counts > 45)
    )
    return Scores(total.reshape(count), position, connected, in_title, vectors)


def rationale(scores: Scores, features: Features, index: int) -> str:
    """Return in words why the sentence `index` ranks where it does."""
    parts = []
    if scores.position[index] > 0.5:
        parts.append("near the start")
    if scores.connected[index]:
        parts.append(f"shares words with {scores.connected[index]} sentences")
    if scores.in_title[index] >= 0.3:
        parts.append("has words of the headline")
    if features.facts[index]:
        parts.append(f"{int(features.facts[index])} names and numbers")
    return "; ".join(parts) or "nothing better was left"


def _centrality(vectors: NDArray[np.float32], block: int = 1024) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for each sentence the sum of its similarities and the number of similar ones, in blocks of rows."""
    count = len(vectors)
    sums, connected = np.zeros(count), np.zeros(count, dtype=np.int64)
    for start in range(0, count, block):
        similarities = vectors[start : start + block] @ vectors.T
        rows = np.arange(len(similarities))
        similarities[rows, start + rows] = 0
        sums[start : start + block] = similarities.sum(axis=1)
        connected[start : start + block] = (similarities > SIMILAR).sum(axis=1)
    return sums, connected


def _position(paragraph_indices: Sequence[int]) -> NDArray[np.float64]:
    """Return 1 for the first sentence, less with every one after it, and a little more for opening a paragraph."""
    count = len(paragraph_indices)
    order = np.arange(count)
    opens = np.array(
        [i == 0 or paragraph_indices[i] != paragraph_indices[i - 1] for i in range(count)], dtype=np.float64
    )
    return np.asarray(1 / (1 + 0.35 * order) + 0.05 * opens, dtype=np.float64)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    top = values.max(initial=0.0)
    return values / top if top > 0 else values
