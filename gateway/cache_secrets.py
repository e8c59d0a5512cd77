"""The secrets of the cache: under which key a value is found, and what a value looks like to whoever can read Redis.

    secret ─▶ client's secret ─▶ key in Redis ─▶ secret of the value

Every client has keys of its own, so that nobody learns from "it was in the cache" what others read. Without a secrets
file they only keep clients apart; with one they are an HMAC that tells nothing of the article to who cannot guess the
secret, and values are encrypted with AES-256-GCM. A value's secret comes from its key, and the key is authenticated
with it: what was moved to another key, or written by somebody else, does not open, and is a miss.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.cache_key import CacheKey
from services.harness.watched_files import WatchedFiles

SECRET_BYTES = 32
NONCE_BYTES = 12
PREFIX = b"khulasa:"
"""Of the cache alone: gateways are told of every change to such a key."""
CONTENT_BYTES = 16
"""Enough to tell articles apart in a purge; the whole key stands behind it."""


class CacheSecret:
    """One secret. Not `sealed`: it only makes keys, and values are kept as they are."""

    def __init__(self, secret: bytes, *, sealed: bool) -> None:
        self._find = _derive(secret, b"find")
        self._seal = _derive(secret, b"seal")
        self._sealed = sealed
        self._clients: dict[str, tuple[bytes, bytes]] = {}

    def prefix(self, client: str) -> bytes:
        """Return what all keys of a client begin with; free of characters that mean something to SCAN."""
        return self._client(client)[1]

    def content_tag(self, client: str, content: bytes) -> bytes:
        """Return what follows the prefix in the keys of all values made from `content`, a digest."""
        return _derive(self._client(client)[0], b"content" + content)[:CONTENT_BYTES]

    def redis_key(self, client: str, key: CacheKey) -> bytes:
        """Return under which key in Redis a client's value lies."""
        tag = self.content_tag(client, key.content)
        secret, prefix = self._client(client)
        return prefix + tag + _derive(secret, b"value" + key.digest)

    def seal(self, redis_key: bytes, data: bytes) -> bytes:
        """Return how `data` is written under its key."""
        if not self._sealed:
            return data
        # With a secret of its own for every key, a random nonce repeats only among the values that one key ever had.
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(_derive(self._seal, redis_key)).encrypt(nonce, data, redis_key)

    def open(self, redis_key: bytes, value: bytes) -> bytes | None:
        """Return what was sealed under this key, None for a value that was not."""
        if not self._sealed:
            return value
        try:
            return AESGCM(_derive(self._seal, redis_key)).decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], redis_key)
        except (InvalidTag, ValueError):
            return None

    def _client(self, name: str) -> tuple[bytes, bytes]:
        """Return a client's secret and what its keys begin with; derived once, there are as many clients as known."""
        if name not in self._clients:
            secret = _derive(self._find, b"name" + name.encode())
            self._clients[name] = secret, PREFIX + _derive(secret, b"client")[:8].hex().encode() + b":"
        return self._clients[name]


CacheSecrets = Callable[[], Sequence[CacheSecret]]
"""Gives the secrets of this moment, the one to write with first."""


def no_secrets() -> CacheSecrets:
    """Return what keeps clients apart, and hides nothing from whoever can read Redis."""
    only = [CacheSecret(b"", sealed=False)]
    return lambda: only


def watched_secrets(path: Path) -> CacheSecrets:
    """Return the secrets of a file: one a line, 32 bytes in base64; the first writes, all read.

    Raises OSError, and ValueError without what stands in the file.
    """
    return WatchedFiles([path], lambda: _read(path)).value


def _read(path: Path) -> Sequence[CacheSecret]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split(), start=1):
        try:
            secret = base64.b64decode(line, validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"line {number} is not 32 bytes in base64; 'openssl rand -base64 32' makes one")
        found.append(CacheSecret(secret, sealed=True))
    if not found:
        raise ValueError("it has no secret; 'openssl rand -base64 32' makes one")
    return found


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, purpose, "sha256")
