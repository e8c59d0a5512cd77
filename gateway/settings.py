"""Settings of the gateway process."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from gateway.cache_secrets import CacheSecrets, no_secrets, watched_secrets
from khulasa.channel import Tls
from services.harness.clients import Clients, Limits
from services.harness.credentials import ClientCredentials, Credentials, NoTokens
from services.harness.settings import PREFIX, ServerSettings, usable


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
    jobs_redis_url: str = ""
    """URL of the Redis of the jobs, shared by all gateways that work on them; it must not evict, so it is not the
    cache's. Empty: a redis-server of its own on this machine. The counts of clients' limits stand there too; without
    it in the cache's Redis, where eviction may forget a count, to the client's favour."""
    jobs_folder: Path | None = None
    """Where that redis-server of its own keeps the jobs; without a folder they end with the gateway. An article may be
    confidential, so none is written to disk unasked."""
    jobs_mb: int = Field(1024, ge=1)
    """Articles in all jobs, 2 KB added for each; what Redis needs is about as much, compressed results included."""
    caller_jobs_mb: int = Field(1024, ge=1)
    """The same for each caller; lower it where several share a gateway."""
    jobs: int = Field(1000, ge=1)
    """Jobs at once, ended ones that are still kept included."""
    caller_jobs: int = Field(100, ge=1)
    job_days: float = Field(7, gt=0)
    """How long a job and its results are kept after its end."""
    job_articles_at_once: int = Field(64, ge=0)
    """Articles of jobs that this gateway has in the works; 0 leaves them to other replicas."""
    job_idle_s: float = Field(30, gt=0)
    """A gateway that is silent for so long is taken for dead, and others do its articles."""
    html_timeout_s: float = Field(10, gt=0)
    """Extraction of a page of 1 MB takes about one second; what takes ten is an attack."""
    tokens_file: Path | None = None
    """TOML file of the clients, the hashes of their tokens and their limits; without it nobody is asked for a token."""
    articles_per_minute: int | None = Field(None, ge=1)
    """Limits of each client that the file gives none of its own, over all replicas; None: no limit."""
    articles_at_once: int | None = Field(None, ge=1)
    characters_per_day: int | None = Field(None, ge=1)
    cache_secrets_file: Path | None = None
    """Secrets for the cache's keys and for its values: 32 bytes in base64 a line; the first writes, all read."""
    cache_shared: bool = False
    """Answer all clients from what any of them had translated. Off: "from the cache" would tell what others read."""
    services_tls: bool = False
    """Call the translator and the summarizer by TLS, trusting the usual authorities, or else the file below."""
    services_tls_ca: Path | None = None
    services_tls_cert: Path | None = None
    """The gateway's own certificate, where the services ask for one; read again when it changes, as the other two."""
    services_tls_key: Path | None = None
    expected_model_digest: str = Field("", pattern="^([0-9a-f]{64})?$")
    """SHA-256 of the only model whose translations are passed on; empty: the one that the translator has."""

    @model_validator(mode="after")
    def _refuse_unusable_files(self) -> Self:
        if (self.services_tls_cert is None) != (self.services_tls_key is None):
            raise ValueError(f"{PREFIX}SERVICES_TLS_CERT and {PREFIX}SERVICES_TLS_KEY go together. Set both, or none.")
        usable(f"{PREFIX}TOKENS_FILE", self.clients)
        usable(f"{PREFIX}CACHE_SECRETS_FILE", self.cache_secrets)
        if tls := self.services_tls_files():
            usable(f"{PREFIX}SERVICES_TLS_*", lambda: [path.read_bytes() for path in tls.files])
        return self

    @model_validator(mode="after")
    def _refuse_open_http_address(self) -> Self:
        if self.http_address:
            # HTTP here is plain and knows no certificates, so only tokens tell who calls.
            self.refuse_open(
                "HTTP_ADDRESS", self.http_address, asked_for=bool(self.tokens_file), by=f"{PREFIX}TOKENS_FILE"
            )
        return self

    @property
    def asks_for_credentials(self) -> bool:
        """Whether a caller has to prove who it is."""
        return bool(self.tls_client_ca or self.tokens_file)

    @property
    def credential_settings(self) -> str:
        """The variables that make it ask for credentials, for people."""
        return f"{PREFIX}TOKENS_FILE or {PREFIX}TLS_CLIENT_CA"

    def clients(self) -> Clients | None:
        """Return the clients of the file, None without one. Raises OSError, ValueError."""
        return Clients(self.tokens_file) if self.tokens_file else None

    def credentials(self) -> Credentials:
        """Return what tells who makes a call to this process."""
        clients = self.clients()
        return ClientCredentials(clients) if clients else NoTokens()

    def cache_secrets(self) -> CacheSecrets:
        """Return the secrets of the cache. Raises OSError, ValueError."""
        return watched_secrets(self.cache_secrets_file) if self.cache_secrets_file else no_secrets()

    def default_limits(self) -> Limits:
        """Return the limits of a client that has none of its own."""
        return Limits(
            articles_per_minute=self.articles_per_minute,
            articles_at_once=self.articles_at_once,
            characters_per_day=self.characters_per_day,
        )

    def services_tls_files(self) -> Tls | None:
        """Return how the services are called, None for plain text."""
        tls = Tls(self.services_tls_ca, self.services_tls_cert, self.services_tls_key)
        return tls if self.services_tls or tls.files else None
