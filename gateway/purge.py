"""Forgetting what the cache has of one article, or of one client.

Every value's key says from which text it was made (`CacheSecret.content_tag`), so a purge finds all that was made of an
article, with whatever options, model and glossary. What is under way at that moment may be kept right after.
"""

import contextlib

from gateway import cache_key, paragraphs
from gateway.cache import Cache, CacheAway
from gateway.html import HtmlExtractor, HtmlTooHard, NoArticleInHtml
from gateway.pipeline import Pipeline
from khulasa.v1 import article_pb2
from services.harness import caller
from services.harness.clients import Clients
from services.harness.errors import Reason, Refusal


class Purger:
    """Purges for callers, each of their own and administrators for all."""

    def __init__(self, pipeline: Pipeline, cache: Cache, clients: Clients | None) -> None:
        self._pipeline = pipeline
        self._cache = cache
        self._clients = clients

    async def article(self, article: article_pb2.Article, client: str) -> int:
        """Forget an article of a client, by default the caller's; return how many values there were. Raises Refusal."""
        owner = self._owner(client)
        texts = await self._texts(article)
        return await self._purge(owner, {cache_key.content_digest(text) for text in texts})

    async def client(self, client: str) -> int:
        """Forget all of a client, by default the caller; return how many values there were. Raises Refusal."""
        return await self._purge(self._owner(client), None)

    def _owner(self, client: str) -> str:
        """Return whose values are meant. Raises Refusal if the caller may not purge them."""
        name = caller.name()
        known = self._clients.all().get(name) if self._clients else None
        others = client not in ("", name) or (self._pipeline.cache_shared and name != caller.ANONYMOUS)
        if others and not (known and known.admin):
            whose = "what all clients share" if self._pipeline.cache_shared else f"what {client!r} had translated"
            raise Refusal(
                Reason.NOT_ADMIN,
                f"{name or 'A caller without a name'} may not purge {whose}. Ask for 'admin' in the clients file.",
                client=client,
            )
        return self._pipeline.owner(client or name)

    async def _texts(self, article: article_pb2.Article) -> set[str]:
        """Return the texts that values of this article can have been made of."""
        title, text = article.title, article.text
        found = {article.title, article.html or article.text}
        if article.WhichOneof("content") == "html":
            # A page that cannot be read was never translated either.
            with contextlib.suppress(NoArticleInHtml, HtmlTooHard):
                extractor: HtmlExtractor = self._pipeline.extractor
                extracted = await extractor.extract(article.html, timeout_s=self._pipeline.html_timeout_s)
                title, text = title or extracted.title, extracted.text
                found.add(extracted.title)
        whole = [paragraph.span.of(text) for paragraph in paragraphs.cut(text, title=title)]
        found.update(whole)
        for paragraph, split in zip(whole, await self._pipeline.downstream.split(whole), strict=True):
            found.update(paragraph[span.start : span.end] for span in split.sentences)  # as "summary first" keeps them
        return found

    async def _purge(self, owner: str, contents: set[bytes] | None) -> int:
        try:
            return await self._cache.purge(owner, contents)
        except CacheAway:
            raise Refusal(
                Reason.CACHE_UNAVAILABLE,
                "The cache does not answer, and may still have what was to be forgotten. Try again in 5 s.",
                retry_after_s=5,
            ) from None
