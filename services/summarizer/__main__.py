"""The summarizer process: `python -m services.summarizer`."""

import asyncio

from khulasa.v1 import summarizer_pb2_grpc
from services.harness import logs
from services.harness.server import Service, serve
from services.harness.settings import load
from services.summarizer.budget import Budget
from services.summarizer.service import SummarizerService
from services.summarizer.settings import SummarizerSettings
from services.summarizer.summarize import SourceSentence, summarize


async def main(settings: SummarizerSettings) -> None:
    """Serve until told to stop."""

    async def warm_up() -> None:
        """numpy and the tables are loaded with the first summary, not at the first caller's expense."""
        sentences = [SourceSentence("The government announced a plan.", 0, False)]
        summarize(sentences, budget=Budget(sentences=1), language="en", title="")

    await serve(
        settings,
        Service(
            name="khulasa.v1.Summarizer",
            register=lambda server: summarizer_pb2_grpc.add_SummarizerServicer_to_server(SummarizerService(), server),
            warm_up=warm_up,
        ),
    )


if __name__ == "__main__":
    settings = load(SummarizerSettings)
    logs.configure(settings.log_level, process="summarizer", traces_endpoint=settings.traces_endpoint)
    asyncio.run(main(settings))
