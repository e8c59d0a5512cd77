"""How much a sentence says of its article: what it shares with the others, where it stands, whether it stands alone.

Centrality is directed as in PacSum (Zheng and Lapata, ACL 2019): words that come again later and words that were there
before count differently. Summed similarity is the product of a sentence's vector with the sum of the others, so no pair
is ever computed: time and memory grow with the words of the article, not with the square of its sentences.

`benchmarks/summary_quality.py` says what that is worth. Constants marked "tuned" were chosen there on the even-numbered
documents of both development sets, on a coarse grid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.summarizer.features import Features, Floats, Vectors
from services.summarizer.languages import Language, splits_quotation

CENTRALITY = 1.0
"""Weight of centrality; the other weights are relative to it."""
BACKWARD = -0.5
"""What a word that was there before counts, where one that comes again counts 1. Tuned; negative in PacSum too."""
POSITION = 4.0
"""Weight of the position. Tuned: news tells the most important first, and centrality alone loses to lead."""
POSITION_HALF = 8.0
"""Sentences after which the position counts half. Tuned."""
TITLE = 0.5
"""Weight of the share of the title's words that the sentence has. By hand: ROUGE was a little better without on the
tuning half, but a caller who sends a headline asks for its topic."""

SHORT_WORDS = 24
"""A shorter sentence loses in proportion: it seldom holds who, what and where. Tuned; 32 is higher still where the
budget counts sentences, but there it is length that wins and not choice: by words 24 and 32 are the same."""
LONG_WORDS = 60
"""A longer one loses too: often a list, or a splitting that failed."""

# What is left of the score of a sentence that stands badly alone. Set by hand: they cost up to 1 point of ROUGE, whose
# references hold such sentences, but a reader of the summary cannot look at the sentence before. Never 0, so that an
# order among them stays.
QUESTION = 0.6
DANGLING = 0.8
SPLIT_QUOTATION = 0.8
CREDIT = 0.1


@dataclass(frozen=True, slots=True)
class Scores:
    """What the sentences of one article were given, and why; one item a sentence."""

    values: Floats
    """The score, never negative; 0 for a sentence without words. Comparable only within one article."""
    centrality: Floats
    """From 0 to 1, the most central sentence."""
    position: Floats
    """From 1, the first sentence, towards 0."""
    title_words: Floats
    """How many different words of the title the sentence has."""
    questions: NDArray[np.bool_]
    dangling: NDArray[np.bool_]
    split_quotations: NDArray[np.bool_]
    credits: NDArray[np.bool_]


def score(texts: Sequence[str], counted: Features, *, title: str, language: Language) -> Scores:
    """Return the scores of `texts`, the sentences of one article; `counted` are their features."""
    of_title = set(language.keys(title))
    centrality = _centrality(counted)
    position = POSITION_HALF / (POSITION_HALF + np.arange(len(texts), dtype=np.float64))
    title_words = _title_words(counted.vectors, of_title)
    questions = _where(language.asks(text) for text in texts)
    dangling = _where(language.dangles(text) for text in texts)
    split_quotations = _where(splits_quotation(text) for text in texts)
    credits = _where(language.credits(text) for text in texts)

    values = CENTRALITY * centrality + POSITION * position + TITLE * title_words / max(1, len(of_title))
    values = values * _length_factor(counted)
    for applies, left in (
        (questions, QUESTION),
        (dangling, DANGLING),
        (split_quotations, SPLIT_QUOTATION),
        (credits, CREDIT),
    ):
        values = values * np.where(applies, left, 1.0)
    return Scores(values, centrality, position, title_words, questions, dangling, split_quotations, credits)


def _centrality(counted: Features) -> Floats:
    vectors = counted.vectors
    # A line that stands there again ("Follow us") must not make itself important: only its first occurrence is heard.
    heard = np.where(counted.repeated[vectors.rows], 0.0, vectors.weights)
    order = np.argsort(vectors.columns, kind="stable")  # by word, and within a word in order of the article
    columns = vectors.columns[order]
    whole = np.bincount(columns, weights=heard[order], minlength=len(vectors.vocabulary))
    words_before = np.concatenate([[0.0], np.cumsum(whole)])[columns]
    earlier = np.empty_like(heard)
    earlier[order] = np.cumsum(heard[order]) - heard[order] - words_before
    later = whole[vectors.columns] - earlier - heard
    shared = vectors.weights * (later + BACKWARD * earlier)
    return _scaled(np.maximum(vectors.sums(shared), 0.0))


def _scaled(values: Floats) -> Floats:
    highest = values.max(initial=0.0)
    # Below that it is what rounding left of nothing.
    return values / highest if highest > 1e-9 else np.zeros_like(values)


def _title_words(vectors: Vectors, words: set[str]) -> Floats:
    in_title = np.zeros(len(vectors.vocabulary))
    in_title[[vectors.vocabulary[word] for word in words if word in vectors.vocabulary]] = 1.0
    return vectors.sums(in_title[vectors.columns])


def _length_factor(counted: Features) -> Floats:
    words = counted.lengths_words.astype(np.float64)
    has_words = np.array([any(char.isalnum() for char in identity) for identity in counted.identities], dtype=np.bool_)
    factor = np.minimum(1.0, words / SHORT_WORDS) * np.minimum(1.0, LONG_WORDS / np.maximum(words, 1.0))
    return np.where(has_words, factor, 0.0)


def _where(answers: Iterable[bool]) -> NDArray[np.bool_]:
    return np.fromiter(answers, dtype=np.bool_)
