"""The summarizers of sumy, given our sentences, words, stems and stop words: what differs is the choice alone.

sumy's own tokenizers want data that must be downloaded. sumy is no dependency of ours, not even for development: it
asks for an old setuptools. `pip install --target build/sumy sumy==0.13.0`, and `PYTHONPATH=.:build/sumy`.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.summarizers.kl import KLSummarizer
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.lsa import LsaSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer

from services.summarizer.languages import LANGUAGES, Language

VERSION = version("sumy")
SUMMARIZERS: dict[str, Callable[..., Any]] = {
    "sumy LexRank": LexRankSummarizer,
    "sumy TextRank": TextRankSummarizer,
    "sumy LSA": LsaSummarizer,
    "sumy KL": KLSummarizer,
}


class _Words:
    """What sumy calls a tokenizer."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def to_words(self, text: str) -> tuple[str, ...]:
        return tuple(self._language.words(text))


def order(name: str, sentences: Sequence[str], language: str) -> list[int]:
    """Return the numbers of `sentences`, those first that the summarizer `name` would choose first."""
    tables = LANGUAGES[language]
    words = _Words(tables)
    document = ObjectDocumentModel([Paragraph([Sentence(sentence, words) for sentence in sentences])])
    summarizer = SUMMARIZERS[name](tables.stem)
    summarizer.stop_words = tables.stop_words
    ranked: list[int] = []

    def note(by_rating: Sequence[Any]) -> Sequence[Any]:
        ranked.extend(info.order for info in by_rating)
        return by_rating

    summarizer(document, note)
    return ranked or list(range(len(sentences)))
