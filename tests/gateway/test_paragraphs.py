"""Paragraphs of a text: nothing lost, and boilerplate told from running text."""

import gzip
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.paragraphs import Kind, cut
from tests.conftest import SHARED, needs_shared

texts = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" \n\r\t\u2028\x85/.؟: ابتث")))


@given(text=texts, title=st.text(max_size=20))
def test_between_paragraphs_is_only_white_space(text: str, title: str) -> None:
    """Spans are in order, trimmed, and cover the text but for white space."""
    position = 0
    for paragraph in cut(text, title=title):
        part = paragraph.span.of(text)
        assert part == part.strip() != ""
        assert not text[position : paragraph.span.start].strip()
        position = paragraph.span.end
    assert not text[position:].strip()


def test_a_short_message_has_no_boilerplate() -> None:
    """A few short lines are a list, a poem or a message: all of it is body."""
    assert {paragraph.kind for paragraph in cut("وصلنا الآن\nالطريق مغلق\nصور")} == {Kind.BODY}


def test_running_text_is_never_boilerplate() -> None:
    """A paragraph that begins like a credit or a link but runs on is body."""
    text = (
        "المصدر: "
        + "قال مسؤول كبير في الوزارة إن الاجتماع سيعقد الأسبوع المقبل في العاصمة بحضور ممثلين عن جميع الأطراف."
    )
    assert [paragraph.kind for paragraph in cut(text)] == [Kind.BODY]


def test_spaced_quotation_marks_are_no_breadcrumb() -> None:
    """A quoting paragraph without a full stop is body."""
    text = "وقال الوزير « لن نتراجع عن هذا القرار » خلال مؤتمر صحفي عقده في العاصمة بحضور عدد كبير من الصحفيين"
    after = "وأضاف أن الاجتماع سيعقد في العاصمة الأسبوع المقبل بحضور ممثلين عن جميع الأطراف المعنية بالأزمة الحالية"
    assert [paragraph.kind for paragraph in cut(f"{text}\n{after}")] == [Kind.BODY, Kind.BODY]


def test_a_greeting_above_a_letter_is_no_menu() -> None:
    """Short lines above a text are a menu only where something else shows that this is a page."""
    letter = "كتبت اليكم لأن الطريق المؤدي إلى القرية مغلق منذ ثلاثة أيام ولم يصل إلينا أحد من فرق الإغاثة بعد"
    kinds = [paragraph.kind for paragraph in cut(f"صباح الخير\nكيف حالكم اليوم جميعا\n{letter}")]
    assert Kind.BOILERPLATE not in kinds


@pytest.mark.parametrize("line", ["كلمة هنا {}", "اقرأ أيضا", "أخبار {} هنا / رياضة"])
def test_time_grows_with_the_text_and_not_with_its_square(line: str) -> None:
    """20,000 short lines above and below a text are cut in seconds: the gateway has other callers."""
    body = "قال مسؤول إن الاجتماع سيعقد في العاصمة الأسبوع المقبل بحضور ممثلين عن جميع الأطراف المعنية بالأزمة الحالية"
    lines = [line.format(number) for number in range(20_000)]
    started = time.monotonic()
    assert len(cut("\n".join([*lines, body, *lines]))) == 40_001
    assert time.monotonic() - started < 10


@needs_shared
def test_a_page_as_a_user_copied_it() -> None:
    """Menu and breadcrumb above, a caption within, and "see also" below are told from the article."""
    paragraphs = cut((SHARED / "data/articles/000_4265aee8552d089f.txt").read_text())
    kinds = [paragraph.kind for paragraph in paragraphs]
    assert kinds[:3] == [Kind.BOILERPLATE, Kind.BOILERPLATE, Kind.TITLE]
    assert kinds[-3:] == [Kind.BOILERPLATE] * 3
    assert kinds.count(Kind.HEADING) == 1
    assert set(kinds[3:-3]) == {Kind.BODY, Kind.HEADING}


@needs_shared
def test_clean_articles_have_next_to_no_boilerplate() -> None:
    """Of 300 news articles without anything around them, fewer than one line in a hundred is taken for boilerplate."""
    with gzip.open(SHARED / "data/articles/articles-2000.jsonl.gz", "rt") as file:
        bodies = [json.loads(line)["body"] for _, line in zip(range(300), file, strict=False)]
    kinds = [paragraph.kind for body in bodies for paragraph in cut(body)]
    assert kinds.count(Kind.BOILERPLATE) * 100 < len(kinds)
