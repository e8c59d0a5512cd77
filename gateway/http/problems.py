"""Refusals as HTTP tells them: `application/problem+json` (RFC 9457) with the reason and delay of the gRPC API."""

import math
from http import HTTPStatus
from typing import Any

import grpc
from starlette.responses import JSONResponse, Response

from services.harness.errors import Reason, Refusal

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.UNPROCESSABLE_ENTITY,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.METHOD_NOT_ALLOWED,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
# 422 says "read, and refused"; these could not be read, or not even looked at.
_STATUS_OF_REASON = {
    Reason.UNREADABLE_REQUEST: HTTPStatus.BAD_REQUEST,
    Reason.UNKNOWN_OPTION: HTTPStatus.BAD_REQUEST,
    Reason.LANGUAGE_NOT_OFFERED: HTTPStatus.BAD_REQUEST,
    Reason.BODY_TOO_LONG: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.CONTENT_TYPE_UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.UNKNOWN_HOST: HTTPStatus.MISDIRECTED_REQUEST,
}


def http_status(refusal: Refusal) -> HTTPStatus:
    """Return the status under which HTTP answers with the refusal."""
    by_code = _STATUS.get(refusal.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    return _STATUS_OF_REASON.get(refusal.reason, by_code)


def problem(refusal: Refusal) -> dict[str, Any]:
    """Return the refusal as the members of a problem."""
    status = http_status(refusal)
    members: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": refusal.message,
        "reason": refusal.reason.value,
        "metadata": refusal.metadata | ({"field": refusal.field} if refusal.field else {}),
    }
    if refusal.retry_after_s is not None:
        members["retryAfterSeconds"] = refusal.retry_after_s
    return members


def problem_response(refusal: Refusal) -> Response:
    """Return the refusal as an answer."""
    return JSONResponse(problem(refusal), http_status(refusal), headers_of(refusal), MEDIA_TYPE)


def headers_of(refusal: Refusal) -> dict[str, str]:
    """Return the headers that say when to come back and what to identify oneself with."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if refusal.code == grpc.StatusCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
