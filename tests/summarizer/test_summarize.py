"""Summaries: within the budget whatever the text, in order, and of sentences worth choosing."""

import dataclasses
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

shown_texts = st.one_of(st.just(""), st.text(max_size=60))
sentence_lists = st.lists(
    st.builds(SourceSentence, st.text(max_size=60), st.just(0), st.booleans(), shown_texts, st.booleans()), max_size=30
)
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
    """Sentences, words, characters with the spaces between, or share: never more than asked for, and in order.

    What is shown counts, and what is there for context is not chosen.
    """
    chosen = indices(sentences, budget, language)
    assert not any(sentences[index].context_only for index in chosen)
    texts = [sentences[index].shown_text or sentences[index].text for index in chosen]
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


@given(numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=12), spare=st.integers(0, 5))
def test_a_short_article_comes_back_whole(numbers: list[int], spare: int) -> None:
    """No more sentences, words or characters than the budget has, no two that say the same: all of them."""
    texts = [f"Town {number} counted {number}{number} boats." for number in numbers]
    whole = list(range(len(texts)))
    assert indices(sources(texts), Budget(sentences=max(1, len(texts) + spare))) == whole
    assert indices(sources(texts), Budget(words=max(1, 5 * len(texts) + spare))) == whole
    assert indices(sources(texts), Budget(characters=max(1, len(" ".join(texts)) + spare))) == whole
    assert indices(sources(texts), Budget(ratio=1.0)) == whole


def test_every_choice_has_a_rationale() -> None:
    """People are told why."""
    chosen = summarize(sources(ARTICLE), budget=Budget(sentences=2), language="en", title="Floods in Zahra valley")
    assert "near the start" in chosen[0].rationale
    assert all(choice.rationale for choice in chosen)


def test_a_byline_is_no_sentence_of_the_article() -> None:
    """Credits are left out even where there is room for all, and chosen only where there is nothing else."""
    credits = ["By Sara Hasan", "Photo: boats in Mosul", "تصوير: أحمد علي"]
    assert indices(sources([credits[0], *ARTICLE[:2], credits[1]]), Budget(sentences=9)) == [1, 2]
    assert indices(sources(["تصوير: أحمد علي", "وصلت القوارب فجرا."]), Budget(ratio=1.0), "ar") == [1]
    assert indices(sources(credits[:2]), Budget(sentences=9)) == [0, 1]


def test_the_budget_counts_what_is_shown() -> None:
    """Where a translation is shown in place of the text, its words count and not those of the text."""
    sentences = [
        SourceSentence(
            "وصلت القوارب فجرا إلى المدينة.", 0, False, shown_text="The boats reached town at dawn this Sunday."
        ),
        SourceSentence("انهار الجسر.", 1, False, shown_text="The bridge fell."),
    ]
    assert indices(sentences, Budget(words=8), "ar") == [0]
    assert indices(sentences, Budget(words=7), "ar") == [1]
    assert indices(sentences, Budget(characters=16), "ar") == [1]


def test_context_is_heard_and_never_chosen() -> None:
    """A sentence for context keeps its part in the ranking and in the ratio, and leaves the choice to others."""
    whole, context = sources(ARTICLE[:6]), {0, 1}
    heard = [dataclasses.replace(sentence, context_only=index in context) for index, sentence in enumerate(whole)]
    without = summarize(whole, budget=Budget(ratio=1.0), language="en", title="")
    chosen = summarize(heard, budget=Budget(ratio=1.0), language="en", title="")
    assert [choice.index for choice in chosen] == [2, 3, 4, 5]
    assert {c.index: c.score for c in chosen}.items() < {c.index: c.score for c in without}.items()
    assert len(indices(heard, Budget(ratio=0.5))) == 3
    assert indices([dataclasses.replace(sentence, context_only=True) for sentence in whole], Budget(sentences=3)) == []


def test_a_doubtful_sentence_is_chosen_where_the_sound_ones_are_context() -> None:
    """What may be chosen decides: sound context does not leave the summary empty."""
    sentences = [SourceSentence(ARTICLE[0], 0, False, context_only=True), SourceSentence(ARTICLE[1], 1, True)]
    assert indices(sentences, Budget(sentences=3)) == [1]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_parts_of_a_score_say_why(language: str) -> None:
    """Each chosen sentence names what made up its score, and the points add up to it."""
    for choice in summarize(sources(ARTICLE), budget=Budget(ratio=1.0), language=language, title="Floods in Zahra"):
        assert sum(choice.parts.values()) == pytest.approx(choice.score)
        assert all(choice.parts.values())


@pytest.mark.parametrize("values", [{"sentences": 0}, {"words": 10_001}, {"ratio": 0.0}, {"ratio": math.nan}])
def test_a_budget_out_of_range_is_refused(values: dict[str, float]) -> None:
    """The error says which value and what is allowed."""
    with pytest.raises(BudgetOutOfRange, match="allowed is"):
        Budget(**values)  # type: ignore[arg-type]
