"""Settings of a process, from `KHULASA_*`, read once at its start.

Each service subclasses `ServerSettings`; a bad value ends the process with status 2 and a line that names the variable,
before anything slow is loaded.
"""

import ipaddress
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.harness.credentials import (
    Credentials,
    NoTokens,
    ServiceToken,
    checked_service_tokens,
    watched_service_tokens,
)
from services.harness.tls import watched_identity
from services.harness.watched_files import why_unusable

PREFIX = "KHULASA_"


class ServerSettings(BaseSettings):
    """What every server needs. The variable of a field is `KHULASA_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    address: str
    """Host and port to listen on; port 0 takes a free one."""
    allow_open: bool = False
    """Listen beyond this machine although nobody has to identify themselves. Off: an article may be confidential."""
    tls_cert: Path | None = None
    """Certificate chain to serve TLS with, PEM; read again when it changes, as the two below."""
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """Takes only callers with a certificate of these authorities, PEM. A caller is named by it: common name, or else
    first alternative name."""
    service_token: SecretStr | None = None
    """What the gateway sends to the translator and the summarizer, and they ask for; at least 32 characters."""
    service_token_file: Path | None = None
    """The same from a file: the gateway sends the first line, all lines are taken, so that a token can be changed."""
    metrics_address: str = ""
    """Host and port of the Prometheus endpoint; empty: none."""
    health_address: str = ""
    """Host and port that answer health alone, in plain text and to everybody, for Kubernetes' probes, which have no
    certificates and no tokens; empty: only `address` answers health."""
    traces_endpoint: str = ""
    """OTLP collector for traces, such as http://collector:4317; empty: no traces."""
    max_connection_age_s: float = Field(0, ge=0)
    """Connections are closed after this time, their calls done, so that callers look the name up again and find new
    replicas; 0: never. A few minutes where replicas come and go."""
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    max_call_s: float = Field(300, gt=0)
    """Longest time for a call whose caller sets no deadline, and the limit for those who do: 1 MB takes minutes."""
    drain_s: float = Field(20, ge=0)
    """Time for calls in progress after SIGTERM; Kubernetes kills after 30 s by default."""
    drain_notice_s: float = Field(0, ge=0)
    """Wait after NOT_SERVING before new calls are refused, so that balancers notice; a few seconds in a cluster."""
    max_calls: int = Field(256, ge=1)
    """Calls at once; more are RESOURCE_EXHAUSTED at the door, before their bytes take memory."""

    @model_validator(mode="after")
    def _refuse_half_credentials(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY go together. Set both, or none.")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError(
                f"{PREFIX}TLS_CLIENT_CA is set without {PREFIX}TLS_CERT. Set the server's certificate too."
            )
        if self.service_token and self.service_token_file:
            raise ValueError(f"{PREFIX}SERVICE_TOKEN and {PREFIX}SERVICE_TOKEN_FILE are both set. Set one.")
        files = [path for path in (self.tls_cert, self.tls_key, self.tls_client_ca) if path]
        if files:
            usable(f"{PREFIX}TLS_*", lambda: watched_identity(files))
        usable(f"{PREFIX}SERVICE_TOKEN", self.service_tokens)
        return self

    @model_validator(mode="after")
    def _refuse_open_address(self) -> Self:
        self.refuse_open("ADDRESS", self.address, asked_for=self.asks_for_credentials, by=self.credential_settings)
        return self

    def refuse_open(self, name: str, address: str, *, asked_for: bool, by: str) -> None:
        """Raise ValueError for an address that others can reach where no credentials are `asked_for`.

        `by` names the settings that would ask for them.
        """
        host = address.rpartition(":")[0].strip("[]")
        loopback = address.startswith("unix:") or host == "localhost" or _is_loopback(host)
        if not (loopback or self.allow_open or asked_for):
            raise ValueError(
                f"{PREFIX}{name} is {address!r}, which others can reach, and no credentials are asked for. "
                f"Listen on 127.0.0.1, set {by}, or set {PREFIX}ALLOW_OPEN=true where the network keeps others out."
            )

    @property
    def asks_for_credentials(self) -> bool:
        """Whether a caller has to prove who it is."""
        return bool(self.tls_client_ca or self.service_token or self.service_token_file)

    @property
    def credential_settings(self) -> str:
        """The variables that make it ask for credentials, for people."""
        return f"{PREFIX}SERVICE_TOKEN or {PREFIX}TLS_CLIENT_CA"

    def service_tokens(self) -> Callable[[], Sequence[str]] | None:
        """Return what gives the tokens between the services, None where there is none. Raises OSError, ValueError."""
        if self.service_token_file:
            return watched_service_tokens(self.service_token_file)
        if self.service_token:
            tokens = checked_service_tokens([self.service_token.get_secret_value()])
            return lambda: tokens
        return None

    def credentials(self) -> Credentials:
        """Return what tells who makes a call to this process."""
        tokens = self.service_tokens()
        return ServiceToken(tokens) if tokens else NoTokens()


def usable(name: str, read: Callable[[], object]) -> None:
    """Raise ValueError that names the variable if its file cannot be used."""
    try:
        read()
    except (OSError, ValueError) as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        raise ValueError(f"{name} cannot be used: {where}{why_unusable(error)}.") from None


Settings = TypeVar("Settings", bound=BaseSettings)


def load(settings: type[Settings]) -> Settings:
    """Read the settings, or end the process with status 2 and one line for each bad value."""
    try:
        return settings()
    except ValidationError as error:
        for problem in error.errors():
            name = PREFIX + "_".join(str(part) for part in problem["loc"]).upper()
            where = f"{name} is {problem['input']!r}: " if problem["loc"] else ""
            print(f"{where}{problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise SystemExit(2) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
