"""Sentences to summary: measure ▸ score ▸ select. Start reading here."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.summarizer.budget import Budget
from services.summarizer.features import measure
from services.summarizer.languages import LANGUAGES
from services.summarizer.score import rationale, score
from services.summarizer.selection import select


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence that may be chosen; a `doubtful` one only if no other fits."""

    text: str
    paragraph_index: int
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sentence of the summary, by its place in the article."""

    index: int
    score: float
    rationale: str


def summarize(sentences: Sequence[SourceSentence], *, budget: Budget, language: str, title: str) -> list[Chosen]:
    """Return the chosen sentences in the order of the article. `language` is a key of `LANGUAGES`."""
    if not sentences:
        return []
    tables = LANGUAGES[language]
    texts = [sentence.text for sentence in sentences]
    features = measure(texts, tables)
    scores = score(features, [sentence.paragraph_index for sentence in sentences], title, tables)
    chosen = select(texts, scores.total, scores.vectors, [sentence.doubtful for sentence in sentences], budget)
    return [Chosen(index, float(scores.total[index]), rationale(scores, features, index)) for index in chosen]
