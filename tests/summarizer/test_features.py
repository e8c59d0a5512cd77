"""Features: the words of sentences as vectors, and what can be counted in them."""

import numpy as np
import pytest

from services.summarizer.features import features
from services.summarizer.languages import LANGUAGES, Language

ENGLISH, ARABIC = LANGUAGES["en"], LANGUAGES["ar"]


def keys(language: Language, text: str) -> list[str]:
    return language.keys(language.words(text))


def test_equal_topics_are_near_and_others_apart() -> None:
    """Sentences that share telling words resemble each other; stop words alone make no resemblance."""
    counted = features(
        ["The dam near Mosul was repaired.", "Engineers repaired the dams.", "The match was near its end."], ENGLISH
    )
    similarity = counted.vectors.similarity(0)
    assert similarity[0] == pytest.approx(1.0)
    assert 0.2 < similarity[1] < 1.0
    assert similarity[2] == 0.0


def test_arabic_words_match_through_article_and_clitics() -> None:
    """Minister, the minister, and the minister, for the minister: one word for matching, vowelled or not."""
    assert set(keys(ARABIC, "وزارة الوزارة والوزارة")) == {"وزار"}
    assert set(keys(ARABIC, "الوزير والوزير للوزير وزير الوَزِير")) == {"وزير"}
    assert keys(ARABIC, "أمطار") == keys(ARABIC, "الامطار")


def test_negations_tell_sentences_apart() -> None:
    """A negation is a telling word: without it a denial would be a duplicate of the claim."""
    claimed, denied = features(["The minister resigned.", "The minister never resigned."], ENGLISH).identities
    assert claimed != denied
    assert "never" in keys(ENGLISH, "The minister never resigned.")
    assert keys(ARABIC, "لم يستقل") != keys(ARABIC, "يستقل")


def test_equal_sentences_are_known_by_their_words() -> None:
    """Case, spaces and punctuation do not make another sentence."""
    counted = features(["Follow us on the radio.", "Rain fell.", "FOLLOW US  on the radio"], ENGLISH)
    assert counted.repeated.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("Farmers lost the harvest.", 0, id="the first word alone is no name"),
        pytest.param("In Basra farmers met Governor Asaad al Eidani.", 2, id="a run is one name"),
        pytest.param("President Barham Salih spoke.", 1, id="a name may open the sentence"),
        pytest.param("He said on Monday that I was right in March.", 0, id="days, months and I are none"),
    ],
)
def test_names_are_counted(text: str, names: int) -> None:
    """Capitalized runs count as names."""
    assert features([text], ENGLISH).names.tolist() == [names]


def test_numbers_are_counted_with_their_separators() -> None:
    """34,000 and 12.5 are one number each, in Arabic digits too."""
    assert features(["Of 34,000 houses 12.5 percent fell in 2019."], ENGLISH).numbers.tolist() == [3]
    assert features(["تضرر ٣٤ منزلا عام ٢٠١٩"], ARABIC).numbers.tolist() == [2]


@pytest.mark.parametrize("texts", [[], [""], [" \n"], ["😀", "***"], ["the of and"]])
def test_text_without_telling_words_has_empty_vectors(texts: list[str]) -> None:
    """Nothing to count is no error."""
    counted = features(texts, ENGLISH)
    assert counted.vectors.count == len(texts)
    assert counted.vectors.weights.size == 0
    assert all(np.all(counted.vectors.similarity(index) == 0) for index in range(len(texts)))


@pytest.mark.parametrize(
    ("language", "text", "dangles"),
    [
        ("en", "But the river rose again.", True),
        ("en", "“He added that talks would go on.", True),
        ("en", "In addition, two schools were closed.", True),
        ("en", "This week the river rose again.", False),
        ("en", "The river rose again.", False),
        ("ar", "وأضاف أن المحادثات ستستمر.", True),
        ("ar", "من جهة أخرى أغلقت مدرستان.", True),
        ("ar", "هذا الأسبوع ارتفع منسوب النهر.", False),
        ("ar", "ارتفع منسوب النهر مجددا.", False),
        ("ar", "وقال وزير الري إن السد آمن.", False),
        ("en", "In this case the council pays for the repairs.", True),
        ("en", "For his part, the governor promised new boats.", True),
        ("en", "After this week the schools will open again.", False),
        ("en", "In Basra the river fell by a metre.", False),
        ("ar", "وقال إن السد آمن.", True),
        ("ar", "وأشار إلى أن منسوب النهر ينخفض.", True),
        ("ar", "وأوضحت: الطرق مفتوحة.", True),
        ("ar", 'وقالت "الطرق مفتوحة".', True),
        ("ar", "وقال في بيان إن الطرق مفتوحة.", True),
        ("ar", "وأعرب عن أمله في فتح الطرق.", True),
        ("ar", "وجاء ذلك بعد انهيار جسرين.", True),
        ("ar", "وفي هذا السياق أغلقت مدرستان.", True),
        ("ar", "مؤكداً أن السد آمن.", True),
        ("ar", "حيث أغلقت مدرستان.", True),
        ("ar", "وأشار مدير الهيئة إلى انخفاض منسوب النهر.", False),
        ("ar", 'بين "الهلال" و"النجمة" مباراة واحدة.', False),
        ("ar", "وشهدت المدينة هذا الشهر أمطارا غزيرة.", False),
        ("ar", "طالب من البصرة يفوز بجائزة الرياضيات.", False),
    ],
)
def test_openings_that_lean_on_the_sentence_before(language: str, text: str, dangles: bool) -> None:
    """Connectives and pronouns at the start are known, unless they open an expression of time."""
    assert LANGUAGES[language].dangles(LANGUAGES[language].read(text)) is dangles


@pytest.mark.parametrize(
    ("language", "text", "credits"),
    [
        ("en", "By Ahmed al-Ali", True),
        ("en", "Photo: a bridge in Mosul", True),
        ("en", "Reporting by Sara Hasan; editing by Tom Reed", True),
        ("en", "By Monday evening the water had reached the second floor of the school.", False),
        ("en", "Video of the flood was shared widely.", False),
        ("ar", "تصوير: أحمد علي", True),
        ("ar", "اقرأ أيضاً: ارتفاع أسعار القمح", True),
        ("ar", "تقرير اللجنة يدعو إلى إصلاح السد.", False),
        ("en", "Written by Sara Hasan", True),
        ("en", "Getty Images", True),
        ("en", "Pictures of the flood showed boats in the streets.", False),
        ("ar", "كتبت ليلى حداد", True),
        ("ar", "مصدر الصورة AFP", True),
        ("ar", "اقرأوا أيضا سد الموصل ينجو من الفيضان", True),
        ("ar", "للمزيد من الأخبار زوروا موقعنا", True),
        ("ar", "كتب المحافظ على حسابه أن الطرق مفتوحة.", False),
        ("ar", "تحرير 12 رهينة بعد أسبوعين من التفاوض.", False),
        ("ar", "نقلا عن مصادر في وزارة الري، أعلن التلفزيون أن السد آمن.", False),
    ],
)
def test_credits_are_told_from_sentences(language: str, text: str, credits: bool) -> None:
    """Bylines, photo credits and links to other stories are known by how they open."""
    assert LANGUAGES[language].credits(LANGUAGES[language].read(text)) is credits


@pytest.mark.parametrize(
    ("language", "text", "quotes"),
    [
        ("en", '"The boats came too late."', True),
        ("en", "“The boats came too late,”", True),
        ("en", "We waited for the boats all night.", True),
        ("en", "I saw the bridge fall.", True),
        ("en", '"We waited all night," said Ahmed al-Ali.', False),
        ("en", '"Boats" and "bridges" were the words of the day.', False),
        ("en", "US engineers looked at the dam that Elizabeth I never saw.", False),
        ("ar", '"وصلت القوارب بعد فوات الأوان".', True),
        ("ar", "«وصلت القوارب بعد فوات الأوان».", True),
        ("ar", "نحن ننتظر القوارب منذ الليل.", True),
        ("ar", "وقال أحمد العلي: «نحن ننتظر القوارب».", False),
        ("ar", "كانت القوارب هنا قبل الفجر.", False),
        ("ar", "وقال المحافظ للصحفيين: نحن ننتظر القوارب.", False),
    ],
)
def test_quotations_that_do_not_say_whose(language: str, text: str, quotes: bool) -> None:
    """All in quotation marks, or in the first person outside of them: somebody's words, and nobody knows whose."""
    assert LANGUAGES[language].quotes_nobody(LANGUAGES[language].read(text)) is quotes


@pytest.mark.parametrize(
    ("language", "text", "breaks_off"),
    [
        ("en", "These roads are closed:", True),
        ("en", "The ministry warned of a second wave that…", True),
        ("en", "The ministry warned of a second wave from the", True),
        ("en", "The ministry warned of a second wave", False),
        ("en", "The ministry warned of a second wave.", False),
        ("ar", "وفيما يلي الطرق المغلقة:", True),
        ("ar", "حذرت الوزارة من موجة ثانية،", True),
        ("ar", "ترفض الوزارة نشر الأرقام، وهو ما يمنعها من", True),
        ("ar", "حذرت الوزارة من موجة ثانية..", False),
        ("ar", "حذرت الوزارة من موجة ثانية", False),
    ],
)
def test_sentences_without_an_end(language: str, text: str, breaks_off: bool) -> None:
    """What ends with a comma, a colon, dots or a word that asks for more is no whole sentence; a lost full stop is."""
    assert LANGUAGES[language].breaks_off(LANGUAGES[language].read(text)) is breaks_off
