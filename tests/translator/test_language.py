"""Languages and dialects: named, with a confidence, and never at the cost of Arabic."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.languages import DEVELOPMENT_SETS, DIALECTS, label_of, sentences
from services.translator.language import NAMES, dialect_of, identify, identify_all, language_of
from services.translator.normalize import SCHEMES, normalize
from services.translator.split import split
from tests.conftest import SHARED, needs_shared


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("قال الوزير إن الخطة جاهزة", "ar"),
        ("الدوحة", "ar"),
        ("قال الوزير پوتین إن الحرب ستنتهي", "ar"),
        ("قال ترامب لصحيفة Washington Post", "ar"),
        ("له من الأمر", "ar"),
        ("قال له", "ar"),
        ("به", "ar"),
        ("هم سعداء", "ar"),
        ("قال الرئیس المصری فی القاهرة", "ar"),
        ("ڤيتو ڤيينا", "ar"),
        ("رئیس جمهور ایران گفت که مذاکرات را ادامه می دهد", "fa"),
        ("وزیر اعظم نے کہا", "ur"),
        ("سەرۆکی هەرێمی کوردستان گەیشتە بەغدا", "ckb"),
        ("دا په پښتو ژبه کې یوه جمله ده", "ps"),
        ("این یک متن فارسی است که برای آزمایش نوشته شد", "fa"),
        ("یہ ایک اردو جملہ ہے اور اس میں الفاظ ہیں", "ur"),
        ("The minister said", "en"),
        ("Der Minister sagte nichts", "other"),
        ("Министр сказал", "other"),
        ("ana mesh 3aref ta5od el karar da", "arabizi"),
        ("7abibi enta fein", "arabizi"),
        ("A 5G network and an MP3 player on the 2nd", "en"),
        ("H5N1, COVID19, B2B", "other"),
        ("123 😀 ...", "none"),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    """Arabic is told from other languages of its script, from other scripts, and from no words at all."""
    assert language_of(text) == language


def test_our_sentences_are_named_right() -> None:
    """Of our sentences in nine languages and five dialects nine in ten are named right, and no Arabic one wrongly."""
    seen = [(label, label_of(text)) for label, text in sentences()]
    assert sum(label == found for label, found in seen) >= 0.9 * len(seen)
    assert all(found == "ar" for label, found in seen if label == "ar")
    assert {label for label, _ in seen} == {*DIALECTS, "ar", "fa", "ur", "ckb", "ps", "en", "arabizi"}


@given(text=st.text(alphabet=st.one_of(st.characters(), st.sampled_from("ابتةيکگڤەہ 37abel")), max_size=200))
def test_any_text_has_a_language(text: str) -> None:
    """There is a known name for any text, and a confidence that is never certainty."""
    language = identify(text)
    assert language.code in NAMES
    assert 0 < language.confidence < 1


@given(
    words=st.lists(
        st.sampled_from(["قال", "الوزير", "في", "المدينة", "إن", "على", "التي", "هذا", "بعد", "مدرسة", "كتاب", "رجل"]),
        min_size=1,
        max_size=20,
    ),
    name=st.sampled_from(["پوتین", "ڤيينا", "گوگل", "Google", "ەێ", "ہے", "3arabi", "", "12%"]),
    at=st.integers(0, 20),
)
def test_one_foreign_word_does_not_make_arabic_foreign(words: list[str], name: str, at: int) -> None:
    """Whatever name or word stands in an Arabic sentence with a mark of Arabic, it is translated."""
    text = " ".join([*words[:at], name, *words[at:], "المدينة", "في", "الأحد"])
    assert language_of(text) == "ar"


def test_more_evidence_is_more_confidence() -> None:
    """A long plain sentence is surer than a word."""
    assert identify("قال الوزير في المؤتمر الصحفي إن الحكومة").confidence > identify("قال الوزير").confidence > 0.5
    assert identify("رئیس جمهور گفت که این را برای ایران می خواهد").confidence > 0.8
    assert identify("جدة").confidence < 0.75


def test_the_paragraph_speaks_for_sentences_that_say_little() -> None:
    """A greeting in a Persian paragraph is Persian, in an Arabic one Arabic; a clear sentence is heard by itself."""
    persian = ["رئیس جمهور گفت که این را برای ایران می خواهد و نمی ماند.", "سلام دوستان."]
    assert [language.code for language in identify_all(persian)] == ["fa", "fa"]
    arabic = ["قال الوزير في المؤتمر الصحفي إن الحكومة ستعمل على التنفيذ.", "سلام دوستان."]
    assert [language.code for language in identify_all(arabic)] == ["ar", "ar"]
    quoted = [*persian[:1], "وقال المتحدث باسم الحكومة في المدينة إن هذا لا يصح."]
    assert [language.code for language in identify_all(quoted)] == ["fa", "ar"]
    typed = ["ana mesh 3aref ta5od el karar da ezay ya 7abibi", "mot2akked"]
    assert [language.code for language in identify_all(typed)] == ["arabizi", "arabizi"]


def test_a_quoted_word_is_no_dialect() -> None:
    """One dialect word in a news sentence is a quotation."""
    assert dialect_of("قال الوزير للصحفيين إن الشعب مش خائف من الأزمة وإن الحكومة ستعمل على حلها") == ""
    assert dialect_of("انا مش عايز اروح دلوقتي") == "Egyptian"


@needs_shared
def test_real_arabic_is_hardly_ever_taken_for_another_language() -> None:
    """Of four development sets and the sentences of 500 articles, at most one in a thousand is not translated."""
    texts = [
        [normalize(line, SCHEMES["plain-1"]).text]
        for name in DEVELOPMENT_SETS
        for line in (SHARED / "data/dev" / f"{name}.ar").read_text().splitlines()
    ]
    with gzip.open(SHARED / "data/articles/articles-2000.jsonl.gz", "rt") as file:
        bodies = [json.loads(line)["body"] for line, _ in zip(file, range(500), strict=False)]
    for line in (line for body in bodies for line in body.splitlines()):
        text = normalize(line, SCHEMES["plain-1"]).text
        texts.append([piece.span.of(text) for piece in split(text, max_tokens=len(text) + 1, count_tokens=len)])
    codes = [language.code for paragraph in texts for language in identify_all(paragraph)]
    assert len(codes) > 8000
    assert sum(code not in ("ar", "none") for code in codes) * 1000 <= len(codes)


@pytest.mark.parametrize(
    "text", ["12 ألف https://example.org/a/long/address", "راسلونا على desk@example.org", "تابعوا @ExampleNews"]
)
def test_an_address_does_not_outweigh_the_arabic_around_it(text: str) -> None:
    """Addresses are in Latin letters in every language."""
    assert language_of(text) == "ar"


def test_an_address_alone_is_in_no_language() -> None:
    """There is nothing to translate in it and nothing to mark."""
    assert language_of("https://example.org/a") == "none"
