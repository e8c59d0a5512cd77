"""What the client sends again by itself."""

from typing import Any

import grpc
import pytest

from khulasa import Article, AsyncClient, Unavailable
from khulasa.v1 import gateway_pb2, gateway_pb2_grpc


class Stopping(gateway_pb2_grpc.GatewayServicer):
    """A gateway that cancels calls, as one does that stops just when they come, and then is another that answers."""

    def __init__(self, *, cancels: int) -> None:
        self.cancels = cancels
        self.calls = 0

    async def ProcessArticle(
        self, request: gateway_pb2.ProcessArticleRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> gateway_pb2.ProcessArticleResponse:
        self.calls += 1
        if self.calls <= self.cancels:
            await context.abort(grpc.StatusCode.CANCELLED)
        return gateway_pb2.ProcessArticleResponse()


@pytest.mark.parametrize("cancels", [1, 100])
async def test_a_call_that_a_stopping_gateway_cancels_is_sent_again(cancels: int) -> None:
    """Nobody asked for its end; where that goes on, the gateway is away."""
    server, gateway = grpc.aio.server(), Stopping(cancels=cancels)  # type: ignore[abstract]  # no other is called
    gateway_pb2_grpc.add_GatewayServicer_to_server(gateway, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncClient(f"127.0.0.1:{port}", retries=1) as client:
            if cancels == 1:
                await client.process(Article(text="وصل الوزير."))
            else:
                with pytest.raises(Unavailable):
                    await client.process(Article(text="وصل الوزير."))
    finally:
        await server.stop(0)
    assert gateway.calls == 2
