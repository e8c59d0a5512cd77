"""Which articles are the same, and that a translation that is shared has the offsets of each one's own text."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import paragraphs
from gateway.jobs.duplicates import key_of, moved
from khulasa.copies import normal_form
from khulasa.v1 import article_pb2, gateway_pb2

TEXT = "وصل الوزير إلى عدن، وقال: «نعم».\nلم يعلق أحد على 35% من ذلك.\n\nHTTP://a.example"
UNSEEN = ["\u0640", "\u064b", "\u0651", "\u0670", "\u200f", "\u200e", "\u200d", "\ufeff", "\u00ad", "\u2066"]


@st.composite
def set_otherwise(draw: st.DrawFn) -> str:
    """Draw the text with marks that are not seen after letters, and with other white space."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    parts = []
    for char in TEXT:
        if char == "\n":
            parts.append(chance.choice(["\n", "\r\n", "\n \n", " \u2029", "\x85\t"]))
        elif char == " ":
            parts.append(chance.choice([" ", "  ", "\u00a0", "\t", "\u3000 "]))
        else:
            parts.append(char + "".join(chance.choices(UNSEEN, k=chance.choice([0, 0, 0, 1, 2]))))
    return chance.choice(["", " ", "\n", "\u200f"]) + "".join(parts) + chance.choice(["", " \n", "\u200f"])


def answered(text: str) -> gateway_pb2.ProcessArticleResponse:
    """Return an answer with a sentence for each paragraph and one for the summary."""
    answer = gateway_pb2.ProcessArticleResponse()
    for index, cut in enumerate(paragraphs.cut(text)):
        span = article_pb2.Span(start=cut.span.start, end=cut.span.end)
        sentence = article_pb2.Sentence(
            index=index, source=cut.span.of(text), translation=f"English {index}", span=span
        )
        answer.translation.paragraphs.add(index=index, span=span, sentences=[sentence])
    first = answer.translation.paragraphs[0].sentences[0]
    answer.summary.sentences.add(sentence_index=0, text=first.translation, source=first.source, span=first.span)
    return answer


@given(set_otherwise(), set_otherwise())
def test_what_is_set_otherwise_is_the_same_with_its_own_offsets(one: str, other: str) -> None:
    """Any two settings have one key; moved from one to the other, each sentence is a paragraph of the other's text."""
    first, second = article_pb2.Article(text=one), article_pb2.Article(text=other)
    assert key_of(first) == key_of(second)
    result = moved(answered(one), first, second)
    assert result
    position = 0
    for paragraph in result.translation.paragraphs:
        [sentence] = paragraph.sentences
        assert sentence.source == other[sentence.span.start : sentence.span.end]
        assert not other[position : sentence.span.start].strip()
        position = sentence.span.end
    assert not other[position:].strip()
    [chosen] = result.summary.sentences
    assert chosen.source == other[chosen.span.start : chosen.span.end]
    expected = [line for line in TEXT.splitlines() if line]
    assert [normal_form(p.sentences[0].source) for p in result.translation.paragraphs] == list(
        map(normal_form, expected)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("وصل الوزير.", "وصل الوزراء."),
        ("وصل الوزير. وغادر.", "وصل الوزير.\nوغادر."),
        ("وصل الوزير", "وصلالوزير"),
        ("أحمد", "احمد"),
        ("مدرسة", "مدرسه"),
        ("cafe", "caf\u00e9"),
        ("35", "٣٥"),
    ],
)
def test_what_reads_otherwise_is_not_the_same(one: str, other: str) -> None:
    """Another word, a line break more, a letter in another form, an accent, other digits."""
    assert key_of(article_pb2.Article(text=one)) != key_of(article_pb2.Article(text=other))


def test_only_the_very_same_page_is_the_same() -> None:
    """White space in HTML may be in a script or in an attribute, and offsets point into what is extracted."""
    page = article_pb2.Article(html="<p>نص</p>")
    assert key_of(page) == key_of(article_pb2.Article(html="<p>نص</p>"))
    assert key_of(page) != key_of(article_pb2.Article(html="<p>نص </p>"))
    assert key_of(page) != key_of(article_pb2.Article(text="<p>نص</p>"))


def test_what_cannot_be_told_for_certain_is_not_moved() -> None:
    """A mark that stands by itself between two sentences is in one text only: such a copy is done by itself."""
    one, other = (article_pb2.Article(text=text) for text in ("وصل.\nوغادر.", "وصل.\n\u200f\nوغادر."))
    assert key_of(one) == key_of(other)
    assert moved(answered(one.text), one, other) is None
    assert moved(answered(other.text), other, one) is None


def test_what_was_passed_through_is_the_copys_own() -> None:
    """A sentence that is not translated comes back as it stands in the copy."""
    answer = answered("Hello  there")
    sentence = answer.translation.paragraphs[0].sentences[0]
    sentence.translation = sentence.source
    result = moved(answer, article_pb2.Article(text="Hello  there"), article_pb2.Article(text=" Hello there"))
    assert result
    assert result.translation.paragraphs[0].sentences[0].translation == "Hello there"
