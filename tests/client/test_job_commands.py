"""`khulasa job …` as people type it."""

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.embedded_redis import EmbeddedRedis
from gateway.settings import GatewaySettings
from tests.client.test_cli import khulasa
from tests.conftest import ARTICLES, Stack, start_stack


@pytest.fixture
async def job_stack(model_folder: Path, redis_url: str) -> AsyncIterator[Stack]:
    """Services with a gateway that takes jobs."""
    async with AsyncExitStack() as parts:
        redis = await EmbeddedRedis.start_keeping(None, memory_mb=64)
        parts.push_async_callback(redis.stop)
        yield await start_stack(model_folder, redis_url, parts, job_settings=GatewaySettings(jobs_redis_url=redis.url))


@pytest.fixture
def gateway(job_stack: Stack) -> str:
    """The address of that gateway."""
    return job_stack.addresses["gateway"]


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """A file of four articles, one of them a page without text, one the same as another."""
    lines = [
        {"id": 1, "text": (ARTICLES / "flood.txt").read_text(), "source": "a field that is none of ours"},
        {"id": "two", "text": (ARTICLES / "vaccine.txt").read_text(), "title": "لقاح جديد"},
        {"id": "copy", "text": (ARTICLES / "flood.txt").read_text().replace(" ", "  ")},
        {"id": "page", "html": "<html><body></body></html>"},
    ]
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n\n" for line in lines), encoding="utf-8")
    return path


async def test_a_file_is_sent_worked_off_and_fetched(gateway: str, articles: Path, tmp_path: Path) -> None:
    """From submit to delete; each article has one line, its error or its translation, and the states say so."""
    at = ("--gateway", gateway)
    code, name, errors = await khulasa("job", "submit", str(articles), "--sentences", "2", *at)
    assert (code, errors) == (0, "")
    name = name.strip()
    assert name.startswith("operations/")

    code, out, _ = await khulasa("job", "wait", name, "--json", *at)
    assert code == 1  # one article has an error
    job = json.loads(out)
    assert (job["state"], job["done"], job["failed"], job["duplicates"]) == ("ended", 3, 1, 1)
    assert job["display_name"] == "articles.jsonl"
    assert job["ended"].endswith("+00:00")

    output = tmp_path / "results.jsonl"
    code, _, errors = await khulasa("job", "results", name, "--output", str(output), *at)
    assert (code, errors) == (0, "")
    records = {record["id"]: record for record in map(json.loads, output.read_text().splitlines())}
    assert set(records) == {"1", "two", "copy", "page"}
    assert records["page"]["status"]["reason"] == "NO_ARTICLE_IN_HTML"
    assert records["copy"]["duplicate_of"] == "1"
    assert len(records["1"]["summary"]) == 2
    assert records["two"]["title"]
    code, _, errors = await khulasa("job", "results", name, "--output", str(output), *at)
    assert (code, errors) == (0, "")  # all of it is there already
    assert {json.loads(line)["id"] for line in output.read_text().splitlines()} == set(records)

    code, out, errors = await khulasa("job", "submit", str(articles), "--sentences", "2", *at)
    assert (code, out.strip()) == (0, name)
    assert "sent before" in errors
    code, out, _ = await khulasa("job", "list", *at)
    assert code == 0
    assert name in out
    assert "4 of 4" in out
    assert (await khulasa("job", "cancel", name, *at))[0] == 0
    code, out, _ = await khulasa("job", "status", name.removeprefix("operations/"), *at)
    assert "ended: 4 of 4 articles, 1 failed, 1 not translated again" in out
    assert (await khulasa("job", "delete", name, *at))[0] == 0
    code, _, errors = await khulasa("job", "status", name, *at)
    assert code == 1
    assert "There is no operations/" in errors


async def test_other_options_are_another_job(gateway: str, articles: Path) -> None:
    """The same file with another length of the summary is sent anew; from standard input too."""
    _, first, _ = await khulasa("job", "submit", str(articles), "--gateway", gateway)
    _, second, _ = await khulasa("job", "submit", str(articles), "--words", "50", "--gateway", gateway)
    data = await asyncio.to_thread(articles.read_bytes)
    _, piped, _ = await khulasa("job", "submit", "-", "--gateway", gateway, stdin=data)
    assert first != second
    assert piped == first


async def test_only_what_was_sent_before_is_said_to_be(gateway: str, job_stack: Stack, tmp_path: Path) -> None:
    """Not a new job of which an article was refused at once; but one sent again, though nothing of it is done."""
    job_stack.engine.released.clear()
    lines = [{"id": "long", "text": "وصل الوزير. " * 60_000}, {"id": "waits", "text": "وصل الوزير صباحا."}]
    path = tmp_path / "articles.jsonl"
    said = []
    for kept in (lines, lines[1:]):
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept), encoding="utf-8")
        said += [await khulasa("job", "submit", str(path), "--gateway", gateway) for _ in range(2)]
    job_stack.engine.released.set()
    assert [(code, errors.partition(", 0 not")[0]) for code, _, errors in said] == [
        (0, ""),
        (0, "It was sent before. running: 1 of 2 articles, 1 failed"),
        (0, ""),
        (0, "It was sent before. running: 0 of 1 articles, 0 failed"),
    ]
    assert [name for _, name, _ in said[::2]] == [name for _, name, _ in said[1::2]]


async def test_every_kind_of_input_can_be_sent(gateway: str, tmp_path: Path) -> None:
    """A table with columns of other names, and a folder: what `job run` reads."""
    text = "وصل الوزير صباحا."
    (tmp_path / "a.csv").write_text(f"nr,body\n7,{text}\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "news.txt").write_text(text, encoding="utf-8")
    for arguments, name in (
        ((str(tmp_path / "a.csv"), "--id-field", "nr", "--text-field", "body"), "7"),
        ((str(tmp_path / "folder"),), "news.txt"),
    ):
        code, job, errors = await khulasa("job", "submit", *arguments, "--gateway", gateway)
        assert (code, errors) == (0, "")
        code, out, _ = await khulasa("job", "results", job.strip(), "--follow", "--gateway", gateway)
        assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (0, [name])


async def test_bad_lines_are_named_and_nothing_is_sent(gateway: str, tmp_path: Path) -> None:
    """Each with its number and what is wrong; --skip-bad sends the others."""
    good = json.dumps({"id": "good", "text": "وصل الوزير صباحا."}, ensure_ascii=False).encode()
    lines = [
        b"{not json}",
        good,
        '{"id": "cp1256", "text": "نص"}'.encode("cp1256"),
        b'{"id": "good", "text": "again"}',
        b'{"id": "empty"}',
        b'{"id": "long", "text": "' + b"x" * 17_000_000 + b'"}',
    ]
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join(lines))
    code, out, errors = await khulasa("job", "submit", str(path), "--gateway", gateway)
    assert (code, out) == (2, "")
    for words in (
        "line-1: Line 1 is no JSON",
        "line-3: Line 3 is not UTF-8",
        "good: The id came before",
        "empty: There is neither text nor html",
        "line-6: Line 6 has 170000",
        "Nothing was sent",
    ):
        assert words in errors
    code, name, _ = await khulasa("job", "submit", str(path), "--skip-bad", "--gateway", gateway)
    assert code == 0
    code, out, _ = await khulasa("job", "results", name.strip(), "--follow", "--gateway", gateway)
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["good"]


async def test_a_missing_file_and_a_missing_gateway_are_told_apart(articles: Path) -> None:
    """Status 2 for what is wrong here, 1 for the other side."""
    code, _, errors = await khulasa("job", "submit", "absent.jsonl", "--gateway", "127.0.0.1:1")
    assert code == 2
    assert "absent.jsonl is not there" in errors
    code, _, errors = await khulasa("job", "submit", str(articles), "--gateway", "127.0.0.1:1")
    assert code == 1
    assert "127.0.0.1:1" in errors


async def test_a_file_of_results_is_gone_on_with(gateway: str, articles: Path, tmp_path: Path) -> None:
    """Killed anywhere in a line, the same command makes the file whole: nothing is lost, nothing there twice."""
    at = ("--gateway", gateway)
    _, name, _ = await khulasa("job", "submit", str(articles), *at)
    output = tmp_path / "results.jsonl"
    fetch = ("job", "results", name.strip(), "--follow", "--output", str(output), *at)
    assert (await khulasa(*fetch))[0] == 0
    whole = output.read_bytes()
    first_line = whole.index(b"\n") + 1
    for kept in (0, 1, first_line - 1, first_line, first_line + 100, len(whole) - 1, len(whole)):
        output.write_bytes(whole[:kept])
        code, _, errors = await khulasa(*fetch)
        assert (code, errors, output.read_bytes()) == (0, "", whole)


@pytest.mark.parametrize(
    "spoil", [lambda own: b"notes", lambda own: own + b"more", lambda own: own.replace(b"1", b"2")]
)
async def test_a_file_of_other_content_is_left_alone(
    gateway: str, articles: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Status 2 and a word; the file is as it was."""
    at = ("--gateway", gateway)
    _, name, _ = await khulasa("job", "submit", str(articles), *at)
    output = tmp_path / "results.jsonl"
    fetch = ("job", "results", name.strip(), "--follow", "--output", str(output), *at)
    assert (await khulasa(*fetch))[0] == 0
    spoilt = spoil(output.read_bytes())
    output.write_bytes(spoilt)
    code, _, errors = await khulasa(*fetch)
    assert (code, "File exists" in errors, output.read_bytes()) == (2, True, spoilt)


async def test_one_command_at_a_time_writes_results(gateway: str, articles: Path, tmp_path: Path) -> None:
    """A second one would tear the first one's lines: it is told so, status 2."""
    at = ("--gateway", gateway)
    _, name, _ = await khulasa("job", "submit", str(articles), *at)
    output = tmp_path / "results.jsonl"
    with output.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, errors = await khulasa("job", "results", name.strip(), "--output", str(output), *at)
    assert (code, "Another command writes it now" in errors, output.read_bytes()) == (2, True, b"")
