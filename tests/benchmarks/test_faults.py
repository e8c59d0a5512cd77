"""The faults that the checks are measured with spoil what they say, and only where there is something to spoil."""

import random
import re

import pytest

from benchmarks.doubts import faults

TEXT = "The minister told Reuters that 250 people left Hama after the flood of 1988 reached the old town."
OTHERS = [TEXT, "A court in Tunis heard the case of Ahmed Salem, who had lived near the harbour for forty-one years."]


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("seed", range(20))
def test_a_spoilt_sentence_is_another(fault: faults.Fault, seed: int) -> None:
    """Every fault changes a sentence that has a number, names and words enough, the same way for the same seed."""
    spoilt = fault(TEXT, random.Random(seed), OTHERS)
    assert spoilt is not None
    assert spoilt != TEXT
    assert spoilt == fault(TEXT, random.Random(seed), OTHERS)


@pytest.mark.parametrize("seed", range(20))
def test_another_number_differs_in_one_digit(seed: int) -> None:
    """All else stays, so that only the number can give it away."""
    spoilt = faults.other_number(TEXT, random.Random(seed), OTHERS) or ""
    assert len(spoilt) == len(TEXT)
    assert sum(old != new for old, new in zip(TEXT, spoilt, strict=True)) == 1
    assert re.sub(r"\d", "", spoilt) == re.sub(r"\d", "", TEXT)


def test_what_has_nothing_to_spoil_stays() -> None:
    """A sentence without number or name cannot have a wrong one, and two words cannot be shuffled."""
    chance = random.Random(1)
    assert faults.other_number("The river rose again.", chance, OTHERS) is None
    assert faults.other_name("the river rose again", chance, OTHERS) is None
    assert faults.shuffled("Good morning", chance, OTHERS) is None
    assert faults.cut_short("Good morning", chance, OTHERS) is None
    assert faults.other_sentence("Good", chance, ["Good", "x" * 400]) is None
