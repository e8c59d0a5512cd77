"""Articles of a job that are copies of one story: translated once, each with offsets into its own text."""

from collections.abc import Iterable

from khulasa import copies
from khulasa.copies import Letters
from khulasa.v1 import article_pb2, gateway_pb2


def key_of(article: article_pb2.Article) -> bytes:
    """Return the same key for the articles that are the same."""
    return copies.digest_of(article.title, article.text, article.html)


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


class _Move:
    """Takes spans of one text to the same words in the other."""

    def __init__(self, source: str, own: str) -> None:
        self.text = own
        self._from = Letters.of(source)
        self._to = Letters.of(own)

    @property
    def certain(self) -> bool:
        return self._from.plain == self._to.plain

    def span(self, span: article_pb2.Span) -> bool:
        """Move the span; False if it holds nothing that both have."""
        first, after = self._from.within(span.start, span.end)
        if first >= after:
            return False
        span.start, span.end = self._to.starts[first], self._to.ends[after - 1]
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
