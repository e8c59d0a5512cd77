"""Settings of a process, from `KHULASA_*`, read once at its start.

Each service subclasses `ServerSettings`; a bad value ends the process with status 2 and a line that names the variable,
before anything slow is loaded.
"""

import ipaddress
import sys
from typing import Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "KHULASA_"


class ServerSettings(BaseSettings):
    """What every server needs. The variable of a field is `KHULASA_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    address: str
    """Host and port to listen on; port 0 takes a free one."""
    allow_open: bool = False
    """Listen beyond this machine although nobody has to identify themselves. Off: an article may be confidential."""
    metrics_address: str = ""
    """Host and port of the Prometheus endpoint; empty: none."""
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
    def _refuse_open_address(self) -> Self:
        self._check_open("ADDRESS", self.address)
        return self

    def _check_open(self, name: str, address: str) -> None:
        host = address.rpartition(":")[0].strip("[]")
        loopback = address.startswith("unix:") or host == "localhost" or _is_loopback(host)
        if not (loopback or self.allow_open):
            raise ValueError(
                f"{PREFIX}{name} is {address!r}, which others can reach, and no credentials are asked for. "
                f"Listen on 127.0.0.1, or set {PREFIX}ALLOW_OPEN=true where the network keeps others out."
            )


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
