"""An answer and its bytes: the same whether it was just made or kept."""

import pytest
from google.protobuf.message import DecodeError

from gateway.answer import Answer
from khulasa.v1 import article_pb2, gateway_pb2


def message(model: str = "tiny") -> gateway_pb2.ProcessArticleResponse:
    answer = gateway_pb2.ProcessArticleResponse()
    answer.translation.title.sentences.add(source="فيضانات", translation="Floods")
    answer.summary.sentences.add(text="The river rose.", source="ارتفع النهر.")
    answer.provenance.model = model
    answer.provenance.paragraphs = 1
    return answer


@pytest.mark.parametrize("model", ["", "tiny", "م" * 5_000])
def test_an_answer_is_its_message(model: str) -> None:
    """Its bytes are those of the message, however long the provenance, and come back from what was kept."""
    kept = Answer()
    kept.ParseFromString(Answer.of(message(model)).SerializeToString())
    assert gateway_pb2.ProcessArticleResponse.FromString(kept.SerializeToString()) == message(model)
    assert kept.message() == message(model)


def test_a_changed_provenance_takes_the_place_of_the_old_one() -> None:
    """What was cleared is gone and not merged with what stood there."""
    kept = Answer.of(message())
    kept.provenance.Clear()
    kept.provenance.cache_use = article_pb2.Provenance.CACHE_USE_HIT
    expected = message()
    expected.provenance.CopyFrom(article_pb2.Provenance(cache_use=article_pb2.Provenance.CACHE_USE_HIT))
    assert kept.message() == expected


@pytest.mark.parametrize("bad", [b"", b"\x1a", b"\x1a\xff\xff\xff\xff\xff\xff", b"\x1a\x05abc"])
def test_other_bytes_are_no_answer(bad: bytes) -> None:
    """No provenance, a length without end and one that leads past the end are refused."""
    with pytest.raises(DecodeError):
        Answer().ParseFromString(bad)


def test_a_message_written_elsewhere_is_no_answer() -> None:
    """With its provenance at its end, as protobuf writes it, it is not mistaken for one without."""
    with pytest.raises(DecodeError):
        Answer().ParseFromString(message().SerializeToString())
