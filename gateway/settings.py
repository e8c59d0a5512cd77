"""Settings of the gateway process."""

from pathlib import Path

from pydantic import Field

from services.harness.settings import ServerSettings


class GatewaySettings(ServerSettings):
    """`KHULASA_*` of the gateway."""

    address: str = "127.0.0.1:50050"
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
    cache's. Empty: a redis-server of its own on this machine."""
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
    job_articles_at_once: int = Field(8, ge=0)
    """Articles of jobs that this gateway has in the works; 0 leaves them to other replicas."""
    job_idle_s: float = Field(30, gt=0)
    """A gateway that is silent for so long is taken for dead, and others do its articles."""
    html_timeout_s: float = Field(10, gt=0)
    """Extraction of a page of 1 MB takes about one second; what takes ten is an attack."""
