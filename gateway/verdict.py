"""What the flags of its sentences say of a whole article."""

from collections.abc import Sequence

from khulasa.v1 import article_pb2

LEFT_OUT = (article_pb2.Flag.REASON_BOILERPLATE_SKIPPED, article_pb2.Flag.REASON_NOT_TRANSLATED)
NO_DOUBT = (article_pb2.Flag.REASON_NOT_ARABIC, *LEFT_OUT)
UNRELIABLE_SHARE = 1 / 3
"""Who has to look at the source of every third sentence does better to read the source."""


def is_doubtful(sentences: Sequence[article_pb2.Sentence]) -> bool:
    """Tell whether a sentence carries a flag that says its translation may be wrong."""
    return any(flag.reason not in NO_DOUBT for sentence in sentences for flag in sentence.flags)


def is_worth_another_try(sentences: Sequence[article_pb2.Sentence]) -> bool:
    """Tell whether the same may come out better another time: a doubtful sentence, or one without a term of the
    glossary, for which a busy translator has no time."""
    missed = article_pb2.TermMatch.OUTCOME_MISSED
    return is_doubtful(sentences) or any(
        match.outcome == missed for sentence in sentences for match in sentence.term_matches
    )


def verdict_on(sentences: Sequence[article_pb2.Sentence]) -> "article_pb2.Provenance.Verdict.ValueType":
    """Return the verdict on the sentences of an article."""
    translated = [s for s in sentences if all(flag.reason not in NO_DOUBT for flag in s.flags)]
    doubtful = sum(bool(sentence.flags) for sentence in translated)
    if not translated:
        return article_pb2.Provenance.VERDICT_NOTHING_TRANSLATED
    if not doubtful:
        return article_pb2.Provenance.VERDICT_NO_DOUBTS
    if doubtful > UNRELIABLE_SHARE * len(translated):
        return article_pb2.Provenance.VERDICT_UNRELIABLE
    return article_pb2.Provenance.VERDICT_DOUBTS
