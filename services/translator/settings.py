"""Settings of the translator process."""

from pathlib import Path

from pydantic import Field

from services.harness.settings import ServerSettings
from services.translator.threads import usable_processors

SHIPPED_MODEL = Path(__file__).parents[2] / "models" / "ar-en"


class TranslatorSettings(ServerSettings):
    """`KHULASA_*` of the translator."""

    address: str = "127.0.0.1:50051"
    max_calls: int = Field(1024, ge=1)
    """As for all services; an article comes in up to four calls, and the queue has bounds of its own."""
    model: Path = SHIPPED_MODEL
    """The model folder."""
    threads: int = Field(default_factory=usable_processors, ge=1)
    """Processors to decode on, one batch on each: several batches on one thread each beat one batch on several."""
    batch_tokens: int = Field(1536, ge=1)
    """Padded source tokens decoded together, about 32 sentences of news; of a long queue up to twice as many. More
    gains little and makes others wait."""
    queue_sentences: int = Field(4096, ge=1)
    """Sentences that may wait; about three minutes of work on two cores. More would outlast the callers' deadlines."""
    window_sentences: int = Field(256, ge=1)
    """Of one call, the sentences in the queue at once: several batches for every core."""
    job_share: float = Field(0.2, gt=0, lt=1)
    """Of the engine, for jobs while others wait too: a job never stands still, and costs the others a quarter more."""
    second_tries: bool = True
    """Decode doubtful sentences again. Each costs about five times a first try, so that with a weak model, which is
    doubted often, most of the work is second tries: turn them off where speed counts more."""
