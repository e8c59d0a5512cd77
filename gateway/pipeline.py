"""The path of an article, top to bottom. Start reading here.

    article ─▶ in the cache? ─▶ extract ─▶ cut into paragraphs ─▶ translate what is new ─▶ summarize ─▶ keep ─▶ answer

It yields the events of `StreamArticle`; one answer for one article is those events put together (`add`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from prometheus_client import Counter

from gateway import cache_key, paragraphs, summary_first, validation
from gateway.answer import Answer
from gateway.cache import Cache
from gateway.cache_key import ModelIdentity
from gateway.downstream import Downstream
from gateway.html import HtmlExtractor, HtmlTooHard, NoArticleInHtml
from gateway.quotas import Quotas
from gateway.single_flight import SingleFlight
from gateway.verdict import LEFT_OUT, is_doubtful, is_worth_another_try, verdict_on
from khulasa.v1 import article_pb2, gateway_pb2, summarizer_pb2, translator_pb2
from services.harness import caller, deadline, priority, work
from services.harness.errors import Reason, Refusal
from services.harness.metrics import STAGE_SECONDS, stage

ARTICLES = Counter("khulasa_articles_total", "Articles answered, by what the cache had of them.", ["cache"])

# Paragraphs go to the translator in groups: a small one first, so that a reader soon sees something, then larger ones
# that fill its batches. A few groups at once keep all its cores busy without flooding its queue.
FIRST_GROUP_CHARS = 600
HEAD_START_S = 0.1
"""Of the first group: an idle translator begins it before the others come. They do not wait for its end: on a busy one
they would be missing in the batches of all callers."""
GROUP_CHARS = 6_000
GROUPS_AT_ONCE = 4

Event = gateway_pb2.StreamArticleResponse
Kind = article_pb2.ParagraphKind
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long answers are kept."""

    sound_s: float
    flagged_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Takes articles to their answers. One for the process."""

    downstream: Downstream
    cache: Cache
    extractor: HtmlExtractor
    lifetimes: Lifetimes
    html_timeout_s: float
    max_article_s: float
    quotas: Quotas = field(default_factory=Quotas)
    cache_shared: bool = False
    """Whether all clients are answered from what any of them had translated."""
    flights: SingleFlight[Event] = field(default_factory=SingleFlight)

    async def process(self, article: article_pb2.Article, options: gateway_pb2.ArticleOptions) -> AsyncIterator[Event]:
        """Yield the events of an article. Equal articles under way at the same time share the work.

        A glossary in the options is given by its terms, not by a name. Raises Refusal; MODEL_CHANGED never leaves here.
        """
        content = validation.checked_content(article)
        async with self.quotas.admitted(caller.name(), _length(article, content)) as place:
            run = await self._run(article, content, options)
            kept = await run.kept_answer()
            if kept is None:
                async for event in run.shared_events():
                    if event.WhichOneof("event") == "finished":
                        _count(event.finished.provenance)
                    # A caller whose time ends just before the article does has had it all the same.
                    place.sent = place.sent or event.WhichOneof("event") != "extracted"
                    yield event
            else:
                _count(kept.provenance)
                for event in replay(kept.message()):
                    yield event

    async def answer(self, article: article_pb2.Article, options: gateway_pb2.ArticleOptions) -> Answer:
        """Return what the events of `process` add up to; one that was kept is not taken apart for it.

        Raises what `process` raises.
        """
        content = validation.checked_content(article)
        async with self.quotas.admitted(caller.name(), _length(article, content)):
            run = await self._run(article, content, options)
            kept = await run.kept_answer()
            if kept is not None:
                _count(kept.provenance)
                return kept
            made = gateway_pb2.ProcessArticleResponse()
            async for event in run.shared_events():
                add(made, event)
            _count(made.provenance)
            return Answer.of(made)

    def owner(self, client: str) -> str:
        """Return under whose name a client's answers are kept."""
        return caller.ANONYMOUS if self.cache_shared else client

    async def _run(self, article: article_pb2.Article, content: str, options: gateway_pb2.ArticleOptions) -> "_Run":
        model, ranking = await self.downstream.model(), await self.downstream.ranking()
        key = cache_key.article_key(article, content, options, model, ranking)
        return _Run(self, article, options, key, self.owner(caller.name()), model, ranking)


class _Run:
    """One article's way through the pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        article: article_pb2.Article,
        options: gateway_pb2.ArticleOptions,
        key: cache_key.CacheKey,
        owner: str,
        model: ModelIdentity,
        ranking: str,
    ) -> None:
        self._pipeline = pipeline
        self._cache = pipeline.cache
        self._downstream = pipeline.downstream
        self._article = article
        self._options = options
        self._key = key
        self._owner = owner
        self._model = model
        self._ranking = ranking
        self._cached_paragraphs = 0
        self._cached_texts: set[str] = set()
        self._chosen_first: Sequence[summarizer_pb2.ChosenSentence] = []
        self._started = time.perf_counter()
        self._translation_s = 0.0
        self._summary_s = 0.0

    async def kept_answer(self) -> Answer | None:
        """Return the answer from the cache, or None where it has to be made."""
        if self._options.bypass_cache:
            return None
        with stage("cache"):
            [kept] = await self._cache.get_many([self._key], Answer, client=self._owner)
        if kept is None:
            return None
        provenance = kept.provenance
        provenance.cache_use = article_pb2.Provenance.CACHE_USE_HIT
        provenance.cached_paragraphs = provenance.paragraphs
        provenance.translation_time.Clear()
        provenance.summary_time.Clear()
        _set_seconds(provenance.total_time, time.perf_counter() - self._started)
        return kept

    def shared_events(self) -> AsyncIterator[Event]:
        """Yield the events of making the answer, or of the same article's if it is being made for somebody else."""
        # Not shared between priorities: what somebody waits for would go at the pace of a job. Equal sentences of the
        # two are decoded once all the same.
        flight = self._owner, self._key, self._options.bypass_cache, priority.name()
        return self._pipeline.flights.run(flight, self._events, at_most_s=self._pipeline.max_article_s)

    async def _events(self) -> AsyncIterator[Event]:
        answer = gateway_pb2.ProcessArticleResponse()
        async for event in self._make_answer():
            add(answer, event)
            yield event
        await self._keep(answer)

    async def _make_answer(self) -> AsyncIterator[Event]:
        title, text = self._article.title, self._article.text
        if self._article.WhichOneof("content") == "html":
            extracted = await self._extract()
            title, text = title or extracted.title, extracted.text
            yield Event(extracted=extracted)

        cut = await asyncio.to_thread(paragraphs.cut, text, title=title)
        title_parts = [title] if title.strip() else []
        texts = [*title_parts, *(paragraph.span.of(text) for paragraph in cut if self._is_translated(paragraph.kind))]
        translated = self._translate_chosen(title, text, cut) if self._options.summary_first else self._translate(texts)

        done: list[article_pb2.Paragraph] = []
        english_title = ""
        if title_parts:
            head = _placed(await anext(translated), 0, Kind.PARAGRAPH_KIND_TITLE, 0, len(title), first_sentence=0)
            english_title = _english(head)
            yield Event(title=head)
        sentence_number = 0
        for index, paragraph in enumerate(cut):
            if self._is_translated(paragraph.kind):
                content = await anext(translated)
            else:
                content = _skipped(paragraph.span.of(text))
            placed = _placed(
                content,
                index,
                Kind.ValueType(paragraph.kind.value),
                paragraph.span.start,
                paragraph.span.end,
                first_sentence=sentence_number,
            )
            sentence_number += len(placed.sentences)
            done.append(placed)
            yield Event(paragraph=placed)

        await translated.aclose()  # keeps the paragraphs now; left to the collector, an equal article might come before
        yield Event(summary=await self._summarize(done, english_title))
        heads = [head] if title_parts else []
        yield Event(finished=gateway_pb2.ArticleFinished(provenance=self._provenance([*heads, *done])))

    async def _keep(self, answer: gateway_pb2.ProcessArticleResponse) -> None:
        if not self._options.bypass_cache:
            translation = answer.translation
            sentences = [s for p in (translation.title, *translation.paragraphs) for s in p.sentences]
            kept = Answer.of(answer), self._lifetime(sentences)
            await self._cache.put_many({self._key: kept}, client=self._owner)

    async def _extract(self) -> article_pb2.ExtractedText:
        try:
            with stage("extract"):
                extracted = await self._pipeline.extractor.extract(
                    self._article.html, timeout_s=min(self._pipeline.html_timeout_s, deadline.remaining_s())
                )
        except NoArticleInHtml:
            raise Refusal(
                Reason.NO_ARTICLE_IN_HTML,
                "article.html has no article: no running text was found in the page. Send its text in article.text.",
                field="article.html",
            ) from None
        except HtmlTooHard as error:
            raise Refusal(
                Reason.HTML_TOO_HARD,
                f"article.html could not be read: {error}. Send its text in article.text.",
                field="article.html",
            ) from None
        title = "" if self._article.title else extracted.title
        return article_pb2.ExtractedText(title=title, text=extracted.text, dropped_characters=extracted.dropped_chars)

    def _is_translated(self, kind: paragraphs.Kind) -> bool:
        return kind != paragraphs.Kind.BOILERPLATE or self._options.translate_boilerplate

    async def _translate(self, texts: Sequence[str]) -> AsyncGenerator[translator_pb2.TranslatedParagraph, None]:
        """Yield the translation of each text, in order, as soon as it is there."""
        keys = [cache_key.paragraph_key(text, self._model, self._options.glossary.terms) for text in texts]
        known: list[translator_pb2.TranslatedParagraph | None] = [None] * len(texts)
        if not self._options.bypass_cache:
            known = await self._cache.get_many(keys, translator_pb2.TranslatedParagraph, client=self._owner)
        self._cached_paragraphs = sum(paragraph is not None for paragraph in known)
        self._cached_texts.update(text for text, paragraph in zip(texts, known, strict=True) if paragraph is not None)
        groups = group([(index, len(text)) for index, text in enumerate(texts) if known[index] is None])
        work.start(sum(len(texts[index]) for indices in groups for index in indices))
        places = asyncio.Semaphore(GROUPS_AT_ONCE)
        tasks: list[asyncio.Task[Sequence[translator_pb2.TranslatedParagraph]]] = []
        for indices in groups:
            group_texts = [texts[index] for index in indices]
            tasks.append(asyncio.create_task(self._translate_group(group_texts, places, after=tasks[:1])))
        task_of = {
            index: (tasks[number], place)
            for number, indices in enumerate(groups)
            for place, index in enumerate(indices)
        }
        try:
            for index, paragraph in enumerate(known):
                if paragraph is None:
                    task, place = task_of[index]
                    waited_since = time.perf_counter()
                    paragraph = (await _first_of(task, tasks))[place]
                    self._translation_s += time.perf_counter() - waited_since
                yield paragraph
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            if not self._options.bypass_cache:  # also for what was done of an article that then failed
                await self._cache.put_many(
                    {
                        keys[index]: (paragraph, self._lifetime(paragraph.sentences))
                        for indices, result in zip(groups, ended, strict=True)
                        if not isinstance(result, BaseException)
                        for index, paragraph in zip(indices, result, strict=True)
                    },
                    client=self._owner,
                )

    async def _translate_chosen(
        self, title: str, text: str, cut: Sequence[paragraphs.Paragraph]
    ) -> AsyncGenerator[translator_pb2.TranslatedParagraph, None]:
        """Yield what `_translate` does, with translations only of headlines and of what the summary needs."""
        needed = [(number, p) for number, p in enumerate(cut) if self._is_translated(p.kind)]
        heads = [number for number, p in needed if p.kind == paragraphs.Kind.TITLE]
        others = [number for number, _ in needed if number not in heads]
        head_texts = [*([title] if title.strip() else []), *(cut[number].span.of(text) for number in heads)]

        head_contents: list[translator_pb2.TranslatedParagraph] = []

        async def translate(texts: Sequence[str]) -> Sequence[translator_pb2.TranslatedParagraph]:
            """Translate sentences, and with the first of them the headlines."""
            heads_now = [] if head_contents else head_texts
            answers = [paragraph async for paragraph in self._translate([*heads_now, *texts])]
            head_contents.extend(answers[: len(heads_now)])
            return answers[len(heads_now) :]

        async def rank(
            sentences: Sequence[summarizer_pb2.SummarizeSentence],
        ) -> Sequence[summarizer_pb2.ChosenSentence]:
            started = time.perf_counter()
            budget, headline = self._options.summary_budget, " ".join(head_texts[:1])
            chosen = await self._downstream.summarize(sentences, budget, headline, language="ar")
            self._summary_s += time.perf_counter() - started
            return chosen

        other_texts = [cut[number].span.of(text) for number in others]
        splits = await self._downstream.split(other_texts)
        drafts = summary_first.drafts(list(zip(others, other_texts, splits, strict=True)))
        body = [draft for draft in drafts if cut[draft.paragraph].kind == paragraphs.Kind.BODY]
        self._chosen_first = await summary_first.choose(body, rank=rank, translate=translate)
        if head_texts and not head_contents:
            await translate([])

        new = {draft.paragraph for draft in drafts if draft.translated and draft.source not in self._cached_texts}
        touched = {draft.paragraph for draft in drafts if draft.translated}
        self._cached_paragraphs = len(touched - new) + sum(head in self._cached_texts for head in head_texts)
        sentences_of: dict[int, list[article_pb2.Sentence]] = {number: [] for number in others}
        for draft in drafts:
            sentences = sentences_of[draft.paragraph]
            sentences.append(draft.as_sentence(len(sentences)))
        contents = dict(zip(heads, head_contents[len(head_texts) - len(heads) :], strict=True)) | {
            number: translator_pb2.TranslatedParagraph(sentences=sentences)
            for number, sentences in sentences_of.items()
        }
        if title.strip():
            yield head_contents[0]
        for number, _ in needed:
            yield contents[number]

    async def _translate_group(
        self, texts: Sequence[str], places: asyncio.Semaphore, *, after: Sequence["asyncio.Task[Any]"]
    ) -> Sequence[translator_pb2.TranslatedParagraph]:
        # The translator puts together what is alike in length: with all in its queue at once, the first sentences would
        # be done among many others, and a reader would see nothing until then.
        if after:
            await asyncio.wait(after, timeout=HEAD_START_S)
        async with places:
            while True:
                ends_at = deadline.ends_at()
                try:
                    return await self._downstream.translate(texts, self._model, self._options.glossary.terms)
                except Refusal as refusal:
                    if refusal.reason in (Reason.DEADLINE_EXCEEDED, Reason.OVERLOADED) and deadline.ends_at() > ends_at:
                        continue  # somebody with more time has joined since
                    if refusal.reason != Reason.MODEL_CHANGED:
                        raise
                    # Two models never mix in one answer, and some of it may have been sent already.
                    raise Refusal(
                        Reason.TRANSLATOR_UNAVAILABLE,
                        "The translator changed its model while the article was being translated. Try again.",
                        retry_after_s=0.1,
                    ) from None

    async def _summarize(self, done: Sequence[article_pb2.Paragraph], title: str) -> article_pb2.Summary:
        started = time.perf_counter()
        body = [p for p in done if p.kind == Kind.PARAGRAPH_KIND_BODY]
        choices = [(paragraph, sentence) for paragraph in body for sentence in paragraph.sentences]
        if self._options.summary_first:
            chosen = self._chosen_first
        else:
            title = title or " ".join(_english(p) for p in done if p.kind == Kind.PARAGRAPH_KIND_TITLE)
            chosen = await self._downstream.summarize(
                [
                    summarizer_pb2.SummarizeSentence(
                        text=sentence.translation, paragraph_index=paragraph.index, doubtful=bool(sentence.flags)
                    )
                    for paragraph, sentence in choices
                ],
                self._options.summary_budget,
                title,
            )
        summary = article_pb2.Summary()
        for choice in chosen:
            paragraph, sentence = choices[choice.index]
            summary.sentences.add(
                sentence_index=sentence.index,
                paragraph_index=paragraph.index,
                text=sentence.translation,
                source=sentence.source,
                span=sentence.span,
                score=choice.score,
                rationale=choice.rationale,
                flags=sentence.flags,
                score_parts=choice.score_parts,
            )
        self._summary_s += time.perf_counter() - started
        return summary

    def _provenance(self, done: Sequence[article_pb2.Paragraph]) -> article_pb2.Provenance:
        use = article_pb2.Provenance.CACHE_USE_MISS
        if self._options.bypass_cache:
            use = article_pb2.Provenance.CACHE_USE_BYPASSED
        elif self._cached_paragraphs:
            # Paragraphs that are not translated at all are neither new nor cached.
            needed = sum(not _is_left_out(paragraph) for paragraph in done)
            whole = self._cached_paragraphs >= needed
            use = article_pb2.Provenance.CACHE_USE_HIT if whole else article_pb2.Provenance.CACHE_USE_PARTIAL
        sentences = [sentence for paragraph in done for sentence in paragraph.sentences]
        provenance = article_pb2.Provenance(
            model=self._model.name,
            model_digest=self._model.digest,
            engine=self._model.engine,
            pipeline=pipeline_version(self._model, self._ranking),
            cache_use=use,
            paragraphs=len(done),
            cached_paragraphs=self._cached_paragraphs,
            sentences=len(sentences),
            flagged_sentences=sum(is_doubtful([sentence]) for sentence in sentences),
            verdict=verdict_on(sentences),
        )
        STAGE_SECONDS.labels("translate").observe(self._translation_s)
        STAGE_SECONDS.labels("summarize").observe(self._summary_s)
        _set_seconds(provenance.total_time, time.perf_counter() - self._started)
        _set_seconds(provenance.translation_time, self._translation_s)
        _set_seconds(provenance.summary_time, self._summary_s)
        return provenance

    def _lifetime(self, sentences: Sequence[article_pb2.Sentence]) -> float:
        lifetimes = self._pipeline.lifetimes
        return lifetimes.flagged_s if is_worth_another_try(sentences) else lifetimes.sound_s


async def _first_of(task: "asyncio.Task[Done]", tasks: Sequence["asyncio.Task[Done]"]) -> Done:
    """Return the result of `task`. Raises at once what any of `tasks` raises: an article is done as a whole or not."""
    while not task.done():
        await asyncio.wait([each for each in tasks if not each.done()], return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            if each.done():
                each.result()
    return task.result()


def add(answer: gateway_pb2.ProcessArticleResponse, event: Event) -> None:
    """Put one event of an article into its answer."""
    match event.WhichOneof("event"):
        case "extracted":
            answer.translation.extracted.CopyFrom(event.extracted)
        case "title":
            answer.translation.title.CopyFrom(event.title)
        case "paragraph":
            answer.translation.paragraphs.append(event.paragraph)
        case "summary":
            answer.summary.CopyFrom(event.summary)
        case "finished":
            answer.provenance.CopyFrom(event.finished.provenance)


def replay(answer: gateway_pb2.ProcessArticleResponse) -> list[Event]:
    """Return the events that `add` up to `answer`."""
    translation = answer.translation
    return [
        *([Event(extracted=translation.extracted)] if translation.HasField("extracted") else []),
        *([Event(title=translation.title)] if translation.HasField("title") else []),
        *(Event(paragraph=paragraph) for paragraph in translation.paragraphs),
        Event(summary=answer.summary),
        Event(finished=gateway_pb2.ArticleFinished(provenance=answer.provenance)),
    ]


def pipeline_version(model: ModelIdentity, ranking: str) -> str:
    """Return the version of all that shapes an answer beside the model: `Provenance.pipeline`."""
    return f"translator-{model.pipeline} gateway-{cache_key.VERSION} summarizer-{ranking}"


def cache_use_name(provenance: article_pb2.Provenance) -> str:
    """Return what the cache had of an article, as logs and metrics name it: "hit", "partial", "miss", "bypassed"."""
    return _CACHE_USE_NAMES[provenance.cache_use]


def group(lengths: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Put the indices of (index, characters) into groups for the translator, in order."""
    groups: list[list[int]] = []
    room = 0
    for index, chars in lengths:
        if not groups or chars > room:
            room = GROUP_CHARS if groups else FIRST_GROUP_CHARS
            groups.append([])
        groups[-1].append(index)
        room -= chars
    return groups


def _placed(
    content: translator_pb2.TranslatedParagraph,
    index: int,
    kind: article_pb2.ParagraphKind.ValueType,
    start: int,
    end: int,
    *,
    first_sentence: int,
) -> article_pb2.Paragraph:
    """Return a translated paragraph where it stands in the article: offsets and numbers are rebased."""
    paragraph = article_pb2.Paragraph(
        index=index, kind=kind, span=article_pb2.Span(start=start, end=end), sentences=content.sentences
    )
    for sentence in paragraph.sentences:
        sentence.index += first_sentence
        for span in (sentence.span, *(match.span for match in sentence.term_matches)):
            span.start += start
            span.end += start
    return paragraph


def _skipped(text: str) -> translator_pb2.TranslatedParagraph:
    flag = article_pb2.Flag(
        reason=article_pb2.Flag.REASON_BOILERPLATE_SKIPPED, detail="set translate_boilerplate to translate it"
    )
    sentence = article_pb2.Sentence(source=text, span=article_pb2.Span(start=0, end=len(text)), flags=[flag])
    return translator_pb2.TranslatedParagraph(sentences=[sentence])


def _is_left_out(paragraph: article_pb2.Paragraph) -> bool:
    return all(any(flag.reason in LEFT_OUT for flag in sentence.flags) for sentence in paragraph.sentences)


def _english(paragraph: article_pb2.Paragraph) -> str:
    return " ".join(sentence.translation for sentence in paragraph.sentences)


def _set_seconds(duration: Duration, seconds: float) -> None:
    duration.FromMicroseconds(round(seconds * 1e6))


def _length(article: article_pb2.Article, content: str) -> int:
    """Return the characters that count against a client's quota."""
    return len(article.title) + len(content)


def _count(provenance: article_pb2.Provenance) -> None:
    _answered(cache_use_name(provenance)).inc()


@cache  # looking a series up costs more than counting in it
def _answered(cache_use: str) -> Counter:
    return ARTICLES.labels(cache_use)


_CACHE_USE_NAMES = {
    number: name.removeprefix("CACHE_USE_").lower() for name, number in article_pb2.Provenance.CacheUse.items()
}


def too_late(limit_s: float) -> Refusal:
    """Return the refusal for an article that was not done within the gateway's own limit."""
    return Refusal(Reason.DEADLINE_EXCEEDED, f"The article was not done in {limit_s:g} s.", limit_s=limit_s)
