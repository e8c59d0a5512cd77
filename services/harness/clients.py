"""The clients that an operator knows, from a TOML file (`KHULASA_TOKENS_FILE`):

    [newsroom]
    token_sha256 = ["3f9a…"]        # two while a token is changed; none: known by the certificate's name
    articles_per_minute = 60        # limits that are left out are those of the settings
    articles_at_once = 8
    characters_per_day = 5_000_000
    admin = true                    # may purge what other clients had translated

`khulasa token new newsroom` makes a token and its lines.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.harness.watched_files import WatchedFiles

NAME = re.compile(r"[\x21-\x7e]{1,200}")
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Limits(BaseModel):
    """What one client may do. None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    articles_per_minute: int | None = Field(default=None, ge=1)
    articles_at_once: int | None = Field(default=None, ge=1)
    characters_per_day: int | None = Field(default=None, ge=1)


class Client(Limits):
    """A client and what it may do."""

    token_sha256: list[Digest] = []
    admin: bool = False

    @property
    def token_digests(self) -> list[bytes]:
        """SHA-256 of each token that is good now."""
        return [bytes.fromhex(digest) for digest in self.token_sha256]

    def limits(self, defaults: Limits) -> Limits:
        """Return the client's own limits, and the defaults where it has none."""
        own = {name: getattr(self, name) for name in Limits.model_fields if getattr(self, name) is not None}
        return defaults.model_copy(update=own)


class Clients:
    """The clients of a file, as it stands there now."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises OSError, or ValueError that says what is wrong and nothing of its secrets."""
        self._file = WatchedFiles([path], lambda: read_clients(path))

    def all(self) -> Mapping[str, Client]:
        """Return every client by its name."""
        return self._file.value()


def read_clients(path: Path) -> Mapping[str, Client]:
    """Return the clients of a file by their names. Raises OSError, ValueError."""
    try:
        clients = TypeAdapter(dict[str, Client]).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    owners: dict[str, str] = {}
    for name, client in clients.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"the client's name {name!r} is not 1 to 200 ASCII characters without spaces")
        for digest in client.token_sha256:
            if owners.setdefault(digest, name) != name:
                raise ValueError(f"{owners[digest]} and {name} have the same token")
    return clients
