"""Settings of the gateway process."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from services.harness.settings import ServerSettings


class GatewaySettings(ServerSettings):
    """`KHULASA_*` of the gateway."""

    address: str = "127.0.0.1:50050"
    http_address: str = ""
    """Host and port of the HTTP API and the reader page; empty: none. `khulasa up` gives it 127.0.0.1:8080."""
    http_hosts: str = ""
    """Names, with commas, under which browsers may reach it beside this machine's own: a page of another name that was
    pointed at this address must not read what is here."""
    translator: str = "127.0.0.1:50051"
    """gRPC target of the translator; in a cluster "dns:///" and a headless service, so that all replicas get calls."""
    summarizer: str = "127.0.0.1:50052"
    redis_url: str = ""
    """redis://, rediss:// or unix:// URL of the cache; empty: a redis-server of its own on this machine."""
    redis_timeout_s: float = Field(0.25, gt=0)
    """A cache that takes longer than this costs more than it saves on short articles; it is skipped."""
    embedded_cache_mb: int = Field(256, ge=8)
    """Memory of the redis-server of its own, about 50,000 articles."""
    cache_days: float = Field(30, gt=0)
    flagged_cache_days: float = Field(1, gt=0)
    """Answers with flagged sentences live shorter: a better model or a second try may mend them."""
    glossaries: Path | None = None
    """Folder of glossaries that requests may name: `NAME.tsv`, a source, a tab and a target on each line."""
    html_timeout_s: float = Field(10, gt=0)
    """Extraction of a page of 1 MB takes about one second; what takes ten is an attack."""

    @model_validator(mode="after")
    def _refuse_open_http_address(self) -> Self:
        if self.http_address:
            self._check_open("HTTP_ADDRESS", self.http_address)
        return self
