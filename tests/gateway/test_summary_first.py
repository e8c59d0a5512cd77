"""The mode `summary_first`: only what the summary shows is translated, and nothing of the article is lost."""

import json
import re

import pytest

from khulasa import (
    Article,
    AsyncClient,
    BadRequest,
    CacheUse,
    FlagReason,
    Options,
    Provenance,
    Result,
    Sentence,
    Summary,
    SummaryBudget,
)
from tests.client.test_cli import khulasa
from tests.conftest import ARTICLES, Stack, plausible_english
from tests.gateway.test_article import TEXTS, check_offsets

FIRST = Options(summary_first=True)


def sentences_of(result: Result) -> dict[int, Sentence]:
    return {sentence.index: sentence for p in result.translation.paragraphs for sentence in p.sentences}


def without_a_flag(arabic: str) -> str:
    """Plausible English that keeps thousands and millions, which the check of numbers misses otherwise."""
    scales = {"ألف": "thousand", "مليون": "million"}
    found = {number: scales[word] for number, word in re.findall(r"(\d+) (ألف|مليون)", arabic)}
    return re.sub(
        r"\d+", lambda match: " ".join([match[0], found.get(match[0], "")]).strip(), plausible_english(arabic)
    )


def is_left(sentence: Sentence) -> bool:
    return FlagReason.NOT_TRANSLATED in {flag.reason for flag in sentence.flags}


@pytest.mark.parametrize("name", TEXTS)
async def test_nothing_of_the_article_is_lost(client: AsyncClient, name: str) -> None:
    """Every sentence comes back with its source and place, either translated or marked as left in Arabic."""
    text = (ARTICLES / name).read_text()
    result = await client.process(Article(text=text), FIRST)
    check_offsets(text, result)
    for sentence in sentences_of(result).values():
        skipped = {flag.reason for flag in sentence.flags} & {FlagReason.NOT_TRANSLATED, FlagReason.BOILERPLATE_SKIPPED}
        assert bool(sentence.translation) != bool(skipped)
    whole = await client.process(Article(text=text))
    assert [p.kind for p in result.translation.paragraphs] == [p.kind for p in whole.translation.paragraphs]
    assert [s.span for s in sentences_of(result).values()] == [s.span for s in sentences_of(whole).values()]


async def test_only_headline_and_summary_are_translated(client: AsyncClient, stack: Stack, flood: str) -> None:
    """Three sentences and the headline are decoded, of fifteen; the summary is verbatim and says why."""
    stack.engine.say = without_a_flag
    result = await client.process(Article(text=flood, title="عنوان الخبر"), FIRST)
    by_index = sentences_of(result)
    assert stack.engine.sentences == 4
    assert result.translation.headline
    assert sum(not is_left(sentence) for sentence in by_index.values()) == len(result.summary) == 3
    for chosen in result.summary:
        sentence = by_index[chosen.sentence_index]
        assert (chosen.text, chosen.source, chosen.span) == (sentence.translation, sentence.source, sentence.span)
        assert chosen.flags == ()
        assert sum(part.points for part in chosen.score_parts) == pytest.approx(chosen.score)


async def test_a_flagged_translation_is_replaced_by_the_next_best(
    client: AsyncClient, stack: Stack, flood: str
) -> None:
    """The doubtful sentence is not shown, the summary is as long as asked for, and the doubt is not hidden."""
    stack.engine.say = without_a_flag
    first = await client.process(Article(text=flood), FIRST)
    bad = first.summary[0].source
    start = bad[:20]
    stack.engine.say = lambda arabic: "water " * 5 if arabic.startswith(start) else without_a_flag(arabic)
    result = await client.process(Article(text=flood), Options(summary_first=True, bypass_cache=True))
    assert bad not in {chosen.source for chosen in result.summary}
    assert len(result.summary) == 3
    [flagged] = [s for s in sentences_of(result).values() if s.source == bad]
    assert FlagReason.REPETITION in {flag.reason for flag in flagged.flags}
    assert result.provenance.flagged_sentences == 1


async def test_the_search_for_a_sound_sentence_has_an_end(client: AsyncClient, stack: Stack) -> None:
    """A model that fails at everything costs four rounds, not the article; the summary is then marked."""
    stack.engine.say = lambda arabic: "water " * 5
    text = "\n".join(f"أعلنت وزارة الري في المدينة رقم {n} عن خطة لإصلاح السد والطرق." for n in range(40))
    result = await client.process(Article(text=text), Options(SummaryBudget(sentences=2), summary_first=True))
    assert stack.engine.sentences <= 8
    assert len(result.summary) == 2
    assert all(chosen.flags for chosen in result.summary)


@pytest.mark.parametrize("budget", [SummaryBudget(words=25), SummaryBudget(characters=160), SummaryBudget(ratio=0.2)])
async def test_the_budget_is_that_of_the_english(client: AsyncClient, flood: str, budget: SummaryBudget) -> None:
    """Words and characters are those of the translations, though the ranking saw the Arabic."""
    result = await client.process(Article(text=flood), Options(budget, summary_first=True))
    shown = " ".join(chosen.text for chosen in result.summary)
    assert shown
    assert len(shown.split()) <= (budget.words or 1000)
    assert len(shown) <= (budget.characters or 10_000)
    assert len(result.summary) <= 3


async def test_an_equal_sentence_is_translated_once(client: AsyncClient, stack: Stack) -> None:
    """The same line in two places costs one translation, and both places have it."""
    line = "أعلنت وزارة الري إصلاح السد بعد الفيضان."
    result = await client.process(Article(text=f"{line}\n{line}"), FIRST)
    assert stack.engine.sentences == 1
    assert len({s.translation for s in sentences_of(result).values()}) == 1
    assert len(result.summary) == 1


async def test_a_piece_of_a_long_sentence_stays_marked(client: AsyncClient) -> None:
    """A fragment is no sound sentence just because it was translated alone."""
    result = await client.process(Article(text=("كلمة طويلة جدا " * 300).strip()), FIRST)
    assert all(FlagReason.FRAGMENT in {flag.reason for flag in chosen.flags} for chosen in result.summary)


async def test_it_is_no_answer_to_the_whole_article(client: AsyncClient, stack: Stack, flood: str) -> None:
    """With and without the option are two entries of the cache; each is a hit the second time."""
    await client.process(Article(text=flood), FIRST)
    whole = await client.process(Article(text=flood))
    assert not any(is_left(sentence) for sentence in sentences_of(whole).values())
    decoded = stack.engine.sentences
    again = await client.process(Article(text=flood), FIRST)
    assert again.provenance.cache_use == CacheUse.HIT
    assert stack.engine.sentences == decoded


async def test_what_the_last_summary_translated_comes_from_the_cache(
    client: AsyncClient, stack: Stack, flood: str
) -> None:
    """A longer summary of the same article decodes only what it adds."""
    await client.process(Article(text=flood), FIRST)
    result = await client.process(Article(text=flood), Options(SummaryBudget(sentences=4), summary_first=True))
    assert stack.engine.sentences <= 6
    assert result.provenance.cache_use == CacheUse.PARTIAL


async def test_contradictory_options_are_refused(client: AsyncClient, flood: str) -> None:
    """To translate no more than the summary and all of the menu is impossible, and not silently one of the two."""
    with pytest.raises(BadRequest) as refused:
        await client.process(Article(text=flood), Options(translate_boilerplate=True, summary_first=True))
    assert refused.value.reason == "CONTRADICTORY_OPTIONS"


async def test_an_article_of_other_languages_only_has_a_marked_summary(client: AsyncClient) -> None:
    """What is not Arabic is passed through; it is shown for want of anything else, with its flag."""
    result = await client.process(Article(text="The minister spoke on Monday.\nRain fell in the north."), FIRST)
    assert result.summary
    assert all(FlagReason.NOT_ARABIC in {flag.reason for flag in chosen.flags} for chosen in result.summary)


async def test_what_is_not_arabic_is_passed_over_without_a_try(client: AsyncClient, stack: Stack, flood: str) -> None:
    """Twenty lines of English above the story cost nothing and leave the summary sound."""
    stack.engine.say = without_a_flag
    english = "\n".join(
        f"The river rose by {n} metres and the council closed the schools of the city." for n in range(20)
    )
    result = await client.process(Article(text=f"{english}\n{flood}"), FIRST)
    assert len(result.summary) == 3
    assert not any(chosen.flags for chosen in result.summary)
    assert stack.engine.sentences <= 4


async def test_a_page_of_html_is_summarized_first_too(client: AsyncClient, stack: Stack) -> None:
    """The headline of the page and three sentences are translated."""
    result = await client.process(Article(html=(ARTICLES / "satellite.html").read_text()), FIRST)
    assert result.translation.headline
    assert result.translation.extracted is not None
    check_offsets(result.translation.extracted.text, result)
    assert len(result.summary) == 3


async def test_the_stream_has_the_same_events(client: AsyncClient, flood: str) -> None:
    """Streaming yields title, paragraphs and summary of the single answer; nothing is sent twice or left out."""
    article = Article(text=flood, title="عنوان الخبر")
    events = [event async for event in client.stream(article, FIRST)]
    result = await client.process(article, Options(summary_first=True, bypass_cache=True))
    assert events[:-1] == [result.translation.title, *result.translation.paragraphs, Summary(result.summary)]
    assert isinstance(events[-1], Provenance)
    assert events[-1].pipeline.split()[-1].startswith("summarizer-")


async def test_an_article_that_is_only_a_headline_has_it_translated(client: AsyncClient) -> None:
    """Where there is nothing to summarize, the headline still comes in English."""
    result = await client.process(Article(text="عنوان الخبر", title="عنوان الخبر"), FIRST)
    assert result.translation.headline
    assert result.summary == ()


async def test_the_command_line_summarizes_first(stack: Stack) -> None:
    """`summarize --summary-first` prints the summary and decodes no more than headline and summary."""
    stack.engine.say = without_a_flag
    code, out, errors = await khulasa(
        *("summarize", "--summary-first", "--json", "--gateway", stack.addresses["gateway"]),
        str(ARTICLES / "flood.txt"),
    )
    assert (code, errors) == (0, "")
    assert len(json.loads(out)["summary"]) == 3
    assert stack.engine.sentences <= 4
