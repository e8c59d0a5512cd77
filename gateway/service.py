"""The gateway's RPCs: check the request, call the pipeline, shape the reply."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import grpc
from google.rpc import status_pb2

from gateway import validation
from gateway.answer import Answer
from gateway.cache import Cache
from gateway.cache_key import ModelIdentity
from gateway.downstream import Downstream
from gateway.glossaries import Glossaries, resolved
from gateway.pipeline import Event, Pipeline, cache_use_name, pipeline_version, too_late
from gateway.purge import Purger
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness import caller, relay
from services.harness.errors import Refusal
from services.harness.logs import call_fields, log_internal_error
from services.harness.metrics import REFUSALS

ARTICLES_AT_ONCE = 16

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GatewayService(gateway_pb2_grpc.GatewayServicer):
    """`khulasa.v1.Gateway`."""

    def __init__(
        self,
        pipeline: Pipeline,
        downstream: Downstream,
        cache: Cache,
        *,
        cache_name: str,
        max_article_s: float,
        glossaries: Glossaries,
        purger: Purger | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._downstream = downstream
        self._cache = cache
        self._cache_name = cache_name
        self._max_article_s = max_article_s
        self._glossaries = glossaries
        self._purger = purger or Purger(pipeline, cache, clients=None)

    async def ProcessArticle(  # type: ignore[override]  # an Answer serializes as the message does
        self, request: gateway_pb2.ProcessArticleRequest, context: Context
    ) -> Answer:
        relay.receive_from_outside(context.invocation_metadata())
        return await self.answer(request.article, request.options)

    async def StreamArticle(self, request: gateway_pb2.StreamArticleRequest, context: Context) -> AsyncIterator[Event]:
        relay.receive_from_outside(context.invocation_metadata())
        async for event in self.stream(request.article, request.options):
            yield event

    async def stream(
        self, article: article_pb2.Article, options: gateway_pb2.ArticleOptions
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of one article, for every way into the gateway. Raises Refusal."""
        validation.check_options(options)
        async for event in self._pipeline.process(article, resolved(options, self._glossaries)):
            if event.WhichOneof("event") == "finished":
                call_fields(**_counts(event.finished.provenance))
            yield event

    async def ProcessArticles(
        self, requests: AsyncIterator[gateway_pb2.ProcessArticlesRequest], context: Context
    ) -> AsyncIterator[gateway_pb2.ProcessArticlesResponse]:
        relay.receive_from_outside(context.invocation_metadata())
        answers: asyncio.Queue[gateway_pb2.ProcessArticlesResponse] = asyncio.Queue()
        places = asyncio.Semaphore(self.at_once(ARTICLES_AT_ONCE))
        asked = answered = failed = 0
        end_of_requests = False
        unreadable: Refusal | None = None

        async with asyncio.TaskGroup() as tasks:

            async def read() -> None:
                nonlocal asked, end_of_requests, unreadable
                seen: set[str] = set()
                await places.acquire()
                try:
                    async for request in requests:
                        asked += 1
                        tasks.create_task(self._answer_one(request, take_id(request.id, seen), answers))
                        await places.acquire()  # read on only when there is room for one more
                except Refusal as refusal:
                    unreadable = refusal  # it has no id to answer to, so it ends the call, after what came before it
                end_of_requests = True
                places.release()
                answers.put_nowait(_END)

            reader = tasks.create_task(read())
            while not (end_of_requests and answered == asked):
                answer = await answers.get()
                if answer is _END:
                    continue
                answered += 1
                failed += answer.status.code != 0
                yield answer
                places.release()  # only now: a client that reads slowly holds the next articles back
            await reader
        call_fields(articles=asked, failed=failed)
        if unreadable:
            raise unreadable

    async def DescribeGateway(
        self, request: gateway_pb2.DescribeGatewayRequest, context: Context
    ) -> gateway_pb2.DescribeGatewayResponse:
        model, ranking, cache_answers = await asyncio.gather(
            self._downstream.ask_model(), self._downstream.ask_ranking(), self._cache.answers(), return_exceptions=True
        )
        response = gateway_pb2.DescribeGatewayResponse(
            cache=self._cache_name,
            cache_state=gateway_pb2.DescribeGatewayResponse.CACHE_STATE_READY
            if cache_answers is True
            else gateway_pb2.DescribeGatewayResponse.CACHE_STATE_UNREACHABLE,
            summarizer_ready=isinstance(ranking, str),
            max_article_bytes=validation.MAX_ARTICLE_BYTES,
        )
        if isinstance(model, ModelIdentity):
            response.model = model.name
            response.model_digest = model.digest
            response.engine = model.engine
            response.pipeline = pipeline_version(model, ranking if isinstance(ranking, str) else "away")
        return response

    async def PurgeArticle(
        self, request: gateway_pb2.PurgeArticleRequest, context: Context
    ) -> gateway_pb2.PurgeArticleResponse:
        validation.checked_content(request.article)
        async with self._purge():
            purged = await self._purger.article(request.article, request.client)
        call_fields(purged=purged)
        return gateway_pb2.PurgeArticleResponse(purged_values=purged)

    async def PurgeClient(
        self, request: gateway_pb2.PurgeClientRequest, context: Context
    ) -> gateway_pb2.PurgeClientResponse:
        async with self._purge():
            purged = await self._purger.client(request.client)
        call_fields(purged=purged)
        return gateway_pb2.PurgeClientResponse(purged_values=purged)

    def at_once(self, most: int) -> int:
        """Return how many articles of one call may be in the works: `most`, or as many as its caller may have.

        More would be refused, though nobody but the gateway has them done at once.
        """
        return min(most, self._pipeline.quotas.limits(caller.name()).articles_at_once or most)

    async def answer(self, article: article_pb2.Article, options: gateway_pb2.ArticleOptions) -> Answer:
        """Return the answer to one article, for every way into the gateway. Raises Refusal."""
        validation.check_options(options)
        answer = await self._pipeline.answer(article, resolved(options, self._glossaries))
        call_fields(**_counts(answer.provenance))
        return answer

    def _purge(self) -> AbstractAsyncContextManager[object]:
        """Count a purge as an article without characters: it reads a page, and looks at all keys of the cache."""
        return self._pipeline.quotas.admitted(caller.name(), 0)

    async def _answer_one(
        self,
        request: gateway_pb2.ProcessArticlesRequest,
        refused: Refusal | None,
        answers: "asyncio.Queue[gateway_pb2.ProcessArticlesResponse]",
    ) -> None:
        """Answer one article of a stream, whatever happens to it."""
        response = gateway_pb2.ProcessArticlesResponse(id=request.id, status=status_pb2.Status())
        try:
            if refused:
                raise refused
            async with asyncio.timeout(self._max_article_s):
                answer = await self.answer(request.article, request.options)
                response.result.ParseFromString(answer.SerializeToString())
        except Refusal as refusal:
            _refuse(response, refusal)
        except TimeoutError:
            _refuse(response, too_late(self._max_article_s))
        except Exception:
            _refuse(response, log_internal_error())
        answers.put_nowait(response)


_END = gateway_pb2.ProcessArticlesResponse()
"""Wakes the answering side of a stream when there are no more requests."""


def _refuse(response: gateway_pb2.ProcessArticlesResponse, refusal: Refusal) -> None:
    REFUSALS.labels(refusal.reason.value).inc()
    response.status.CopyFrom(refusal.to_status())


def take_id(article_id: str, seen: set[str]) -> Refusal | None:
    """Put an article's id to those that were seen; return why if it is refused, which then takes no memory."""
    try:
        validation.check_id(article_id, seen)
    except Refusal as refusal:
        return refusal
    seen.add(article_id)
    return None


def _counts(provenance: article_pb2.Provenance) -> dict[str, object]:
    return {
        "paragraphs": provenance.paragraphs,
        "sentences": provenance.sentences,
        "flagged": provenance.flagged_sentences,
        "cache": cache_use_name(provenance),
        "translation_ms": provenance.translation_time.ToMilliseconds(),
    }
