"""Bodies of requests: read within a limit, and JSON turned into the messages of the protos.

JSON is taken as the proto3 mapping has it, but more strictly in three points, since a misspelt or mistyped option must
not be taken for another: a name that the message does not have, null, and a value of another type are refused.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.types import Receive

from services.harness.errors import Reason, Refusal
from services.harness.requests import MAX_PARTS, too_many

MAX_BODY_BYTES = 8_000_000
"""An article of 1,000,000 bytes with all its letters escaped (\\u0628 for two bytes) and a full glossary."""

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Escaped, and often beside its other half: then nothing is wrong."""

Request = TypeVar("Request", bound=Message)


class ClientGone(Exception):
    """The connection ended before the request did."""


async def read(receive: Receive, declared: str | None) -> bytes:
    """Return the body; `declared` is its Content-Length. Raises ClientGone, and Refusal as soon as it is too long."""
    if declared and declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_long()
    parts: list[bytes] = []
    length = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        part = event.get("body", b"")
        length += len(part)
        if length > MAX_BODY_BYTES:
            raise _too_long()
        parts.append(part)
        if not event.get("more_body", False):
            return b"".join(parts)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object that the body holds. Raises Refusal."""
    try:
        # Decoded here: given bytes, the library would take UTF-16 too, and halves of characters that cannot be written.
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_no_name_twice, parse_constant=_no_constant)
    except RecursionError:
        raise _unreadable("The body's JSON is nested too deeply") from None
    except ValueError as error:  # JSON's own error, bytes that are no UTF-8, and ours
        raise _unreadable(f"The body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise _unreadable("The body is JSON, but no object")
    if _HALF.search(body):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _unreadable("The body's text has half a character (a lone surrogate)") from None
    return value


def message_of(body: bytes, kind: type[Request]) -> Request:
    """Return the message that the body holds as JSON. Raises Refusal."""
    return message_from(json_object(body), kind)


def message_from(value: dict[str, Any], kind: type[Request], path: str = "") -> Request:
    """Return the message that an object stands for; `path` is where in the body. Raises Refusal."""
    _check(value, kind.DESCRIPTOR.fields, path)
    try:
        return json_format.ParseDict(value, kind())
    except (json_format.ParseError, ValueError) as error:
        raise _unreadable(f"The body is no {kind.DESCRIPTOR.name}: {error}") from None


def _check(value: Any, fields: Iterable[Any], path: str) -> None:
    names = {name: field for field in fields for name in (field.name, field.json_name)}
    for name, given in value.items():
        field = names.get(name)
        place = f"{path}{name}"
        if field is None:
            raise Refusal(
                Reason.UNKNOWN_OPTION,
                f"The request has {place!r}, which this version does not know. Leave it out, or update the server.",
                field=place,
            )
        if field.is_repeated:
            if not isinstance(given, list):
                raise _mistyped(place, given, "a list")
            if len(given) > MAX_PARTS:
                raise too_many(place, len(given))
            for number, part in enumerate(given):
                _check_value(part, field, f"{place}[{number}]")
        else:
            _check_value(given, field, place)


def _check_value(value: Any, field: FieldDescriptor, place: str) -> None:
    wanted, kinds = _JSON_TYPES[field.cpp_type]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise _mistyped(place, value, wanted)
    if field.message_type is not None:
        _check(value, field.message_type.fields, f"{place}.")


_JSON_TYPES: dict[int, tuple[str, type | tuple[type, ...]]] = {
    FieldDescriptor.CPPTYPE_MESSAGE: ("an object", dict),
    FieldDescriptor.CPPTYPE_STRING: ("a string", str),
    FieldDescriptor.CPPTYPE_BOOL: ("true or false", bool),
    FieldDescriptor.CPPTYPE_INT32: ("a whole number", (int, float)),
    FieldDescriptor.CPPTYPE_DOUBLE: ("a number", (int, float)),
}
"""Of what requests have; 3.0 is a whole number in JSON."""


def _mistyped(place: str, value: Any, wanted: str) -> Refusal:
    return Refusal(
        Reason.UNREADABLE_REQUEST,
        f"{place} is {_JSON_NAMES.get(type(value), 'a number')}, expected {wanted}. Leave it out for the default.",
        field=place,
    )


_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has a name twice")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unreadable(problem: str) -> Refusal:
    # Messages of the library quote what they read; the start says enough, and an article stays out of logs.
    return Refusal(Reason.UNREADABLE_REQUEST, f"{problem[:200]}. Send a JSON object in UTF-8.")


def _too_long() -> Refusal:
    return Refusal(
        Reason.BODY_TOO_LONG,
        f"The body has more than {MAX_BODY_BYTES} bytes, the limit. Send less at once.",
        limit=MAX_BODY_BYTES,
    )
