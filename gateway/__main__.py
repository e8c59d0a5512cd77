"""The gateway process: `python -m gateway`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import grpc
import structlog

from gateway.cache import Cache
from gateway.downstream import Downstream
from gateway.embedded_redis import EmbeddedRedis
from gateway.glossaries import BadGlossary, Glossaries, read_glossaries
from gateway.html import HtmlExtractor
from gateway.http.server import HttpServer
from gateway.jobs.parts import JobParts
from gateway.pipeline import Lifetimes, Pipeline
from gateway.purge import Purger
from gateway.quotas import Quotas
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from khulasa.v1 import gateway_pb2_grpc
from services.harness import logs
from services.harness.errors import Refusal
from services.harness.server import Service, serve
from services.harness.settings import load

# Between two looks at what the translator and the summarizer run. An upgrade shows at the latest after this time.
FOLLOW_S = 10.0
RETRY_S = 0.25
DAY_S = 24 * 60 * 60

log = structlog.get_logger()


async def main(settings: GatewaySettings, glossaries: Glossaries) -> None:
    """Serve until told to stop."""
    async with AsyncExitStack() as parts:
        url, cache_name = settings.redis_url, _without_password(settings.redis_url)
        if not url:
            embedded = await EmbeddedRedis.start(memory_mb=settings.embedded_cache_mb)
            parts.push_async_callback(embedded.stop)
            url, cache_name = embedded.url, "embedded"
        cache = Cache(url, timeout_s=settings.redis_timeout_s, secrets=settings.cache_secrets())
        cache.start()
        parts.push_async_callback(cache.close)
        clients = settings.clients()
        quotas = Quotas(
            settings.jobs_redis_url or url,
            clients=clients,
            defaults=settings.default_limits(),
            timeout_s=settings.redis_timeout_s,
        )
        parts.push_async_callback(quotas.close)
        downstream = Downstream(
            translator=settings.translator,
            summarizer=settings.summarizer,
            service_tokens=settings.service_tokens(),
            tls=settings.services_tls_files(),
            expected_model_digest=settings.expected_model_digest,
        )
        parts.push_async_callback(downstream.close)
        extractor = HtmlExtractor()
        parts.push_async_callback(extractor.close)
        pipeline = Pipeline(
            downstream=downstream,
            cache=cache,
            extractor=extractor,
            lifetimes=Lifetimes(settings.cache_days * DAY_S, settings.flagged_cache_days * DAY_S),
            html_timeout_s=settings.html_timeout_s,
            max_article_s=settings.max_call_s,
            quotas=quotas,
            cache_shared=settings.cache_shared,
        )
        service = GatewayService(
            pipeline,
            downstream,
            cache,
            cache_name=cache_name,
            max_article_s=settings.max_call_s,
            glossaries=glossaries,
            purger=Purger(pipeline, cache, clients),
        )
        jobs = await JobParts.start(settings, pipeline, glossaries, parts)
        following = asyncio.create_task(downstream.follow(FOLLOW_S))
        parts.callback(following.cancel)

        def register(server: grpc.aio.Server) -> None:
            gateway_pb2_grpc.add_GatewayServicer_to_server(service, server)
            jobs.register(server)

        async def warm_up() -> None:
            """Ready means that an article could be done: both services have answered once, whichever started first."""
            waiting_for = ""
            while True:
                try:
                    await downstream.model()
                    await downstream.ranking()
                    return
                except Refusal as refusal:
                    if refusal.message != waiting_for:
                        waiting_for = refusal.message
                        places = {"translator": settings.translator, "summarizer": settings.summarizer}
                        log.info("waiting", why=waiting_for, **places)
                await asyncio.sleep(RETRY_S)

        doors = []
        if settings.http_address:
            doors.append(
                HttpServer(
                    settings.http_address,
                    service,
                    hosts=settings.http_hosts,
                    max_call_s=settings.max_call_s,
                    max_calls=settings.max_calls,
                    credentials=settings.credentials() if settings.tokens_file else None,
                    jobs=jobs,
                )
            )
        await serve(
            settings,
            Service(
                name="khulasa.v1.Gateway",
                register=register,
                warm_up=warm_up,
                others=jobs.names,
                doors=doors,
            ),
        )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


if __name__ == "__main__":
    settings = load(GatewaySettings)
    try:
        glossaries = read_glossaries(settings.glossaries) if settings.glossaries else {}
    except BadGlossary as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    logs.configure(settings.log_level, process="gateway", traces_endpoint=settings.traces_endpoint)
    asyncio.run(main(settings, glossaries))
