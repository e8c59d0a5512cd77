"""The public names, and that the enums say what the protos say."""

import khulasa
from gateway.paragraphs import Kind
from khulasa.v1 import article_pb2
from services.translator.check import Reason


def test_all_names_what_is_public() -> None:
    """`__all__` is sorted, and every name is there."""
    assert khulasa.__all__ == sorted(khulasa.__all__)
    assert all(hasattr(khulasa, name) for name in khulasa.__all__)


def test_flags_have_the_numbers_of_the_protos() -> None:
    """The client's and the translator's reasons are those of `article.proto`, all of them."""
    protos = {name.removeprefix("REASON_"): number for name, number in article_pb2.Flag.Reason.items() if number}
    assert {reason.name: reason.value for reason in khulasa.FlagReason if reason.value} == protos
    assert {reason.name: reason.value for reason in Reason} == protos


def test_score_features_have_the_numbers_of_the_protos() -> None:
    """The client's features are those of `article.proto`, all of them."""
    protos = {n.removeprefix("FEATURE_"): number for n, number in article_pb2.ScorePart.Feature.items() if number}
    assert {feature.name: feature.value for feature in khulasa.ScoreFeature if feature.value} == protos


def test_kinds_have_the_numbers_of_the_protos() -> None:
    """The client's and the gateway's kinds of paragraph are those of `article.proto`."""
    protos = {n.removeprefix("PARAGRAPH_KIND_"): number for n, number in article_pb2.ParagraphKind.items() if number}
    assert {kind.name: kind.value for kind in khulasa.ParagraphKind if kind.value} == protos
    assert {kind.name: kind.value for kind in Kind} == protos
