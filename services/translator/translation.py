"""A paragraph's way through the translator: normalize, split, decode, check.

    paragraph ─▶ normalize ─▶ split ─▶ queue ─▶ engine ─▶ judge ─▶ sentences
                                        ▲                   │
                                        └─ a second try ────┘ of what is doubtful

A sentence that lacks terms of a glossary goes the way from the queue on again (`glossary.py`).
The first file to read here; every stage has its own beside it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from prometheus_client import Counter

from services.harness.errors import Reason as RefusalReason
from services.harness.errors import Refusal
from services.harness.metrics import stage
from services.harness.terms import Term
from services.translator import glossary
from services.translator.check import Doubt, Reason
from services.translator.confidence import Calibration
from services.translator.engine import Decoded
from services.translator.glossary import Candidate, Glossary, Match, Rewriting, glossary_of
from services.translator.judge import Judge, Judgement
from services.translator.language import NAMES, Language, identify, identify_all
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.queue import Place, TranslationQueue
from services.translator.span import Span
from services.translator.split import split

TOKENS = Counter(
    "khulasa_tokens_total", "Tokens that the model read (source) and wrote (target) in first tries.", ["side"]
)
SECOND_TRIES = Counter("khulasa_second_tries_total", "Doubtful sentences decoded again.", ["outcome"])
VERSION = "5"
"""Raised with every change that can change an answer: it is part of the cache keys."""

Answers = TypeVar("Answers")


@dataclass(frozen=True, slots=True)
class TermMatch:
    """A term of the glossary in a sentence, and whether the translation has it."""

    span: Span
    """The words it was found in, in the paragraph as it was sent."""
    term: Term
    applied: bool


@dataclass(frozen=True, slots=True)
class TranslatedSentence:
    """A sentence of a paragraph in both languages."""

    span: Span
    """Where it stands in the paragraph as it was sent."""
    source: str
    translation: str
    log_probability: float
    confidence: float | None
    """Probability that the translation is good; None for what was not translated, or by a model without calibration."""
    doubts: Sequence[Doubt]
    plain_translation: str = ""
    """Without the glossary, where it differs."""
    term_matches: Sequence[TermMatch] = ()


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
    language: Language
    tokens: list[str]
    matches: Sequence[Match] = ()
    """Terms of the glossary in `normalized`."""
    match_spans: Sequence[Span] = ()
    """Where they stand in the paragraph as it was sent."""


class ParagraphTranslator:
    """Translates paragraphs with one model."""

    def __init__(self, model: Model, queue: TranslationQueue, *, second_tries: bool = True) -> None:
        self._scheme = SCHEMES[model.manifest.normalization]
        self._max_source_tokens = model.manifest.max_source_tokens
        self._language = model.manifest.source_language
        self._tokenizer = Tokenizer(model)
        self._judge = Judge(model, self._tokenizer, calibration=Calibration.open(model.folder))
        self._queue = queue
        self._second_tries = second_tries

    @property
    def version(self) -> str:
        """What of the way through here can change an answer; part of the cache keys."""
        return VERSION if self._second_tries else f"{VERSION}-once"

    async def translate(self, paragraphs: Sequence[str], terms: Sequence[Term] = ()) -> list[list[TranslatedSentence]]:
        """Return the sentences of each paragraph; all are decoded together.

        Raises Refusal: OVERLOADED if the queue has no room, or no time before the deadline; as `check_terms` for bad
        terms.
        """
        with self._queue.place(sum(map(len, paragraphs))) as place:  # before any work: a refusal has to be cheap
            wanted = await asyncio.to_thread(glossary_of, tuple(terms), self._scheme) if terms else None
            with stage("prepare"):
                prepared = await asyncio.to_thread(self._prepare_all, paragraphs, wanted)
            decodable = [sentence for sentences in prepared for sentence in sentences if self._is_decodable(sentence)]
            with stage("decode"):
                chars = sum(len(sentence.normalized) for sentence in decodable)
                answers = await place.decode([sentence.tokens for sentence in decodable], chars=chars)
            TOKENS.labels("source").inc(sum(len(sentence.tokens) for sentence in decodable))
            TOKENS.labels("target").inc(sum(len(answer.tokens) for answer in answers))
            with stage("judge"):
                judgements = await asyncio.to_thread(self._judge_all, decodable, answers)
            if self._second_tries:
                with stage("second_try"):
                    await self._try_again(place, decodable, judgements)
            finished = _finish(prepared, iter(judgements), self._is_decodable)
            if not wanted:
                return finished
            with stage("glossary"):
                return await self._bring_in_terms(place, prepared, finished)

    def split(self, paragraphs: Sequence[str]) -> list[list[UntranslatedSentence]]:
        """Return where the sentences of each paragraph stand, without translating."""
        return [
            [UntranslatedSentence(s.span, s.fragment, self._is_foreign(s)) for s in self._prepare(paragraph)]
            for paragraph in paragraphs
        ]

    def _is_foreign(self, sentence: _Sentence) -> bool:
        return sentence.language.code not in (self._language, "none")

    def _is_decodable(self, sentence: _Sentence) -> bool:
        return sentence.language.code == self._language

    def _prepare_all(self, paragraphs: Sequence[str], wanted: Glossary | None) -> list[list[_Sentence]]:
        return [self._prepare(paragraph, wanted) for paragraph in paragraphs]

    def _prepare(self, paragraph: str, wanted: Glossary | None = None) -> list[_Sentence]:
        normalized = normalize(paragraph, self._scheme)
        sentences = []
        pieces = split(normalized.text, max_tokens=self._max_source_tokens, count_tokens=self._tokenizer.count)
        texts = [piece.span.of(normalized.text) for piece in pieces]
        end = 0
        for number, (piece, text, language) in enumerate(zip(pieces, texts, identify_all(texts), strict=True), 1):
            # What normalization dropped at a boundary, such as a line of tatweel, goes with the sentence that follows;
            # at the end with the last one. Only white space may lie between sentences.
            end, start = len(paragraph) if number == len(pieces) else normalized.source_span(piece.span).end, end
            span = _trimmed(Span(start, end), paragraph)
            tokens = self._tokenizer.encode(text) if language.code == self._language else []
            sentence = _Sentence(span, span.of(paragraph), text, piece.fragment, language, tokens)
            if wanted and (matches := wanted.find(text)):
                places = [match.span.shifted(piece.span.start) for match in matches]
                spans = [_trimmed(normalized.source_span(place), paragraph) for place in places]
                sentence = replace(sentence, matches=matches, match_spans=spans)
            sentences.append(sentence)
        return sentences or self._unreadable(paragraph)

    def _unreadable(self, paragraph: str) -> list[_Sentence]:
        """A paragraph of nothing but invisible characters is still answered, as it is."""
        span = _trimmed(Span(0, len(paragraph)), paragraph)
        return [_Sentence(span, span.of(paragraph), "", False, identify(""), [])] if span.start < span.end else []

    def _judge_all(self, sentences: Sequence[_Sentence], answers: Sequence[Decoded]) -> list[Judgement]:
        return [self._judge_one(sentence, answer) for sentence, answer in zip(sentences, answers, strict=True)]

    def _judge_one(self, sentence: _Sentence, answer: Decoded) -> Judgement:
        return self._judge.judge(sentence.normalized, sentence.tokens, answer)

    async def _try_again(self, place: Place, sentences: Sequence[_Sentence], judgements: list[Judgement]) -> None:
        """Decode what is doubtful once more and put what is better in its place; what is no better stays, flagged."""
        doubtful = [index for index, judgement in enumerate(judgements) if judgement.deserves_second_try]
        again = [sentences[index].tokens for index in doubtful]
        place.tried_again(again)
        if not doubtful:
            return
        choices = await _if_there_is_room(place.decode_safer(again))
        if choices is None:
            SECOND_TRIES.labels("no_room").inc(len(doubtful))
            return
        better = await asyncio.to_thread(
            self._best_of, sentences, judgements, dict(zip(doubtful, choices, strict=True))
        )
        for index, judgement in better.items():
            first = judgements[index]
            judgements[index] = judgement
            outcome = "unchanged" if judgement is first else "better" if judgement.deserves_second_try else "rescued"
            SECOND_TRIES.labels(outcome).inc()

    def _best_of(
        self, sentences: Sequence[_Sentence], judgements: Sequence[Judgement], choices: dict[int, list[Decoded]]
    ) -> dict[int, Judgement]:
        """Return for each index the judgement of the best answer, the first try's if none is better."""
        return {
            index: max(
                [judgements[index], *(self._judge_one(sentences[index], answer) for answer in answers)],
                key=lambda judgement: judgement.merit,
            )
            for index, answers in choices.items()
        }

    async def _bring_in_terms(
        self, place: Place, prepared: list[list[_Sentence]], plain: list[list[TranslatedSentence]]
    ) -> list[list[TranslatedSentence]]:
        """Return the sentences with the terms of the glossary, as far as the model can be led to write them."""

        def rewrite_all() -> list[list[list[_Try]]]:
            return [
                [self._rewritten(*each) for each in zip(*paragraph, strict=True)]
                for paragraph in zip(prepared, plain, strict=True)
            ]

        tries = await asyncio.to_thread(rewrite_all)
        tokens = [rewritten.tokens for paragraph in tries for each in paragraph for _, rewritten in each]
        decoded = await _if_there_is_room(place.decode_more(tokens))
        if decoded is None:
            tries = [[[] for _ in paragraph] for paragraph in tries]
        answers = iter(decoded or ())

        def finish_all() -> list[list[TranslatedSentence]]:
            return [
                [finish(*each) for each in zip(*paragraph, strict=True)]
                for paragraph in zip(prepared, plain, tries, strict=True)
            ]

        def finish(sentence: _Sentence, done: TranslatedSentence, tried: list[_Try]) -> TranslatedSentence:
            if not sentence.matches:
                return done
            return _with_terms(
                sentence,
                done,
                [(way, _translated(other, self._judge_one(other, next(answers)))) for way, other in tried],
            )

        return await asyncio.to_thread(finish_all)

    def _rewritten(self, sentence: _Sentence, plain: TranslatedSentence) -> "list[_Try]":
        if not (sentence.matches and self._is_decodable(sentence)):
            return []
        ways = glossary.rewritings(sentence.normalized, sentence.matches, plain.translation)
        tries = [(way, replace(sentence, normalized=way.text, tokens=self._tokenizer.encode(way.text))) for way in ways]
        return [(way, other) for way, other in tries if len(other.tokens) <= self._max_source_tokens]


_Try = tuple[Rewriting, _Sentence]


async def _if_there_is_room(decoding: Awaitable[Answers]) -> Answers | None:
    """Return what is decoded beside the first answers, None where the queue has no room or time for it.

    A busy server owes everybody a first answer before it owes anybody a second.
    """
    try:
        return await decoding
    except Refusal as refusal:
        if refusal.reason is not RefusalReason.OVERLOADED:
            raise
        return None


def _with_terms(
    sentence: _Sentence, plain: TranslatedSentence, tried: Sequence[tuple[Rewriting, TranslatedSentence]]
) -> TranslatedSentence:
    """Return the plain translation or one of those tried in its place, with what became of each term."""
    restored = [(done, glossary.restore(done.translation, way)) for way, done in tried]
    chosen = glossary.choose(
        sentence.matches,
        Candidate(plain.translation, plain.log_probability, plain.doubts, plain.confidence),
        [
            Candidate(text, done.log_probability, done.doubts, done.confidence)
            for done, text in restored
            if text is not None
        ],
    )
    applied = glossary.outcomes(sentence.matches, chosen.text)
    return replace(
        plain,
        translation=chosen.text,
        log_probability=chosen.log_probability,
        confidence=chosen.confidence,
        doubts=chosen.doubts,
        plain_translation=plain.translation if plain.translation != chosen.text else "",
        term_matches=[
            TermMatch(span, match.term, has)
            for span, match, has in zip(sentence.match_spans, sentence.matches, applied, strict=True)
        ],
    )


def _finish(
    prepared: list[list[_Sentence]], judgements: Iterator[Judgement], is_decodable: Callable[[_Sentence], bool]
) -> list[list[TranslatedSentence]]:
    return [
        [_translated(it, next(judgements)) if is_decodable(it) else _passed_through(it) for it in sentences]
        for sentences in prepared
    ]


def _translated(sentence: _Sentence, judgement: Judgement) -> TranslatedSentence:
    doubts = list(judgement.doubts)
    if sentence.fragment:
        doubts.append(Doubt(Reason.FRAGMENT, "the sentence is longer than the model reads"))
    return TranslatedSentence(
        sentence.span, sentence.source, judgement.translation, judgement.log_probability, judgement.confidence, doubts
    )


def _passed_through(sentence: _Sentence) -> TranslatedSentence:
    """Numbers and signs alone are the same in English; another language is marked."""
    language = sentence.language
    detail = f"{NAMES[language.code]}, confidence {language.confidence:.2f}"
    doubts = [] if language.code == "none" else [Doubt(Reason.NOT_ARABIC, detail)]
    return TranslatedSentence(sentence.span, sentence.source, sentence.source, 0.0, None, doubts)


def _trimmed(span: Span, text: str) -> Span:
    """Return `span` without the white space at its ends, which belongs to the gaps."""
    covered = span.of(text)
    start = span.start + len(covered) - len(covered.lstrip())
    return Span(start, max(start, span.start + len(covered.rstrip())))
