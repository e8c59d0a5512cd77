"""The record of a copy, made from that of the first.

It is taken over where every sentence of it is found in the copy, in order, so that the offsets point into the copy's
own text; else the copy is translated by itself.
"""

import copy
from typing import Any

from khulasa import copies
from khulasa.copies import Letters
from khulasa.types import Article


def digest_of(article: Article) -> str:
    """Return 32 hexadecimal digits, the same for copies of one story."""
    return copies.digest_of(article.title, article.text, article.html).hex()


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
    own_letters = Letters.of(text)
    cursor = 0
    for paragraph in paragraphs:
        for sentence in paragraph["sentences"]:
            if sentence.get("term_matches"):
                return False
            expected = Letters.of(sentence["source"]).plain
            end = cursor + len(expected)
            if not expected or own_letters.plain[cursor:end] != expected:
                return False
            span = {"start": own_letters.starts[cursor], "end": own_letters.ends[end - 1]}
            sentence["span"], sentence["source"] = span, text[span["start"] : span["end"]]
            cursor = end
        own = paragraph["sentences"]
        paragraph["span"] = {"start": own[0]["span"]["start"], "end": own[-1]["span"]["end"]}
    return cursor == len(own_letters.plain)
