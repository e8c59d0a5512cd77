"""TLS of a server whose certificates may change while it runs.

gRPC asks for the certificate before every handshake: a rotated Secret holds from the next connection on, and
connections that stand are not cut. What others trusted until now they may still use, so an authority that must not be
trusted any longer needs a restart, or the server's limit on the age of connections.
"""

from collections.abc import Sequence
from pathlib import Path

import grpc

from services.harness.watched_files import WatchedFiles

PEM = b"-----BEGIN "


def server_credentials(certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Return credentials that follow the files. With `client_ca`, callers need a certificate of it.

    Raises OSError, ValueError.
    """
    identity = watched_identity([certificate, key, *([client_ca] if client_ca else [])])

    def configuration() -> grpc.ServerCertificateConfiguration:
        chain, private_key, *authorities = identity.value()
        return grpc.ssl_server_certificate_configuration(
            [(private_key, chain)], root_certificates=authorities[0] if authorities else None
        )

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=client_ca is not None
    )


def watched_identity(paths: Sequence[Path]) -> WatchedFiles[list[bytes]]:
    """Return PEM files that belong together. Raises OSError, ValueError."""
    return WatchedFiles(paths, lambda: [_pem(path) for path in paths])


def _pem(path: Path) -> bytes:
    data = path.read_bytes()
    if PEM not in data:
        raise ValueError(f"{path} is not PEM")
    return data
