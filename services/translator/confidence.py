"""How sure we are of a sentence, as a probability that means something.

A model folder may hold `calibration.json`, fitted by `benchmarks/doubts/fit.py` on development sets: the weights that
turn what is known of a sentence into the probability that its translation is good. "Good" means a chrF of at least
`GOOD_CHRF` against a human translation. A folder without the file gives no confidence.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "calibration.json"
GOOD_CHRF = 45.0
"""About where a reader gets the sense of a sentence; half of the teacher's sentences on FLORES are better."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a sentence without a human translation."""

    log_probability: float
    """Mean natural log over the English tokens, at most 0."""
    english_explained: float
    """See `Adequacy`."""
    arabic_carried: float
    length_surprise: float
    """Distance of ln(English characters / Arabic characters) from what human translations have on average."""

    @classmethod
    def of(
        cls, source: str, translation: str, *, log_probability: float, english_explained: float, arabic_carried: float
    ) -> "Evidence":
        ratio = math.log((len(translation) + 1) / (len(source) + 1))
        return cls(log_probability, english_explained, arabic_carried, abs(ratio - USUAL_LOG_RATIO))


USUAL_LOG_RATIO = 0.18
"""ln 1.2: human English has 1.2 characters for one of Arabic on TICO and FLORES."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression: confidence = 1 / (1 + exp(-(intercept + Σ weight · evidence)))."""

    intercept: float
    weights: Evidence
    doubtful_below: float
    """A sentence with less confidence is flagged."""

    @classmethod
    def open(cls, folder: Path) -> "Calibration | None":
        """Return the calibration of a verified model folder, None if there is none; ValueError for another format."""
        path = folder / FILE
        if not path.is_file():
            return None
        values = json.loads(path.read_text())
        try:
            return cls(values["intercept"], Evidence(**values["weights"]), values["doubtful_below"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no calibration: {error}. Fit it again with benchmarks/doubts/fit.py."
            ) from None

    def confidence(self, evidence: Evidence) -> float:
        """Return the probability that a translation is good, between 0 and 1."""
        weights, values = asdict(self.weights), asdict(evidence)
        logit = self.intercept + sum(weight * values[name] for name, weight in weights.items())
        return 1 / (1 + math.exp(-logit)) if logit > -500 else 0.0
