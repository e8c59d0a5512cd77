"""What probes are told, and that connections end by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from khulasa.v1 import summarizer_pb2, summarizer_pb2_grpc
from services.harness.server import LIVE, Server, Service
from services.harness.settings import ServerSettings
from services.summarizer.service import SummarizerService

NAME = "khulasa.v1.Summarizer"


@asynccontextmanager
async def server_that_is_ready_when(ready: asyncio.Event, **settings: str | float) -> AsyncIterator[Server]:
    async def warm_up() -> None:
        await ready.wait()

    server = Server(
        ServerSettings(address="127.0.0.1:0", health_address="127.0.0.1:0", drain_s=0, **settings),
        Service(
            NAME,
            lambda grpc_server: summarizer_pb2_grpc.add_SummarizerServicer_to_server(SummarizerService(), grpc_server),
            warm_up,
        ),
    )
    await server.start()
    yield server
    await server.drain()


async def status(port: int, service: str) -> str:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
        return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)


async def test_a_process_that_warms_up_lives_and_is_not_ready() -> None:
    """Liveness is SERVING from the start; readiness only when the work can be done; the metric says the same."""
    ready = asyncio.Event()
    async with server_that_is_ready_when(ready) as server:
        assert await status(server.health_port, LIVE) == "SERVING"
        assert await status(server.health_port, NAME) == "NOT_SERVING"
        ready.set()
        await server.warm_up()
        assert await status(server.health_port, NAME) == "SERVING"
        assert await status(server.port, NAME) == "SERVING"
        assert REGISTRY.get_sample_value("khulasa_ready") == 1


async def test_the_health_port_answers_health_alone() -> None:
    """It is open to everybody, so nothing else is behind it."""
    ready = asyncio.Event()
    async with (
        server_that_is_ready_when(ready) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await summarizer_pb2_grpc.SummarizerStub(channel).DescribeRanking(summarizer_pb2.DescribeRankingRequest())
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_connections_are_closed_at_their_age_and_calls_go_on() -> None:
    """A caller's channel looks for the server anew, and its calls before and after are answered."""
    ready = asyncio.Event()
    async with (
        server_that_is_ready_when(ready, max_connection_age_s=0.2) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = summarizer_pb2_grpc.SummarizerStub(channel)
        await stub.DescribeRanking(summarizer_pb2.DescribeRankingRequest())
        state = channel.get_state()
        assert state is grpc.ChannelConnectivity.READY
        async with asyncio.timeout(10):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await stub.DescribeRanking(summarizer_pb2.DescribeRankingRequest())
