"""A gateway's HTTP side in front of the services in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.http.server import HttpServer
from tests.conftest import Stack


def http_server(stack: Stack, **options: object) -> HttpServer:
    """Return the HTTP side of the stack's gateway, not yet started."""
    assert stack.gateway is not None
    settings: dict[str, object] = {"hosts": "", "max_call_s": 60, "max_calls": 32} | options
    return HttpServer("127.0.0.1:0", stack.gateway, **settings)  # type: ignore[arg-type]


@pytest.fixture
async def server(stack: Stack) -> AsyncIterator[HttpServer]:
    """A ready HTTP side on a free port."""
    server = http_server(stack)
    await server.start()
    server.set_ready(True)
    yield server
    await server.drain(0)


@pytest.fixture
async def http(server: HttpServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        yield client
