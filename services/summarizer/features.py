"""What is measured of sentences: their words, and the vectors in which they are compared."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.summarizer.languages import Language

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Features:
    """Of all sentences of an article, one entry or row each."""

    word_counts: NDArray[np.float64]
    """Shape (sentences,): words, stop words counted."""
    content: list[list[str]]
    """Stems without stop words."""
    facts: NDArray[np.float64]
    """Shape (sentences,): numbers, and words written with a capital within the sentence."""
    dangling: NDArray[np.bool_]
    """Shape (sentences,): begins with a word that leans on the sentence before."""
    question: NDArray[np.bool_]


def measure(sentences: Sequence[str], language: Language) -> Features:
    """Return the features of `sentences`."""
    words = [_WORD.findall(sentence) for sentence in sentences]
    return Features(
        word_counts=np.array([len(each) for each in words], dtype=np.float64),
        content=[content_stems(each, language) for each in words],
        facts=np.array([_facts(each) for each in words], dtype=np.float64),
        dangling=np.array([bool(each) and each[0].lower() in language.dangling for each in words], dtype=np.bool_),
        question=np.array([sentence.rstrip("\"' )").endswith(("?", "؟")) for sentence in sentences], dtype=np.bool_),
    )


def content_stems(words: Sequence[str], language: Language) -> list[str]:
    """Return the stems of the words that carry content."""
    return [language.stem(word.lower()) for word in words if word.lower() not in language.stop_words]


def words_of(text: str) -> list[str]:
    """Return the words of a text."""
    return _WORD.findall(text)


def tf_idf(content: Sequence[Sequence[str]], *, max_terms: int) -> NDArray[np.float32]:
    """Return rows of unit length, shape (sentences, terms): term counts weighted by how few sentences share the term.

    Terms of one sentence alone connect nothing and get no column, but count in its length: two sentences that share one
    word of ten are not alike. Of the others the `max_terms` commonest are kept.
    """
    frequency = Counter(term for stems in content for term in set(stems))
    terms = {term: column for column, (term, n) in enumerate(frequency.most_common(max_terms)) if n > 1}
    vectors = np.zeros((len(content), len(terms)), dtype=np.float32)
    lengths = np.zeros((len(content), 1), dtype=np.float32)
    for row, stems in enumerate(content):
        for term, count in Counter(stems).items():
            # Sparck Jones 1972; the logarithm of the count keeps a word said five times from ruling the sentence.
            weight = (1 + np.log(count)) * np.log(len(content) / frequency[term] + 1)
            lengths[row] += weight**2
            if term in terms:
                vectors[row, terms[term]] = weight
    np.sqrt(lengths, out=lengths)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def _facts(words: Sequence[str]) -> int:
    return sum(bool(_NUMBER.match(word)) or word[:1].isupper() for word in words[1:])
