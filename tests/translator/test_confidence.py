"""Confidence: a probability from a fitted file, or none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translator.confidence import FILE, Calibration, Evidence

WEIGHTS = {"log_probability": 2.0, "english_explained": 0.5, "arabic_carried": 0.5, "length_surprise": -1.0}
logs = st.floats(-50, 0)


def written(folder: Path, **values: object) -> Path:
    """Write a calibration file, with `values` in place of the right ones."""
    content = {"intercept": 2.0, "weights": WEIGHTS, "doubtful_below": 0.3} | values
    (folder / FILE).write_text(json.dumps(content))
    return folder


@given(log_probability=logs, explained=logs, carried=logs, surprise=st.floats(0, 20))
def test_confidence_is_a_probability(log_probability: float, explained: float, carried: float, surprise: float) -> None:
    """Whatever is known of a sentence, confidence lies between 0 and 1."""
    calibration = Calibration(2.0, Evidence(**WEIGHTS), 0.3)
    assert 0 <= calibration.confidence(Evidence(log_probability, explained, carried, surprise)) <= 1


def test_better_evidence_is_more_confidence(tmp_path: Path) -> None:
    """A surer, better explained sentence of usual length is trusted more."""
    calibration = Calibration.open(written(tmp_path))
    assert calibration is not None
    good = Evidence.of("قال الوزير", "The minister said", log_probability=-0.3, english_explained=-1, arabic_carried=-1)
    bad = Evidence.of("قال الوزير", "No", log_probability=-2, english_explained=-6, arabic_carried=-5)
    assert calibration.confidence(good) > calibration.confidence(bad)


def test_a_folder_without_a_calibration_gives_none(tmp_path: Path) -> None:
    """A model that was never calibrated has no confidence rather than a made-up one."""
    assert Calibration.open(tmp_path) is None


def test_a_wrong_file_says_what_is_wrong(tmp_path: Path) -> None:
    """A calibration of another version is refused by name."""
    with pytest.raises(ValueError, match=r"calibration\.json is no calibration: .*beauty"):
        Calibration.open(written(tmp_path, weights={"beauty": 1.0}))
