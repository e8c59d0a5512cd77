"""What makes no difference between copies, and where in a text each letter that counts stands."""

from hypothesis import given
from hypothesis import strategies as st

from khulasa.copies import Letters, normal_form


@given(st.text(alphabet="ab ن\n\t\u0640\u064b\u200f\u0301\u0653ا«é", max_size=30))
def test_each_letter_that_counts_has_its_place(text: str) -> None:
    """The letters are the normal form without white space, in order, and each place holds its letter."""
    letters = Letters.of(text)
    assert "".join(letters.plain).split() == ["".join(normal_form(text).split())] * bool(letters.plain)
    for plain, start, end in zip(letters.plain, letters.starts, letters.ends, strict=True):
        assert start < end
        assert normal_form(text[start:end]) == plain
    assert all(end <= start for end, start in zip(letters.ends, letters.starts[1:], strict=False))


@given(st.text(max_size=40))
def test_the_normal_form_has_no_other_normal_form(text: str) -> None:
    """What is a copy of a copy is a copy of the first."""
    assert normal_form(normal_form(text)) == normal_form(text)


def test_a_span_is_told_by_its_letters() -> None:
    """A span that begins or ends between letters holds those that lie in it."""
    letters = Letters.of("ab  c\u0640d")
    assert letters.within(1, 5) == (1, 3)
    assert letters.within(2, 4) == (2, 2)
