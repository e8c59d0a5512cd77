"""A translator whose engine answers with English words after a while, for what is not about translating.

    KHULASA_STUB_DELAY_S=0.02 python -m benchmarks.stub_translator

All else is real: the tokenizer, queue, checks, gRPC. With a real gateway and summarizer:

    Services.start(modules=STUB)
"""

import asyncio
import os
import time
from collections.abc import Sequence

from khulasa.v1 import translator_pb2_grpc
from services.harness import logs
from services.harness.server import Service, serve
from services.harness.settings import load
from services.translator.engine import Decoded
from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.service import TranslatorService
from services.translator.settings import TranslatorSettings
from services.translator.translation import ParagraphTranslator
from tests.conftest import ScriptedEngine

STUB = {"translator": "benchmarks.stub_translator"}


class SlowEngine(ScriptedEngine):
    """Takes `delay_s` for each batch."""

    def __init__(self, model: Model, delay_s: float) -> None:
        super().__init__(model)
        self._delay_s = delay_s

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        time.sleep(self._delay_s)
        return super().decode(batch)


async def main(settings: TranslatorSettings, delay_s: float) -> None:
    """Serve until told to stop."""
    model = Model.open(settings.model)
    queue = TranslationQueue.as_set(SlowEngine(model, delay_s), settings)
    service = TranslatorService()
    service.use(model, ParagraphTranslator(model, queue, second_tries=False))

    async def ready() -> None:
        """There is nothing to warm up."""

    try:
        await serve(
            settings,
            Service(
                name="khulasa.v1.Translator",
                register=lambda server: translator_pb2_grpc.add_TranslatorServicer_to_server(service, server),
                warm_up=ready,
            ),
        )
    finally:
        await queue.close()


if __name__ == "__main__":
    settings = load(TranslatorSettings)
    logs.configure(settings.log_level, process="translator")
    asyncio.run(main(settings, float(os.environ.get("KHULASA_STUB_DELAY_S", "0"))))
