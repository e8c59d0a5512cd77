"""Everything that can change an answer, hashed into the key under which it is kept.

Parts are joined with their lengths, so ["a|b"] and ["a", "b"] never meet (LibreTranslate's key joins with "|" and
leaves the model out).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from khulasa.v1 import article_pb2, gateway_pb2, translator_pb2

VERSION = "3"
"""Raised with every change of the gateway that can change an answer, or of how values are stored."""


class CacheKey(NamedTuple):
    """What a value is kept under, before the client's secret makes a key in Redis of it."""

    content: bytes
    """SHA-256 of the text that the value was made from, by which a purge finds it."""
    digest: bytes
    """SHA-256 of all that can change the value."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What translates: an answer of another is never taken from the cache."""

    name: str
    digest: str
    engine: str
    pipeline: str

    @classmethod
    def of(cls, model: translator_pb2.Model) -> "ModelIdentity":
        """Return the identity that a translator tells of itself."""
        return cls(model.name, model.digest, model.engine, model.pipeline)


def article_key(
    article: article_pb2.Article,
    content: str,
    options: gateway_pb2.ArticleOptions,
    model: ModelIdentity,
    summarizer: str,
) -> CacheKey:
    """Return the key of a whole answer. `content` is the article's, `summarizer` is the version of the ranking."""
    return _key(
        content,
        "article",
        article.WhichOneof("content") or "",
        article.title,
        options.summary_budget.SerializeToString(deterministic=True),
        str(options.translate_boilerplate),
        str(options.summary_first),
        summarizer,
        *_parts(model),
        *_term_parts(options.glossary.terms),
    )


def paragraph_key(text: str, model: ModelIdentity, terms: Sequence[article_pb2.GlossaryTerm] = ()) -> CacheKey:
    """Return the key of one translated paragraph, whatever article it stands in."""
    return _key(text, "paragraph", *_parts(model), *_term_parts(terms))


def content_of(article: article_pb2.Article) -> str:
    """Return the text or the page of an article. Protobuf makes a new string each time: ask once."""
    return article.html if article.WhichOneof("content") == "html" else article.text


def _term_parts(terms: Sequence[article_pb2.GlossaryTerm]) -> list[str]:
    """Return nothing without a glossary; its name and order do not matter, only what it says."""
    return [part for term in sorted((term.source, term.target) for term in terms) for part in term]


def _parts(model: ModelIdentity) -> tuple[str, ...]:
    return (model.digest, model.engine, model.pipeline)


def content_digest(text: str) -> bytes:
    """Return `CacheKey.content` of what is made from `text`."""
    return hashlib.sha256(text.encode()).digest()


def _key(content: str, kind: str, *parts: str | bytes) -> CacheKey:
    """Return the key of what is made from `content`, which is long and goes into the key by its digest."""
    digest = content_digest(content)
    encoded = [part.encode() if isinstance(part, str) else part for part in (VERSION, kind, digest, *parts)]
    hashed = b"".join([piece for data in encoded for piece in (len(data).to_bytes(8, "big"), data)])
    return CacheKey(digest, hashlib.sha256(hashed).digest())
