"""Summaries: within the budget whatever the text, in order, and of sentences worth choosing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarizer.budget import Budget, BudgetOutOfRange
from services.summarizer.summarize import SourceSentence, summarize

ARTICLE = [
    "Floods in the Zahra valley have forced 12,000 people to leave their homes since Friday.",
    "The river reached 8.4 metres, its highest level since 1988, said Colonel Sami Naimi.",
    "He added that crews were working around the clock.",
    "Will the second wave be worse?",
    "Electricity is out for 35 percent of the people in the valley, and two bridges collapsed.",
    "The government put the losses from the floods at 240 million dollars.",
    "Floods in the Zahra valley have forced 12,000 people to leave their homes since Friday.",
]

sentence_lists = st.lists(st.builds(SourceSentence, st.text(max_size=60), st.just(0), st.booleans()), max_size=30)
budgets = st.one_of(
    st.integers(1, 100).map(lambda n: Budget(sentences=n)),
    st.integers(1, 200).map(lambda n: Budget(words=n)),
    st.integers(1, 2000).map(lambda n: Budget(characters=n)),
    st.floats(0.01, 1).map(lambda share: Budget(ratio=share)),
)


def sources(texts: list[str], doubtful: set[int] = frozenset()) -> list[SourceSentence]:  # type: ignore[assignment]
    return [SourceSentence(text, index, index in doubtful) for index, text in enumerate(texts)]


def indices(sentences: list[SourceSentence], budget: Budget, language: str = "en") -> list[int]:
    return [chosen.index for chosen in summarize(sentences, budget=budget, language=language, title="")]


@given(sentences=sentence_lists, budget=budgets, language=st.sampled_from(["en", "ar"]))
def test_the_budget_is_never_exceeded(sentences: list[SourceSentence], budget: Budget, language: str) -> None:
    """Sentences, words, characters with the spaces between, or share: never more than asked for, and in order."""
    chosen = indices(sentences, budget, language)
    texts = [sentences[index].text for index in chosen]
    assert chosen == sorted(set(chosen))
    if budget.sentences is not None:
        assert len(chosen) <= budget.sentences
    elif budget.words is not None:
        assert sum(len(text.split()) for text in texts) <= budget.words
    elif budget.characters is not None:
        assert len(" ".join(texts)) <= budget.characters
    elif budget.ratio is not None:
        assert len(chosen) <= math.ceil(budget.ratio * len(sentences))


@given(sentences=sentence_lists, budget=budgets)
def test_doubtful_and_sound_sentences_never_mix(sentences: list[SourceSentence], budget: Budget) -> None:
    """A doubtful sentence is chosen only where no sound one is."""
    chosen = indices(sentences, budget)
    assert len({sentences[index].doubtful for index in chosen}) <= 1


def test_a_repeated_sentence_is_chosen_once() -> None:
    """With room for all, the repetition is left out."""
    assert indices(sources(ARTICLE), Budget(ratio=1.0)) == [0, 1, 2, 3, 4, 5]


def test_leaning_sentences_and_questions_come_last() -> None:
    """ "He added" and a question stand badly alone, so others are taken first."""
    assert not {2, 3} & set(indices(sources(ARTICLE), Budget(sentences=3)))


def test_a_doubtful_lead_is_passed_over() -> None:
    """Even the first sentence is not chosen when it is doubtful."""
    assert 0 not in indices(sources(ARTICLE, doubtful={0}), Budget(sentences=3))


def test_only_doubtful_sentences_are_better_than_none() -> None:
    """If every sentence is doubtful, the best of them are chosen."""
    assert len(indices(sources(ARTICLE[:3], doubtful={0, 1, 2}), Budget(sentences=2))) == 2


def test_a_short_article_comes_back_whole() -> None:
    """No more sentences than the budget has: all of them."""
    assert indices(sources(ARTICLE[:2]), Budget(sentences=3)) == [0, 1]


def test_every_choice_has_a_rationale() -> None:
    """People are told why."""
    chosen = summarize(sources(ARTICLE), budget=Budget(sentences=2), language="en", title="Floods in Zahra valley")
    assert "near the start" in chosen[0].rationale
    assert all(choice.rationale for choice in chosen)


@pytest.mark.parametrize("values", [{"sentences": 0}, {"words": 10_001}, {"ratio": 0.0}, {"ratio": math.nan}])
def test_a_budget_out_of_range_is_refused(values: dict[str, float]) -> None:
    """The error says which value and what is allowed."""
    with pytest.raises(BudgetOutOfRange, match="allowed is"):
        Budget(**values)  # type: ignore[arg-type]
