"""What is right: each sentence's translation by each model, made once in calm, and the checks of an answer against it.

The articles that are sent are the repository's own, their paragraphs in ever another order, so that no two are alike
and yet every sentence is known.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from khulasa import Article, CacheUse, Options, Result
from khulasa.v1 import translator_pb2, translator_pb2_grpc

ARTICLES = Path(__file__).parents[1] / "tests" / "articles"
PARAGRAPHS_IN_AN_ARTICLE = 4


def paragraphs() -> list[str]:
    """Return the paragraphs of the repository's articles that are long enough to be body text."""
    texts = [path.read_text() for path in sorted(ARTICLES.glob("*.txt"))]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return sorted({line for line in lines if len(line.split()) >= 12})


def articles(seed: int) -> Iterator[tuple[Article, Options]]:
    """Yield articles without end: of three, two that are translated anew and one that the cache may have."""
    chance, known = random.Random(seed), paragraphs()
    repeated = [Article(text="\n\n".join(chance.sample(known, PARAGRAPHS_IN_AN_ARTICLE))) for _ in range(50)]
    for number in itertools.count():
        if number % 3 == 2:
            yield chance.choice(repeated), Options(translate_boilerplate=True)
        else:
            article = Article(text="\n\n".join(chance.sample(known, PARAGRAPHS_IN_AN_ARTICLE)))
            yield article, Options(translate_boilerplate=True, bypass_cache=True)


class Reference:
    """Translations by model digest and sentence."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    async def learn(self, address: str, texts: Sequence[str]) -> str:
        """Ask a translator for all sentences of `texts`; return its model's digest."""
        async with grpc.aio.insecure_channel(address) as channel:
            translator = translator_pb2_grpc.TranslatorStub(channel)
            request = translator_pb2.TranslateParagraphsRequest(paragraphs=texts)
            response = await translator.TranslateParagraphs(request, timeout=60)
        known = self._known.setdefault(response.model.digest, {})
        for paragraph in response.paragraphs:
            known.update({sentence.source: sentence.translation for sentence in paragraph.sentences})
        return str(response.model.digest)

    def fault_in(self, article: Article, result: Result) -> str:
        """Say what is wrong with the answer to `article`; an empty string where nothing is."""
        known = self._known.get(result.provenance.model_digest)
        if known is None:
            return f"made by a model nobody runs: {result.provenance.model_digest}"
        expected = article.text.split("\n\n")
        if [article.text[p.span.start : p.span.end] for p in result.translation.paragraphs] != expected:
            return "paragraphs lost, doubled or moved"
        for paragraph in result.translation.paragraphs:
            text = article.text[paragraph.span.start : paragraph.span.end]
            if "".join(text.split()) != "".join("".join(s.source.split()) for s in paragraph.sentences):
                return "text of a paragraph lost"
            for sentence in paragraph.sentences:
                if article.text[sentence.span.start : sentence.span.end] != sentence.source:
                    return "an offset points elsewhere"
                if known.get(sentence.source) != sentence.translation:
                    by_other = any(other.get(sentence.source) == sentence.translation for other in self._known.values())
                    return "a sentence of another model" if by_other else "another translation than in calm"
        translated = {s.translation for p in result.translation.paragraphs for s in p.sentences}
        if not {sentence.text for sentence in result.summary} <= translated:
            return "a summary sentence that is not in the translation"
        if result.provenance.cache_use == CacheUse.UNKNOWN:
            return "no word on where it came from"
        return ""
