"""Articles of a job that are the same but for how they are set: translated once, each with offsets into its own text.

The same means: equal but for white space within lines, blank lines, tatweel, Arabic vowel signs, and characters that
are not seen (Unicode's Cf: marks of direction, joiners, soft hyphens). The gateway knows no languages, so the rule is
made of Unicode properties and not of the translator's normalization. Of HTML only the very same is the same.
"""

import hashlib
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache

from khulasa.v1 import article_pb2, gateway_pb2

# What ends a line in `paragraphs.cut`: where lines differ, so do the paragraphs.
_LINE_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_SPACE = re.compile(r"[^\S\n]+")
_TATWEEL = "\u0640"


def key_of(article: article_pb2.Article) -> bytes:
    """Return the same key for the articles that are the same."""
    kind = article.WhichOneof("content") or ""
    content = article.html if kind == "html" else normal_form(article.text)
    digest = hashlib.sha256()
    for part in (kind, normal_form(article.title), content):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()


def moved(
    answer: gateway_pb2.ProcessArticleResponse, source: article_pb2.Article, own: article_pb2.Article
) -> gateway_pb2.ProcessArticleResponse | None:
    """Return the answer to `source` as that to `own`, an article of the same key: sources and offsets are its own.

    None if they cannot be told for certain: then `own` has to be done by itself.
    """
    result = gateway_pb2.ProcessArticleResponse()
    result.CopyFrom(answer)
    provenance = result.provenance
    provenance.cache_use = article_pb2.Provenance.CACHE_USE_HIT
    provenance.cached_paragraphs = provenance.paragraphs
    for spent in (provenance.total_time, provenance.translation_time, provenance.summary_time):
        spent.Clear()
    if (source.title, source.text, source.html) == (own.title, own.text, own.html):
        return result
    extracted_title = own.WhichOneof("content") == "html" and not own.title
    if result.translation.HasField("title") and not extracted_title:
        titles = [result.translation.title]
        if not _move(titles, _Move(source.title, own.title)):
            return None
    if own.WhichOneof("content") == "text" and not _move(result.translation.paragraphs, _Move(source.text, own.text)):
        return None
    sentences = {s.index: s for paragraph in result.translation.paragraphs for s in paragraph.sentences}
    for chosen in result.summary.sentences:
        sentence = sentences[chosen.sentence_index]
        chosen.source, chosen.text = sentence.source, sentence.translation
        chosen.span.CopyFrom(sentence.span)
    return result


def normal_form(text: str) -> str:
    """Return the text without what makes no difference."""
    kept = "".join(char for char in text if not _unseen(char)) if any(map(_unseen, set(text))) else text
    return _SPACE.sub(" ", _LINE_BREAK.sub("\n", kept)).strip()


def places(text: str) -> tuple[list[int], list[int]]:
    """Return where each character of the normal form begins and ends in the text.

    What makes no difference belongs to the character before it, at the start of a word to the one after it.
    """
    starts: list[int] = []
    ends: list[int] = []
    in_word = space = False
    lead: int | None = None
    for offset, char in enumerate(text):
        if _unseen(char):
            if in_word:
                ends[-1] = offset + 1
            elif lead is None:
                lead = offset
        elif char.isspace():
            in_word, space, lead = False, True, None
        else:
            start = offset if lead is None else lead
            if space and starts:
                starts.append(ends[-1])
                ends.append(start)
            starts.append(start)
            ends.append(offset + 1)
            in_word, space, lead = True, False, None
    return starts, ends


class _Move:
    """Takes spans of one text to the same words in the other."""

    def __init__(self, source: str, own: str) -> None:
        self.text = own
        self._from_starts, self._from_ends = places(source)
        self._to_starts, self._to_ends = places(own)

    @property
    def certain(self) -> bool:
        return len(self._from_starts) == len(self._to_starts)

    def span(self, span: article_pb2.Span) -> bool:
        """Move the span; False if it holds nothing that both have."""
        first = bisect_right(self._from_ends, span.start)
        last = bisect_left(self._from_starts, span.end) - 1
        if first > last:
            return False
        span.start, span.end = self._to_starts[first], self._to_ends[last]
        return True


def _move(paragraphs: Iterable[article_pb2.Paragraph], move: _Move) -> bool:
    """Move the paragraphs; False unless each character of the text is then in one sentence, or white space."""
    if not move.certain:
        return False
    position = 0
    for paragraph in paragraphs:
        if not move.span(paragraph.span):
            return False
        for sentence in paragraph.sentences:
            spans = [sentence.span, *(match.span for match in sentence.term_matches)]
            if not all(move.span(span) for span in spans):
                return False
            own = move.text[sentence.span.start : sentence.span.end]
            if sentence.span.start < position or move.text[position : sentence.span.start].strip():
                return False
            if sentence.translation == sentence.source:  # passed through as it was sent
                sentence.translation = own
            sentence.source, position = own, sentence.span.end
    return not move.text[position:].strip()


@lru_cache(maxsize=4096)
def _unseen(char: str) -> bool:
    category = unicodedata.category(char)
    vowel_sign = category == "Mn" and unicodedata.name(char, "").startswith("ARABIC")
    return vowel_sign or category == "Cf" or char == _TATWEEL
