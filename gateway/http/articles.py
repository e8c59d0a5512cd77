"""`POST /v1/articles` and `/v1/articles:stream`: the methods of the proto, in JSON."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.responses import Response

from gateway.http import bodies
from gateway.http.calls import JSON, Asked, EventStream
from gateway.http.problems import problem
from gateway.service import GatewayService
from khulasa.v1 import article_pb2, gateway_pb2
from services.harness.errors import Reason, Refusal


class Articles:
    """The methods on articles."""

    def __init__(self, service: GatewayService) -> None:
        self._service = service

    async def process(self, asked: Asked) -> Response:
        """Answer with the whole article."""
        request = await _read(asked, gateway_pb2.ProcessArticleRequest)
        answer = await self._service.answer(request.article, request.options)
        text = await asyncio.to_thread(lambda: as_json(answer.message()))  # of 1 MB it takes seconds
        return Response(text, media_type=JSON, headers={"Cache-Control": "no-store"})

    async def stream(self, asked: Asked) -> Response:
        """Answer with the parts of the article, each as soon as it is done."""
        request = await _read(asked, gateway_pb2.StreamArticleRequest)
        return EventStream(self._events(request.article, request.options), _as_error)

    async def _events(
        self, article: article_pb2.Article, options: gateway_pb2.ArticleOptions
    ) -> AsyncGenerator[tuple[str, str], None]:
        async with aclosing(self._service.stream(article, options)) as events:
            async for event in events:
                name = event.WhichOneof("event")
                if name is None:
                    raise AssertionError("every event of the pipeline is of some kind")
                yield name, await asyncio.to_thread(as_json, getattr(event, name))


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as the proto3 mapping has it, with what has its default value."""
    value: dict[str, Any] = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return value


def as_json(message: Message) -> str:
    """Return a message as one line of JSON."""
    return json.dumps(as_dict(message), ensure_ascii=False, separators=(",", ":"))


async def _read(asked: Asked, kind: type[bodies.Request]) -> bodies.Request:
    request = await asyncio.to_thread(bodies.message_of, asked.body, kind)
    if not request.HasField("article"):
        raise Refusal(
            Reason.ARTICLE_EMPTY,
            "The request has no article. Send it in article.text or article.html.",
            field="article",
        )
    return request


def _as_error(refusal: Refusal) -> tuple[str, str]:
    return "error", json.dumps(problem(refusal), ensure_ascii=False)
