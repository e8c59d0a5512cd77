"""What must survive: what a model drops is put back where that is safe, and flagged where it is not."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translator.check import Reason
from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.survival import in_english_marks, lost_marks, lost_months, with_list_marker
from services.translator.translation import ParagraphTranslator, TranslatedSentence
from tests.conftest import SHARED, ScriptedEngine, needs_shared

Translating = tuple[ScriptedEngine, ParagraphTranslator]


@pytest.fixture
async def translating(model_folder: Path) -> AsyncIterator[Translating]:
    """A translator with an engine that says what the test wants."""
    model = Model.open(model_folder)
    engine = ScriptedEngine(model)
    queue = TranslationQueue(engine, workers=1, batch_tokens=1024, capacity=100_000, window=256)
    yield engine, ParagraphTranslator(model, queue)
    await queue.close()


async def translate(translating: Translating, paragraph: str, english: str) -> TranslatedSentence:
    """Return the one sentence of `paragraph`, for which the model says `english`."""
    engine, translator = translating
    engine.say = lambda arabic: english
    [[sentence]] = await translator.translate([paragraph])
    return sentence


@pytest.mark.parametrize(
    ("source", "english", "kept"),
    [
        ("- وصل الوزير", "The minister arrived", "- The minister arrived"),
        ("• وصل الوزير", "The minister arrived", "• The minister arrived"),
        ("– وصل الوزير", "The minister arrived", "- The minister arrived"),
        ("1. وصل الوزير", "The minister arrived", "1. The minister arrived"),
        ("٢- وصل الوزير", "The minister arrived", "2- The minister arrived"),
        ("3 - وصل الوزير", "The minister arrived", "3- The minister arrived"),
        ("(4) وصل الوزير", "The minister arrived", "(4) The minister arrived"),
        ("1. وصل الوزير", "1) The minister arrived", "1) The minister arrived"),
        ("- وصل الوزير", "-The minister arrived", "-The minister arrived"),
        ("-5 درجات في المدينة", "It is -5 degrees in the city", "It is -5 degrees in the city"),
        ("وصل الوزير - أمس", "The minister arrived yesterday", "The minister arrived yesterday"),
    ],
)
async def test_a_list_marker_is_kept(translating: Translating, source: str, english: str, kept: str) -> None:
    """A marker that the model drops is put back; one that it keeps is left alone."""
    sentence = await translate(translating, source, english)
    assert sentence.translation == kept
    assert not sentence.doubts


async def test_nothing_is_put_before_nothing(translating: Translating) -> None:
    """An empty answer stays empty and is flagged: a lone marker would look like an answer."""
    sentence = await translate(translating, "- وصل الوزير", "")
    assert sentence.translation == ""
    assert [doubt.reason for doubt in sentence.doubts] == [Reason.EMPTY]


@pytest.mark.parametrize(
    ("source", "english", "reason"),
    [
        ("نما الاقتصاد بنسبة 4.5% هذا العام", "The economy grew by 4.5 this year", Reason.MARK_LOST),
        ("بلغت الكلفة 300 مليون ريال هذا العام", "The cost was 300 million this year", Reason.MARK_LOST),
        ("يبلغ ارتفاع السور 8.4 أمتار فقط", "The height of the wall is only 8.4 a.m.", Reason.MARK_LOST),
        ("استمر الحصار 11 شهرا كاملة", "The siege went on for 11 whole hours", Reason.MARK_LOST),
        ("اضغط على {button} للمتابعة إلى الصفحة", "Press the button to go on", Reason.MARK_LOST),
        ("راسلونا على press@news.example اليوم", "Write to us today", Reason.LINK_LOST),
        ("كتب الحساب @ZahraCivil عن الفيضان", "The account wrote on the flood", Reason.LINK_LOST),
        ("تصدر وسم #Flood2026 المواقع أمس", "The tag led the sites yesterday", Reason.LINK_LOST),
        ("صدر القرار في 3 أيار 2024 بعد الجلسة", "The decision came on 3 June 2024", Reason.NUMBER_MISMATCH),
        ('وتابع قائلا: "لن نقبل بهذا الاتفاق أبدا"', "He went on that we accept no such deal", Reason.MARK_LOST),
    ],
)
async def test_what_is_lost_is_flagged(translating: Translating, source: str, english: str, reason: Reason) -> None:
    """Percent signs, currencies, units, placeholders, addresses, dates and quotations are missed on the whole path."""
    assert reason in [doubt.reason for doubt in (await translate(translating, source, english)).doubts]


@needs_shared
async def test_losses_in_real_articles_are_flagged(translating: Translating) -> None:
    """In 200 articles no number, percent sign, Latin word or address disappears from a sentence without a flag."""
    with gzip.open(SHARED / "data/articles/articles-2000.jsonl.gz", "rt") as file:
        bodies = [json.loads(line)["body"] for line in islice(file, 0, None, 10)]
    engine, translator = translating
    engine.say = lambda arabic: "The minister spoke in the city about the plan of the government for the coming years."
    paragraphs = [line for body in bodies for line in body.splitlines() if line.strip()]
    seen = dict.fromkeys((Reason.NUMBER_MISMATCH, Reason.MARK_LOST, Reason.LATIN_LOST), 0)
    for paragraph, sentences in zip(paragraphs, await translator.translate(paragraphs), strict=True):
        assert "".join("".join(s.source for s in sentences).split()) == "".join(paragraph.split())
        for sentence in sentences:
            reasons = {doubt.reason for doubt in sentence.doubts}
            if Reason.NOT_ARABIC in reasons or not sentence.log_probability:
                continue
            if re.search(r"\d{2}", sentence.source):
                assert Reason.NUMBER_MISMATCH in reasons, sentence.source
                seen[Reason.NUMBER_MISMATCH] += 1
            if re.search(r"\d[%٪]", sentence.source):
                assert Reason.MARK_LOST in reasons, sentence.source
                seen[Reason.MARK_LOST] += 1
            if re.search(r"[A-Za-z]{2}", sentence.source):
                assert reasons & {Reason.LATIN_LOST, Reason.LINK_LOST}, sentence.source
                seen[Reason.LATIN_LOST] += 1
    assert min(seen.values()) >= 10


_PARTS = st.lists(
    st.sampled_from(
        ["- ", "1. ", "(2) ", "•", "35%", " دولار", "%s", "{a}", '"', " قال: ", "12 مارس ", "كلمة ", "\n", "5 "]
    )
    | st.text(max_size=5),
    max_size=15,
).map("".join)


@given(source=_PARTS, translation=_PARTS)
def test_any_text_can_be_looked_through(source: str, translation: str) -> None:
    """No text is too odd; the English is only ever put behind a marker; what is kept word for word has lost nothing."""
    kept = with_list_marker(source, translation)
    assert kept.endswith(translation)
    assert with_list_marker(source, kept) == kept
    assert set(lost_marks(source, translation)) <= {*lost_marks(source, "")}
    assert set(lost_months(source, translation)) <= {*lost_months(source, "")}
    assert in_english_marks(in_english_marks(translation)) == in_english_marks(translation)
