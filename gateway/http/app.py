"""The routes.

/                        the reader page
/v1/articles             one article, whole or as a stream
/v1/jobs                 many articles, worked off while nobody waits
/translate, /detect, …   LibreTranslate's API
/openapi.json            what all this takes and gives
/healthz, /readyz, /metrics
"""

from collections.abc import Iterable

import prometheus_client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.http import openapi, reader
from gateway.http.articles import Articles
from gateway.http.calls import FORM, JSON, Asked, Call, Door
from gateway.http.guard import Guard
from gateway.http.jobs import Jobs
from gateway.http.libretranslate import LibreTranslate, api_key, refusal_response
from gateway.http.problems import problem_response
from gateway.jobs.parts import JobParts
from gateway.service import GatewayService
from services.harness.errors import Reason, Refusal


def application(
    service: GatewayService, door: Door, *, hosts: Iterable[str], jobs: JobParts | None = None
) -> Starlette:
    """Return the gateway's HTTP side. `hosts` are its names beside those of loopback."""
    articles, libre = Articles(service), LibreTranslate(service, key_required=door.credentials is not None)
    document = openapi.document()

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> Response:
        return JSONResponse({"status": "ready"}) if door.ready else JSONResponse({"status": "not ready"}, 503)

    async def describe(request: Request) -> Response:
        return JSONResponse(document)

    async def metrics(asked: Asked) -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    both = (JSON, FORM, "")  # some clients put all fields into the address, and send no body
    routes: list[BaseRoute] = [
        Route("/v1/articles", Call(door, articles.process), methods=["POST"]),
        Route("/v1/articles:stream", Call(door, articles.stream), methods=["POST"]),
        Route(
            "/translate",
            Call(door, libre.translate, content_types=both, key_in_body=api_key, refuse=refusal_response),
            methods=["POST"],
        ),
        Route(
            "/detect",
            Call(door, libre.detect, content_types=both, key_in_body=api_key, refuse=refusal_response),
            methods=["POST"],
        ),
        Route("/languages", libre.languages, methods=["GET"]),
        Route("/frontend/settings", libre.settings, methods=["GET"]),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", Call(door, metrics), methods=["GET"]),
        *(_job_routes(door, Jobs(jobs.jobs, jobs.operations)) if jobs else []),
        *reader.routes(),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=list(hosts))],
        exception_handlers={404: _unknown_path, 405: _unknown_method},
    )


def _job_routes(door: Door, jobs: Jobs) -> list[BaseRoute]:
    return [
        Route("/v1/jobs", Call(door, jobs.create), methods=["POST"]),
        Route("/v1/jobs", Call(door, jobs.list), methods=["GET"]),
        Route("/v1/jobs/{job}:cancel", Call(door, jobs.cancel, content_types=(JSON, "")), methods=["POST"]),
        Route("/v1/jobs/{job}/results", Call(door, jobs.results), methods=["GET"]),
        Route("/v1/jobs/{job}", Call(door, jobs.get), methods=["GET"]),
        Route("/v1/jobs/{job}", Call(door, jobs.delete), methods=["DELETE"]),
    ]


async def _unknown_path(request: Request, error: Exception) -> Response:
    return problem_response(
        Refusal(
            Reason.UNKNOWN_PATH,
            f"There is nothing at {request.url.path[:100]!r}. /openapi.json says what there is.",
            path=request.url.path[:100],
        )
    )


async def _unknown_method(request: Request, error: Exception) -> Response:
    response = problem_response(
        Refusal(
            Reason.UNKNOWN_METHOD,
            f"{request.method[:20]} is no method of {request.url.path[:100]!r}. /openapi.json says which are.",
            method=request.method[:20],
        )
    )
    headers = getattr(error, "headers", None) or {}
    response.headers.update(headers)
    return response
