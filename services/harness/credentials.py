"""Who may call, and what they prove it with.

    credentials.caller_of("Bearer khulasa_…")  ─▶  "newsroom", or Refusal (UNAUTHENTICATED)

Tokens are compared by their SHA-256. That is enough at rest, and a slow hash would only cost time: a token is 256
random bits and no word that somebody chose, so nobody finds it by trying. What is compared takes the same time whatever
was sent, and all that is known is compared every time, so that neither tells how near a guess was.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from services.harness.caller import ANONYMOUS
from services.harness.clients import Clients
from services.harness.errors import Reason, Refusal
from services.harness.watched_files import WatchedFiles

MIN_TOKEN_CHARS = 32
"""Of a token that an operator made: 128 bits in hexadecimal."""
SERVICE = "service"
"""The name of whoever has the token that the services share."""


class Credentials(Protocol):
    """Tells who makes a call."""

    def caller_of(self, authorization: str | None, certificate: str = "") -> str:
        """Return the caller's name, ANONYMOUS where nobody is asked for one.

        `authorization` is the header of that name, `certificate` the name in the certificate that the connection was
        made with. Raises Refusal (UNAUTHENTICATED), whose message has nothing of what was sent.
        """


class NoTokens:
    """Takes everybody who could connect, by the name of the certificate if there was one."""

    def caller_of(self, authorization: str | None, certificate: str = "") -> str:
        """Return the name in the certificate."""
        return _checked(certificate) if certificate else ANONYMOUS


class ServiceToken:
    """Takes whoever has one of a few tokens: the gateway, where the translator or the summarizer asks."""

    def __init__(self, tokens: Callable[[], Sequence[str]]) -> None:
        self._tokens = tokens

    def caller_of(self, authorization: str | None, certificate: str = "") -> str:
        """Return SERVICE."""
        digest = _digest_in(authorization)
        if digest is None:
            raise _refusal("The service token is missing.", Reason.TOKEN_MISSING)
        if not any_equal(digest, [digest_of(token) for token in self._tokens()]):
            raise _refusal("The service token is not the one of this service.", Reason.TOKEN_UNKNOWN)
        return SERVICE


class ClientCredentials:
    """Takes the clients of a file: by one of their tokens, or where they have none by their certificate's name."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def caller_of(self, authorization: str | None, certificate: str = "") -> str:
        """Return the client's name."""
        digest = _digest_in(authorization)
        if digest is not None:
            found = ""
            for name, client in self._clients.all().items():
                if any_equal(digest, client.token_digests):
                    found = name
            if not found:
                raise _refusal("The token is not known here, or not any more.", Reason.TOKEN_UNKNOWN)
            return found
        known = self._clients.all().get(_checked(certificate)) if certificate else None
        if known is None or known.token_digests:
            raise _refusal("A token is needed.", Reason.TOKEN_MISSING)
        return certificate


def digest_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def any_equal(digest: bytes, known: Iterable[bytes]) -> bool:
    """Tell whether `digest` is among `known`, in a time that depends only on how many they are."""
    found = False
    for other in known:
        found |= hmac.compare_digest(digest, other)
    return found


def watched_service_tokens(path: Path) -> Callable[[], Sequence[str]]:
    """Return what gives the tokens of a file, one a line. Raises OSError, ValueError."""
    return WatchedFiles([path], lambda: checked_service_tokens(path.read_text(encoding="utf-8").split())).value


def checked_service_tokens(tokens: Sequence[str]) -> Sequence[str]:
    """Return the tokens. Raises ValueError, without their text, if there is none, or one that could be guessed."""
    if not tokens:
        raise ValueError("it has no token")
    for token in tokens:
        if len(token) < MIN_TOKEN_CHARS or not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError(
                f"a token has {len(token)} characters; expected at least {MIN_TOKEN_CHARS}, ASCII and without spaces"
            )
    return tokens


def _digest_in(authorization: str | None) -> bytes | None:
    """Return the digest of the token in a header, None without a header. Raises Refusal."""
    if not authorization:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refusal("The authorization is not of the form 'Bearer TOKEN'.", Reason.TOKEN_UNREADABLE)
    return digest_of(token.strip())


def _checked(certificate: str) -> str:
    # Names stand in logs and travel as metadata between the services.
    if not (certificate.isascii() and certificate.isprintable()) or len(certificate) > 200:
        raise _refusal("The certificate's name is not printable ASCII of at most 200.", Reason.CERTIFICATE_UNUSABLE)
    return certificate


def _refusal(problem: str, reason: Reason) -> Refusal:
    return Refusal(reason, f"{problem} Send 'authorization: Bearer TOKEN' with a token that the operator gave you.")
