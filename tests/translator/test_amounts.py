"""What is counted or measured keeps its currency or unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translator.amounts import lost_amounts


@pytest.mark.parametrize(
    ("source", "english", "lost"),
    [
        ("ارتفاع السور 8.4 أمتار", "The wall is 8.4 a.m. high", "metres"),
        ("ارتفاع السور 8.4 أمتار", "The wall is 8.4 kilometres high", "metres"),
        ("على عمق 30 ألف قدم", "At a depth of 30,000 metres", "feet"),
        ("سار 8 كيلومترات", "He walked 8 miles", "kilometres"),
        ("على مساحة 5 كم²", "Over an area of 5", "kilometres"),
        ("وزعت 20 الف طن من القمح", "They gave out 20,000 of wheat", "tons"),
        ("ضبطت الشرطة 500 غرام", "The police announced 500", "grams"),
        ("استمر الحصار 11 شهرا", "The siege went on for 11 weeks", "months"),
        ("استمر القصف 3 أيام", "The shelling lasted 3 hours", "days"),
        ("أول 100 يوم له في الحكم", "His first 100 years in power", "days"),
        ("قبل 100 عام", "100 days ago", "years"),
        ("السجن 5 سنوات", "Prison for 5 months", "years"),
        ("بلغت الحرارة 45 درجة", "The heat reached 45 a.m.", "degrees"),
        ("دفع 20 مليون يورو", "He paid the European firm 20 million", "euro"),
        ("دفع 300 شيكل", "He paid 300", "shekel"),
        ("دفع $20", "He paid 20", "dollar"),
        ("دفع 20 مليون $", "He paid 20 million", "dollar"),
        ("دفع 3 بليونات دولار", "He paid 3 billion", "dollar"),
    ],
)
def test_a_lost_or_changed_unit_is_named(source: str, english: str, lost: str) -> None:
    """Another unit of the same kind, and a longer word that has the unit's letters, do not stand for it."""
    assert list(lost_amounts(source, english)) == [lost]


@pytest.mark.parametrize(
    ("source", "english"),
    [
        ("ارتفاع السور 8.4 أمتار", "The wall is 8.4 m high"),
        ("ارتفاع السور 8.4 أمتار", "The 8.4-meter wall"),
        ("على مساحة 500 متر مربع", "Over 500 sq m"),
        ("بسرعة 160 كم/ ساعة", "At 160km/h"),
        ("سباق 10 كم", "A 10K race"),
        ("على عمق 300 قدم", "300 ft deep"),
        ("زاد الوزن 30 كغ", "A 30-kg gain"),
        ("غرامة من 3 غرامات مالية", "One of 3 fines"),
        ("محمد (34 عاما) من غزة", "Mohammed, 34, of Gaza"),
        ("منتخب تحت 20 سنة", "The U-20 team"),
        ("على مدار 24 ساعة", "24/7"),
        ("بلغت الحرارة 45 درجة", "It was 45°C"),
        ("زلزال بقوة 6.1 درجات", "A magnitude 6.1 earthquake"),
        ("فاز 2-1 يوم السبت", "They won 2-1 on Saturday"),
        ("في الساعة 20:30 يوم الأحد", "At 20:30 on Sunday"),
        ("ثبتت إصابته بكوفيد-19 يوم أمس", "He tested positive for COVID-19 yesterday"),
        ("في 3 شهر مارس", "On 3 March"),
        ("دفع 20 دولارا", "He paid US$20"),
        ("دفع 160 ألف ين", "He paid Yen160,000"),
        ("قدم الوزير خطته في 5 نقاط", "The minister presented his plan in 5 points"),
    ],
)
def test_what_english_writes_for_a_unit_is_not_missed(source: str, english: str) -> None:
    """Signs, abbreviations and customary forms count; a weekday or a month after a number is no amount."""
    assert not list(lost_amounts(source, english))


@given(
    source=st.lists(st.sampled_from(["5 ", "100 ", "ألف ", "أيام ", "يوم ", "السبت ", "كم", "قدم ", "$", "درجة "])),
    english=st.text(),
)
def test_more_english_never_loses_more(source: list[str], english: str) -> None:
    """Whatever is written besides, only what was lost before can still be lost."""
    arabic = "".join(source)
    assert set(lost_amounts(arabic, f"days {english}")) <= set(lost_amounts(arabic, english))
