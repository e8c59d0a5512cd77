"""The translator process: `python -m services.translator`."""

import asyncio

import structlog

from khulasa.v1 import translator_pb2_grpc
from services.harness import logs
from services.harness.server import Service, serve
from services.harness.settings import load
from services.translator import engine
from services.translator.model import Model, Tokenizer
from services.translator.queue import TranslationQueue
from services.translator.service import TranslatorService
from services.translator.settings import TranslatorSettings
from services.translator.translation import ParagraphTranslator

WARM_UP_SENTENCE = "أعلنت الحكومة اليوم عن خطة جديدة."
WARM_UP_BATCH = 16
"""Sentences decoded together to learn how much faster that is; more would hold up the start."""

log = structlog.get_logger()


async def main(settings: TranslatorSettings) -> None:
    """Serve until told to stop."""
    service = TranslatorService()
    queues: list[TranslationQueue] = []

    async def warm_up() -> None:
        model = await asyncio.to_thread(Model.open, settings.model)
        loaded = await asyncio.to_thread(engine.load, model, workers=settings.threads, threads_per_worker=1)
        queue = TranslationQueue.as_set(loaded, settings)
        queues.append(queue)
        translator = ParagraphTranslator(model, queue, second_tries=settings.second_tries)
        await queue.measure(Tokenizer(model).encode(WARM_UP_SENTENCE), together=WARM_UP_BATCH)
        [[sentence]] = await translator.translate([WARM_UP_SENTENCE])
        if not sentence.translation:
            raise RuntimeError(f"the model in {settings.model} translates its warm-up sentence to nothing")
        service.use(model, translator)
        log.info("model loaded", model=model.manifest.name, digest=model.digest[:12], threads=settings.threads)

    try:
        await serve(
            settings,
            Service(
                name="khulasa.v1.Translator",
                register=lambda server: translator_pb2_grpc.add_TranslatorServicer_to_server(service, server),
                warm_up=warm_up,
            ),
        )
    finally:
        for queue in queues:
            await queue.close()


if __name__ == "__main__":
    settings = load(TranslatorSettings)
    logs.configure(settings.log_level, process="translator", traces_endpoint=settings.traces_endpoint)
    asyncio.run(main(settings))
