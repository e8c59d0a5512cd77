"""Scores: what makes a sentence say much of its article."""

import numpy as np
import pytest

from khulasa.v1 import article_pb2
from services.summarizer.features import features
from services.summarizer.languages import LANGUAGES
from services.summarizer.score import WEIGHTS, Feature, Scores, score

ARTICLE = [
    "Flood water from the Tigris reached the eastern districts of Mosul on Sunday and forced 1,200 families to leave.",
    "The provincial council opened six schools in the western districts of Mosul for the families.",
    "Shops near the old bridge stayed closed while soldiers carried sandbags to the hospital on the river bank.",
    "Engineers at the dam north of the city said the level of the Tigris would fall again within three days.",
    "A football match between two local clubs was moved to another town because of the heavy rain last weekend.",
]


def scores(texts: list[str], title: str = "", language: str = "en") -> Scores:
    tables = LANGUAGES[language]
    return score(features(texts, tables), title=title, language=tables)


def test_the_lead_of_a_news_story_is_first() -> None:
    """The sentence that opens the story and whose words come again has the highest score."""
    assert int(np.argmax(scores(ARTICLE).values)) == 0


def test_what_others_take_up_is_central() -> None:
    """A sentence whose words come again later is more central than one whose words stand alone."""
    centrality = scores(ARTICLE).parts[Feature.CENTRALITY]
    assert centrality[0] == 1.0
    assert centrality[4] < centrality[0]


def test_words_of_the_title_raise_a_sentence() -> None:
    """The same sentence scores higher under a headline that names its topic."""
    without, with_title = scores(ARTICLE), scores(ARTICLE, title="Football match moved to another town")
    assert with_title.title_words[4] == 4
    assert with_title.values[4] > without.values[4]
    assert with_title.values[2] == without.values[2]


@pytest.mark.parametrize(
    ("opening", "end"),
    [
        pytest.param("But the", ".", id="dangling"),
        pytest.param("Had the", "?", id="question"),
        pytest.param('"The', ".", id="half a quotation"),
        pytest.param("Photo: the", ".", id="credit"),
        pytest.param("The", ":", id="unfinished"),
        pytest.param("We see that the", ".", id="somebody's words without a name"),
    ],
)
def test_sentences_that_stand_badly_alone_lose(opening: str, end: str) -> None:
    """In the same place with the same words, a sentence that needs another or tells little scores lower."""
    told = "provincial council opened six schools in the western districts of Mosul for the families"
    good, bad = [ARTICLE[0], f"The {told}.", *ARTICLE[2:]], [ARTICLE[0], f"{opening} {told}{end}", *ARTICLE[2:]]
    assert scores(bad).values[1] < scores(good).values[1]


def test_a_short_sentence_loses() -> None:
    """A sentence of a few words tells less than the same one with who, what and where."""
    short = [ARTICLE[0], "The council opened schools.", *ARTICLE[2:]]
    assert scores(short).values[1] < scores(ARTICLE).values[1]


def test_a_repeated_line_does_not_make_itself_important() -> None:
    """A call to follow that stands after every paragraph is not central for that."""
    follow = "Our channel brings hourly news bulletins to every phone."
    texts = [part for sentence in ARTICLE for part in (sentence, follow)]
    centrality = scores(texts).parts[Feature.CENTRALITY]
    assert centrality[1::2] == pytest.approx([0.0] * len(ARTICLE))


def test_summed_similarity_equals_the_sum_over_pairs() -> None:
    """The shortcut through sums of vectors gives what comparing every pair would."""
    vectors = features(ARTICLE, LANGUAGES["en"]).vectors
    pairs = np.array([vectors.similarity(index) for index in range(len(ARTICLE))])
    summed = np.maximum(np.triu(pairs, 1).sum(axis=1) + WEIGHTS.backward * np.tril(pairs, -1).sum(axis=1), 0)
    assert scores(ARTICLE).parts[Feature.CENTRALITY] == pytest.approx(summed / summed.max())


def test_a_teaser_for_another_story_loses() -> None:
    """Pages end with lines of other stories: what shares no words with this one scores lower for it."""
    teaser = "Sharks were filmed off Sydney by tourists who sailed around Australia with cameras for months."
    ranked = scores([*ARTICLE, teaser])
    assert ranked.applies[Feature.OFF_TOPIC][[0, -1]].tolist() == [False, True]
    assert not scores([*ARTICLE, teaser], title="Sharks and floods").applies[Feature.OFF_TOPIC][-1]
    assert ranked.parts[Feature.OFF_TOPIC][-1] < 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_parts_of_a_score_add_up_to_it(language: str) -> None:
    """Why a sentence was chosen is told whole: no part of its score is left out."""
    texts = [*ARTICLE, "But who?", "", "Photo: 3 men of Mosul, and", '"We are here."', "وأضاف أن السد آمن:"]
    ranked = scores(texts, title="Mosul families leave", language=language)
    assert np.sum(list(ranked.parts.values()), axis=0) == pytest.approx(ranked.values)


def test_features_have_the_numbers_of_the_protos() -> None:
    """The ranking's features are those of `ScorePart`, all of them."""
    protos = {n.removeprefix("FEATURE_"): number for n, number in article_pb2.ScorePart.Feature.items() if number}
    assert {feature.name: feature.value for feature in Feature} == protos


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("texts", [[], [""], ["😀", "…"], ["One."], ["Rain fell."] * 5, ["the of"], ["\ud800 x"]])
def test_scores_are_finite_for_any_text(language: str, texts: list[str]) -> None:
    """Empty, wordless, single and equal sentences have scores that can be compared."""
    values = scores(texts, title="Rain 😀", language=language).values
    assert values.shape == (len(texts),)
    assert np.all(np.isfinite(values))
    assert np.all(values >= 0)


def test_arabic_is_scored_by_its_own_tables() -> None:
    """An Arabic story ranks its lead over a sentence that only continues."""
    texts = [
        "أعلنت وزارة الموارد المائية في بغداد خطة جديدة لتأهيل سدود نهر دجلة بعد الفيضانات التي ضربت شمال البلاد.",
        "وأضاف أن العمل سيبدأ قريبا.",
        "وتشمل خطة الوزارة ثلاثة سدود على نهر دجلة وتمتد على مدى خمس سنوات بتكلفة تبلغ ملياري دولار.",
    ]
    ranked = scores(texts, language="ar")
    assert np.argsort(-ranked.values).tolist() == [0, 2, 1]
    assert ranked.applies[Feature.DANGLING].tolist() == [False, True, False]
