"""The OpenAPI document says what the API does: schemathesis tries it."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig

from gateway.http import openapi
from gateway.http.server import HttpServer

# What is read and refused for its content (an HTML page without an article) or for what is there already (a job of the
# same request) is no fault of the schema.
CONFIG = {"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422", "503"]}}}


async def test_document_is_served(http: httpx.AsyncClient) -> None:
    """Everybody can read what there is."""
    document = (await http.get("/openapi.json")).json()
    assert document == openapi.document()
    assert document["paths"]["/v1/articles"]["post"]


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        *itertools.product(("/v1/articles", "/v1/articles:stream", "/translate", "/detect"), ("positive", "negative")),
        *itertools.product(("/languages", "/frontend/settings", "/healthz", "/readyz"), ("positive",)),
    ],
)
async def test_schemathesis_finds_no_contradiction(server: HttpServer, path: str, mode: str) -> None:
    """What the document allows is answered as it says, and what it does not allow is refused."""
    await tried(server, path, mode)


async def tried(server: HttpServer, path: str, mode: str) -> None:
    """Try every method of a path with what its schema allows, or does not allow. Raises what schemathesis finds."""
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_dict(openapi.document(), config=config)
    schema.config.update(base_url=f"http://127.0.0.1:{server.port}")
    for operation in schema[path].values():
        await _tried(operation, mode)


async def _tried(operation: Any, mode: str) -> None:
    generation = schemathesis.GenerationMode(mode)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: schemathesis.Case) -> None:
        case.call_and_validate()

    strategy = operation.as_strategy(generation_mode=generation)
    await asyncio.to_thread(given(strategy)(attempt))
