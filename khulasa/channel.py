"""Connections to a server: in plain text or TLS, with a token on every call."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc

from khulasa.errors import UnreadableFile

TOKEN_VARIABLE = "KHULASA_TOKEN"
TLS_VARIABLE = "KHULASA_GATEWAY_TLS"
PRIORITY = "khulasa-priority"
"""Metadata of a call: how urgent it is."""
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""As the servers have it."""
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A server that is frozen or cut off is found out in seven seconds. ping_timeout_ms is what ends the connection
    # (seen with gRPC 1.85: with keepalive_timeout_ms alone a call hangs until its deadline).
    ("grpc.keepalive_time_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 4000),
    ("grpc.min_reconnect_backoff_ms", 2000),  # also the time for a connection; the default of 20 s is for far networks
    ("grpc.max_reconnect_backoff_ms", 2000),  # the default of 120 s outlasts a restart by far
)
"""For every connection to a server of ours."""
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server is recognised, and how it recognises the client. All files are PEM.

    `Tls()` trusts the authorities that gRPC comes with.
    """

    ca: Path | None = None
    """The authorities that the server's certificate may come from."""
    cert: Path | None = None
    """The client's own certificate chain, where the server asks for one; `key` goes with it."""
    key: Path | None = None

    @classmethod
    def from_environment(cls) -> "Tls | None":
        """Return what KHULASA_GATEWAY_TLS_CA, _CERT and _KEY say; None if all are empty and KHULASA_GATEWAY_TLS too."""
        values = [os.environ.get(f"{TLS_VARIABLE}_{part}", "") for part in ("CA", "CERT", "KEY")]
        paths = [Path(value) if value else None for value in values]
        return cls(*paths) if any(paths) or os.environ.get(TLS_VARIABLE, "").lower() in ("1", "true", "yes") else None

    @property
    def files(self) -> list[Path]:
        """The files that are used."""
        return [path for path in (self.ca, self.cert, self.key) if path]


def open_channel(
    address: str,
    *,
    options: Sequence[tuple[str, Any]] = (),
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    token: Callable[[], str] | None = None,
    tls: Tls | None = None,
) -> grpc.aio.Channel:
    """Return a channel whose every call carries the token of that moment. Raises UnreadableFile for a file of `tls`."""
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
    else:
        ca, key, cert = (_read(path) for path in (tls.ca, tls.key, tls.cert))
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
        channel = grpc.aio.secure_channel(address, credentials, options=options, interceptors=interceptors)
    return channel if token is None else cast(grpc.aio.Channel, _WithToken(channel, token))


class _WithToken:
    """A channel around another. gRPC's own call credentials would not go without TLS, as in one machine or a mesh."""

    def __init__(self, channel: grpc.aio.Channel, token: Callable[[], str]) -> None:
        self._channel = channel
        self._token = token

    async def __aenter__(self) -> "_WithToken":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._channel, name)
        if name not in KINDS:
            return attribute

        def make(*args: Any, **options: Any) -> Callable[..., Any]:
            method = attribute(*args, **options)

            def call(*args: Any, metadata: Sequence[tuple[str, str | bytes]] | None = None, **options: Any) -> Any:
                sent = (*(metadata or ()), ("authorization", f"Bearer {self._token()}"))
                return method(*args, metadata=sent, **options)

            return call

        return make


def token_from_environment() -> str | None:
    """Return KHULASA_TOKEN, or what stands in the file of KHULASA_TOKEN_FILE. Raises UnreadableFile."""
    if token := os.environ.get(TOKEN_VARIABLE):
        return token
    path = os.environ.get(f"{TOKEN_VARIABLE}_FILE")
    data = _read(Path(path)) if path else None
    return data.decode("utf-8", "replace").strip() if data else None


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}") from None
