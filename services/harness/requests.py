"""Reading requests: what does not decode, and what this version does not know, is refused and not skipped over.

Protobuf keeps unknown fields silently, so a misspelt option or one of a newer client would be ignored as if it had
been honoured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from services.harness.errors import Reason, Refusal

MAX_PARTS = 100_000
"""Messages in one field; every field has a lower limit of its own. An empty one has two bytes on the wire, and as an
object more than two hundred: looking at each to count them would take gigabytes."""

Deserializer = Callable[[bytes], Message]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in the place of a request until a handler's wrapper can refuse the call with details.

    An exception in a deserializer would reach the caller as the library's own INTERNAL, without a word why.
    """

    refusal: Refusal


def strict(deserialize: Deserializer) -> Callable[[bytes], Message | Unreadable]:
    """Return `deserialize`, with an `Unreadable` for what it cannot read or does not know."""

    def read(data: bytes) -> Message | Unreadable:
        try:
            message = deserialize(data)
        except (DecodeError, UnicodeDecodeError):
            return Unreadable(
                Refusal(
                    Reason.UNREADABLE_REQUEST,
                    f"The request's {len(data)} bytes are no message of this method, or its text is not valid UTF-8.",
                    length=len(data),
                )
            )
        try:
            unknown = _unknown_part(message, "")
        except Refusal as refusal:
            return Unreadable(refusal)
        if unknown:
            return Unreadable(
                Refusal(
                    Reason.UNKNOWN_OPTION,
                    f"The request has {unknown}, which this version does not know. Leave it out, or update the server.",
                    field=unknown,
                )
            )
        return message

    return read


def _unknown_part(message: Message, path: str) -> str:
    """Return the path of the first unknown field or enum value in `message`, or an empty string.

    Raises Refusal for a field of more messages than any may have.
    """
    unknown = UnknownFieldSet(message)
    if len(unknown):
        return f"{path}{message.DESCRIPTOR.name}.{unknown[0].field_number}"
    for field in _looked_into(message.DESCRIPTOR):
        value = getattr(message, field.name)
        if field.is_repeated and len(value) > MAX_PARTS:
            raise too_many(f"{path}{field.name}", len(value))
        if field.enum_type is not None:
            for number in value if field.is_repeated else [value]:
                if number not in field.enum_type.values_by_number:
                    return f"{path}{field.name}={number}"
        elif field.is_repeated or message.HasField(field.name):
            for part in value if field.is_repeated else [value]:
                if unknown_inside := _unknown_part(part, f"{path}{field.name}."):
                    return unknown_inside
    return ""


@cache
def _looked_into(kind: Descriptor) -> list[FieldDescriptor]:
    """Return the fields of messages and enums: texts are not worth copying, and most of a request is text."""
    return [
        field
        for field in kind.fields
        if (field.message_type is not None or field.enum_type is not None) and not _is_map(field)
    ]


def too_many(field: str, length: int) -> Refusal:
    """Return the refusal for a field of more messages than any may have."""
    return Refusal(
        Reason.UNREADABLE_REQUEST,
        f"{field} has {length} entries, and no list may have more than {MAX_PARTS}. Send less at once.",
        field=field,
        length=length,
        limit=MAX_PARTS,
    )


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
