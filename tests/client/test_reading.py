"""Files in the encodings that Arabic comes in."""

import pytest

from khulasa import UnreadableFile
from khulasa.reading import decode, looks_like_html
from tests.conftest import ARTICLES

TEXT = (ARTICLES / "central-bank.txt").read_text().replace("٤٫٨٪", "4.8%").replace("٥٫٣٪", "5.3%")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1256"])
def test_every_encoding_of_arabic_is_read(encoding: str) -> None:
    """The text comes out as it went in."""
    assert decode(TEXT.encode(encoding)) == TEXT


def test_iso_8859_6_is_not_taken_for_windows_1256() -> None:
    """The two share half of the letters: the other half decides, or the text is silently another."""
    text = TEXT.replace("«", '"').replace("»", '"')
    assert decode(text.encode("iso-8859-6")) == text


@pytest.mark.parametrize("name", ["undefined", "hex", "no-such-thing"])
def test_a_page_may_name_any_encoding(name: str) -> None:
    """An encoding that does not exist is not believed, and breaks nothing."""
    page = f'<meta charset="{name}"><p>{TEXT}</p>'
    assert decode(page.encode("cp1256")) == page


def test_what_a_page_says_of_itself_is_believed() -> None:
    """A page in Windows-1256 that names its encoding is read in it."""
    page = f'<html><head><meta charset="windows-1256"></head><body><p>{TEXT}</p></body></html>'
    assert decode(page.encode("cp1256")) == page


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 20, bytes(range(256)) * 4, b"\xff\xfe\x00\xd8"]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    """A picture or broken UTF-16 is a typed error, not mojibake."""
    with pytest.raises(UnreadableFile):
        decode(data)


def test_html_is_told_from_text() -> None:
    """A page is HTML; text that mentions a bracket is not."""
    assert looks_like_html((ARTICLES / "satellite.html").read_text())
    assert not looks_like_html("قال إن 3 < 5 وإن <eos> ليست علامة")
