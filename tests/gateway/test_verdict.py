"""The verdict on an article follows from the flags of its sentences."""

import pytest

from gateway.verdict import verdict_on
from khulasa.v1 import article_pb2

Flag, Provenance = article_pb2.Flag, article_pb2.Provenance
DOUBT, NOT_ARABIC, SKIPPED = Flag.REASON_REPETITION, Flag.REASON_NOT_ARABIC, Flag.REASON_BOILERPLATE_SKIPPED


@pytest.mark.parametrize(
    ("reasons", "verdict"),
    [
        ([None, None, NOT_ARABIC, SKIPPED], Provenance.VERDICT_NO_DOUBTS),
        ([DOUBT, None, None], Provenance.VERDICT_DOUBTS),
        ([DOUBT, DOUBT, None], Provenance.VERDICT_UNRELIABLE),
        ([DOUBT, None, SKIPPED, SKIPPED, SKIPPED], Provenance.VERDICT_UNRELIABLE),
        ([NOT_ARABIC, SKIPPED], Provenance.VERDICT_NOTHING_TRANSLATED),
        ([], Provenance.VERDICT_NOTHING_TRANSLATED),
    ],
)
def test_the_verdict_counts_what_was_translated(
    reasons: list[Flag.Reason.ValueType | None], verdict: Provenance.Verdict.ValueType
) -> None:
    """Doubts weigh against what was translated; what was passed through or left out neither helps nor harms."""
    flagged = [[] if reason is None else [Flag(reason=reason)] for reason in reasons]
    assert verdict_on([article_pb2.Sentence(flags=flags) for flags in flagged]) == verdict
