"""`khulasa job run` against a real gateway: what comes of articles, of bad input, and of ends in the middle."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from khulasa.jobs.output import records_of
from services.harness import priority
from tests.conftest import Overheard, Stack

AS_OTHERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Before a command: root may read everything, but for these two."""
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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failures(output: Path) -> list[dict[str, Any]]:
    path = output.with_name(f"{output.name}.errors.jsonl")
    return records(path) if path.exists() else []


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # another process makes it hold
            await asyncio.sleep(0.01)


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


async def test_a_run_goes_behind_what_somebody_waits_for(gateway: str, overheard: Overheard, tmp_path: Path) -> None:
    """The translator has its articles as those of a job."""
    source = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(3)])
    assert (await job_run(source, tmp_path / "out.jsonl", "--gateway", gateway))[0] == 0
    assert set(overheard.priorities) == {priority.JOB}


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


async def test_what_failed_can_be_asked_for_alone(gateway: str, tmp_path: Path) -> None:
    """`--only-failed` does what the error file has and nothing else; when nothing is left in it the file is gone."""
    source, output = tmp_path / "in", tmp_path / "out.jsonl"
    source.mkdir()
    (source / "a.txt").write_text("وصل الوزير.", encoding="utf-8")
    (source / "b.txt").write_bytes(b"\x00\x01" * 50)
    code, counts, _ = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], [f["id"] for f in failures(output)]) == (1, 1, ["b.txt"])
    (source / "b.txt").write_text("وصل الوفد.", encoding="utf-8")
    (source / "aa.txt").write_text("وصل الرئيس.", encoding="utf-8")
    code, counts, _ = await job_run(source, output, "--gateway", gateway, "--only-failed")
    assert (code, counts["done"], counts["skipped"], counts["passed_over"]) == (0, 1, 1, 1)
    assert not output.with_name("out.jsonl.errors.jsonl").exists()
    code, counts, _ = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], counts["skipped"]) == (0, 1, 2)


async def test_a_missing_id_is_the_number_of_the_line(gateway: str, tmp_path: Path) -> None:
    """An article without an id is called by its line, a number is a string."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_lines(source, [line(1, id=None), line(2, id=""), line(3, id=77)])
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0
    assert {record["id"] for record in records(output)} == {"line-1", "line-2", "77"}


async def test_copies_are_translated_once_and_marked(gateway: str, stack: Stack, tmp_path: Path) -> None:
    """Also while the first is under way, and when the first was done by an earlier run; how many is told."""
    first = json.loads(line(1))
    texts = [first["text"], first["text"].replace("صباح", "صَبــاح"), "\u200f" + first["text"].replace(" ", "  ")]
    lines = [line(1, id=f"c-{n}", text=text) for n, text in enumerate(texts)]
    for name in ("out.jsonl", "out"):
        source, output = write_lines(tmp_path / f"{name}.in.jsonl", lines), tmp_path / name
        code, counts, errors = await job_run(source, output, "--gateway", gateway)
        assert (code, counts["done"], counts["duplicates"], counts["saved"]) == (0, 3, 2, 2), errors
        write_lines(source, [*lines, line(1, id="later", text=texts[1])])
        code, counts, errors = await job_run(source, output, "--gateway", gateway)
        assert (code, counts["done"], counts["duplicates"], counts["saved"]) == (0, 1, 1, 1), errors
        found = {record["id"]: record for record in records_of(output)}
        assert len({record["duplicate_of"] for record in found.values()} - {None}) == 1
        for number, text in enumerate(texts):
            for sentence in found[f"c-{number}"]["translation"]["paragraphs"][0]["sentences"]:
                assert text[sentence["span"]["start"] : sentence["span"]["end"]] == sentence["source"]
    assert stack.engine.sentences == 3  # headline and two sentences, once


async def test_standard_input_is_answered_while_it_is_open(gateway: str, tmp_path: Path) -> None:
    """A pipe that says nothing holds no answer back; what comes later is done too."""
    output = tmp_path / "out.jsonl"
    async with running("-", output, "--gateway", gateway, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(line(1).encode() + b"\n")
        await until(lambda: output.exists() and len(records(output)) == 1)
        process.stdin.write(line(2).encode() + b"\n")
        process.stdin.close()
        await process.communicate()
        assert process.returncode == 0
    assert [record["id"] for record in records(output)] == ["a-1", "a-2"]


async def test_an_output_of_other_content_is_refused(gateway: str, tmp_path: Path) -> None:
    """Another input, other options, somebody's file, a kind that we do not write: status 2, nothing touched."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(1)]), tmp_path / "out.jsonl"
    other = write_lines(tmp_path / "other.jsonl", [line(2)])
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0
    before = output.read_bytes()
    (tmp_path / "notes.jsonl").write_text("notes")
    for arguments, words in (
        ((other, output), "another input"),
        ((source, output, "--sentences", 5), "other options (summary_budget)"),
        ((source, tmp_path / "notes.jsonl"), "is none of a run"),
        ((source, tmp_path / "out.xlsx"), "no known kind"),
        ((source, tmp_path / "absent" / "out.jsonl"), "cannot be written"),
        ((source, output, "--in-process"), "--engine ray"),
    ):
        code, _, errors = await job_run(*arguments, "--gateway", gateway)
        assert (code, words in " ".join(errors.replace("│", " ").split())) == (2, True), errors
    assert output.read_bytes() == before
    assert (tmp_path / "notes.jsonl").read_text() == "notes"
    assert names(tmp_path) == ["in.jsonl", "notes.jsonl", "other.jsonl", "out.jsonl", "out.jsonl.run.json"]


@pytest.mark.parametrize("found", [b'{"id": "a-1"}\n', b'{"id": "a-1", "line": "1", "reason": null}\n'])
async def test_an_error_file_of_others_is_refused(gateway: str, tmp_path: Path, found: bytes) -> None:
    """Status 2 and its name; it stays as it was."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(1)]), tmp_path / "out.jsonl"
    errors_path = tmp_path / "out.jsonl.errors.jsonl"
    errors_path.write_bytes(found)
    code, _, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, f"Line 1 of {errors_path} is none of a run" in errors) == (2, True), errors
    assert errors_path.read_bytes() == found
    errors_path.unlink()
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0


async def test_a_token_file_that_cannot_be_read_is_refused(
    gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2 and its name, before anything is written."""
    source, absent = write_lines(tmp_path / "in.jsonl", [line(1)]), tmp_path / "absent"
    monkeypatch.delenv("KHULASA_TOKEN", raising=False)
    monkeypatch.setenv("KHULASA_TOKEN_FILE", str(absent))
    code, _, errors = await job_run(source, tmp_path / "out.jsonl", "--gateway", gateway)
    assert (code, errors.splitlines()) == (2, [f"khulasa: {absent} cannot be read: No such file or directory"])
    assert names(tmp_path) == ["in.jsonl"]


async def test_an_output_folder_without_rights_is_refused(tmp_path: Path) -> None:
    """Status 2 and nothing beside it."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(1)]), tmp_path / "out"
    output.mkdir(mode=0o500)
    process = await asyncio.create_subprocess_exec(
        *(*AS_OTHERS, sys.executable, "-m", "khulasa", "job", "run", str(source), str(output)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, found = await process.communicate()
    assert (process.returncode, b"permission denied" in found) == (2, True), found.decode()
    assert names(tmp_path) == ["in.jsonl", "out"]


async def test_a_dry_run_counts_and_estimates_and_writes_nothing(gateway: str, tmp_path: Path) -> None:
    """How many there are, how many are done or copies, and about how long it takes."""
    lines = [*(line(n) for n in range(5)), line(3, id="copy"), "{", line(1)]
    source, output = write_lines(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    async with running(source, output, "--gateway", gateway, "--dry-run") as process:
        _, errors = await process.communicate()
    assert process.returncode == 0
    assert re.search(
        "6 articles to do with [0-9]+ characters, 1 of them copies; 0 done before; 2 that", errors.decode()
    )
    assert "About" in errors.decode()
    assert names(tmp_path) == ["in.jsonl"]


async def test_a_dry_run_refuses_what_is_none_of_ours(gateway: str, tmp_path: Path) -> None:
    """Somebody's output of each kind, and options that it would not heed: status 2 and a word."""
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    (tmp_path / "list.jsonl").write_text('["a-1"]\n')
    (tmp_path / "rows.jsonl").write_text('{"name": "a-1"}\n')
    (tmp_path / "parts").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"name": ["a-1"]}), tmp_path / "parts" / "part-000001.parquet")
    for arguments, words in (
        (("list.jsonl",), "none of a run"),
        (("rows.jsonl",), "none of a run"),
        (("parts",), "none of a run"),
        (("out.jsonl", "--limit", 2), "leave --limit"),
        (("out.jsonl", "--only-failed"), "leave --limit"),
        (("out.jsonl", "--mended"), "leave --limit"),
    ):
        name, *options = arguments
        code, _, errors = await job_run(source, tmp_path / str(name), *options, "--gateway", gateway, "--dry-run")
        assert (code, words in " ".join(errors.replace("│", " ").split())) == (2, True), errors


async def test_a_limit_is_of_articles_that_are_not_done(gateway: str, tmp_path: Path) -> None:
    """Each run with a limit goes on after the last."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(5)]), tmp_path / "out.jsonl"
    done = [(await job_run(source, output, "--gateway", gateway, "--limit", 2))[1]["done"] for _ in range(3)]
    assert (done, len(records(output))) == ([2, 2, 1], 5)


async def test_parquet_holds_the_same_records(gateway: str, tmp_path: Path) -> None:
    """The column `record` is what a line of JSON has, the other columns are taken from it."""
    source = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(12)])
    for name in ("out.jsonl", "out"):
        assert (await job_run(source, tmp_path / name, "--gateway", gateway))[0] == 0
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    lines = {record["id"]: record for record in records(tmp_path / "out.jsonl")}
    assert {row["id"] for row in rows} == lines.keys()
    for row in rows:
        translation = lines[row["id"]]["translation"]
        assert json.loads(row["record"])["translation"] == translation
        assert row["translation"] == " ".join(s["translation"] for s in translation["paragraphs"][0]["sentences"])
