"""Copies of a story: the same text but for vowels, stretched letters, white space, quotation marks.

A copy's answer is that of the first with the same digest. It is taken over where every sentence of it is found in the
copy, in order, so that the offsets point into the copy's own text; else the copy is translated by itself.
"""

import copy
import hashlib
import re
import unicodedata
from typing import Any

from khulasa.types import Article

_MARK = "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_DROPPED = re.compile(f"[{_MARK}{_INVISIBLE}\u0640]")
_CLUSTER = re.compile(f"(?s:.)[{_MARK}\u0300-\u036f]*")
# What ends a line for the gateway too: where lines differ, so do the paragraphs.
_LINE_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_BLANKS = re.compile(r"[^\S\n]+")
_QUOTES = str.maketrans(dict.fromkeys("“”„«»〝〞＂", '"') | dict.fromkeys("‘’‚‹›", "'") | dict.fromkeys("‐‑–—―", "-"))


def digest_of(article: Article) -> str:
    """Return 32 hexadecimal digits, the same for copies of one story."""
    digest = hashlib.blake2b(digest_size=16)
    for part in ("html" if article.html else "text", article.title, article.html or article.text):
        data = _plain(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _plain(text: str) -> str:
    text = _DROPPED.sub("", unicodedata.normalize("NFC", text)).translate(_QUOTES)
    return _BLANKS.sub(" ", _LINE_BREAK.sub("\n", text)).strip()


def taken_over(record: dict[str, Any], article_id: str, article: Article) -> dict[str, Any] | None:
    """Return the record of a copy made from that of the first; None where the copy must be asked for by itself."""
    translation = record.get("translation")
    if article.html or translation is None:
        return None  # the text in a page is what the gateway finds in it
    translation = copy.deepcopy(translation)
    title = translation.get("title")
    if title is not None and not _move([title], article.title):
        return None
    if not _move(translation["paragraphs"], article.text):
        return None
    by_index = {s["index"]: s for paragraph in translation["paragraphs"] for s in paragraph["sentences"]}
    summary = copy.deepcopy(record["summary"])
    for chosen in summary:
        sentence = by_index[chosen["sentence_index"]]
        chosen["source"], chosen["span"] = sentence["source"], dict(sentence["span"])
    return record | {
        "id": article_id,
        "duplicate_of": record["id"],
        "translation": translation,
        "summary": summary,
    }


def _move(paragraphs: list[dict[str, Any]], text: str) -> bool:
    """Give paragraphs and sentences the places that they have in `text`; False where they are not all of it."""
    letters, starts, ends = _letters(text)
    cursor = 0
    for paragraph in paragraphs:
        for sentence in paragraph["sentences"]:
            if sentence.get("term_matches"):
                return False
            expected = _letters(sentence["source"])[0]
            end = cursor + len(expected)
            if not expected or letters[cursor:end] != expected:
                return False
            span = {"start": starts[cursor], "end": ends[end - 1]}
            sentence["span"], sentence["source"] = span, text[span["start"] : span["end"]]
            cursor = end
        own = paragraph["sentences"]
        paragraph["span"] = {"start": own[0]["span"]["start"], "end": own[-1]["span"]["end"]}
    return cursor == len(letters)


def _letters(text: str) -> tuple[list[str], list[int], list[int]]:
    """Return what `_plain` keeps of a text except white space, and where each piece of it starts and ends."""
    letters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    dropped_at: int | None = None
    after_space = True
    for match in _CLUSTER.finditer(text):
        plain = _DROPPED.sub("", unicodedata.normalize("NFC", match.group())).translate(_QUOTES)
        if match.group().isspace():
            after_space = True
            continue
        # What is dropped belongs to the letter before, at the start of a word to the one after.
        if plain.strip():
            letters.append(plain)
            starts.append(match.start() if dropped_at is None else dropped_at)
            ends.append(match.end())
            dropped_at, after_space = None, False
        elif not after_space:
            ends[-1] = match.end()
        elif dropped_at is None:
            dropped_at = match.start()
    return letters, starts, ends
