"""Clients do not see each other in the cache, and what is to be forgotten is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from khulasa import Article, AsyncClient, CacheUse, Options, PermissionDenied, SummaryBudget
from khulasa.cli import app
from services.harness.clients import Clients
from tests.conftest import ARTICLES, Stack, start_stack
from tests.harness.test_credentials import OTHER_TOKEN, TOKEN, write_clients

ADMIN_TOKEN = "khulasa_" + "a" * 43


@dataclass
class Newsrooms:
    """A gateway with two clients and an administrator."""

    stack: Stack
    newsroom: AsyncClient
    archive: AsyncClient
    admin: AsyncClient


async def start(model_folder: Path, redis_url: str, folder: Path, parts: AsyncExitStack, *, shared: bool) -> Newsrooms:
    """Start the gateway."""
    path = write_clients(folder / "clients.toml", newsroom=TOKEN, archive=OTHER_TOKEN, admin=ADMIN_TOKEN)
    path.write_text(path.read_text() + "\nadmin = true\n")
    stack = await start_stack(model_folder, redis_url, parts, clients=Clients(path), cache_shared=shared)
    clients = [
        await parts.enter_async_context(AsyncClient(stack.addresses["gateway"], token=token, timeout_s=30))
        for token in (TOKEN, OTHER_TOKEN, ADMIN_TOKEN)
    ]
    return Newsrooms(stack, *clients)


@pytest.fixture
async def newsrooms(model_folder: Path, redis_url: str, tmp_path: Path) -> AsyncIterator[Newsrooms]:
    """A gateway whose clients are told apart."""
    async with AsyncExitStack() as parts:
        yield await start(model_folder, redis_url, tmp_path, parts, shared=False)


async def cache_use(client: AsyncClient, text: str) -> CacheUse:
    """Return where the client's answer came from."""
    return (await client.process(Article(text=text))).provenance.cache_use


async def test_the_cache_does_not_tell_what_others_read(newsrooms: Newsrooms, flood: str) -> None:
    """An article that another client had translated is new, also while the other's is under way."""
    engine = newsrooms.stack.engine
    assert await cache_use(newsrooms.newsroom, flood) == CacheUse.MISS
    decoded = engine.sentences
    assert await cache_use(newsrooms.archive, flood) == CacheUse.MISS
    assert engine.sentences == 2 * decoded
    assert await cache_use(newsrooms.newsroom, flood) == CacheUse.HIT


async def test_a_shared_cache_is_shared(model_folder: Path, redis_url: str, tmp_path: Path, flood: str) -> None:
    """By explicit choice all clients are answered from what any had translated; then only an administrator purges."""
    async with AsyncExitStack() as parts:
        newsrooms = await start(model_folder, redis_url, tmp_path, parts, shared=True)
        assert await cache_use(newsrooms.newsroom, flood) == CacheUse.MISS
        assert await cache_use(newsrooms.archive, flood) == CacheUse.HIT
        with pytest.raises(PermissionDenied, match="what all clients share"):
            await newsrooms.archive.purge_client()
        assert await newsrooms.admin.purge_article(Article(text=flood)) > 1
        assert await cache_use(newsrooms.archive, flood) == CacheUse.MISS


async def test_a_purged_article_is_forgotten_in_every_form(newsrooms: Newsrooms, redis_url: str, flood: str) -> None:
    """Answers with other options, paragraphs and single sentences go; other articles and other clients' stay."""
    other = (ARTICLES / "election.txt").read_text()
    newsroom = newsrooms.newsroom
    for options in (
        Options(),
        Options(SummaryBudget(words=30)),
        Options(summary_first=True),
        Options(glossary={"ا": "b"}),
    ):
        await newsroom.process(Article(text=flood, title="عنوان من عند القارئ"), options)
    await newsroom.process(Article(text=other))
    await newsrooms.archive.process(Article(text=flood))
    async with Redis.from_url(redis_url) as redis:
        kept = await redis.dbsize()
        purged = await newsroom.purge_article(Article(text=flood, title="عنوان من عند القارئ"))
        assert await redis.dbsize() == kept - purged
        assert await cache_use(newsroom, other) == CacheUse.HIT
        assert await cache_use(newsrooms.archive, flood) == CacheUse.HIT
    assert await cache_use(newsroom, flood) == CacheUse.MISS


async def test_a_purged_page_is_forgotten(newsrooms: Newsrooms) -> None:
    """Of HTML the answer and the paragraphs of the extracted text go."""
    page = Article(html=(ARTICLES / "satellite.html").read_text())
    newsroom = newsrooms.newsroom
    extracted = (await newsroom.process(page)).translation.extracted
    assert extracted is not None
    assert await newsroom.purge_article(page) > 1
    assert await newsroom.purge_article(page) == 0
    assert await cache_use(newsroom, extracted.text) == CacheUse.MISS


async def test_a_client_purges_its_own_and_an_administrator_all(newsrooms: Newsrooms, flood: str) -> None:
    """One client cannot make another's values go; an administrator can, also for a client that is no longer there."""
    for client in (newsrooms.newsroom, newsrooms.archive):
        await client.process(Article(text=flood))
    with pytest.raises(PermissionDenied, match="newsroom may not purge what 'archive' had translated") as raised:
        await newsrooms.newsroom.purge_client("archive")
    assert raised.value.reason == "NOT_ADMIN"
    with pytest.raises(PermissionDenied):
        await newsrooms.newsroom.purge_article(Article(text=flood), client="archive")
    assert await newsrooms.newsroom.purge_client("newsroom") > 1
    assert await cache_use(newsrooms.archive, flood) == CacheUse.HIT
    assert await newsrooms.admin.purge_client("archive") > 1
    assert await newsrooms.admin.purge_client("somebody who left") == 0
    assert await cache_use(newsrooms.archive, flood) == CacheUse.MISS


async def test_the_command_purges(newsrooms: Newsrooms, flood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`khulasa cache purge FILE` forgets an article, `--all` everything, one of the two has to be said."""
    await newsrooms.newsroom.process(Article(text=flood))
    monkeypatch.setenv("KHULASA_TOKEN", TOKEN)
    monkeypatch.setenv("KHULASA_GATEWAY", newsrooms.stack.addresses["gateway"])

    async def command(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["cache", "purge", *arguments])
        return result.exit_code, result.output

    code, output = await command(str(ARTICLES / "flood.txt"))
    assert (code, " 0 values" in output, "values forgotten" in output) == (0, False, True)
    code, output = await command("--all")
    assert (code, output.splitlines()[-1]) == (0, "0 values forgotten")
    assert (await command())[0] == 2
    assert (await command("/none"))[0] == 2
    assert (await command("--all", "--client", "archive"))[0] == 1
