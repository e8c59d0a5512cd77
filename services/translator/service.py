"""The translator's RPCs: requests checked, paragraphs translated, sentences shaped into protobuf."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc
from prometheus_client import Counter, Info

from khulasa.v1 import article_pb2, translator_pb2, translator_pb2_grpc
from services.harness import relay
from services.harness.errors import Reason, Refusal
from services.harness.logs import call_fields
from services.harness.terms import Term
from services.translator import engine
from services.translator.model import Model
from services.translator.translation import ParagraphTranslator, TermMatch, TranslatedSentence

SENTENCES = Counter("khulasa_sentences_total", "Sentences answered; flagged ones have at least one doubt.", ["outcome"])
FLAGS = Counter("khulasa_flags_total", "Flags put on sentences, by reason; a sentence may have several.", ["reason"])
MODEL = Info("khulasa_model", "What translates: 1 for the model that is loaded.")

MAX_PARAGRAPHS = 20_000
MAX_BYTES = 1_000_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class TranslatorService(translator_pb2_grpc.TranslatorServicer):
    """`khulasa.v1.Translator`. Refuses calls until a model is there."""

    def __init__(self) -> None:
        self._translator: ParagraphTranslator | None = None
        self._model = translator_pb2.Model()

    def use(self, model: Model, translator: ParagraphTranslator) -> None:
        """Answer with `translator` from now on."""
        manifest = model.manifest
        self._translator = translator
        self._model = translator_pb2.Model(
            name=manifest.name,
            digest=model.digest,
            engine=engine.VERSION,
            pipeline=translator.version,
            source_language=manifest.source_language,
            target_language=manifest.target_language,
            licence=manifest.licence,
        )
        versions = {"engine": engine.VERSION, "pipeline": translator.version}
        MODEL.info({"name": manifest.name, "digest": model.digest, **versions})

    async def TranslateParagraphs(
        self, request: translator_pb2.TranslateParagraphsRequest, context: Context
    ) -> translator_pb2.TranslateParagraphsResponse:
        relay.receive(context.invocation_metadata())
        translator = self._ready()
        _check_size(request.paragraphs)
        self._check_model(request)
        terms = [Term(term.source, term.target) for term in request.glossary_terms]
        paragraphs = await translator.translate(request.paragraphs, terms)
        sentences = [sentence for paragraph in paragraphs for sentence in paragraph]
        flagged = sum(bool(sentence.doubts) for sentence in sentences)
        call_fields(paragraphs=len(paragraphs), sentences=len(sentences), flagged=flagged)
        SENTENCES.labels("flagged").inc(flagged)
        SENTENCES.labels("clean").inc(len(sentences) - flagged)
        for sentence in sentences:
            for doubt in sentence.doubts:
                FLAGS.labels(doubt.reason.name).inc()
        if terms:
            applied = [match.applied for sentence in sentences for match in sentence.term_matches]
            call_fields(terms_applied=sum(applied), terms_missed=len(applied) - sum(applied))
        return translator_pb2.TranslateParagraphsResponse(
            paragraphs=[
                translator_pb2.TranslatedParagraph(
                    sentences=[_sentence(index, sentence) for index, sentence in enumerate(paragraph)]
                )
                for paragraph in paragraphs
            ],
            model=self._model,
        )

    def _check_model(self, request: translator_pb2.TranslateParagraphsRequest) -> None:
        """Raise Refusal if the caller wants another model than this, or the same one in another engine or pipeline."""
        here = self._model
        for part, expected, actual in (
            ("model", request.model_digest, here.digest),
            ("engine", request.engine, here.engine),
            ("pipeline", request.pipeline, here.pipeline),
        ):
            if expected not in ("", actual):
                raise Refusal(
                    Reason.MODEL_CHANGED,
                    f"The {part} here is {actual}, not {expected}. Ask with DescribeModel again.",
                    expected=expected,
                    actual=actual,
                )

    async def SplitParagraphs(
        self, request: translator_pb2.SplitParagraphsRequest, context: Context
    ) -> translator_pb2.SplitParagraphsResponse:
        translator = self._ready()
        _check_size(request.paragraphs)
        paragraphs = await asyncio.to_thread(translator.split, request.paragraphs)
        return translator_pb2.SplitParagraphsResponse(
            paragraphs=[
                translator_pb2.SplitParagraph(
                    sentences=[article_pb2.Span(start=s.span.start, end=s.span.end) for s in sentences],
                    fragments=[number for number, sentence in enumerate(sentences) if sentence.fragment],
                    foreign=[number for number, sentence in enumerate(sentences) if sentence.foreign],
                )
                for sentences in paragraphs
            ]
        )

    async def DescribeModel(
        self, request: translator_pb2.DescribeModelRequest, context: Context
    ) -> translator_pb2.DescribeModelResponse:
        self._ready()
        return translator_pb2.DescribeModelResponse(model=self._model)

    def _ready(self) -> ParagraphTranslator:
        if self._translator is None:
            raise Refusal(Reason.NOT_READY, "The model is still being loaded. Try again in 2 s.", retry_after_s=2)
        return self._translator


def _check_size(paragraphs: Sequence[str]) -> None:
    if len(paragraphs) > MAX_PARAGRAPHS:
        raise Refusal(
            Reason.TOO_MANY_PARAGRAPHS,
            f"paragraphs has {len(paragraphs)} entries, the limit is {MAX_PARAGRAPHS}. Send them in several calls.",
            field="paragraphs",
            length=len(paragraphs),
            limit=MAX_PARAGRAPHS,
        )
    length = sum(len(paragraph.encode()) for paragraph in paragraphs)
    if length > MAX_BYTES:
        raise Refusal(
            Reason.PARAGRAPHS_TOO_LONG,
            f"paragraphs has {length} bytes, the limit is {MAX_BYTES}. Send them in several calls.",
            field="paragraphs",
            length=length,
            limit=MAX_BYTES,
        )


def _sentence(index: int, sentence: TranslatedSentence) -> article_pb2.Sentence:
    return article_pb2.Sentence(
        index=index,
        source=sentence.source,
        translation=sentence.translation,
        span=article_pb2.Span(start=sentence.span.start, end=sentence.span.end),
        log_probability=sentence.log_probability,
        confidence=sentence.confidence,
        flags=[
            article_pb2.Flag(reason=article_pb2.Flag.Reason.ValueType(doubt.reason.value), detail=doubt.detail)
            for doubt in sentence.doubts
        ],
        plain_translation=sentence.plain_translation,
        term_matches=[_term_match(match) for match in sentence.term_matches],
    )


def _term_match(match: TermMatch) -> article_pb2.TermMatch:
    outcomes = article_pb2.TermMatch.Outcome
    return article_pb2.TermMatch(
        span=article_pb2.Span(start=match.span.start, end=match.span.end),
        source=match.term.source,
        target=match.term.english,
        outcome=outcomes.OUTCOME_APPLIED if match.applied else outcomes.OUTCOME_MISSED,
    )
