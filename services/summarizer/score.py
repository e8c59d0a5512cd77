"""How much a sentence says of its article: what it shares with the others, where it stands, whether it stands alone.

Centrality is directed as in PacSum (Zheng and Lapata, ACL 2019): words that come again later and words that were there
before count differently. Summed similarity is the product of a sentence's vector with the sum of the others, so no pair
is ever computed: time and memory grow with the words of the article, not with the square of its sentences.

`benchmarks/summary_quality.py` says what that is worth. `Weights` were fitted on both development sets, and are
reported in folds that they were not fitted on; the other constants were set by hand, for readers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from services.summarizer.features import Features, Floats, Vectors
from services.summarizer.languages import Language, splits_quotation


class Feature(IntEnum):
    """What is measured; names and numbers of `ScorePart.Feature` in `article.proto`."""

    POSITION = 1
    CENTRALITY = 2
    TITLE = 3
    NAMES = 4
    NUMBERS = 5
    LENGTH = 6
    QUESTION = 7
    DANGLING = 8
    QUOTATION = 9
    UNFINISHED = 10
    OFF_TOPIC = 11
    CREDIT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each measure counts, where centrality counts 1.

    Fitted by `benchmarks/fit_ranking.py`: the values that most of its folds agree on.
    """

    backward: float = 0.0
    """What a word that was there before counts, where one that comes again counts 1; PacSum has it negative."""
    position: float = 4.0
    """News tells the most important first, and centrality alone loses to lead."""
    position_half: float = 4.0
    """Sentences after which the position counts half."""
    numbers: float = 0.0
    """Fitted to nothing: what has numbers is near the start anyway."""
    names: float = 1.0
    """Of languages with capitals, which alone tell them."""
    short_words: float = 32.0
    """A shorter sentence loses in proportion: it seldom holds who, what and where."""


WEIGHTS = Weights()
TITLE = 0.5
"""Weight of the share of the title's words that the sentence has. By hand: ROUGE was a little better without, but a
caller who sends a headline asks for its topic."""
LONG_WORDS = 60
"""A longer sentence loses too: often a list, or a splitting that failed."""
LEFT: Mapping[Feature, float] = {
    Feature.QUESTION: 0.4,
    Feature.DANGLING: 0.6,
    Feature.QUOTATION: 0.6,
    Feature.UNFINISHED: 0.4,
    Feature.OFF_TOPIC: 0.6,
    Feature.CREDIT: 0.1,
}
"""What is left of the score of a sentence that stands badly alone. Set by hand: they cost ROUGE, whose references hold
such sentences, but a reader of the summary cannot look at the sentence before. Never 0, so that an order stays."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What is seen in the sentences of one article, whatever it counts; one item a sentence."""

    title_words: Floats
    """How many different words of the title the sentence has."""
    title_length: int
    """How many the title has."""
    applies: Mapping[Feature, NDArray[np.bool_]]
    """Where the features of `LEFT` apply."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the sentences of one article were given, and why; one item a sentence."""

    values: Floats
    """The score, never negative; 0 for a sentence without words. Comparable only within one article."""
    parts: Mapping[Feature, Floats]
    """What each feature added or took away; they add up to `values`."""
    position: Floats
    """From 1, the first sentence, towards 0."""
    title_words: Floats
    applies: Mapping[Feature, NDArray[np.bool_]]


def score(counted: Features, *, title: str, language: Language, weights: Weights = WEIGHTS) -> Scores:
    """Return the scores of the sentences of one article, given their features."""
    return weigh(measure(counted, title=title, language=language), counted, weights)


def measure(counted: Features, *, title: str, language: Language) -> Measures:
    """Look at each sentence for what speaks for it and against it."""
    of_title = set(language.keys(language.words(title)))
    title_words = _title_words(counted.vectors, of_title)
    return Measures(
        title_words=title_words,
        title_length=len(of_title),
        applies={
            Feature.QUESTION: _where(map(language.asks, counted.sentences)),
            Feature.DANGLING: _where(map(language.dangles, counted.sentences)),
            Feature.QUOTATION: _where(splits_quotation(s.text) or language.quotes_nobody(s) for s in counted.sentences),
            Feature.UNFINISHED: _where(map(language.breaks_off, counted.sentences)),
            Feature.OFF_TOPIC: _off_topic(counted.vectors) & (title_words == 0),
            Feature.CREDIT: _where(map(language.credits, counted.sentences)),
        },
    )


def weigh(measures: Measures, counted: Features, weights: Weights) -> Scores:
    """Return what the measures come to."""
    places = np.arange(counted.vectors.count, dtype=np.float64)
    position = weights.position_half / (weights.position_half + places)
    parts = {
        Feature.POSITION: weights.position * position,
        Feature.CENTRALITY: _centrality(counted, weights.backward),
        Feature.TITLE: TITLE * measures.title_words / max(1, measures.title_length),
        Feature.NAMES: weights.names * _share(counted.names),
        Feature.NUMBERS: weights.numbers * _share(counted.numbers),
    }
    factors = {Feature.LENGTH: _length_factor(counted, weights.short_words)}
    factors |= {feature: np.where(measures.applies[feature], left, 1.0) for feature, left in LEFT.items()}
    values = np.sum(list(parts.values()), axis=0)
    for feature, factor in factors.items():
        parts[feature] = values * (factor - 1.0)
        values = values * factor
    return Scores(values, parts, position, measures.title_words, measures.applies)


def _share(counts: NDArray[np.int64]) -> Floats:
    """From 0 for none towards 1: the first says more than the fifth."""
    return counts / (counts + 1.0)


def _off_topic(vectors: Vectors) -> NDArray[np.bool_]:
    sentences_with = np.bincount(vectors.columns, minlength=len(vectors.vocabulary))
    shared: NDArray[np.bool_] = vectors.sums((sentences_with > 1)[vectors.columns].astype(np.float64)) > 0
    return ~shared


def _centrality(counted: Features, backward: float) -> Floats:
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
    shared = vectors.weights * (later + backward * earlier)
    return _scaled(np.maximum(vectors.sums(shared), 0.0))


def _scaled(values: Floats) -> Floats:
    highest = values.max(initial=0.0)
    # Below that it is what rounding left of nothing.
    return values / highest if highest > 1e-9 else np.zeros_like(values)


def _title_words(vectors: Vectors, words: set[str]) -> Floats:
    in_title = np.zeros(len(vectors.vocabulary))
    in_title[[vectors.vocabulary[word] for word in words if word in vectors.vocabulary]] = 1.0
    return vectors.sums(in_title[vectors.columns])


def _length_factor(counted: Features, short_words: float) -> Floats:
    words = counted.lengths_words.astype(np.float64)
    has_words = np.array([any(char.isalnum() for char in identity) for identity in counted.identities], dtype=np.bool_)
    factor = np.minimum(1.0, words / short_words) * np.minimum(1.0, LONG_WORDS / np.maximum(words, 1.0))
    return np.where(has_words, factor, 0.0)


def _where(answers: Iterable[bool]) -> NDArray[np.bool_]:
    return np.fromiter(answers, dtype=np.bool_)
