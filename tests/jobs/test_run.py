"""`khulasa job run` against a real gateway: what comes of articles, of bad input, and of ends in the middle."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stack

HEADS = ["وصل الوزير إلى", "افتتح الرئيس", "زار الوفد", "أعلنت اللجنة عن", "ناقش المجلس"]


def line(number: int, **changes: object) -> str:
    """Return an article of two sentences that no other number has."""
    head = HEADS[number % len(HEADS)]
    text = f"{head} المدينة رقم {number} صباح اليوم. وقال المتحدث إن الزيارة تستمر {number % 9 + 2} أيام."
    return json.dumps({"id": f"a-{number}", "title": f"خبر {number}", "text": text} | changes, ensure_ascii=False)


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@asynccontextmanager
async def running(*arguments: object, stdin: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "khulasa", "job", "run", *(str(argument) for argument in arguments)),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def job_run(*arguments: object, stdin: bytes | None = None) -> tuple[int | None, dict[str, Any], str]:
    """Return exit status, counts and complaints of a run."""
    async with running(*arguments, "--json", stdin=asyncio.subprocess.PIPE if stdin is not None else None) as process:
        out, errors = await process.communicate(stdin)
        return process.returncode, json.loads(out or b"{}"), errors.decode()


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(found) for found in path.read_text(encoding="utf-8").splitlines()]


def failures(output: Path) -> list[dict[str, Any]]:
    path = output.with_name(f"{output.name}.errors.jsonl")
    return records(path) if path.exists() else []


@pytest.fixture
def gateway(stack: Stack) -> str:
    return stack.addresses["gateway"]


async def test_every_article_has_one_record_with_offsets_into_its_own_text(gateway: str, tmp_path: Path) -> None:
    """Ids, sentences and counts of the output are those of the input, and there is no error file."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(40)]), tmp_path / "out.jsonl"
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], counts["failed"], counts["read"]) == (0, 40, 0, 40), errors
    found = {record["id"]: record for record in records(output)}
    texts = {json.loads(text)["id"]: json.loads(text)["text"] for text in source.read_text().splitlines()}
    assert found.keys() == texts.keys()
    for article_id, record in found.items():
        for sentence in record["translation"]["paragraphs"][0]["sentences"]:
            assert texts[article_id][sentence["span"]["start"] : sentence["span"]["end"]] == sentence["source"]
            assert sentence["translation"]
        assert record["status"]["code"] == "OK"
    assert counts["sentences"] == sum(record["provenance"]["sentences"] for record in found.values())
    assert not failures(output)


async def test_a_finished_run_does_nothing_again(gateway: str, stack: Stack, tmp_path: Path) -> None:
    """The same command finds all in the output; lines that the input has gained are done."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(5)]), tmp_path / "out.jsonl"
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0
    sentences = stack.engine.sentences
    code, counts, _ = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["skipped"], counts["done"], stack.engine.sentences) == (0, 5, 0, sentences)
    write_lines(source, [line(n) for n in range(7)])
    code, counts, _ = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["skipped"], counts["done"], len(records(output))) == (0, 5, 2, 7)


async def test_each_bad_line_is_named_and_the_others_are_done(gateway: str, tmp_path: Path) -> None:
    """Malformed, too long, wrongly encoded, empty, repeated and refused lines are failures with a reason; status 1."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    bad = [
        (b'{"id": "broken", "text": ', "MALFORMED_LINE"),
        (b'["no object"]', "MALFORMED_LINE"),
        (b'{"id": "long", "text": "' + b"x" * 30_000_000 + b'"}', "LINE_TOO_LONG"),
        ('{"id": "old", "text": "وصل الوزير"}'.encode("cp1256"), "WRONG_ENCODING"),
        (rb'{"id": "half", "text": "\ud800 abc"}', "WRONG_ENCODING"),
        (b'{"id": "empty", "text": "  "}', "ARTICLE_EMPTY"),
        (line(1).encode(), "REPEATED_ID"),
        (line(50, id="x" * 300).encode(), "ID_TOO_LONG"),
        (line(51, id={"a": 1}).encode(), "MALFORMED_LINE"),
        (line(52, text=5).encode(), "UNREADABLE_RECORD"),
        (line(53, id="huge", text="وصل الوزير. " * 60_000).encode(), "ARTICLE_TOO_LONG"),
    ]
    source.write_bytes(b"\n".join([line(1).encode(), *(found for found, _ in bad), line(2).encode()]) + b"\n\n")
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], counts["failed"]) == (1, 2, len(bad)), errors
    assert {record["id"] for record in records(output)} == {"a-1", "a-2"}
    assert [(f["line"], f["reason"]) for f in sorted(failures(output), key=lambda f: f["line"])] == [
        (number, reason) for number, (_, reason) in enumerate(bad, start=2)
    ]
    assert "الوزير" not in output.with_name("out.jsonl.errors.jsonl").read_text()
    code, counts, _ = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], counts["failed"], len(failures(output))) == (1, 0, len(bad), len(bad))


async def test_what_failed_can_be_asked_for_alone(gateway: str, stack: Stack, tmp_path: Path) -> None:
    """`--only-failed` does what the error file has and nothing else; when all is done the file is gone."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_lines(source, [line(1), line(2, text="وصل الوزير. " * 60_000), line(3)])
    code, _, _ = await job_run(source, output, "--gateway", gateway, "--limit", 2)
    assert code == 1
    write_lines(source, [line(1), line(2), line(3)])
    known = json.loads((tmp_path / "out.jsonl.run.json").read_text())
    known["input"]["head_sha256"], known["input"]["head_bytes"] = None, 1
    (tmp_path / "out.jsonl.run.json").unlink()
    code, counts, errors = await job_run(source, output, "--gateway", gateway, "--only-failed")
    assert code == 2, errors  # without its run file the output is somebody else's


async def test_a_missing_id_is_the_number_of_the_line(gateway: str, tmp_path: Path) -> None:
    """An article without an id is called by its line, a number is a string."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_lines(source, [line(1, id=None), line(2, id=""), line(3, id=77)])
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0
    assert {record["id"] for record in records(output)} == {"line-1", "line-2", "77"}
