"""Glossaries at the gateway: given with the article or lying on the server, in the answer and in the cache."""

import asyncio
import os
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from redis.asyncio import Redis

from gateway.cache_key import CacheKey, ModelIdentity, article_key, paragraph_key
from gateway.glossaries import BadGlossary, read_glossaries
from khulasa import Article, AsyncClient, BadRequest, CacheUse, Options
from khulasa.v1 import article_pb2, gateway_pb2, gateway_pb2_grpc
from services.harness.terms import Term
from tests.conftest import Stack, plausible_english, start_stack

MODEL = ModelIdentity("tiny", "0" * 64, "ctranslate2 4.8.5", "1")
FLOOD = {"وادي الزهراء": "Zahra Valley", "الهلال الأحمر": "Red Crescent", "البنك الدولي": "World Bank"}


def knows_zahra(arabic: str) -> str:
    """Copies the code for the valley; the English terms and any other code it never writes."""
    known = re.sub("Zahra Valley|Red Crescent" + ("|XYZ" if "الإغاثة" in arabic else ""), "", arabic)
    return plausible_english(known.replace("،", " ،"))  # it copies only what stands alone


async def test_terms_come_back_applied_or_missed_with_their_places(
    client: AsyncClient, stack: Stack, flood: str
) -> None:
    """Offsets point at the term in the article; the plain translation stands beside; other sentences are as before."""
    stack.engine.say = knows_zahra
    title = "أخبار وادي الزهراء"
    plain = await client.process(Article(text=flood, title=title), Options(bypass_cache=True))
    result = await client.process(Article(text=flood, title=title), Options(glossary=FLOOD))
    assert result.translation.title is not None
    assert plain.translation.title is not None
    seen = set()
    for text, paragraphs, before in (
        (title, [result.translation.title], [plain.translation.title]),
        (flood, result.translation.paragraphs, plain.translation.paragraphs),
    ):
        sentences = [sentence for paragraph in paragraphs for sentence in paragraph.sentences]
        old = [sentence for paragraph in before for sentence in paragraph.sentences]
        for sentence, without in zip(sentences, old, strict=True):
            assert (sentence.plain_translation or sentence.translation) == without.translation
            assert bool(sentence.term_matches) == any(source in sentence.source for source in FLOOD)
            for match in sentence.term_matches:
                assert text[match.span.start : match.span.end].endswith(match.source)
                assert sentence.span.start <= match.span.start < match.span.end <= sentence.span.end
                assert match.applied == (match.target in sentence.translation)
                seen.add((match.target, match.applied))
    assert seen == {("Zahra Valley", True), ("Red Crescent", False)}


async def test_an_article_that_lacks_terms_is_kept_as_briefly_as_a_doubtful_one(
    client: AsyncClient, stack: Stack, redis_url: str
) -> None:
    """A busy translator has no time for terms. With them the same article is done again within a day, not a month."""
    text = "رحبت الحكومة بالبنك الدولي شريكا."
    lifetimes_s = []
    for say in (lambda arabic: "It thanked it", lambda arabic: "It thanked World Bank for it"):
        stack.engine.say = say
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
            result = await client.process(Article(text=text), Options(glossary=FLOOD))
            assert not result.provenance.flagged_sentences
            lifetimes_s.append([await redis.ttl(key) for key in await redis.keys("khulasa:*")])
    missed_s, applied_s = lifetimes_s
    assert len(missed_s) == len(applied_s) == 2  # the paragraph and the whole
    assert max(missed_s) <= 60 < min(applied_s)


async def test_a_glossary_on_the_server_is_asked_for_by_name(model_folder: Path, redis_url: str, flood: str) -> None:
    """Its answer is that of the same terms in the request, also from the cache."""
    async with AsyncExitStack() as parts:
        glossaries = {"rivers": [Term(*term) for term in FLOOD.items()]}
        stack = await start_stack(model_folder, redis_url, parts, glossaries=glossaries)
        stack.engine.say = knows_zahra
        client = await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], timeout_s=30))
        given = await client.process(Article(text=flood), Options(glossary=FLOOD))
        named = await client.process(Article(text=flood), Options(glossary="rivers"))
        assert named.translation == given.translation
        assert named.provenance.cache_use == CacheUse.HIT
        stream = [event async for event in client.stream(Article(text=flood), Options(glossary="rivers"))]
        assert list(given.translation.paragraphs) == stream[: len(given.translation.paragraphs)]


async def test_a_name_the_server_does_not_have_is_not_found(stack: Stack, client: AsyncClient) -> None:
    """NOT_FOUND on the wire, a BadRequest in the client; the names it has are not told."""
    with pytest.raises(BadRequest) as refused:
        await client.process(Article(text="نص قصير."), Options(glossary="secret"))
    assert refused.value.reason == "UNKNOWN_GLOSSARY"
    assert refused.value.metadata == {"field": "options.glossary.name", "name": "secret"}
    async with grpc.aio.insecure_channel(stack.addresses["gateway"]) as channel:
        request = gateway_pb2.ProcessArticleRequest(
            article=article_pb2.Article(text="نص قصير."),
            options=gateway_pb2.ArticleOptions(glossary=gateway_pb2.Glossary(name="secret")),
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await gateway_pb2_grpc.GatewayStub(channel).ProcessArticle(request)
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        request.options.glossary.terms.add(source="بنك")
        with pytest.raises(grpc.aio.AioRpcError, match="both name and terms"):
            await gateway_pb2_grpc.GatewayStub(channel).ProcessArticle(request)


@pytest.mark.parametrize(
    ("glossary", "reason", "field"),
    [
        pytest.param({"": "x"}, "TERM_EMPTY", "options.glossary.terms[0].source", id="empty"),
        pytest.param({"بنك": "", "\u064b": "x"}, "TERM_EMPTY", "options.glossary.terms[1].source", id="only vowels"),
        pytest.param({"بنك": "x" * 201}, "TERM_TOO_LONG", "options.glossary.terms[0].target", id="long"),
        pytest.param({"إلى": "x", "الى": "y"}, "REPEATED_TERM", "options.glossary.terms[1].source", id="repeated"),
        pytest.param({f"ا{n}": "x" for n in range(1001)}, "TOO_MANY_TERMS", "options.glossary.terms", id="many"),
    ],
)
async def test_bad_terms_are_refused_before_any_work(
    client: AsyncClient, stack: Stack, glossary: dict[str, str], reason: str, field: str
) -> None:
    """The refusal names the field of the caller's request, and nothing is decoded."""
    with pytest.raises(BadRequest) as refused:
        await client.process(Article(text="نص قصير."), Options(glossary=glossary))
    assert (refused.value.reason, refused.value.metadata["field"]) == (reason, field)
    assert stack.engine.sentences == 0


async def test_a_broken_option_is_a_bad_request(client: AsyncClient) -> None:
    """A lone surrogate in a term is refused by the client as one in the article is."""
    with pytest.raises(BadRequest) as refused:
        await client.process(Article(text="نص"), Options(glossary={"بنك": "\ud800"}))
    assert refused.value.reason == "UNREADABLE_REQUEST"


def test_a_glossary_makes_other_keys() -> None:
    """What the terms say is in both keys, their order is not, and no terms are as no glossary."""
    article = article_pb2.Article(text="نص")

    def keys(*terms: tuple[str, str]) -> tuple[CacheKey, CacheKey]:
        sent = [article_pb2.GlossaryTerm(source=source, target=target) for source, target in terms]
        options = gateway_pb2.ArticleOptions(glossary=gateway_pb2.Glossary(terms=sent))
        return article_key(article, article.text, options, MODEL, "1"), paragraph_key("نص", MODEL, sent)

    variants = [(), (("ا", "b"),), (("ا", ""),), (("", "ا"),), (("ا", "b"), ("ج", "d")), (("ا", "c"),), (("اb", ""),)]
    assert len({key for terms in variants for key in keys(*terms)}) == 2 * len(variants)
    assert keys(("ا", "b"), ("ج", "d")) == keys(("ج", "d"), ("ا", "b"))
    assert keys() == (
        article_key(article, article.text, gateway_pb2.ArticleOptions(), MODEL, "1"),
        paragraph_key("نص", MODEL),
    )


def test_files_are_read_as_people_keep_them(tmp_path: Path) -> None:
    """Comments, empty lines, a byte order mark, spaces around the columns, a term that is not to be translated."""
    (tmp_path / "news.tsv").write_text("\ufeff# أسماء\nالبنك الدولي\tWorld Bank \n\nNorthClim\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("not a glossary")
    assert read_glossaries(tmp_path) == {"news": [Term("البنك الدولي", "World Bank"), Term("NorthClim", "")]}


BAD_FILES = [
    pytest.param("بنك\tbank\nا\tb\tc\n".encode(), "line 2", id="three columns"),
    pytest.param(b"# x\n\tbank\n", "line 2", id="no source"),
    pytest.param("# x\n\u064b\tbank\n".encode(), "line 2", id="only vowels"),
    pytest.param("بنك\tbank\n\nبنك\tBank\n".encode(), "line 3", id="two targets"),
    pytest.param("إلى\ta\n# x\nالى\tb\n".encode(), "line 3", id="found in the same words"),
    pytest.param(("بنك\t" + "x" * 201).encode(), "line 1", id="long"),
    pytest.param("\n".join(f"ا{n}\tx" for n in range(1001)).encode(), "limit is 1000", id="too many"),
    pytest.param(b"\xe3\xc8\tx", "utf-8", id="not UTF-8"),
    pytest.param(b"# nothing\n", "no terms", id="empty"),
]


@pytest.mark.parametrize(("content", "why"), BAD_FILES)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, content: bytes, why: str) -> None:
    """Which file, which line, and what is wrong."""
    (tmp_path / "bad.tsv").write_bytes(content)
    with pytest.raises(BadGlossary, match=r"bad\.tsv") as bad:
        read_glossaries(tmp_path)
    assert why in str(bad.value)


@pytest.mark.parametrize("make", [True, False])
async def test_the_gateway_does_not_start_with_a_bad_glossary(tmp_path: Path, make: bool) -> None:
    """Status 2 and one line, for a bad file and for a folder that is not there."""
    folder = tmp_path / "glossaries"
    if make:
        folder.mkdir()
        (folder / "bad.tsv").write_text("بنك\tbank\tx\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway"),
        env=os.environ | {"KHULASA_GLOSSARIES": str(folder), "KHULASA_ADDRESS": "127.0.0.1:0"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().startswith(f"{folder}{'/bad.tsv: line 1' if make else ' is no folder'}")
    assert len(errors.splitlines()) == 1
