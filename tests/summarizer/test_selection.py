"""Selection: the budget is never exceeded, each thing is said once, doubt only where there is no other."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarizer.budget import RANGES, Budget, BudgetOutOfRange
from services.summarizer.features import features
from services.summarizer.languages import LANGUAGES
from services.summarizer.selection import COMPARED, NEAR_DUPLICATE, WEIGHED, select

ENGLISH = LANGUAGES["en"]
# Few words, so that sentences resemble each other; blank and wordless ones among them.
words = st.sampled_from(
    ["flood", "dam", "river", "Mosul", "school", "rain", "not", "the", "of", "12", "بغداد", "😀", "", " "]
)
sentences = st.lists(st.lists(words, max_size=7).map(" ".join) | st.text(max_size=30), max_size=25)
budgets = st.one_of(
    st.integers(1, 100).map(lambda value: Budget(sentences=value)),
    st.integers(1, 60).map(lambda value: Budget(words=value)),
    st.integers(1, 200).map(lambda value: Budget(characters=value)),
    st.floats(0, 1, exclude_min=True).map(lambda value: Budget(ratio=value)),
)


def choose(
    texts: list[str], budget: Budget, *, doubtful: list[bool] | None = None, scores: list[float] | None = None
) -> list[int]:
    return select(
        texts,
        features(texts, ENGLISH),
        np.array([1.0] * len(texts) if scores is None else scores),
        doubtful=doubtful or [False] * len(texts),
        budget=budget,
    )


def within(texts: list[str], chosen: list[int], budget: Budget, *, choosable: int) -> bool:
    """Say whether the summary keeps the budget, as a caller would measure it."""
    summary = " ".join(texts[index] for index in chosen)
    if budget.sentences is not None:
        return len(chosen) <= budget.sentences
    if budget.words is not None:
        return len(summary.split()) <= budget.words
    if budget.characters is not None:
        return len(summary) <= budget.characters
    assert budget.ratio is not None
    return len(chosen) <= math.ceil(budget.ratio * choosable)


def says_the_same(texts: list[str], one: int, other: int) -> bool:
    counted = features(texts, ENGLISH)
    # A hair's breadth either side of the limit may be judged either way.
    return counted.identities[one] == counted.identities[other] or bool(
        counted.vectors.similarity(one)[other] >= NEAR_DUPLICATE - 1e-9
    )


@given(texts=sentences, budget=budgets, data=st.data())
def test_a_summary_keeps_its_budget_and_the_order(texts: list[str], budget: Budget, data: st.DataObject) -> None:
    """For any text, doubt and budget: not longer than allowed, numbers strictly rising, nothing blank."""
    doubtful = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    scores = data.draw(st.lists(st.floats(0, 9), min_size=len(texts), max_size=len(texts)))
    chosen = choose(texts, budget, doubtful=doubtful, scores=scores)
    assert within(texts, chosen, budget, choosable=sum(bool(text.strip()) for text in texts))
    assert all(one < other for one, other in itertools.pairwise(chosen))
    assert all(texts[index].strip() for index in chosen)


@given(texts=sentences, budget=budgets, data=st.data())
def test_doubtful_sentences_come_only_where_there_is_no_other(
    texts: list[str], budget: Budget, data: st.DataObject
) -> None:
    """A doubtful sentence is chosen only from an article whose other sentences are all blank."""
    doubtful = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    chosen = choose(texts, budget, doubtful=doubtful)
    if any(doubtful[index] for index in chosen):
        assert all(doubtful[index] for index, text in enumerate(texts) if text.strip())


@given(texts=sentences)
def test_the_whole_ratio_leaves_out_only_what_is_said_already(texts: list[str]) -> None:
    """Under a ratio of 1 what is not chosen is blank or says the same as a chosen one; no two chosen say the same."""
    chosen = choose(texts, Budget(ratio=1.0))
    left = [index for index, text in enumerate(texts) if text.strip() and index not in chosen]
    assert all(any(says_the_same(texts, index, other) for other in chosen) for index in left)
    counted = features(texts, ENGLISH)
    assert len({counted.identities[index] for index in chosen}) == len(chosen)
    similarities = [counted.vectors.similarity(index)[other] for index in chosen for other in chosen if index < other]
    assert all(similarity < NEAR_DUPLICATE + 1e-9 for similarity in similarities)


@given(texts=sentences)
def test_an_article_with_text_has_a_summary_by_sentences_and_by_ratio(texts: list[str]) -> None:
    """The smallest budget in sentences or ratio still gives one sentence."""
    expected = 1 if any(text.strip() for text in texts) else 0
    assert len(choose(texts, Budget(sentences=1))) == expected
    assert len(choose(texts, Budget(ratio=1e-9))) == expected


def test_a_ratio_is_rounded_up_as_people_count() -> None:
    """A tenth of 30 sentences is 3, though 0.1 * 30 is a little more in floating point; of 31 it is 4."""
    texts = [f"Word{index} stands alone{index}." for index in range(31)]
    assert len(choose(texts[:30], Budget(ratio=0.1))) == 3
    assert len(choose(texts, Budget(ratio=0.1))) == 4


def test_a_budget_in_characters_counts_the_spaces_between() -> None:
    """Two sentences of four characters need nine."""
    assert choose(["Dam.", "Rain"], Budget(characters=9)) == [0, 1]
    assert choose(["Dam.", "Rain"], Budget(characters=8)) == [0]


def test_a_shorter_sentence_takes_the_place_of_one_that_does_not_fit() -> None:
    """The best sentence that fits is taken, not the best one or none."""
    texts = ["One very long sentence about the flood.", "Dams held.", "Schools closed."]
    assert choose(texts, Budget(words=4), scores=[9.0, 1.0, 2.0]) == [1, 2]


def test_near_duplicates_are_chosen_once() -> None:
    """Agency copy with an edited word does not fill the summary twice; a denial is no duplicate."""
    texts = [
        "Flood water reached the eastern districts of Mosul and forced hundreds of families to leave houses.",
        "Flood water reached the eastern districts of Mosul and forced hundreds of families to leave homes.",
        "The governor resigned.",
        "The governor never resigned.",
    ]
    assert choose(texts, Budget(ratio=1.0)) == [0, 2, 3]


def test_a_doubtful_sentence_does_not_fill_what_is_left_of_the_budget() -> None:
    """Where a sound sentence is left out for its length, a doubtful one is no substitute."""
    texts = ["Dams held.", "One very long sentence about the flood.", "Schools closed."]
    assert choose(texts, Budget(words=4), doubtful=[False, False, True]) == [0]
    assert choose(texts, Budget(words=2), doubtful=[True, False, True]) == []


def test_a_ratio_counts_the_sentences_that_could_be_chosen() -> None:
    """Half of four sentences, two of them doubtful and so out of the question, is one."""
    assert choose(["Dams held.", "Rain fell.", "Schools closed.", "Crews came."], Budget(ratio=0.5)) == [0, 1]
    assert choose(["Dams held.", "?", "Rain fell.", "!"], Budget(ratio=0.5), doubtful=[False, True, False, True]) == [0]


def test_duplicates_are_refused_beyond_the_weighed_choices() -> None:
    """In a book-long text, where resemblance is looked up by rare words, equal and nearly equal sentences come once."""
    count = WEIGHED + 40
    names = ["".join(letters) for letters in itertools.product("bdfgk", "aeiou", "lmnrt", "aiou")][:count]
    texts = [f"Elder{name} crossed the {name}river near {name}ville with {name}cattle today." for name in names]
    edited = [text.replace(" today.", " yesterday.") for text in texts]
    assert count > COMPARED
    scores = [9.0] * 2 * count + [1.0] * count
    assert choose([*texts, *texts, *edited], Budget(ratio=1.0), scores=scores) == list(range(count))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sentences", 0),
        ("sentences", 101),
        ("words", -1),
        ("words", 10_001),
        ("characters", 100_001),
        ("ratio", 0.0),
        ("ratio", 1.01),
        ("ratio", math.nan),
    ],
)
def test_a_budget_out_of_range_names_field_value_and_range(field: str, value: float) -> None:
    """The error carries all that a caller needs to correct it."""
    with pytest.raises(BudgetOutOfRange, match=f"budget.{field} is") as caught:
        Budget(**{field: value})  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.low, caught.value.high) == (field, *RANGES[field])


def test_a_budget_has_exactly_one_limit() -> None:
    """Two limits or none are a mistake of the program, not of a caller."""
    with pytest.raises(TypeError, match="exactly one"):
        Budget()
    with pytest.raises(TypeError, match="exactly one"):
        Budget(sentences=1, words=5)
