"""Checks: each finds its fault, and a good translation has none."""

import pytest

from services.translator.check import Checkable, Reason, check
from services.translator.normalize import SCHEMES, normalize
from tests.conftest import SHARED, needs_shared


def reasons(source: str, translation: str, **changes: object) -> set[Reason]:
    values: dict[str, object] = {
        "source": normalize(source, SCHEMES["plain-1"]).text,
        "translation": translation,
        "log_probability": -0.4,
        "source_tokens": 20,
        "target_tokens": 20,
        "source_truncated": False,
        "target_truncated": False,
    }
    return {doubt.reason for doubt in check(Checkable(**(values | changes)))}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("وصل منسوب النهر إلى 8.4 أمتار.", "The river rose to 8.40 metres."),
        ("وزعت المنظمة ٣٬٥٠٠ خيمة.", "The organization distributed 3500 tents."),
        ("قتل 19 شخصا.", "Nineteen people were killed."),
        ("شارك 25 لاعبا و3 حكام.", "Twenty-five players and three referees took part."),
        ("قال مئتا شخص إنهم نجوا.", "200 people said they had survived."),
        ("زوروا www.rv21.example", "Visit www.rv21.example"),
        ("نعم", "Yes"),
        ("وصل الوفد في الساعة 14:30.", "The delegation arrived at 2:30 p.m."),
        ("بدأ الاجتماع في الساعة 15:00.", "The meeting began at 3 p.m."),
        ("بلغت الكلفة 2.5 مليون دولار.", "The cost was $2,500,000."),
        ("شارك 5 آلاف شخص.", "5,000 people took part."),
        ("بلغت الكلفة 1.000.000 دولار.", "The cost was 1 million dollars."),
        ("أصيب 150000 شخص.", "One hundred and fifty thousand people were infected."),
        ("قتل 100 شخص.", "A hundred people were killed."),
        ("صدر الكتاب عام 1984.", "The book appeared in nineteen eighty-four."),
        ("تبلغ المساحة 783،562 كيلومترا.", "The area is 783,562 kilometres."),
        ("طورها العلماء في السبعينات.", "Scientists developed it in the 1970s."),
        ("صدر القرار في 2024-05-01.", "The decision was issued on May 1, 2024."),
        ("زوروا https://a.example/b، ثم راسلونا.", "Visit https://a.example/b, then write to us."),
        ('زوروا الموقع ("www.a.example").', 'Visit the site ("www.a.example").'),
        ("لا لا لا لا", "No, no, no, no"),
        ("تسلم 918 483 شخصا أدوية.", "483,918 people received medicines."),
        ("الهدف 000 350 مدرسة.", "The target is 350,000 schools."),
        ("تبلغ المساحة 294 641 1 كيلومترا.", "The area is 1,641,294 kilometres."),
        ("حضر 350 000 شخص.", "350,000 people came."),
        ("الغرفتان 101 205 في المبنى", "Rooms 101 and 205 in the building"),
        ("يعقد الاجتماع في الساعة 47/10.", "The meeting will be held at 10.47 a.m."),
        ("تنص المادة 3-2-1 على ذلك.", "Article 3.2.1 says so."),
        ("تنص المادة 10-103 على ذلك.", "Section 10.103 says so."),
        ("القرار 1894 (د-57) والقرار 9 (د-1)", "Resolutions 1894 (LVII) and 9 (I)"),
        ("وصل الوزير مع مسافرين اثنين", "The minister arrived with 2 passengers"),
        ("أعلنت الوزارة عن وفيات بفيروس كورونا", "The ministry announced deaths from COVID-19"),
        ("قتل عشرون شخصا", "20 people were killed"),
        ("بلغت النسبة 35% في 12 مارس.", "The share was 35 percent on 12 March."),
        ("بلغت النسبة 35 في المائة.", "The share was 35 per cent."),
        ("دفع 20 مليون دولار و5 آلاف يورو.", "He paid $20 million and €5,000."),
        ("صدر في آب/أغسطس 2012.", "It was published in August 2012."),
        ("يمارس 12 لاعبا الرياضة، ومارس 3 حكام ذلك.", "12 players do sports, and 3 referees did so."),
        ("مرحبا {name}، لديك %d رسائل", "Hello {name}, you have %d messages"),
        ('قال الوزير: "لن نترك أحدا من الناس خلفنا".', "The minister said: “We will leave none of the people behind.”"),
        (
            'صدر تقرير "مبادئ دكا للهجرة بكرامة" أمس.',
            "The Dhaka Principles for Migration with Dignity came out yesterday.",
        ),
        ("كتب #السعودية على حسابه", "He wrote Saudi Arabia on his account"),
    ],
)
def test_a_good_translation_has_no_flag(source: str, translation: str) -> None:
    """Numbers may be spelled out or written otherwise; short sentences may be short."""
    assert reasons(source, translation) == set()


@pytest.mark.parametrize(
    ("source", "translation", "reason"),
    [
        ("في 12 مقاطعة مع 400-600 ناشط", "in 12 provinces with 400,000 activists", Reason.NUMBER_MISMATCH),
        ("قتل 7 أشخاص", "Several people were killed", Reason.NUMBER_MISMATCH),
        ("غادر 12 ألف شخص", "12 million people left", Reason.NUMBER_MISMATCH),
        ("غادر 12 ألف شخص", "12 people left", Reason.NUMBER_MISMATCH),
        ("وقع الحادث يوم الأحد", "It happened on Sunday, 1987", Reason.NUMBER_MISMATCH),
        ("قال الوزير إن الخطة جاهزة", "The minister said the plan plan plan plan is ready", Reason.REPETITION),
        ("قال الوزير إن الخطة جاهزة", "I am sorry, I am sorry, I am sorry, I am sorry", Reason.REPETITION),
        ("قال الوزير إن الخطة جاهزة", "The minister said الخطة is ready", Reason.ARABIC_LEFT),
        ("قال الوزير", "قال الوزير", Reason.SOURCE_COPIED),
        ("كتب على https://a.example/b أمس", "He wrote yesterday", Reason.LINK_LOST),
        ("كتب الحساب @ZahraCivil أمس", "The account wrote yesterday", Reason.LINK_LOST),
        ("قال الباحث Peter Lindqvist ذلك", "The researcher Peter Lindqvast said so", Reason.LATIN_LOST),
        ("قال الوزير", "", Reason.EMPTY),
        ("قال الوزير", " ...", Reason.EMPTY),
        ("استقبل الوزير الوفد", "The minister received the delegation of 900", Reason.NUMBER_MISMATCH),
        ("صدر القرار في 2024/05/01 أمس", "The decision of 2024 and 1 came yesterday", Reason.NUMBER_MISMATCH),
        ("قال الوزير إن الخطة جاهزة", "The plan is very good very good very good", Reason.REPETITION),
        ("زوروا الموقع news.example.com اليوم", "Visit the site today", Reason.LINK_LOST),
        ("قال الوزير إن الخطة جاهزة", "The minister said ﺍﻟﺨﻄﺔ is ready", Reason.ARABIC_LEFT),
        ("تسلم 918 483 شخصا أدوية.", "918 people received medicines in the city.", Reason.NUMBER_MISMATCH),
        ("الهدف 000 350 مدرسة.", "The target is 350 schools.", Reason.NUMBER_MISMATCH),
        ("وصل الوزير إلى المدينة", "The minister arrived in the city with 17 others", Reason.NUMBER_MISMATCH),
        ("صدر القرار في 12 مارس 2018", "The decision of 12 May 2018 was issued", Reason.NUMBER_MISMATCH),
        ("صدر القرار في تشرين الثاني 2018", "The decision was issued in October 2018", Reason.NUMBER_MISMATCH),
        ("بلغت النسبة 35%", "The share was 35", Reason.MARK_LOST),
        ("بلغت النسبة ٣٥ في المئة", "The share was 35 points", Reason.MARK_LOST),
        ("دفع 20 مليون دولار", "He paid 20 million", Reason.MARK_LOST),
        ("دفع 20 مليون يورو", "He paid $20 million", Reason.MARK_LOST),
        ("مرحبا {name}، كيف الحال", "Hello name, how are you", Reason.MARK_LOST),
        ("لديك %1$s رسائل من %s", "You have %1$s messages", Reason.MARK_LOST),
        ('وأضاف: "لن نترك أحدا من الناس خلفنا".', "We will leave none of the people behind.", Reason.MARK_LOST),
    ],
)
def test_a_fault_is_found(source: str, translation: str, reason: Reason) -> None:
    """Each kind of wrong translation has its flag."""
    assert reason in reasons(source, translation)


def test_a_long_sentence_that_comes_back_short_is_flagged() -> None:
    """Most of the sentence is missing."""
    source = "قال الوزير في كلمته أمام البرلمان إن الحكومة ستبدأ تنفيذ الخطة الجديدة في المدن الكبرى خلال العام المقبل"
    assert Reason.LENGTH_RATIO in reasons(source, "The minister spoke.")


def test_an_unsure_model_is_flagged() -> None:
    """A low mean log-probability is a reason of its own."""
    assert reasons("قال الوزير", "The minister said", log_probability=-2.0) == {Reason.LOW_PROBABILITY}


def test_dialect_is_named_where_the_model_is_unsure() -> None:
    """Dialect is translated; the flag says that it is outside what the model knows only if the scores agree."""
    source = normalize("انا مش عايز اروح الشغل دلوقتي", SCHEMES["plain-1"]).text
    unsure = check(Checkable(source, "I do not want to go to work now", -1.9, 20, 20, False, False))
    assert [doubt.reason for doubt in unsure] == [Reason.LOW_PROBABILITY]
    assert "Egyptian dialect" in unsure[0].detail
    assert reasons(source, "I do not want to go to work now") == set()


def test_a_cut_answer_is_flagged() -> None:
    """An answer at the model's limit may lack its end."""
    assert reasons("قال الوزير", "The minister said", target_truncated=True) == {Reason.TRUNCATED}


@needs_shared
@pytest.mark.parametrize("name", ["flores_dev", "tico19_dev", "un_dev"])
def test_human_translations_are_hardly_flagged(name: str) -> None:
    """Of about a thousand human translations, at most one in a hundred has a flag."""
    folder = SHARED / "data/dev"
    arabic, english = ((folder / f"{name}.{language}").read_text().splitlines() for language in ("ar", "en"))
    flagged = [bool(reasons(*pair)) for pair in zip(arabic, english, strict=True)]
    assert sum(flagged) * 100 <= len(flagged)


def test_a_short_translation_that_leaves_words_out_has_lost_a_part() -> None:
    """Both must hold: a terse translation that carries every word is sound, and so is a long one with rare words."""
    arabic = "قال الوزير إن المدرسة أغلقت أبوابها بعد الفيضان الذي ضرب المدينة أمس"

    def has_lost(translation: str, arabic_carried: float) -> bool:
        return Reason.PART_LOST in reasons(arabic, translation, arabic_carried=arabic_carried)

    assert has_lost("The minister said that", -5.9)
    assert not has_lost("The minister said that", -2.0)
    assert not has_lost("The minister said that the school closed its doors after the flood that hit the city.", -5.9)


def test_english_about_something_else_is_unrelated() -> None:
    """A long sentence whose words stand for none of the source is flagged; a short one proves nothing."""
    assert Reason.UNRELATED in reasons("قال الوزير", "The river rose", english_explained=-6.2, source_tokens=20)
    assert Reason.UNRELATED not in reasons("قال الوزير", "The river rose", english_explained=-6.2, source_tokens=4)
    assert Reason.UNRELATED not in reasons("قال الوزير", "The minister said", english_explained=-3.0, source_tokens=20)


def test_a_thousand_that_became_a_million_is_seen_beside_the_right_number() -> None:
    """The right number elsewhere in the sentence does not excuse the wrong one."""
    arabic = "أجبرت الفيضانات نحو 12 ألف شخص على مغادرة منازلهم"
    wrong = "The floods forced 12,000 people, one of the 12 million people, to leave their homes."
    assert Reason.NUMBER_MISMATCH in reasons(arabic, wrong)
    assert Reason.NUMBER_MISMATCH not in reasons(arabic, "The floods forced 12,000 people to leave their homes.")
    assert Reason.NUMBER_MISMATCH not in reasons(arabic, "The floods forced 12 thousand people to leave their homes.")
