"""A paragraph's way through the translator: normalize, split, decode, check.

    paragraph ─▶ normalize ─▶ split ─▶ queue ─▶ engine ─▶ check ─▶ sentences

The first file to read here; every stage has its own beside it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.translator.check import Checkable, Doubt, Reason, check
from services.translator.engine import Decoded
from services.translator.language import language_of
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.queue import TranslationQueue
from services.translator.span import Span
from services.translator.split import split

VERSION = "2"
"""Raised with every change that can change an answer: it is part of the cache keys."""


@dataclass(frozen=True, slots=True)
class TranslatedSentence:
    """A sentence of a paragraph in both languages."""

    span: Span
    """Where it stands in the paragraph as it was sent."""
    source: str
    translation: str
    log_probability: float
    doubts: Sequence[Doubt]


@dataclass(frozen=True, slots=True)
class UntranslatedSentence:
    """Where a sentence of a paragraph stands, and what is known against it without a translation."""

    span: Span
    fragment: bool
    foreign: bool


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence on its way: what the caller wrote and what the model will read."""

    span: Span
    source: str
    normalized: str
    fragment: bool
    language: str
    tokens: list[str]


class ParagraphTranslator:
    """Translates paragraphs with one model."""

    def __init__(self, model: Model, queue: TranslationQueue) -> None:
        self._scheme = SCHEMES[model.manifest.normalization]
        self._max_source_tokens = model.manifest.max_source_tokens
        self._language = model.manifest.source_language
        self._tokenizer = Tokenizer(model)
        self._queue = queue

    async def translate(self, paragraphs: Sequence[str]) -> list[list[TranslatedSentence]]:
        """Return the sentences of each paragraph; all are decoded together.

        Raises Refusal (OVERLOADED) if the queue is full.
        """
        prepared = await asyncio.to_thread(self._prepare_all, paragraphs)
        decodable = [sentence for sentences in prepared for sentence in sentences if self._is_decodable(sentence)]
        answers = iter(await self._queue.decode([sentence.tokens for sentence in decodable]))
        return await asyncio.to_thread(self._finish_all, prepared, answers)

    def split(self, paragraphs: Sequence[str]) -> list[list[UntranslatedSentence]]:
        """Return where the sentences of each paragraph stand, without translating."""
        return [
            [UntranslatedSentence(s.span, s.fragment, self._is_foreign(s)) for s in self._prepare(paragraph)]
            for paragraph in paragraphs
        ]

    def _is_foreign(self, sentence: _Sentence) -> bool:
        return sentence.language not in (self._language, "none")

    def _is_decodable(self, sentence: _Sentence) -> bool:
        return sentence.language == self._language

    def _prepare_all(self, paragraphs: Sequence[str]) -> list[list[_Sentence]]:
        return [self._prepare(paragraph) for paragraph in paragraphs]

    def _prepare(self, paragraph: str) -> list[_Sentence]:
        normalized = normalize(paragraph, self._scheme)
        sentences = []
        for piece in split(normalized.text, max_tokens=self._max_source_tokens, count_tokens=self._tokenizer.count):
            text = piece.span.of(normalized.text)
            span = _trimmed(normalized.source_span(piece.span), paragraph)
            language = language_of(text)
            tokens = self._tokenizer.encode(text) if language == self._language else []
            sentences.append(_Sentence(span, span.of(paragraph), text, piece.fragment, language, tokens))
        return sentences or self._unreadable(paragraph)

    def _unreadable(self, paragraph: str) -> list[_Sentence]:
        """A paragraph of nothing but invisible characters is still answered, as it is."""
        span = _trimmed(Span(0, len(paragraph)), paragraph)
        return [_Sentence(span, span.of(paragraph), "", False, "none", [])] if span.start < span.end else []

    def _finish_all(
        self, prepared: list[list[_Sentence]], answers: Iterator[Decoded]
    ) -> list[list[TranslatedSentence]]:
        return [[self._finish(sentence, answers) for sentence in sentences] for sentences in prepared]

    def _finish(self, sentence: _Sentence, answers: Iterator[Decoded]) -> TranslatedSentence:
        if not self._is_decodable(sentence):
            return _passed_through(sentence)
        decoded = next(answers)
        translation = self._tokenizer.decode(decoded.tokens)
        doubts = check(
            Checkable(
                source=sentence.normalized,
                translation=translation,
                log_probability=decoded.log_probability,
                source_tokens=len(sentence.tokens),
                target_tokens=len(decoded.tokens),
                source_truncated=False,
                target_truncated=decoded.truncated,
            )
        )
        if sentence.fragment:
            doubts.append(Doubt(Reason.FRAGMENT, f"the sentence is longer than {self._max_source_tokens} tokens"))
        return TranslatedSentence(sentence.span, sentence.source, translation, decoded.log_probability, doubts)


def _passed_through(sentence: _Sentence) -> TranslatedSentence:
    """Numbers and signs alone are the same in English; another language is marked."""
    doubts = [] if sentence.language == "none" else [Doubt(Reason.NOT_ARABIC, f"looks like {sentence.language!r}")]
    return TranslatedSentence(sentence.span, sentence.source, sentence.source, 0.0, doubts)


def _trimmed(span: Span, text: str) -> Span:
    """Return `span` without the white space at its ends, which belongs to the gaps."""
    covered = span.of(text)
    start = span.start + len(covered) - len(covered.lstrip())
    return Span(start, max(start, span.start + len(covered.rstrip())))
