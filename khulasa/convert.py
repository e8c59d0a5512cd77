"""Protobuf ⇄ plain data: the only place of the client that knows both."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import TypeVar

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from khulasa import errors, types
from khulasa.v1 import article_pb2, gateway_pb2, jobs_pb2

Number = TypeVar("Number", bound=IntEnum)


def article_to_proto(article: types.Article) -> article_pb2.Article:
    """Return the article as it is sent."""
    if article.html:
        return article_pb2.Article(title=article.title, html=article.html)
    return article_pb2.Article(title=article.title, text=article.text)


def options_to_proto(options: types.Options) -> gateway_pb2.ArticleOptions:
    """Return the options as they are sent; an unset budget stays unset, so that the server's default holds."""
    budget = article_pb2.SummaryBudget()
    for name in ("sentences", "words", "characters", "ratio"):
        if (value := getattr(options.summary_budget, name)) is not None:
            setattr(budget, name, value)
    return gateway_pb2.ArticleOptions(
        summary_budget=budget,
        translate_boilerplate=options.translate_boilerplate,
        bypass_cache=options.bypass_cache,
        glossary=_glossary(options.glossary),
        summary_first=options.summary_first,
    )


def result_from_proto(response: gateway_pb2.ProcessArticleResponse) -> types.Result:
    """Return the answer to one article."""
    translation = response.translation
    return types.Result(
        translation=types.Translation(
            title=_paragraph(translation.title) if translation.HasField("title") else None,
            paragraphs=tuple(_paragraph(paragraph) for paragraph in translation.paragraphs),
            extracted=_extracted(translation.extracted) if translation.HasField("extracted") else None,
        ),
        summary=_summary(response.summary),
        provenance=_provenance(response.provenance),
    )


def event_from_proto(response: gateway_pb2.StreamArticleResponse) -> types.Event | None:
    """Return one event of a stream; None for a kind that only a newer server knows."""
    match response.WhichOneof("event"):
        case "extracted":
            return _extracted(response.extracted)
        case "title":
            return _paragraph(response.title)
        case "paragraph":
            return _paragraph(response.paragraph)
        case "summary":
            return types.Summary(_summary(response.summary))
        case "finished":
            return _provenance(response.finished.provenance)
    return None


def state_from_proto(response: gateway_pb2.DescribeGatewayResponse) -> types.GatewayState:
    """Return what a gateway says of itself."""
    return types.GatewayState(
        model=response.model,
        model_digest=response.model_digest,
        engine=response.engine,
        pipeline=response.pipeline,
        cache=response.cache,
        cache_ready=response.cache_state == gateway_pb2.DescribeGatewayResponse.CACHE_STATE_READY,
        summarizer_ready=response.summarizer_ready,
        max_article_bytes=response.max_article_bytes,
    )


def job_from_proto(operation: operations_pb2.Operation) -> types.Job:
    """Return a job as it stands in an operation."""
    metadata = jobs_pb2.JobMetadata()
    operation.metadata.Unpack(metadata)
    return types.Job(
        name=operation.name,
        state=_number(types.JobState, metadata.state),
        display_name=metadata.display_name,
        request_id=metadata.request_id,
        articles=metadata.articles,
        done=metadata.done_articles,
        failed=metadata.failed_articles,
        flagged_sentences=metadata.flagged_sentences,
        duplicates=metadata.duplicate_articles,
        created=_time(metadata.create_time),
        updated=_time(metadata.update_time),
        ended=_time(metadata.end_time),
        expires=_time(metadata.expire_time),
    )


def job_result_from_proto(result: jobs_pb2.JobResult) -> types.JobResult:
    """Return what became of an article of a job."""
    answer = errors.from_status(result.status) if result.status.code else result_from_proto(result.result)
    return types.JobResult(result.id, result.index, answer, result.duplicate_of)


def _time(time: Timestamp) -> datetime | None:
    """Return the time, None where it is not set: nothing of ours happened in 1970."""
    return time.ToDatetime(tzinfo=UTC) if time.ToMilliseconds() else None


def _glossary(glossary: Mapping[str, str] | str) -> gateway_pb2.Glossary | None:
    if not glossary:
        return None
    if isinstance(glossary, str):
        return gateway_pb2.Glossary(name=glossary)
    return gateway_pb2.Glossary(
        terms=[article_pb2.GlossaryTerm(source=source, target=target) for source, target in glossary.items()]
    )


def _paragraph(paragraph: article_pb2.Paragraph) -> types.Paragraph:
    return types.Paragraph(
        index=paragraph.index,
        kind=_number(types.ParagraphKind, paragraph.kind),
        span=_span(paragraph.span),
        sentences=tuple(
            types.Sentence(
                index=sentence.index,
                source=sentence.source,
                translation=sentence.translation,
                span=_span(sentence.span),
                log_probability=sentence.log_probability,
                confidence=sentence.confidence if sentence.HasField("confidence") else None,
                flags=_flags(sentence.flags),
                plain_translation=sentence.plain_translation,
                term_matches=tuple(
                    types.TermMatch(
                        span=_span(match.span),
                        source=match.source,
                        target=match.target,
                        applied=match.outcome == article_pb2.TermMatch.OUTCOME_APPLIED,
                    )
                    for match in sentence.term_matches
                ),
            )
            for sentence in paragraph.sentences
        ),
    )


def _summary(summary: article_pb2.Summary) -> tuple[types.SummarySentence, ...]:
    return tuple(
        types.SummarySentence(
            sentence_index=sentence.sentence_index,
            paragraph_index=sentence.paragraph_index,
            text=sentence.text,
            source=sentence.source,
            span=_span(sentence.span),
            score=sentence.score,
            rationale=sentence.rationale,
            flags=_flags(sentence.flags),
            score_parts=tuple(
                types.ScorePart(_number(types.ScoreFeature, part.feature), part.points) for part in sentence.score_parts
            ),
        )
        for sentence in summary.sentences
    )


def _provenance(provenance: article_pb2.Provenance) -> types.Provenance:
    return types.Provenance(
        model=provenance.model,
        model_digest=provenance.model_digest,
        engine=provenance.engine,
        pipeline=provenance.pipeline,
        cache_use=_number(types.CacheUse, provenance.cache_use),
        paragraphs=provenance.paragraphs,
        cached_paragraphs=provenance.cached_paragraphs,
        sentences=provenance.sentences,
        flagged_sentences=provenance.flagged_sentences,
        verdict=_number(types.Verdict, provenance.verdict),
        total_s=_seconds(provenance.total_time),
        translation_s=_seconds(provenance.translation_time),
        summary_s=_seconds(provenance.summary_time),
    )


def _extracted(extracted: article_pb2.ExtractedText) -> types.ExtractedText:
    return types.ExtractedText(extracted.title, extracted.text, extracted.dropped_characters)


def _flags(flags: Iterable[article_pb2.Flag]) -> tuple[types.Flag, ...]:
    return tuple(types.Flag(_number(types.FlagReason, flag.reason), flag.detail) for flag in flags)


def _span(span: article_pb2.Span) -> types.Span:
    return types.Span(span.start, span.end)


def _seconds(duration: Duration) -> float:
    return duration.ToMicroseconds() / 1e6


def _number(kind: type[Number], value: int) -> Number:
    """Return the named value, or the unknown one for what only a newer server knows."""
    try:
        return kind(value)
    except ValueError:
        return kind(0)
