"""Fit the calibration of a model: the weights of its confidence, and below what confidence to doubt."""

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.doubts.labelled import OWN, Labelled
from services.translator.confidence import GOOD_CHRF, Calibration, Evidence
from services.translator.judge import Judge

DOUBTED = 0.03
"""The share of good translations that the confidence may flag; the other checks need the rest of the 5 in 100."""


def evidence_of(judge: Judge, labelled: Labelled) -> Evidence:
    return judge.evidence(labelled.source, labelled.source_tokens, labelled.decoded)


def fit(judge: Judge, examples: Sequence[Labelled]) -> Calibration:
    """Fit the weights on the model's own answers, of every chrF, and the threshold on those that are labelled good."""
    own = [example for example in examples if example.kind == OWN]
    rows = np.array([astuple(evidence_of(judge, example)) for example in own])
    regression = LogisticRegression(C=10.0).fit(rows, [example.chrf >= GOOD_CHRF for example in own])
    weights = Evidence(*map(float, regression.coef_[0]))
    calibration = Calibration(float(regression.intercept_[0]), weights, 0.0)
    good = [calibration.confidence(evidence_of(judge, example)) for example in own if example.good]
    return Calibration(calibration.intercept, weights, round(float(np.quantile(good, DOUBTED)), 3))


def as_json(calibration: Calibration, *, fitted_on: Sequence[str]) -> dict[str, object]:
    """Return the content of `calibration.json`."""
    return {
        "fitted_on": list(fitted_on),
        "good_chrf": GOOD_CHRF,
        "intercept": round(calibration.intercept, 4),
        "weights": {field.name: round(getattr(calibration.weights, field.name), 4) for field in fields(Evidence)},
        "doubtful_below": calibration.doubtful_below,
    }
