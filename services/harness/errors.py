"""Every reason why a call is refused, with its status, and how it travels.

A handler raises `Refusal`; the interceptor sends it as a `google.rpc.Status` with `ErrorInfo` and what else applies
(AIP-193). A caller reads the reason back with `reason_of`. Nothing else of an exception leaves the process.
"""

from enum import StrEnum

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "khulasa"


class Reason(StrEnum):
    """`ErrorInfo.reason`: stable, for programs. The protos say when each one comes."""

    ARTICLE_EMPTY = "ARTICLE_EMPTY"
    ARTICLE_TOO_LONG = "ARTICLE_TOO_LONG"
    TITLE_TOO_LONG = "TITLE_TOO_LONG"
    NO_ARTICLE_IN_HTML = "NO_ARTICLE_IN_HTML"
    HTML_TOO_HARD = "HTML_TOO_HARD"
    BUDGET_OUT_OF_RANGE = "BUDGET_OUT_OF_RANGE"
    UNREADABLE_REQUEST = "UNREADABLE_REQUEST"
    UNKNOWN_OPTION = "UNKNOWN_OPTION"
    CONTRADICTORY_OPTIONS = "CONTRADICTORY_OPTIONS"
    UNKNOWN_LANGUAGE = "UNKNOWN_LANGUAGE"
    ID_MISSING = "ID_MISSING"
    ID_TOO_LONG = "ID_TOO_LONG"
    REPEATED_ID = "REPEATED_ID"
    TOO_MANY_ARTICLES = "TOO_MANY_ARTICLES"
    TOO_MANY_PARAGRAPHS = "TOO_MANY_PARAGRAPHS"
    PARAGRAPHS_TOO_LONG = "PARAGRAPHS_TOO_LONG"
    TOO_MANY_TERMS = "TOO_MANY_TERMS"
    TERM_EMPTY = "TERM_EMPTY"
    TERM_TOO_LONG = "TERM_TOO_LONG"
    TERM_UNREADABLE = "TERM_UNREADABLE"
    REPEATED_TERM = "REPEATED_TERM"
    GLOSSARY_AMBIGUOUS = "GLOSSARY_AMBIGUOUS"
    UNKNOWN_GLOSSARY = "UNKNOWN_GLOSSARY"
    TOO_MANY_SENTENCES = "TOO_MANY_SENTENCES"
    SENTENCES_TOO_LONG = "SENTENCES_TOO_LONG"
    MODEL_CHANGED = "MODEL_CHANGED"
    MODEL_UNEXPECTED = "MODEL_UNEXPECTED"
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_UNREADABLE = "TOKEN_UNREADABLE"
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"
    CERTIFICATE_UNUSABLE = "CERTIFICATE_UNUSABLE"
    NOT_ADMIN = "NOT_ADMIN"
    CACHE_UNAVAILABLE = "CACHE_UNAVAILABLE"
    RATE_EXCEEDED = "RATE_EXCEEDED"
    TOO_MANY_AT_ONCE = "TOO_MANY_AT_ONCE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    NAME_TOO_LONG = "NAME_TOO_LONG"
    JOB_HEADER_MISSING = "JOB_HEADER_MISSING"
    JOB_HEADER_REPEATED = "JOB_HEADER_REPEATED"
    JOB_EMPTY = "JOB_EMPTY"
    PAGE_SIZE_OUT_OF_RANGE = "PAGE_SIZE_OUT_OF_RANGE"
    BAD_PAGE_TOKEN = "BAD_PAGE_TOKEN"
    REQUEST_ID_TAKEN = "REQUEST_ID_TAKEN"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    JOB_RUNNING = "JOB_RUNNING"
    JOB_CANCELLED = "JOB_CANCELLED"
    JOBS_FULL = "JOBS_FULL"
    JOBS_UNAVAILABLE = "JOBS_UNAVAILABLE"
    ARTICLE_GIVEN_UP = "ARTICLE_GIVEN_UP"
    OVERLOADED = "OVERLOADED"
    TRANSLATOR_UNAVAILABLE = "TRANSLATOR_UNAVAILABLE"
    SUMMARIZER_UNAVAILABLE = "SUMMARIZER_UNAVAILABLE"
    DRAINING = "DRAINING"
    NOT_READY = "NOT_READY"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    # Only over HTTP.
    BODY_TOO_LONG = "BODY_TOO_LONG"
    CONTENT_TYPE_UNSUPPORTED = "CONTENT_TYPE_UNSUPPORTED"
    UNKNOWN_HOST = "UNKNOWN_HOST"
    FOREIGN_ORIGIN = "FOREIGN_ORIGIN"
    UNKNOWN_PATH = "UNKNOWN_PATH"
    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    LANGUAGE_NOT_OFFERED = "LANGUAGE_NOT_OFFERED"


STATUS = dict.fromkeys(Reason, grpc.StatusCode.INVALID_ARGUMENT) | {
    Reason.UNKNOWN_GLOSSARY: grpc.StatusCode.NOT_FOUND,
    Reason.MODEL_CHANGED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.MODEL_UNEXPECTED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.TOKEN_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Reason.TOKEN_UNREADABLE: grpc.StatusCode.UNAUTHENTICATED,
    Reason.TOKEN_UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    Reason.CERTIFICATE_UNUSABLE: grpc.StatusCode.UNAUTHENTICATED,
    Reason.NOT_ADMIN: grpc.StatusCode.PERMISSION_DENIED,
    Reason.CACHE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.RATE_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_AT_ONCE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.REQUEST_ID_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.JOB_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.JOB_RUNNING: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.JOB_CANCELLED: grpc.StatusCode.CANCELLED,
    Reason.JOBS_FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.JOBS_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.ARTICLE_GIVEN_UP: grpc.StatusCode.INTERNAL,
    Reason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.TRANSLATOR_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.SUMMARIZER_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.NOT_READY: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.UNKNOWN_HOST: grpc.StatusCode.PERMISSION_DENIED,
    Reason.FOREIGN_ORIGIN: grpc.StatusCode.PERMISSION_DENIED,
    Reason.UNKNOWN_PATH: grpc.StatusCode.NOT_FOUND,
    Reason.UNKNOWN_METHOD: grpc.StatusCode.UNIMPLEMENTED,
}
"""The one table of reason and status; what is not named otherwise is the caller's mistake."""


class Refusal(Exception):
    """A call that is not done: why, in words and for programs.

    `field` names the request's field at fault. `retry_after_s` says that and when trying again makes sense. Every value
    that the message names stands in `metadata` too, so that nobody parses English. `quota_of` names the client
    whose limit was reached.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
        quota_of: str | None = None,
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.quota_of = quota_of
        self.retry_after_s = retry_after_s
        self.metadata = {key: str(value) for key, value in metadata.items()}

    @property
    def code(self) -> grpc.StatusCode:
        """The status under which the call ends."""
        return STATUS[self.reason]

    def to_status(self) -> status_pb2.Status:
        """Return the refusal as it travels."""
        metadata = self.metadata | ({"field": self.field} if self.field else {})
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        status.details.append(
            _packed(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata))
        )
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message, reason=self.reason
            )
            status.details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
        if self.quota_of is not None:
            over = error_details_pb2.QuotaFailure.Violation(subject=f"client:{self.quota_of}", description=self.message)
            status.details.append(_packed(error_details_pb2.QuotaFailure(violations=[over])))
        if self.retry_after_s is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(round(self.retry_after_s * 1000))
            status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        return status

    @classmethod
    def from_status(cls, status: status_pb2.Status) -> "Refusal | None":
        """Return the refusal that another Khulasa process sent, or None if it is none of ours."""
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        retry_after_s = None
        for detail in status.details:
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
            elif detail.Is(retry.DESCRIPTOR):
                detail.Unpack(retry)
                retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
        if info.domain != DOMAIN or info.reason not in Reason.__members__:
            return None
        metadata = dict(info.metadata)
        field = metadata.pop("field", "")
        return cls(Reason(info.reason), status.message, field=field, retry_after_s=retry_after_s, **metadata)


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
