"""An input that was mended, or that grew from nothing: the same command goes on, and no failure is kept for ever."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from tests.jobs.test_run import failures, job_run, line, records, write_lines


def table(count: int) -> str:
    """Return articles as CSV; each row has three lines."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "title", "text"])
    for row in map(json.loads, map(line, range(count))):
        writer.writerow([row["id"], row["title"], row["text"].replace(". ", ".\n\n")])
    return text.getvalue()


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.csv.gz"])
async def test_damage_is_told_until_the_file_is_whole(gateway: str, tmp_path: Path, name: str) -> None:
    """In the whole file the damaged place may be no line of its own, or the last one of a longer row."""
    text = table(60) if ".csv" in name else "\n\n".join(line(n) for n in range(60))
    whole = gzip.compress(text.encode())
    source, output = tmp_path / name, tmp_path / "out.jsonl"
    source.write_bytes(whole[: len(whole) * 2 // 3])
    for _ in range(2):
        code, counts, errors = await job_run(source, output, "--gateway", gateway)
        assert (code, counts["failed"], [f["reason"] for f in failures(output)]) == (1, 1, ["INPUT_DAMAGED"]), errors
        assert 0 < counts["done"] + counts["skipped"] < 60
    code, counts, errors = await job_run(source, output, "--gateway", gateway, "--only-failed")
    assert (code, [f["reason"] for f in failures(output)]) == (1, ["INPUT_DAMAGED"]), errors
    source.write_bytes(whole)
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["failed"], len(records(output)), failures(output)) == (0, 0, 60, []), errors


async def test_mended_lines_are_done_and_no_failures_any_more(gateway: str, tmp_path: Path) -> None:
    """Whatever their ids were called while they were bad. A mended input is taken when it is said to be one."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    bad = [
        b'{"id": "a-1", "text": ',
        line(2).encode("cp1256"),
        b'{"id": "a-3", "text": "' + b"x" * 9_000_000 + b'"}',
        line(4, id="x" * 300).encode(),
        line(5, id={"a": 1}).encode(),
        line(6, id="a-0").encode(),
    ]
    source.write_bytes(b"\n".join([line(0).encode(), *bad, b""]))
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"], len(failures(output))) == (1, 1, len(bad)), errors
    write_lines(source, [line(n) for n in range(len(bad) + 1)])
    code, _, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, "--mended" in errors) == (2, True), errors
    told = output.with_name("out.jsonl.errors.jsonl").read_bytes()
    code, counts, errors = await job_run(source, output, "--gateway", gateway, "--mended", "--only-failed")
    assert (code, counts["done"], counts["passed_over"], failures(output)) == (0, len(bad), 0, []), errors
    assert {record["id"] for record in records(output)} == {f"a-{n}" for n in range(len(bad) + 1)}

    output.with_name("out.jsonl.errors.jsonl").write_bytes(told)  # as a run leaves it that is killed before its end
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["skipped"], failures(output)) == (0, len(bad) + 1, []), errors


async def test_an_input_that_was_empty_may_grow(gateway: str, tmp_path: Path) -> None:
    """It is the same input then; and from then on another one is told from it."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.touch()
    assert (await job_run(source, output, "--gateway", gateway))[0] == 0
    write_lines(source, [line(1)])
    code, counts, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, counts["done"]) == (0, 1), errors
    write_lines(source, [line(2)])
    code, _, errors = await job_run(source, output, "--gateway", gateway)
    assert (code, "another input" in errors) == (2, True), errors


async def test_failures_of_another_stream_stay(gateway: str, tmp_path: Path) -> None:
    """On standard input the ids decide alone: the first line of another day is another article."""
    output = tmp_path / "out.jsonl"
    code, _, errors = await job_run("-", output, "--gateway", gateway, stdin=line(1, html="<p>").encode())
    assert (code, [f["id"] for f in failures(output)]) == (1, ["a-1"]), errors
    code, _, errors = await job_run("-", output, "--gateway", gateway, stdin=line(2).encode())
    assert (code, [f["id"] for f in failures(output)]) == (0, ["a-1"]), errors
    code, _, errors = await job_run("-", output, "--gateway", gateway, stdin=line(1).encode())
    assert (code, failures(output)) == (0, []), errors
