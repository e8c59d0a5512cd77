"""The gateway process: `python -m gateway`."""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

import grpc
import structlog

from gateway.cache import Cache
from gateway.downstream import Downstream
from gateway.embedded_redis import EmbeddedRedis
from gateway.glossaries import BadGlossary, Glossaries, read_glossaries
from gateway.html import HtmlExtractor
from gateway.jobs.parts import JobParts
from gateway.pipeline import Lifetimes, Pipeline
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
        cache = Cache(url, timeout_s=settings.redis_timeout_s)
        parts.push_async_callback(cache.close)
        downstream = Downstream(translator=settings.translator, summarizer=settings.summarizer)
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
        )
        service = GatewayService(
            pipeline,
            downstream,
            cache,
            cache_name=cache_name,
            max_article_s=settings.max_call_s,
            glossaries=glossaries,
        )
        jobs = await JobParts.start(settings, pipeline, glossaries, parts)
        following = asyncio.create_task(downstream.follow(FOLLOW_S))
        parts.callback(following.cancel)

        def register(server: grpc.aio.Server) -> None:
            gateway_pb2_grpc.add_GatewayServicer_to_server(service, server)
            jobs.register(server)

        async def warm_up() -> None:
            """Ready means that an article could be done: both services have answered once, whichever started first."""
            waiting = False
            while True:
                with suppress(Refusal):
                    await downstream.model()
                    await downstream.ranking()
                    return
                if not waiting:
                    log.info("waiting", translator=settings.translator, summarizer=settings.summarizer)
                    waiting = True
                await asyncio.sleep(RETRY_S)

        await serve(
            settings,
            Service(
                name="khulasa.v1.Gateway",
                register=register,
                warm_up=warm_up,
                others=jobs.names,
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
    logs.configure(settings.log_level, process="gateway")
    asyncio.run(main(settings, glossaries))
