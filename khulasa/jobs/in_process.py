"""A translator held in this process, for actors of Ray that call no gateway: the gateway's own path of an article,
without its cache.

Works from a checkout or an image, where the services' code is; the installed package alone holds only the client.
"""

import asyncio
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from khulasa import convert, errors
from khulasa.jobs.failures import RunRefused
from khulasa.types import Article, Options, Result

if TYPE_CHECKING:
    from gateway.pipeline import Pipeline
    from services.translator.service import TranslatorService
    from services.translator.settings import TranslatorSettings

MAX_ARTICLE_S = 3600.0


class InProcess:
    """Translator, summarizer and the pipeline over them. The settings are those of the services, `KHULASA_*`.

    async with await InProcess.start() as translator:
        result = await translator.process(article, options)
    """

    def __init__(self, pipeline: "Pipeline", parts: AsyncExitStack) -> None:
        self._pipeline = pipeline
        self._parts = parts

    @classmethod
    async def start(cls) -> Self:
        """Load the model. Raises RunRefused where the services' code is not installed."""
        check_services()
        from gateway.cache import Cache
        from gateway.downstream import Downstream
        from gateway.html import HtmlExtractor
        from gateway.pipeline import Lifetimes, Pipeline
        from khulasa.v1 import summarizer_pb2_grpc, translator_pb2_grpc
        from services.harness import logs
        from services.harness.server import Server, Service
        from services.harness.settings import load
        from services.summarizer.service import SummarizerService
        from services.translator.settings import TranslatorSettings

        parts = AsyncExitStack()
        try:
            own = {"address": "127.0.0.1:0", "metrics_address": "", "max_call_s": MAX_ARTICLE_S, "drain_s": 0}
            settings = load(TranslatorSettings).model_copy(update=own)
            # Unless it is set up, a log has the messages of exceptions too, and those quote articles.
            logs.configure(settings.log_level, process="ray-actor")
            translator = await _translator(settings, parts)
            ports = {}
            for name, register in (
                ("Translator", lambda server: translator_pb2_grpc.add_TranslatorServicer_to_server(translator, server)),
                (
                    "Summarizer",
                    lambda server: summarizer_pb2_grpc.add_SummarizerServicer_to_server(SummarizerService(), server),
                ),
            ):
                server = Server(settings, Service(f"khulasa.v1.{name}", register, _ready))
                await server.start()
                parts.push_async_callback(server.drain)
                await server.warm_up()
                ports[name] = f"127.0.0.1:{server.port}"
            downstream = Downstream(translator=ports["Translator"], summarizer=ports["Summarizer"])
            parts.push_async_callback(downstream.close)
            cache = Cache("redis://127.0.0.1:1", timeout_s=0.1)  # never asked: every article passes it by
            parts.push_async_callback(cache.close)
            extractor = HtmlExtractor()
            parts.push_async_callback(extractor.close)
            pipeline = Pipeline(
                downstream=downstream,
                cache=cache,
                extractor=extractor,
                lifetimes=Lifetimes(1, 1),
                html_timeout_s=10,
                max_article_s=MAX_ARTICLE_S,
            )
            return cls(pipeline, parts)
        except BaseException:
            await parts.aclose()
            raise

    async def process(self, article: Article, options: Options) -> Result:
        """Translate and summarize one article. Raises a KhulasaError, whatever goes wrong with it."""
        from gateway import validation
        from gateway.glossaries import resolved
        from services.harness import priority
        from services.harness.errors import Refusal
        from services.harness.logs import log_internal_error

        # Articles of jobs are done in their order. Otherwise all would get on alike and be done at the same time,
        # minutes later, and a killed actor would lose every one.
        priority.start(priority.JOB)
        try:
            asked = convert.options_to_proto(options)
            asked.bypass_cache = True
            sent = convert.article_to_proto(article)
            validation.check_options(asked)
            answer = await self._pipeline.answer(sent, resolved(asked, {}))
            return convert.result_from_proto(answer.message())
        except Refusal as refusal:
            raise errors.from_status(refusal.to_status()) from None
        except Exception:  # to Ray it would be the end of the run, at the same article each time
            raise errors.from_status(log_internal_error().to_status()) from None

    async def close(self) -> None:
        """Give the model back."""
        await self._parts.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def check_services() -> None:
    """Raise RunRefused where the services cannot be imported."""
    if find_spec("services") is None or find_spec("gateway") is None:
        raise RunRefused(
            "--in-process needs the services' code: run it from a checkout of Khulasa or in an image of it, on every "
            "node; or have the actors call a gateway."
        )


async def _translator(settings: "TranslatorSettings", parts: AsyncExitStack) -> "TranslatorService":
    from services.translator import engine
    from services.translator.model import Model
    from services.translator.queue import TranslationQueue
    from services.translator.service import TranslatorService
    from services.translator.translation import ParagraphTranslator

    model = await asyncio.to_thread(Model.open, settings.model)
    loaded = await asyncio.to_thread(engine.load, model, workers=settings.threads, threads_per_worker=1)
    queue = TranslationQueue.as_set(loaded, settings)
    parts.push_async_callback(queue.close)
    translator = TranslatorService()
    translator.use(model, ParagraphTranslator(model, queue, second_tries=settings.second_tries))
    return translator


async def _ready() -> None:
    """The service is ready as it is."""
