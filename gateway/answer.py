"""An answer as it is sent and kept: its provenance is read, what stands behind it stays the bytes that it is.

Of a kept answer only the provenance changes. In protobuf, messages written one behind the other are one message with
the fields of all, so a new provenance in front of the old rest is the new answer, and nothing else need be read for it.
"""

from typing import Self

from google.protobuf.message import DecodeError

from khulasa.v1 import article_pb2, gateway_pb2

PROVENANCE_TAG = bytes([gateway_pb2.ProcessArticleResponse.PROVENANCE_FIELD_NUMBER << 3 | 2])
"""What a field's number and "so many bytes" look like on the wire."""


class Answer:
    """A `ProcessArticleResponse` whose provenance may be changed. It serializes as the message would."""

    def __init__(self) -> None:
        self.provenance = article_pb2.Provenance()
        self._rest = b""

    @classmethod
    def of(cls, message: gateway_pb2.ProcessArticleResponse) -> Self:
        """Return the same answer as `message`."""
        answer = cls()
        answer.provenance.CopyFrom(message.provenance)
        rest = gateway_pb2.ProcessArticleResponse()
        rest.CopyFrom(message)
        rest.ClearField("provenance")
        answer._rest = rest.SerializeToString()
        return answer

    def message(self) -> gateway_pb2.ProcessArticleResponse:
        """Return the answer as a message."""
        return gateway_pb2.ProcessArticleResponse.FromString(self.SerializeToString())

    def SerializeToString(self) -> bytes:
        """Return the bytes of the message, the provenance first."""
        return gateway_pb2.ProcessArticleResponse(provenance=self.provenance).SerializeToString() + self._rest

    def ParseFromString(self, data: bytes) -> int:
        """Take the provenance out of what `SerializeToString` gave. Raises DecodeError; the rest is not looked at."""
        if data[:1] != PROVENANCE_TAG:
            raise DecodeError("no answer, or not written here: its provenance is not in front")
        length, start = _varint(data, 1)
        if start + length > len(data):
            raise DecodeError("an answer that ends within its provenance")
        self.provenance.ParseFromString(data[start : start + length])
        self._rest = data[start + length :]
        return len(data)


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Return the number at `start`, seven bits a byte, lowest first, and where it ends. Raises DecodeError."""
    value = 0
    for place, byte in enumerate(data[start : start + 5]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise DecodeError("a length that does not end")
