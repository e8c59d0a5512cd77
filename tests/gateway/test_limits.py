"""What a hostile caller sends: bombs of compression, and more streams than there are places."""

import asyncio

import grpc
import pytest

from gateway import validation
from gateway.service import take_id
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness import metrics, requests
from services.harness.errors import Reason
from services.harness.server import MAX_MESSAGE_BYTES
from services.harness.settings import ServerSettings
from tests.conftest import Stack

PLACES = ServerSettings.model_fields["max_calls"].default


async def test_a_compressed_message_is_measured_as_it_unpacks(stack: Stack) -> None:
    """A small message that unpacks to more than the limit is refused; the connection stays of use."""
    data = bytes(3 * MAX_MESSAGE_BYTES)
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(
        stack.addresses["gateway"], options=options, compression=grpc.Compression.Gzip
    ) as channel:
        gateway = gateway_pb2_grpc.GatewayStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="Decompressed message larger than max") as raised:
            await channel.unary_unary("/khulasa.v1.Gateway/ProcessArticle")(data, timeout=60)
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        small = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text="وصل الوزير."))
        await gateway.ProcessArticle(small, timeout=30)


def test_more_messages_than_any_field_may_have_are_refused_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bytes on the wire are an object of two hundred in memory, so a list that is too long is not looked at."""
    monkeypatch.setattr(requests, "MAX_PARTS", 3)
    read = requests.strict(gateway_pb2.ProcessArticleRequest.FromString)
    for length, refused in ((3, False), (4, True)):
        glossary = gateway_pb2.Glossary(terms=[article_pb2.GlossaryTerm()] * length)
        request = gateway_pb2.ProcessArticleRequest(options=gateway_pb2.ArticleOptions(glossary=glossary))
        found = read(request.SerializeToString())
        assert isinstance(found, requests.Unreadable) is refused
    assert isinstance(found, requests.Unreadable)
    assert (found.refusal.reason, found.refusal.field) == (Reason.UNREADABLE_REQUEST, "options.glossary.terms")


def test_refused_ids_take_no_memory() -> None:
    """A stream without an end keeps no ids that are too long or too many."""
    seen: set[str] = set()
    assert take_id("x" * (validation.MAX_ID_CHARS + 1), seen)
    assert seen == set()
    assert [take_id(str(number), seen) for number in range(validation.MAX_ARTICLES_PER_CALL)].count(None) == len(seen)
    assert take_id("one more", seen)
    assert len(seen) == validation.MAX_ARTICLES_PER_CALL


async def test_calls_beyond_the_places_are_refused(stack: Stack) -> None:
    """With all places taken by the streams of one connection, another's call is told so at once."""
    async with (
        grpc.aio.insecure_channel(stack.addresses["gateway"]) as greedy,
        grpc.aio.insecure_channel(stack.addresses["gateway"], options=[("grpc.use_local_subchannel_pool", 1)]) as other,
    ):
        open_streams = [gateway_pb2_grpc.GatewayStub(greedy).ProcessArticles() for _ in range(PLACES + 44)]
        in_progress = metrics.CALLS_IN_PROGRESS.labels("ProcessArticles")
        async with asyncio.timeout(30):
            while in_progress._value.get() < PLACES:  # noqa: ASYNC110  # a gauge has no event
                await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await gateway_pb2_grpc.GatewayStub(other).DescribeGateway(gateway_pb2.DescribeGatewayRequest(), timeout=10)
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        for stream in open_streams:
            stream.cancel()
