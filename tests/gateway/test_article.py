"""An article's way through the gateway: what comes back, and that nothing of it is lost or invented."""

import asyncio
import gzip
import json

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from khulasa import (
    Article,
    AsyncClient,
    BadRequest,
    CacheUse,
    DeadlineExceeded,
    FlagReason,
    Options,
    Overloaded,
    Paragraph,
    ParagraphKind,
    Provenance,
    Result,
    Summary,
    SummaryBudget,
    Unavailable,
)
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness import metrics
from tests.conftest import ARTICLES, SHARED, Stack, needs_shared, plausible_english

TEXTS = sorted(path.name for path in ARTICLES.glob("*.txt"))


def check_offsets(text: str, result: Result) -> None:
    """Assert that every span is right and that only white space lies between the spans."""
    position = 0
    number = 0
    for paragraph in result.translation.paragraphs:
        for sentence in paragraph.sentences:
            assert sentence.source == text[sentence.span.start : sentence.span.end]
            assert not text[position : sentence.span.start].strip()
            assert sentence.index == number
            position, number = sentence.span.end, number + 1
    assert not text[position:].strip()


@pytest.mark.parametrize("name", TEXTS)
async def test_every_character_of_the_source_is_accounted_for(client: AsyncClient, name: str) -> None:
    """Sentence spans cover the article but for white space, in order, and their sources are what was sent."""
    text = (ARTICLES / name).read_text()
    check_offsets(text, await client.process(Article(text=text)))


async def test_a_summary_is_verbatim_and_never_of_boilerplate(client: AsyncClient) -> None:
    """Summary sentences are sentences of body paragraphs, character for character in both languages."""
    result = await client.process(Article(text=(ARTICLES / "copied-page.txt").read_text()))
    body = {
        sentence.index: sentence
        for paragraph in result.translation.paragraphs
        if paragraph.kind == ParagraphKind.BODY
        for sentence in paragraph.sentences
    }
    assert len(result.summary) == 3
    for chosen in result.summary:
        sentence = body[chosen.sentence_index]
        assert (chosen.text, chosen.source, chosen.span) == (sentence.translation, sentence.source, sentence.span)


async def test_a_copied_page_is_told_from_its_article(client: AsyncClient) -> None:
    """Menu lines, breadcrumb, byline, credit and "read also" are marked and not translated; the headline is found."""
    result = await client.process(Article(text=(ARTICLES / "copied-page.txt").read_text()))
    kinds = [paragraph.kind.name for paragraph in result.translation.paragraphs]
    assert kinds == [
        *["BOILERPLATE"] * 4, "TITLE", *["BOILERPLATE"] * 2, *["BODY"] * 2, "HEADING", "BOILERPLATE",
        *["BODY"] * 3, *["BOILERPLATE"] * 5,
    ]  # fmt: skip
    skipped = result.translation.paragraphs[0].sentences[0]
    assert skipped.translation == ""
    assert [flag.reason for flag in skipped.flags] == [FlagReason.BOILERPLATE_SKIPPED]


async def test_boilerplate_is_translated_on_request(client: AsyncClient) -> None:
    """With the option every line has English."""
    text = (ARTICLES / "copied-page.txt").read_text()
    result = await client.process(Article(text=text), Options(translate_boilerplate=True))
    assert all(sentence.translation for p in result.translation.paragraphs for sentence in p.sentences)


async def test_a_page_of_html_is_read_as_its_article(client: AsyncClient) -> None:
    """Scripts, menus, comments and footer are dropped and counted; offsets point into the extracted text."""
    result = await client.process(Article(html=(ARTICLES / "satellite.html").read_text()))
    extracted = result.translation.extracted
    assert extracted is not None
    for foreign in ("قائمة سرية", "نص لا يجب أن يظهر", "تعليق من قارئ", "جميع الحقوق"):
        assert foreign not in extracted.text
    assert "هدهد-1" in extracted.text
    assert extracted.dropped_characters > 0
    assert "قمر صناعي صغير" in extracted.title
    check_offsets(extracted.text, result)


async def test_the_stream_and_the_single_answer_agree(client: AsyncClient, flood: str) -> None:
    """Streaming yields the paragraphs in order, the summary, then the provenance, the same as one answer."""
    events = [event async for event in client.stream(Article(text=flood, title="عنوان الخبر"))]
    result = await client.process(Article(text=flood, title="عنوان الخبر"))
    paragraphs = [event for event in events if isinstance(event, Paragraph)]
    assert paragraphs == [result.translation.title, *result.translation.paragraphs]
    assert events[-2] == Summary(result.summary)
    assert isinstance(events[-1], Provenance)


async def test_a_stream_that_is_left_unread_counts_as_cancelled(stack: Stack, flood: str) -> None:
    """Who leaves while the answer is being sent has not been answered."""
    left, answered = (metrics.CALLS.labels("StreamArticle", code) for code in ("CANCELLED", "OK"))
    before = left._value.get(), answered._value.get()
    lines = [line for line in flood.splitlines() if line]
    text = "\n".join(f"{line} رقم {number}." for number in range(60) for line in lines)
    small_window = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
    async with grpc.aio.insecure_channel(stack.addresses["gateway"], options=small_window) as channel:
        request = gateway_pb2.StreamArticleRequest(article=article_pb2.Article(text=text))
        call = gateway_pb2_grpc.GatewayStub(channel).StreamArticle(request)
        await call.read()
        decoded = 0
        while stack.engine.sentences > decoded:  # until all is done, and cannot be sent
            decoded = stack.engine.sentences
            await asyncio.sleep(1)
        call.cancel()
    async with asyncio.timeout(20):
        while (left._value.get(), answered._value.get()) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (left._value.get(), answered._value.get()) == (before[0] + 1, before[1])


async def test_the_second_time_comes_from_the_cache(client: AsyncClient, stack: Stack, flood: str) -> None:
    """An equal article is not decoded again, and its answer is the same."""
    first = await client.process(Article(text=flood))
    decoded = stack.engine.sentences
    second = await client.process(Article(text=flood))
    assert stack.engine.sentences == decoded
    assert first.provenance.cache_use == CacheUse.MISS
    assert second.provenance.cache_use == CacheUse.HIT
    assert (second.translation, second.summary) == (first.translation, first.summary)


async def test_only_the_edited_paragraph_is_translated_again(client: AsyncClient, stack: Stack, flood: str) -> None:
    """A changed word costs its paragraph; the others come from the cache with offsets of the new text."""
    await client.process(Article(text=flood))
    decoded = stack.engine.sentences
    edited = "خبر عاجل من الوادي.\n" + flood.replace("240 مليون", "260 مليون")
    result = await client.process(Article(text=edited))
    assert 0 < stack.engine.sentences - decoded <= 3
    assert result.provenance.cache_use == CacheUse.PARTIAL
    check_offsets(edited, result)


async def test_other_options_are_no_cache_hit(client: AsyncClient, flood: str) -> None:
    """A budget of one sentence is not answered with the kept summary of three."""
    await client.process(Article(text=flood))
    result = await client.process(Article(text=flood), Options(SummaryBudget(sentences=1)))
    assert len(result.summary) == 1


async def test_the_cache_can_be_bypassed(client: AsyncClient, stack: Stack, flood: str) -> None:
    """With the option everything is decoded anew."""
    await client.process(Article(text=flood))
    decoded = stack.engine.sentences
    result = await client.process(Article(text=flood), Options(bypass_cache=True))
    assert stack.engine.sentences == 2 * decoded
    assert result.provenance.cache_use == CacheUse.BYPASSED


async def test_equal_articles_at_the_same_moment_are_translated_once(
    client: AsyncClient, stack: Stack, flood: str
) -> None:
    """Ten callers with the same story share one translation."""
    stack.engine.released.clear()
    calls = [asyncio.create_task(client.process(Article(text=flood))) for _ in range(10)]
    await asyncio.sleep(0.3)
    stack.engine.released.set()
    results = await asyncio.gather(*calls)
    assert stack.engine.sentences == results[0].provenance.sentences
    assert all(result.translation == results[0].translation for result in results)


async def test_one_of_two_equal_callers_may_leave(client: AsyncClient, stack: Stack, flood: str) -> None:
    """The work goes on for the caller that stays."""
    stack.engine.released.clear()
    leaving, staying = (asyncio.create_task(client.process(Article(text=flood))) for _ in range(2))
    await asyncio.sleep(0.3)
    leaving.cancel()
    await asyncio.sleep(0.1)
    stack.engine.released.set()
    assert (await staying).summary


async def test_a_doubtful_sentence_is_flagged_and_not_summarized(client: AsyncClient, stack: Stack, flood: str) -> None:
    """What the model repeats senselessly comes back with the reason, and the summary passes it over."""
    stack.engine.say = lambda arabic: "water " * 5 if "النهر" in arabic else plausible_english(arabic)
    result = await client.process(Article(text=flood))
    flagged = [s for p in result.translation.paragraphs for s in p.sentences if "النهر" in s.source]
    assert {flag.reason for sentence in flagged for flag in sentence.flags} >= {FlagReason.REPETITION}
    assert not {s.index for s in flagged} & {chosen.sentence_index for chosen in result.summary}


@pytest.mark.parametrize(
    ("article", "reason"),
    [
        pytest.param(Article(text=""), "ARTICLE_EMPTY", id="empty"),
        pytest.param(Article(text=" \n\t\u00a0"), "ARTICLE_EMPTY", id="white space"),
        pytest.param(Article(text="ا" * 500_001), "ARTICLE_TOO_LONG", id="over the limit"),
        pytest.param(Article(text="نص", title="ا" * 1001), "TITLE_TOO_LONG", id="long title"),
        pytest.param(Article(html="<script>alert(1)</script>"), "NO_ARTICLE_IN_HTML", id="no article"),
        pytest.param(Article(text="مرحبا \ud800"), "UNREADABLE_REQUEST", id="lone surrogate"),
    ],
)
async def test_bad_articles_are_refused_with_a_reason(client: AsyncClient, article: Article, reason: str) -> None:
    """What cannot be translated is a BadRequest that says why."""
    with pytest.raises(BadRequest) as refused:
        await client.process(article)
    assert refused.value.reason == reason


@pytest.mark.parametrize("budget", [SummaryBudget(sentences=0), SummaryBudget(words=-1), SummaryBudget(ratio=1.5)])
async def test_a_budget_out_of_range_is_refused(client: AsyncClient, budget: SummaryBudget) -> None:
    """The error names the field, the value and the range."""
    with pytest.raises(BadRequest, match="allowed is") as refused:
        await client.process(Article(text="نص قصير."), Options(budget))
    assert refused.value.reason == "BUDGET_OUT_OF_RANGE"
    assert refused.value.metadata["field"].startswith("options.summary_budget.")


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        pytest.param("The minister spoke on Monday.", FlagReason.NOT_ARABIC, id="English"),
        pytest.param("این یک متن فارسی است که برای آزمایش نوشته شد.", FlagReason.NOT_ARABIC, id="Persian"),
        pytest.param("یہ ایک اردو جملہ ہے اور اس میں الفاظ ہیں۔", FlagReason.NOT_ARABIC, id="Urdu"),
    ],
)
async def test_other_languages_are_passed_through_and_marked(client: AsyncClient, text: str, flag: FlagReason) -> None:
    """What is not Arabic comes back as it was sent, with the flag."""
    result = await client.process(Article(text=text))
    [sentence] = [s for p in result.translation.paragraphs for s in p.sentences]
    assert sentence.translation == text
    assert [flag.reason for flag in sentence.flags] == [flag]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("😀😀 👍", id="emoji"),
        pytest.param("\u202b\u200f\ufeff", id="invisible characters"),
        pytest.param("قَالَ الرَّئِيسُ إِنَّ السَّلَامَ قَرِيبٌ.", id="vowelled"),
        pytest.param("ﻗﺎﻝ ﺍﻟﺮﺋﻴﺲ ﺇﻥ ﺍﻟﺴﻼﻡ ﻗﺮﻳﺐ", id="presentation forms"),
        pytest.param("قال\u0000 الوزير\u0007 نعم\u202e.", id="control and bidi characters"),
        pytest.param('قال Trump إن "OK" تعني 100%؟!.. نعم', id="mixed"),
        pytest.param("<eos> قال <bos> نعم", id="control tokens in the text"),
    ],
)
async def test_odd_texts_come_back_whole(client: AsyncClient, text: str) -> None:
    """Whatever the characters, the sources cover the text and nothing crashes."""
    check_offsets(text, await client.process(Article(text=text)))


async def test_a_megabyte_without_a_full_stop_is_cut_and_marked(client: AsyncClient) -> None:
    """The largest allowed text, one sentence without an end, comes back in marked pieces that cover it."""
    text = ("كلمة طويلة جدا " * 40_000)[:540_000].strip()
    assert 950_000 < len(text.encode()) <= 1_000_000
    result = await client.process(Article(text=text))
    check_offsets(text, result)
    sentences = result.translation.paragraphs[0].sentences
    assert len(sentences) > 100
    assert all(FlagReason.FRAGMENT in {flag.reason for flag in s.flags} for s in sentences)


async def test_a_deadline_of_a_millisecond_is_a_typed_error(stack: Stack, flood: str) -> None:
    """Too little time is DeadlineExceeded, and the next caller is served."""
    async with AsyncClient(stack.addresses["gateway"], timeout_s=0.001) as hurried:
        with pytest.raises(DeadlineExceeded):
            await hurried.process(Article(text=flood))
    async with AsyncClient(stack.addresses["gateway"]) as patient:
        assert (await patient.process(Article(text=flood))).summary


async def test_a_client_that_hangs_up_frees_its_place(client: AsyncClient, stack: Stack, flood: str) -> None:
    """Sentences of a caller that left are not decoded."""
    stack.engine.released.clear()
    leaving = asyncio.create_task(client.process(Article(text=flood), Options(bypass_cache=True)))
    await asyncio.sleep(0.3)
    leaving.cancel()
    await asyncio.sleep(0.3)
    stack.engine.released.set()
    await client.process(Article(text="جملة واحدة فقط."))
    assert stack.engine.sentences <= 2 * max(stack.engine.batches) + 1


async def test_an_unknown_option_is_refused(stack: Stack) -> None:
    """A field that this version does not know is an error and not silently ignored."""
    request = gateway_pb2.ProcessArticleRequest(article=article_pb2.Article(text="نص."))
    request.options.translate_boilerplate = True
    data = request.SerializeToString().replace(b"\x10\x01", b"\x78\x01")  # field 2 becomes field 15
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        call = channel.unary_unary("/khulasa.v1.Gateway/ProcessArticle")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(data)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "does not know" in (refused.value.details() or "")


async def test_bytes_that_are_no_message_are_refused(stack: Stack) -> None:
    """Garbage is INVALID_ARGUMENT, not the library's INTERNAL."""
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/khulasa.v1.Gateway/ProcessArticle")(b"\xff\xff\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_full_queue_is_refused_with_a_delay(client: AsyncClient, stack: Stack) -> None:
    """When more waits than can be done, the caller is told to come back and when."""
    stack.engine.released.clear()
    texts = ["\n".join(f"جملة رقم {i} من المقال رقم {n}." for i in range(300)) for n in range(30)]
    calls = [asyncio.create_task(client.process(Article(text=text))) for text in texts]
    await asyncio.sleep(2)
    stack.engine.released.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert all(isinstance(result, Result | Overloaded) for result in results)
    assert all(error.reason == "OVERLOADED" and error.retry_after_s for error in refused)


async def test_many_articles_are_each_answered_once(client: AsyncClient, flood: str) -> None:
    """A stream of good and bad articles has one answer for each id, and a bad one ends nothing."""
    articles = [(f"good-{n}", Article(text=f"{flood}\nالخبر رقم {n}.")) for n in range(20)]
    articles.insert(3, ("empty", Article(text="  ")))
    articles.insert(9, ("good-0", Article(text=flood)))
    articles.insert(12, ("", Article(text=flood)))
    answers = [answer async for answer in client.process_many(articles)]
    assert sorted(name for name, _ in answers) == sorted(name for name, _ in articles)
    bad = {getattr(result, "reason", "") for _, result in answers if not isinstance(result, Result)}
    assert bad == {"ARTICLE_EMPTY", "REPEATED_ID", "ID_MISSING"}
    assert sum(isinstance(result, Result) for _, result in answers) == 20


async def test_the_translator_may_go_away_and_come_back(client: AsyncClient, stack: Stack, flood: str) -> None:
    """Without a translator the error says so; what is in the cache is still answered."""
    await client.process(Article(text=flood))
    await stack.servers["translator"].drain()
    async with AsyncClient(stack.addresses["gateway"], timeout_s=1) as hurried:
        with pytest.raises(Unavailable) as away:
            await hurried.process(Article(text="خبر جديد لم يترجم من قبل."))
        assert away.value.reason == "TRANSLATOR_UNAVAILABLE"
        assert (await hurried.process(Article(text=flood))).provenance.cache_use == CacheUse.HIT
        state = await hurried.describe()
    assert state.model == ""
    assert state.summarizer_ready


@pytest.mark.parametrize(("part", "name"), [("digest", "model_digest"), ("engine", "engine"), ("pipeline", "pipeline")])
async def test_another_model_is_never_answered_from_the_cache(
    client: AsyncClient, stack: Stack, flood: str, part: str, name: str
) -> None:
    """After the translator changed its model, engine or pipeline the article is translated anew, under the new one."""
    first = await client.process(Article(text=flood))
    setattr(stack.translator._model, part, "0" * 64)
    result = None
    for _ in range(3):
        try:
            result = await client.process(Article(text=flood + "\nسطر جديد."))
            break
        except Unavailable:
            continue
    assert result is not None
    assert "0" * 64 in getattr(result.provenance, name)
    assert "0" * 64 not in getattr(first.provenance, name)
    assert result.provenance.cached_paragraphs == 0


async def test_reflection_names_the_service(stack: Stack) -> None:
    """A generic client finds the API without our protos."""
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = [service.name async for r in call for service in r.list_services_response.service]
    assert "khulasa.v1.Gateway" in names


@needs_shared
async def test_real_articles_come_back_whole(client: AsyncClient) -> None:
    """A hundred news articles as they were published, and a page as a user copied it: nothing of them is lost."""
    with gzip.open(SHARED / "data/articles/articles-2000.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["body"] for _, line in zip(range(100), file, strict=False)]
    texts.append((SHARED / "data/articles/000_4265aee8552d089f.txt").read_text())
    async for name, result in client.process_many([(str(n), Article(text=text)) for n, text in enumerate(texts)]):
        assert isinstance(result, Result), result
        check_offsets(texts[int(name)], result)


async def test_a_translator_that_stops_during_a_request_is_a_typed_error(stack: Stack, flood: str) -> None:
    """The caller is told that the translator is away; nothing hangs."""
    stack.engine.released.clear()
    async with AsyncClient(stack.addresses["gateway"], timeout_s=3) as client:
        call = asyncio.create_task(client.process(Article(text=flood)))
        await asyncio.sleep(0.3)
        await stack.servers["translator"].drain()
        stack.engine.released.set()
        with pytest.raises(Unavailable) as away:
            await call
    assert away.value.reason == "TRANSLATOR_UNAVAILABLE"
