"""What can be counted in sentences: their words as vectors, names, numbers, length.

Vectors are kept sparse, an entry for each different word of a sentence, so memory grows with the text and not with the
square of its sentences: 50,000 sentences of 4,000,000 bytes, the most a request may hold, were measured at 150 MB.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.summarizer.languages import Language, ReadSentence

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Sentences as tf-idf vectors of length 1 (of length 0 where no word says anything), an entry for each word."""

    count: int
    """Number of sentences."""
    vocabulary: dict[str, int]
    """Column of each stem."""
    rows: Integers
    """Sentence of each entry, never decreasing."""
    columns: Integers
    """Word of each entry, rising within a sentence."""
    weights: Floats
    """Weight of the word in the sentence."""
    starts: Integers
    """Where the entries of each sentence begin; `count + 1` of them."""

    def of(self, index: int) -> tuple[Integers, Floats]:
        """Return the columns and weights of one sentence."""
        entries = slice(self.starts[index], self.starts[index + 1])
        return self.columns[entries], self.weights[entries]

    def similarity(self, index: int) -> Floats:
        """Return the cosine of one sentence with each of all."""
        dense = np.zeros(len(self.vocabulary))
        columns, weights = self.of(index)
        dense[columns] = weights
        return self.sums(self.weights * dense[self.columns])

    def sums(self, entries: Floats) -> Floats:
        """Return the sum for each sentence of values given for each entry."""
        return np.bincount(self.rows, weights=entries, minlength=self.count).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Features:
    """All that is counted, one item a sentence."""

    sentences: list[ReadSentence]
    vectors: Vectors
    identities: list[str]
    """Equal for sentences that are equal but for case, punctuation and spaces."""
    repeated: NDArray[np.bool_]
    """An earlier sentence has the same identity."""
    lengths_words: Integers
    """What stands between white space."""
    names: Integers
    """Runs of capitalized words; 0 in languages without capitals."""
    numbers: Integers


def features(texts: Sequence[str], language: Language) -> Features:
    """Count what `texts`, the sentences of one article, hold."""
    sentences = [language.read(text) for text in texts]
    identities = [" ".join(sentence.words) or " ".join(sentence.text.split()) for sentence in sentences]
    seen: set[str] = set()
    repeated = np.zeros(len(texts), dtype=np.bool_)
    for index, identity in enumerate(identities):
        repeated[index] = identity in seen
        seen.add(identity)
    return Features(
        sentences=sentences,
        vectors=_vectors([language.keys(sentence.words) for sentence in sentences]),
        identities=identities,
        repeated=repeated,
        lengths_words=_integers([len(text.split()) for text in texts]),
        names=_integers([_count_names(text, language) for text in texts]),
        numbers=_integers([len(_NUMBER.findall(text)) for text in texts]),
    )


def _vectors(keys: Sequence[Sequence[str]]) -> Vectors:
    vocabulary: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    counts: list[int] = []
    for row, sentence in enumerate(keys):
        counted = Counter(vocabulary.setdefault(key, len(vocabulary)) for key in sentence)
        for column in sorted(counted):
            rows.append(row)
            columns.append(column)
            counts.append(counted[column])
    row_of, column_of = _integers(rows), _integers(columns)
    sentences_with = np.bincount(column_of, minlength=len(vocabulary))
    idf = np.log1p(len(keys) / np.maximum(sentences_with, 1))
    # The logarithm of the count keeps a word said five times from ruling the sentence.
    weights = (1.0 + np.log(_integers(counts))) * idf[column_of]
    lengths = np.sqrt(np.bincount(row_of, weights=weights * weights, minlength=len(keys)))
    return Vectors(
        count=len(keys),
        vocabulary=vocabulary,
        rows=row_of,
        columns=column_of,
        weights=weights / lengths[row_of],
        starts=np.concatenate([_integers([0]), np.cumsum(np.bincount(row_of, minlength=len(keys)))]),
    )


def _count_names(text: str, language: Language) -> int:
    if not language.cased:
        return 0
    found = _NAME.findall(text)
    # The first word is capitalized anyway: alone it is no sign of a name. "President Sisi" is two words and one name.
    opens_plainly = bool(found) and " " not in found[0] and text.lstrip(_OPENING).startswith(found[0])
    named = [name for name in found[opens_plainly:] if name.lower() not in language.stop_words | _MONTHS]
    return len(named)


def _integers(values: Sequence[int]) -> Integers:
    return np.asarray(values, dtype=np.int64)


_OPENING = " \t\r\n\"'“‘«(["
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
# Capitalized words in a row, with the small words that stand inside names.
_NAME = re.compile(r"\b[A-Z][\w’'-]*(?:\s+(?:(?:of|the|al|el|bin|ibn|de)\s+)?[A-Z][\w’'-]*)*")
_MONTHS = frozenset(
    [
        *("january", "february", "march", "april", "may", "june"),
        *("july", "august", "september", "october", "november", "december"),
    ]
)
