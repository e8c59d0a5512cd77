"""Terms of a glossary: found where they stand, applied or reported as missed, and nothing else touched."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.harness.errors import Reason, Refusal
from services.harness.terms import MAX_TERM_CHARS, MAX_TERM_WORDS, MAX_TERMS, Term
from services.translator.check import Doubt
from services.translator.check import Reason as DoubtReason
from services.translator.engine import Decoded
from services.translator.glossary import (
    Candidate,
    Glossary,
    Match,
    choose,
    outcomes,
    restore,
    rewritings,
)
from services.translator.model import Model
from services.translator.normalize import SCHEMES, normalize
from services.translator.queue import Place, TranslationQueue
from services.translator.span import Span
from services.translator.translation import ParagraphTranslator
from tests.conftest import ScriptedEngine, plausible_english

PLAIN = SCHEMES["plain-1"]
BANK = Term("البنك الدولي", "World Bank")


def found(text: str, *terms: Term) -> list[tuple[str, str, str]]:
    """Return words, prefix and source of each match."""
    return [(m.span.of(text), m.prefix, m.term.source) for m in Glossary(terms, PLAIN).find(text)]


@pytest.mark.parametrize(
    ("source", "words", "prefix"),
    [
        ("البنك الدولي", "البنك الدولي", ""),
        ("البنك الدولي", "والبنك الدولي", "و"),
        ("البنك الدولي", "بالبنك الدولي", "ب"),
        ("البنك الدولي", "وبالبنك الدولي", "وب"),
        ("البنك الدولي", "كالبنك الدولي", "ك"),
        ("البنك الدولي", "للبنك الدولي", "ل"),
        ("البنك الدولي", "وللبنك الدولي", "ول"),
        ("البنك الدولي", "فللبنك الدولي", "فل"),
        ("البنك الدولي", "البَنْكِ  الدُّوَلـيِّ", ""),
        ("بنك", "بنك", ""),
        ("بنك", "البنك", ""),
        ("بنك", "وبنك", "و"),
        ("بنك", "والبنك", "و"),
        ("بنك", "لبنك", "ل"),
        ("بنك", "للبنك", "ل"),
        ("اللجنة", "للجنة", "ل"),
        ("اللجنة", "واللجنة", "و"),
        ("لجنة", "للجنة", "ل"),
        ("ألمانيا", "بألمانيا", "ب"),
        ("ألمانيا", "لألمانيا", "ل"),
        ("ألمانيا", "المانيا", ""),
        ("الى", "إلى", ""),
        ("مستشفى", "المستشفي", ""),
        ("جامعة القاهرة", "وجامعه القاهره", "و"),
        ("أم درمان", "بأم درمان", "ب"),
        ("كوفيد-19", "بكوفيد-19", "ب"),
        ("NorthClim", "بnorthclim", "ب"),
        ("لد", "لد", ""),
    ],
)
def test_terms_are_found_behind_prefixes_and_in_any_spelling(source: str, words: str, prefix: str) -> None:
    """Conjunctions, prepositions and the article in all their joined forms, vowels, and the letters people mix up."""
    text = normalize(f"قال {words} أمس", PLAIN).text
    expected = normalize(words, PLAIN).text
    assert found(text, Term(source, "X")) == [(expected, prefix, source)]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("بنك", "البنكان بنكي"),  # other words
        ("البنك", "بنك"),  # a bank is not the bank
        ("لد", "ولد"),  # a boy
        ("دم", "الدم"),
        ("هام", "إلهام"),  # a name, whose أل is no article
        ("لعاب", "ألعاب"),
        ("ألعاب", "للعاب"),
        ("البنك الدولي", "البنك. الدولي"),
        ("a.b", "acb"),
        (".*", "كل شيء ممكن"),
    ],
)
def test_other_words_are_left_alone(source: str, text: str) -> None:
    """Parts of words, words that only look like prefix and term, and metacharacters find nothing."""
    if source == ".*":
        with pytest.raises(Refusal):
            Glossary([Term(source, "X")], PLAIN)
    else:
        assert found(text, Term(source, "X")) == []


def test_the_longest_term_comes_first() -> None:
    """Of terms that overlap the longest is found, whatever their order, and the shorter ones elsewhere."""
    bank, world, centre = Term("البنك", "bank"), BANK, Term("مركز البنك", "bank centre")
    for terms in ([bank, world, centre], [centre, world, bank]):
        assert found("مركز البنك الدولي والبنك", *terms) == [
            ("البنك الدولي", "", "البنك الدولي"),
            ("والبنك", "و", "البنك"),
        ]
        assert found("مركز البنك", *terms) == [("مركز البنك", "", "مركز البنك")]


def test_a_rewriting_keeps_the_prefixes_and_drops_the_article() -> None:
    """The English stands behind the prefixes that the term had; then a code does."""
    text = "رحبت وبالبنك الدولي"
    matches = Glossary([BANK], PLAIN).find(text)
    assert [way.text for way in rewritings(text, matches, "It welcomed.")] == ["رحبت وبWorld Bank", "رحبت وبXYZ"]


def test_only_what_the_plain_translation_lacks_is_rewritten() -> None:
    """A term that the model writes by itself stays Arabic; if it writes all, there is nothing to try."""
    text = "البنك الدولي في السودان"
    matches = Glossary([BANK, Term("السودان", "Sudan")], PLAIN).find(text)
    assert [w.text for w in rewritings(text, matches, "The bank in Sudan")] == [
        "World Bank في السودان",
        "XYZ في السودان",
    ]
    assert list(rewritings(text, matches, "The World Bank in Sudan")) == []


def test_a_code_that_the_article_has_is_not_used() -> None:
    """An XYZ of the article's own is never taken for a term."""
    text = "شركة XYZ والبنك الدولي"
    ways = list(rewritings(text, Glossary([BANK], PLAIN).find(text), "The company XYZ"))
    assert ways[-1].text == "شركة XYZ وABC"


@pytest.mark.parametrize(
    ("written", "english", "expected"),
    [
        ("It thanked XYZ.", "World Bank", "It thanked World Bank."),
        ("XYZ holds.", "ceasefire", "Ceasefire holds."),
        ("XYZ is sold.", "iPhone", "iPhone is sold."),
        ("They went to the XYZ.", "The Hague", "They went to The Hague."),
        ("XYZ's plan", r"\1 C++", r"\1 C++'s plan"),
        ("It thanked XYZU.", "World Bank", None),
        ("It thanked XY.", "World Bank", None),
        ("XYZ thanked XYZ.", "World Bank", None),
    ],
)
def test_codes_become_terms_or_nothing(written: str, english: str, expected: str | None) -> None:
    """A code that was lost, mangled or doubled spoils its rewriting; else the term stands as it was asked for."""
    matches = Glossary([Term("البنك", english)], PLAIN).find("شكر البنك")
    *_, way = rewritings("شكر البنك", matches, "It thanked.")
    assert restore(written, way) == expected


def match(english: str) -> Match:
    return Match(Span(0, 1), "", Term("ا", english))


@pytest.mark.parametrize(
    ("english", "translation", "applied"),
    [
        ("World Bank", "The World  Bank said", True),
        ("World Bank", "the world bank said", False),
        ("World Bank", "World Banking", False),
        ("al-Nuaimi", "Al-Nuaimi spoke", True),
        ("ceasefire", "The Ceasefire Talks", True),
        ("People's Council", "the People’s Council’s head", True),
        ("C++", "in C++.", True),
        ("C++", "in CC", False),
    ],
)
def test_a_term_is_applied_where_its_english_stands(english: str, translation: str, applied: bool) -> None:
    """Whole words, a name with its capitals, other words in any."""
    assert outcomes([match(english)], translation) == [applied]


def test_what_is_written_once_is_applied_once() -> None:
    """Of two places of a term and one in the English, the second is reported as missed."""
    assert outcomes([match("Sudan"), match("Sudan")], "Sudan and its neighbours") == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Candidate("Sudan", -0.5, []), id="most of it lost"),
        pytest.param(Candidate("The minister of Sudan spoke of Sudan, Sudan and peace", -0.5, []), id="said again"),
        pytest.param(Candidate("The minister in Sudan spoke of peace", -2.0, []), id="unsure"),
        pytest.param(
            Candidate("The minister in Sudan spoke of", -0.5, [Doubt(DoubtReason.NUMBER_MISMATCH, "7")]), id="doubt"
        ),
        pytest.param(Candidate("The minister in Chad spoke of peace", -0.5, []), id="no more terms"),
    ],
)
def test_a_rewriting_with_harm_is_not_taken(other: Candidate) -> None:
    """The plain translation stays where the other one lost, doubled, guessed, or added a doubt."""
    plain = Candidate("The minister spoke in the capital at length about peace with all of its neighbours", -0.5, [])
    assert choose([match("Sudan")], plain, [other]) is plain


def test_a_doubtful_sentence_may_be_mended_by_its_terms() -> None:
    """A rewriting without the doubts of the plain translation is welcome, whatever its length."""
    plain = Candidate("water " * 30, -0.5, [Doubt(DoubtReason.REPETITION, "water")])
    other = Candidate("Sudan has water", -0.5, [])
    assert choose([match("Sudan")], plain, [other]) is other


@pytest.mark.parametrize(
    ("terms", "reason", "place"),
    [
        pytest.param([("", "x")], Reason.TERM_EMPTY, "[0].source", id="empty"),
        pytest.param([("بنك", ""), (" \u064e\u0650", "x")], Reason.TERM_EMPTY, "[1].source", id="only vowels"),
        pytest.param([("ـــ", "x")], Reason.TERM_EMPTY, "[0].source", id="only tatweel"),
        pytest.param([(".*?[", "x")], Reason.TERM_EMPTY, "[0].source", id="only signs"),
        pytest.param([("ا" * (MAX_TERM_CHARS + 1), "x")], Reason.TERM_TOO_LONG, "[0].source", id="long source"),
        pytest.param([("بنك", "x" * (MAX_TERM_CHARS + 1))], Reason.TERM_TOO_LONG, "[0].target", id="long target"),
        pytest.param([("ا " * (MAX_TERM_WORDS + 1), "x")], Reason.TERM_TOO_LONG, "[0].source", id="many words"),
        pytest.param([("بنك", "a\x00b")], Reason.TERM_UNREADABLE, "[0].target", id="control character"),
        pytest.param([("بنك", "a"), ("بَنْك", "b")], Reason.REPEATED_TERM, "[1].source", id="two targets"),
        pytest.param([("إلى", "a"), ("الي", "b")], Reason.REPEATED_TERM, "[1].source", id="the same words"),
        pytest.param([(f"ا{n}", "x") for n in range(MAX_TERMS + 1)], Reason.TOO_MANY_TERMS, "", id="too many"),
    ],
)
def test_bad_terms_are_refused(terms: list[tuple[str, str]], reason: Reason, place: str) -> None:
    """Each with its reason and the field at fault."""
    with pytest.raises(Refusal) as refused:
        Glossary([Term(*term) for term in terms], PLAIN)
    assert (refused.value.reason, refused.value.field) == (reason, f"glossary_terms{place}")


def test_a_long_text_of_like_words_takes_linear_time() -> None:
    """A thousand terms that begin alike, in a text of their first word: done at once, not in minutes."""
    terms = [Term("بنك " * (1 + n % 19) + f"رقم{n}", "x") for n in range(MAX_TERMS)]
    assert Glossary(terms, PLAIN).find("بنك " * 20_000) == []


@pytest.fixture
async def translator(model_folder: Path) -> AsyncIterator[tuple[ParagraphTranslator, ScriptedEngine]]:
    """A translator whose engine answers at once."""
    model = Model.open(model_folder)
    engine = ScriptedEngine(model)
    queue = TranslationQueue(engine, workers=1, batch_tokens=1024, capacity=4096, window=256)
    yield ParagraphTranslator(model, queue), engine
    await queue.close()


Say = Callable[[str], str]
TEXT = "رحبت الحكومة بالبنك الدولي شريكا. وصل الوزير صباحا."


@pytest.mark.parametrize(
    ("say", "translation", "decoded"),
    [
        pytest.param(lambda a: a.replace("بالبنك الدولي", "World Bank"), "has it", 2, id="plainly"),
        pytest.param(
            lambda a: "It thanked World Bank for it" if "World" in a else "It thanked it", "World", 4, id="English"
        ),
        pytest.param(lambda a: "It thanked XYZ for it" if "XYZ" in a else "It thanked it", "World", 4, id="code"),
        pytest.param(lambda a: "It thanked it", "", 4, id="never"),
    ],
)
async def test_a_term_is_applied_or_reported_as_missed(
    translator: tuple[ParagraphTranslator, ScriptedEngine], say: Say, translation: str, decoded: int
) -> None:
    """Whichever way the model can be led, the report says what came of it, and where; the other sentence is as ever."""
    paragraphs, engine = translator
    engine.say = lambda arabic: say(arabic) if "رحبت" in arabic else plausible_english(arabic)
    [[plain, other]] = await paragraphs.translate([TEXT])
    engine.sentences = 0
    [[sentence, same]] = await paragraphs.translate([TEXT], [BANK])
    assert same == other
    assert engine.sentences == decoded
    [report] = sentence.term_matches
    assert report.span.of(TEXT) == "بالبنك الدولي"
    assert report.term == BANK
    assert report.applied == ("World Bank" in sentence.translation) == bool(translation)
    assert sentence.plain_translation == ("" if sentence.translation == plain.translation else plain.translation)
    assert (sentence.translation != plain.translation) == (translation == "World")


async def test_without_time_for_its_terms_an_article_is_still_answered(
    translator: tuple[ParagraphTranslator, ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the glossary adds was not let in with the call: a busy translator reports the terms as missed."""

    async def refuse(place: Place, sentences: Sequence[list[str]]) -> list[Decoded]:
        raise Refusal(Reason.OVERLOADED, f"no time for {len(sentences)}")

    monkeypatch.setattr(Place, "decode_more", refuse)
    paragraphs, engine = translator
    engine.say = lambda arabic: "It thanked it" if "رحبت" in arabic else plausible_english(arabic)
    [plain] = await paragraphs.translate([TEXT])
    [sentences] = await paragraphs.translate([TEXT], [BANK])
    assert [sentence.translation for sentence in sentences] == [sentence.translation for sentence in plain]
    assert [report.applied for report in sentences[0].term_matches] == [False]


async def test_what_is_not_to_be_translated_stays_as_it_is(
    translator: tuple[ParagraphTranslator, ScriptedEngine],
) -> None:
    """A term without a target is kept in the glossary's spelling, Arabic or Latin, without a flag for its Arabic."""
    paragraphs, engine = translator
    engine.say = lambda arabic: "The report praised XYZ today" if "XYZ" in arabic else "The report praised it today"
    [[sentence]] = await paragraphs.translate(["أشاد التقرير بالمقاصة اليوم."], [Term("المقاصة", "")])
    assert sentence.translation == "The report praised المقاصة today"
    assert sentence.doubts == []


WORDS = [
    "البنك",
    "بالبنك",
    "وللبنك",
    "الدولي",
    "الدولية",
    "لجنة",
    "للجنة",
    "السودان",
    "قال",
    "الوزير",
    "أمس",
    "12",
    "NorthClim",
    ".",
    "،",
]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
sources = st.lists(st.sampled_from([*WORDS[:9], "تونس", "المغرب"]), min_size=1, max_size=2).map(" ".join)
glossaries = st.dictionaries(sources, st.sampled_from(["World Bank", "committee", "Sudan", ""]), max_size=4)


def terms_of(glossary: dict[str, str]) -> Sequence[Term]:
    return [Term(source, target) for source, target in glossary.items()]


@given(sentences, glossaries)
def test_matches_are_whole_words_in_order_and_never_overlap(text: str, glossary: dict[str, str]) -> None:
    """Whatever the text and the terms."""
    matches = Glossary(terms_of(glossary), PLAIN).find(text)
    position = 0
    for one in matches:
        assert position <= one.span.start < one.span.end
        assert not text[: one.span.start][-1:].isalnum()
        assert not text[one.span.end :][:1].isalnum()
        position = one.span.end


@given(st.text(), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_any_text_and_terms_are_searched_or_refused(text: str, glossary: dict[str, str]) -> None:
    """Nothing but a Refusal comes of terms made of anything, and spans stay within the text."""
    normalized = normalize(text, PLAIN).text
    try:
        matches = Glossary(terms_of(glossary), PLAIN).find(normalized)
    except Refusal:
        return
    for way in rewritings(normalized, matches, ""):
        assert way.text != normalized
    assert all(0 <= one.span.start < one.span.end <= len(normalized) for one in matches)
    assert len(outcomes(matches, text)) == len(matches)


async def test_no_term_is_lost_and_nothing_else_changes(
    translator: tuple[ParagraphTranslator, ScriptedEngine],
) -> None:
    """For many texts and glossaries: every match is reported, and a sentence without one is as without a glossary."""
    paragraphs, engine = translator
    engine.say = lambda arabic: plausible_english(arabic.replace("XYZ", "Xyz") if "لجنة" in arabic else arabic)
    cases: list[tuple[str, dict[str, str]]] = []

    @given(sentences, glossaries)
    def collect(text: str, glossary: dict[str, str]) -> None:
        cases.append((text, glossary))

    collect()
    for text, glossary in cases:
        terms = terms_of(glossary)
        [plain], [done] = await paragraphs.translate([text]), await paragraphs.translate([text], terms)
        for before, after in zip(plain, done, strict=True):
            expected = Glossary(terms, PLAIN).find(normalize(before.source, PLAIN).text)
            assert [report.term for report in after.term_matches] == [one.term for one in expected]
            assert (after.plain_translation or after.translation) == before.translation
            if not expected:
                assert after == before
