"""Sentences of a paragraph: lossless, within the model's limit, and where a reader would end them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import splitting
from services.translator.split import cut_to_fit, split
from tests.conftest import SHARED, needs_shared

_SIGNS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" .،؟!؛\n\"')(د1اب")), max_size=100)
_TRAPS = st.sampled_from(["بي.", "سي", ".نت", "(...)", '."', "، ...", " مضيفا ", "!، ", "د. "])
texts = st.lists(st.one_of(_SIGNS, _TRAPS), max_size=20).map("".join)


def count_tokens(text: str) -> int:
    """A tokenizer of three characters a token."""
    return -(-len(text) // 3)


def sentences(text: str) -> list[str]:
    return [piece.span.of(text) for piece in split(text, max_tokens=200, count_tokens=count_tokens)]


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(["وصل الوزير صباحا.", "ثم غادر مساء."], id="full stops"),
        pytest.param(["هل جاء الوزير؟", "نعم!"], id="question and exclamation"),
        pytest.param(["ارتفعت الأسعار؛", "وانخفض الطلب."], id="Arabic semicolon"),
        pytest.param(["قال الوزير ، الأحد ، إن الخطة جاهزة ، وستبدأ غدا"], id="never at a comma"),
        pytest.param(["بلغت النسبة 3.5% في يناير.", "وارتفعت إلى 4.25% في مايو."], id="decimals"),
        pytest.param(["قال د. كمال الرشيدي إن السعر ثابت.", "وأيده أ. د. فؤاد منصور."], id="titles"),
        pytest.param(["قال J. Smith من U.S. Steel إن الصفقة تمت."], id="Latin initials"),
        pytest.param(["زوروا الموقع https://a.example/b.c?id=1.2 اليوم.", "أو راسلونا."], id="addresses"),
        pytest.param(['قال: "سنذهب غدا."', "ثم غادر القاعة."], id="closing quotation mark"),
        pytest.param(['وأضاف: "نعم.', 'سنذهب غدا."', "ثم غادر."], id="quotation of two sentences"),
        pytest.param(["رفض التعليق (انتهى البيان.)", "وغادر."], id="closing bracket"),
        pytest.param(["1. البند الأول"], id="list marker"),
        pytest.param(["سلم الوزير التقرير له.", "ثم غادر."], id="a word of two letters is no abbreviation"),
        pytest.param(["العنوان ص.ب. 1234 الرياض.", "والهاتف مغلق."], id="abbreviation of several letters"),
        pytest.param(["تأسست المدينة عام 1923 م.", "وتوسعت بعد ذلك."], id="era after a year"),
        pytest.param(["انتهى الاجتماع .", "وقال الوزير نعم ."], id="space before the stop"),
        pytest.param(["زوروا https://موقع.مثال/صفحة?بحث=نعم.", "ثم راسلونا."], id="Arabic address"),
        pytest.param(["انتهى الاجتماع. .", "ثم غادر."], id="a second stop"),
        pytest.param(["نقلت بي.بي.سي وقناة (تي.آر.تي) النبأ.", "وأكدته إم.إس.سي.آي."], id="letters by their names"),
        pytest.param(['قال لـ"العربية.نت" إن موقع بيت.كوم يعمل.', "ثم غادر."], id="Arabic domains"),
        pytest.param(["نأسف لما حدث (...) ونأمل الأفضل.", "وهذا (!) ما قيل."], id="words left out, raised eyebrow"),
        pytest.param(['سأل: "ماذا يعني هذا؟"، وغادر.', "يا للعجب!، قال الوزير."], id="a comma goes on"),
        pytest.param(['قال: "انتهينا." مضيفا: "لن نعود."', "ثم غادر."], id="a participle goes on"),
        pytest.param(["تعلم الأطفال القراءة، ... حب القراءة.", "ثم كتبوا."], id="dots after a comma"),
        pytest.param(['كتب "نعم" وقال "لا!', 'لن نذهب!".', "ثم غادر."], id="stops on both sides of a mark"),
        pytest.param(['وقال \'لا "أبدا."', "ثم غادر."], id="a mark that was never opened"),
        pytest.param(["فاز الفريق 3-1 في الساعة 18:30.", "وكان قد خسر 0-2."], id="scores and times"),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(expected: list[str]) -> None:
    """Stops end sentences; stops within numbers, names and addresses do not."""
    assert sentences(" ".join(expected)) == expected


def test_a_missing_space_still_ends_a_sentence() -> None:
    """Clumsy news text runs on without a space."""
    assert sentences("انتهى الاجتماع.وقال الوزير") == ["انتهى الاجتماع.", "وقال الوزير"]
    assert sentences("انتهى الاجتماع .وقال الوزير") == ["انتهى الاجتماع .", "وقال الوزير"]
    assert sentences('قال الوزير:"نعم".وغادر') == ['قال الوزير:"نعم".', "وغادر"]
    assert sentences("حدث ذلك عام 2020.وقال الوزير") == ["حدث ذلك عام 2020.", "وقال الوزير"]


def test_a_line_break_ends_a_sentence() -> None:
    """Lines are sentences even without a stop."""
    assert sentences("عنوان الخبر\nنص الخبر") == ["عنوان الخبر", "نص الخبر"]


def test_signs_alone_are_no_sentence_of_their_own() -> None:
    """Dots and marks stay with the words before or after them."""
    assert sentences("قال ... نعم") == ["قال ...", "نعم"]
    assert sentences('لن نذهب."') == ['لن نذهب."']


@needs_shared
def test_marked_news_is_split_as_it_was_marked() -> None:
    """On the gold set of real paragraphs: nineteen in twenty of the hard boundaries, nearly all of the common ones."""
    scores = splitting.boundaries(list(splitting.articles(SHARED / "data")), {"khulasa": splitting.ours})
    assert scores["hard"]["khulasa"]["f1"] >= 95
    assert scores["sampled"]["khulasa"]["f1"] >= 98


@pytest.mark.parametrize(
    "unit", [". ", "د. ", "بي.", "(...)", "!، ", '." مضيفا ', "3.5 ", '". ', "a.", "a@", "كلمة ", "ك"]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    """No sign that ends nothing makes the splitter read a long text again and again."""
    text = unit * (100_000 // len(unit))
    started = time.perf_counter()
    split(text, max_tokens=200, count_tokens=count_tokens)
    assert time.perf_counter() - started < 5  # quadratic versions need minutes


def test_the_tokenizer_never_sees_a_whole_long_text() -> None:
    """The tokenizer is asked about bounded pieces, so that its own cost stays bounded."""
    longest = 0

    def measure(text: str) -> int:
        nonlocal longest
        longest = max(longest, len(text))
        return count_tokens(text)

    split("كلمة " * 20_000, max_tokens=50, count_tokens=measure)
    assert 0 < longest <= 64 * 50


@given(text=texts)
def test_nothing_is_lost(text: str) -> None:
    """Pieces are trimmed, in order, and only white space lies between them."""
    position = 0
    for piece in split(text, max_tokens=20, count_tokens=count_tokens):
        part = piece.span.of(text)
        assert part == part.strip() != ""
        assert not text[position : piece.span.start].strip()
        position = piece.span.end
    assert not text[position:].strip()


@given(text=texts, max_tokens=st.integers(min_value=1, max_value=50))
def test_no_piece_is_longer_than_the_model_reads(text: str, max_tokens: int) -> None:
    """Every piece is within the limit; one that was cut for it says so."""
    for piece in split(text, max_tokens=max_tokens, count_tokens=count_tokens):
        assert count_tokens(piece.span.of(text)) <= max_tokens


@given(text=texts, max_tokens=st.integers(min_value=1, max_value=50))
def test_what_is_cut_to_fit_loses_nothing(text: str, max_tokens: int) -> None:
    """Parts are within the limit and hold every character that is no white space, in order."""
    parts = [span.of(text) for span in cut_to_fit(text, max_tokens=max_tokens, count_tokens=count_tokens)]
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(count_tokens(part) <= max_tokens for part in parts)


def test_a_text_that_fits_is_not_cut() -> None:
    """Stops within it do not matter to `cut_to_fit`."""
    text = "نعم. لا."
    assert [span.of(text) for span in cut_to_fit(text, max_tokens=9, count_tokens=count_tokens)] == [text]


def test_a_long_sentence_is_cut_at_its_commas() -> None:
    """The weaker boundary nearest to the ideal place is taken, and the parts are marked."""
    clause = "وقال الوزير إن الحكومة ستعمل على تنفيذ الخطة الجديدة في جميع المدن"
    text = " ، ".join([clause] * 6)
    pieces = split(text, max_tokens=60, count_tokens=count_tokens)
    assert len(pieces) > 2
    assert all(piece.fragment for piece in pieces)
    assert all(piece.span.of(text).endswith(("،", "المدن")) for piece in pieces)
