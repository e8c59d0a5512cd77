"""Settings of the summarizer process."""

from services.harness.settings import ServerSettings


class SummarizerSettings(ServerSettings):
    """`KHULASA_*` of the summarizer."""

    address: str = "127.0.0.1:50052"
