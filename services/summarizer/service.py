"""The summarizer's RPC: sentences and a budget in, chosen sentence numbers out."""

import asyncio
from typing import Any, TypeAlias

import grpc

from khulasa.v1 import article_pb2, summarizer_pb2, summarizer_pb2_grpc
from services.harness.errors import Reason, Refusal
from services.harness.logs import call_fields
from services.summarizer.budget import Budget, BudgetOutOfRange
from services.summarizer.languages import LANGUAGES
from services.summarizer.summarize import SourceSentence, summarize

VERSION = "2"
"""Raised with every change that can change a choice: it is part of the cache keys."""
MAX_SENTENCES = 50_000
MAX_BYTES = 4_000_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SummarizerService(summarizer_pb2_grpc.SummarizerServicer):
    """`khulasa.v1.Summarizer`."""

    async def Summarize(
        self, request: summarizer_pb2.SummarizeRequest, context: Context
    ) -> summarizer_pb2.SummarizeResponse:
        _check_size(request)
        language = request.language or "en"
        if language not in LANGUAGES:
            known = ", ".join(sorted(LANGUAGES))
            raise Refusal(
                Reason.UNKNOWN_LANGUAGE,
                f"language is {language!r}, known are {known}.",
                field="language",
                language=language,
            )
        chosen = await asyncio.to_thread(
            summarize,
            [
                SourceSentence(
                    sentence.text,
                    sentence.paragraph_index,
                    sentence.doubtful,
                    shown_text=sentence.shown_text,
                    context_only=sentence.context_only,
                )
                for sentence in request.sentences
            ],
            budget=_budget(request.budget),
            language=language,
            title=request.title,
        )
        call_fields(sentences=len(request.sentences), chosen=len(chosen))
        return summarizer_pb2.SummarizeResponse(
            sentences=[
                summarizer_pb2.ChosenSentence(
                    index=choice.index,
                    score=choice.score,
                    rationale=choice.rationale,
                    score_parts=[
                        article_pb2.ScorePart(
                            feature=article_pb2.ScorePart.Feature.ValueType(feature.value), points=points
                        )
                        for feature, points in choice.parts.items()
                    ],
                )
                for choice in chosen
            ],
            version=VERSION,
        )

    async def DescribeRanking(
        self, request: summarizer_pb2.DescribeRankingRequest, context: Context
    ) -> summarizer_pb2.DescribeRankingResponse:
        return summarizer_pb2.DescribeRankingResponse(version=VERSION)


def _check_size(request: summarizer_pb2.SummarizeRequest) -> None:
    if len(request.sentences) > MAX_SENTENCES:
        raise Refusal(
            Reason.TOO_MANY_SENTENCES,
            f"sentences has {len(request.sentences)} entries, the limit is {MAX_SENTENCES}.",
            field="sentences",
            length=len(request.sentences),
            limit=MAX_SENTENCES,
        )
    length = sum(len(s.text.encode()) + len(s.shown_text.encode()) for s in request.sentences)
    if length > MAX_BYTES:
        raise Refusal(
            Reason.SENTENCES_TOO_LONG,
            f"sentences has {length} bytes, the limit is {MAX_BYTES}.",
            field="sentences",
            length=length,
            limit=MAX_BYTES,
        )


def _budget(budget: article_pb2.SummaryBudget) -> Budget:
    name = budget.WhichOneof("limit")
    try:
        return Budget(**{name: getattr(budget, name)}) if name else Budget(sentences=3)
    except BudgetOutOfRange as error:
        raise Refusal(
            Reason.BUDGET_OUT_OF_RANGE,
            str(error),
            field=f"budget.{error.field}",
            value=error.value,
            low=error.low,
            high=error.high,
        ) from None
