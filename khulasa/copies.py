"""Copies of a story: when two articles are the same, and where the words of one stand in the other.

The same means: equal but for Arabic vowel signs, stretched letters (tatweel), white space within lines, blank lines,
characters that are not seen, and the form of quotation marks and dashes. Where lines differ, so do the paragraphs. Of
HTML only the very same is the same. The rule knows no language; it is one for `khulasa job run` and the gateway's jobs.
"""

import hashlib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

_VOWELS = "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_DROPPED = re.compile(f"[{_VOWELS}{_UNSEEN}\u0640]")
_CLUSTER = re.compile(f"(?s:.)[{_VOWELS}\u0300-\u036f]*")
# What ends a line in the gateway's `paragraphs.cut`.
_LINE_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_BLANKS = re.compile(r"[^\S\n]+")
_SIGNS = str.maketrans(dict.fromkeys("“”„«»〝〞＂", '"') | dict.fromkeys("‘’‚‹›", "'") | dict.fromkeys("‐‑–—―", "-"))


def digest_of(title: str, text: str, html: str) -> bytes:
    """Return 16 bytes, the same for copies of one story."""
    digest = hashlib.blake2b(digest_size=16)
    content = html or normal_form(text)
    for part in ("html" if html else "text", normal_form(title), content):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def normal_form(text: str) -> str:
    """Return the text without what makes no difference between copies."""
    return _BLANKS.sub(" ", _LINE_BREAK.sub("\n", _plain(text))).strip()


@dataclass(frozen=True, slots=True)
class Letters:
    """What counts of a text, white space left out, and where each piece of it starts and ends in code points."""

    plain: list[str]
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> "Letters":
        """Find them. What is dropped belongs to the letter before it, at the start of a word to the one after it."""
        found = cls([], [], [])
        dropped_at: int | None = None
        in_word = False
        for match in _CLUSTER.finditer(text):
            if match.group().isspace():
                in_word, dropped_at = False, None
                continue
            if plain := _plain(match.group()).strip():
                found.plain.append(plain)
                found.starts.append(match.start() if dropped_at is None else dropped_at)
                found.ends.append(match.end())
                in_word, dropped_at = True, None
            elif in_word:
                found.ends[-1] = match.end()
            elif dropped_at is None:
                dropped_at = match.start()
        return found

    def within(self, start: int, end: int) -> tuple[int, int]:
        """Return the indices of the first letter of a span of the text and of the one after its last."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)


def _plain(text: str) -> str:
    return _DROPPED.sub("", unicodedata.normalize("NFC", text)).translate(_SIGNS)
