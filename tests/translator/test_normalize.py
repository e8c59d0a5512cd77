"""Normalization: what the model reads, and the way back to what the caller wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translator.normalize import SCHEMES, Scheme, normalize
from services.translator.span import Span

PLAIN = SCHEMES["plain-1"]
arabic_text = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.characters(min_codepoint=0x0600, max_codepoint=0x06FF),
        st.characters(min_codepoint=0xFB50, max_codepoint=0xFDFF),
        st.characters(min_codepoint=0xFE70, max_codepoint=0xFEFF),
        st.sampled_from(" \n\r\t\u0640\u200f\u202b\u0651\u0654\u0301"),
    )
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("قَالَ الرَّئِيسُ", "قال الرئيس", id="short vowels"),
        pytest.param("العـــراق", "العراق", id="tatweel"),
        pytest.param("ﺍﻟﻌﺮﺍﻕ ﻻ", "العراق لا", id="presentation forms from a PDF"),
        pytest.param("النبيﷺ قال", "النبي صلى الله عليه وسلم قال", id="ligature of a phrase keeps its spaces"),
        pytest.param("١٢٫٥٪ من ۳۴٬۰۰۰", "12.5% من 34,000", id="Arabic-Indic and Persian digits"),
        pytest.param("\u202bقال\u202c \u200fنعم\ufeff", "قال نعم", id="bidi controls"),
        pytest.param("a\u00a0 \t b", "a b", id="runs of spaces"),
        pytest.param("ا\u0654حمد", "أحمد", id="hamza composes with its alef"),
        pytest.param("«نعم» – قال…", '"نعم" - قال...', id="quotes, dashes and ellipsis"),
        pytest.param("سطر\r\nآخر", "سطر\n\nآخر", id="newlines stay"),
    ],
)
def test_text_is_read_as_in_training(written: str, read: str) -> None:
    """Each writing variant reaches the model in the one form it was trained on."""
    assert normalize(written, PLAIN).text == read


def test_letters_that_carry_meaning_are_never_folded() -> None:
    """Alef, ya and ta marbuta variants stay apart, since they distinguish words."""
    assert normalize("إلى أن آمن على علي مدرسة مدرسه", PLAIN).text == "إلى أن آمن على علي مدرسة مدرسه"


def test_a_scheme_may_keep_the_vowels() -> None:
    """A model trained on vowelled text gets the vowels."""
    assert normalize("قَالَ", SCHEMES["diacritics-1"]).text == "قَالَ"


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@given(text=arabic_text)
def test_normalizing_twice_changes_nothing_more(scheme: Scheme, text: str) -> None:
    """Normalization is idempotent on any text."""
    once = normalize(text, scheme).text
    assert normalize(once, scheme).text == once


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@given(text=arabic_text)
def test_every_character_knows_its_origin(scheme: Scheme, text: str) -> None:
    """Origins never decrease, end at the end of the source, and cover it without overlap."""
    normalized = normalize(text, scheme)
    assert len(normalized.origins) == len(normalized.text) + 1
    assert list(normalized.origins) == sorted(normalized.origins)
    assert normalized.origins[-1] == len(text)


def test_a_span_leads_back_to_the_words_as_they_were_written() -> None:
    """The source of a normalized word is the word with its vowels and tatweel."""
    source = "قَالَ العـــراقُ نعم"
    normalized = normalize(source, PLAIN)
    start = normalized.text.index("العراق")
    assert normalized.source_span(Span(start, start + 6)).of(source) == "العـــراقُ"
