"""What can go wrong for a user of the client.

    KhulasaError
    ├── BadRequest            the article or an option was refused; sending it again will not help
    ├── Unauthenticated       the server asks for a token or a certificate, and was given none that it knows
    ├── PermissionDenied      the caller is known, and may not do this
    ├── Overloaded            too much at once, or a limit of the caller's; try again after `retry_after_s`
    ├── Unavailable           a service is away, starting or stopping; try again after `retry_after_s`
    ├── DeadlineExceeded      not done in the time that was given
    ├── Cancelled             stopped because somebody asked for it
    ├── InternalError         a fault of the server; `metadata["call"]` finds it in its log
    └── UnreadableFile        a file that is no text in any encoding we know

Catch `KhulasaError` to catch all. A doubtful translation is no error: its sentence carries flags.
"""

from collections.abc import Mapping

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


class KhulasaError(Exception):
    """The root. `reason` is the stable reason that the protos name, `metadata` every value of the message."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s


class BadRequest(KhulasaError):
    """The article or an option was refused."""


class Unauthenticated(KhulasaError):
    """The server asks for a token or a certificate, and was given none that it knows."""


class PermissionDenied(KhulasaError):
    """The caller is known, and may not do this."""


class Overloaded(KhulasaError):
    """More was asked at once than can be done in time, or than the caller may ask for."""


class Unavailable(KhulasaError):
    """A service is away, starting or stopping."""


class DeadlineExceeded(KhulasaError):
    """Not done in the time that was given."""


class Cancelled(KhulasaError):
    """Stopped because somebody asked for it."""


class InternalError(KhulasaError):
    """A fault of the server."""


class UnreadableFile(KhulasaError):
    """A file that is no text in any encoding we know."""


_CLASSES: dict[int, type[KhulasaError]] = {
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: BadRequest,
    grpc.StatusCode.NOT_FOUND.value[0]: BadRequest,
    grpc.StatusCode.UNAUTHENTICATED.value[0]: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED.value[0]: PermissionDenied,
    grpc.StatusCode.ALREADY_EXISTS.value[0]: BadRequest,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: BadRequest,
    grpc.StatusCode.CANCELLED.value[0]: Cancelled,
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]: Overloaded,
    grpc.StatusCode.UNAVAILABLE.value[0]: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0]: DeadlineExceeded,
}


def from_status(status: status_pb2.Status) -> KhulasaError:
    """Return the error that a status of the server means."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    retry_after_s = None
    for detail in status.details:
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
        elif detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return _CLASSES.get(status.code, InternalError)(
        status.message, reason=info.reason, metadata=info.metadata, retry_after_s=retry_after_s
    )


def code_of(error: KhulasaError) -> str:
    """Return the name of the gRPC code that an error of this class stands for, e.g. "INVALID_ARGUMENT"."""
    codes = (code for code, kind in _CLASSES.items() if isinstance(error, kind))
    number = next(codes, grpc.StatusCode.INTERNAL.value[0])
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def from_rpc_error(error: grpc.aio.AioRpcError) -> KhulasaError:
    """Return the error that a failed call means, also where no server of ours answered."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it reads what both kinds of call have
    if status is None:
        code = error.code()
        # Who ends a call of its own hears nothing more of it: this is a gateway that stops, of a call that just came.
        away = code == grpc.StatusCode.CANCELLED
        number = (grpc.StatusCode.UNAVAILABLE if away else code).value[0]
        status = status_pb2.Status(code=number, message=error.details() or code.name)
    return from_status(status)
