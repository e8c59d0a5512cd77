"""What the doubts are worth, on sentences that nothing was fitted to."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sacrebleu

from benchmarks.doubts.faults import FAULTS
from benchmarks.doubts.labelled import HUMAN, OWN, Labelled
from services.translator.check import Reason
from services.translator.confidence import GOOD_CHRF
from services.translator.engine import Decoded
from services.translator.judge import Judge, Judgement


class Judged(NamedTuple):
    """An example and what the translator thinks of it."""

    example: Labelled
    judgement: Judgement


def judge_all(judge: Judge, examples: Sequence[Labelled]) -> list[Judged]:
    return [Judged(it, judge.judge(it.source, it.source_tokens, it.decoded)) for it in examples]


def flagged_shares(judged: Sequence[Judged]) -> dict[str, dict[str, float | int]]:
    """Return for each kind, good and bad, how many there are and the share that is flagged: by any check, and by those
    that read the text.

    The latter is what counts for English that the model did not write. A weak model finds every human translation
    improbable, so that a probability scored by force tells its own writing from others', not good from bad.
    """
    table: dict[str, dict[str, float | int]] = {}
    for kind, good in [(HUMAN, True), (OWN, True), (OWN, False), *((fault.__name__, False) for fault in FAULTS)]:
        reasons = [
            {doubt.reason for doubt in it.judgement.doubts}
            for it in judged
            if it.example.kind == kind and it.example.good is good
        ]
        any_check = [bool(each) for each in reasons]
        by_text = [bool(each - {Reason.LOW_PROBABILITY}) for each in reasons]
        table[f"{'good' if good else 'bad'}: {kind}"] = {
            "n": len(reasons),
            "flagged": round(float(np.mean(any_check)), 3) if reasons else 0.0,
            "flagged_by_text": round(float(np.mean(by_text)), 3) if reasons else 0.0,
        }
    return table


def per_flag(judged: Sequence[Judged]) -> dict[str, dict[str, float | int]]:
    """Return for each reason how often it was given, and its precision and recall over all that is labelled."""
    known = [it for it in judged if it.example.good is not None]
    bad = sum(not it.example.good for it in known)
    given: Counter[str] = Counter()
    rightly: Counter[str] = Counter()
    for example, judgement in known:
        reasons = {doubt.reason.name for doubt in judgement.doubts}
        given.update(reasons)
        rightly.update(() if example.good else reasons)
    return {
        reason: {"given": n, "precision": round(rightly[reason] / n, 3), "recall": round(rightly[reason] / bad, 3)}
        for reason, n in given.most_common()
    }


def reliability(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return how confidence and quality go together in the model's own answers, by tenths of confidence."""
    own = [(it.judgement.confidence, it.example.chrf) for it in judged if it.example.kind == OWN]
    confidence, chrf = np.array(own, dtype=float).T
    tenths = np.minimum((confidence * 10).astype(int), 9)
    bins = [
        {
            "n": int((tenths == tenth).sum()),
            "confidence": round(float(confidence[tenths == tenth].mean()), 3),
            "good": round(float((chrf[tenths == tenth] >= GOOD_CHRF).mean()), 3),
        }
        for tenth in sorted(set(tenths.tolist()))
    ]
    return {"correlation_with_chrf": round(float(np.corrcoef(confidence, chrf)[0, 1]), 3), "bins": bins}


def second_tries(
    judge: Judge,
    decode_safer: Callable[[Sequence[list[str]]], list[list[Decoded]]],
    judged: Sequence[Judged],
) -> dict[str, float | int]:
    """Decode again what is doubtful of the model's own answers; return how many are rescued and what chrF they gain."""
    own = [it for it in judged if it.example.kind == OWN]
    doubtful = [it for it in own if it.judgement.deserves_second_try]
    choices = decode_safer([it.example.source_tokens for it in doubtful])
    best = [
        max(
            [it.judgement, *(judge.judge(it.example.source, it.example.source_tokens, answer) for answer in answers)],
            key=lambda judgement: judgement.merit,
        )
        for it, answers in zip(doubtful, choices, strict=True)
    ]
    gains = [
        sacrebleu.sentence_chrf(new.translation, [it.example.reference]).score - it.example.chrf
        for new, it in zip(best, doubtful, strict=True)
    ]
    return {
        "sentences": len(own),
        "doubtful": len(doubtful),
        "another_answer": sum(new is not it.judgement for new, it in zip(best, doubtful, strict=True)),
        "rescued": sum(not new.deserves_second_try for new in best),
        "mean_chrf_before": round(float(np.mean([it.example.chrf for it in doubtful])), 2) if doubtful else 0.0,
        "mean_chrf_gain": round(float(np.mean(gains)), 2) if gains else 0.0,
    }
