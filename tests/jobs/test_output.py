"""What is in an output after each way to end, and that places lead back to records."""

import json
from pathlib import Path
from typing import Any

import pytest

from khulasa.jobs import output as output_module
from khulasa.jobs.failures import RunRefused
from khulasa.jobs.output import JOURNAL, JsonLines, ParquetParts, open_output, records_of


def record(number: int) -> dict[str, Any]:
    sentence = {"translation": f"Sentence {number}."}
    provenance = {"verdict": "no_doubts", "sentences": 1, "flagged_sentences": 0, "model": "tiny", "model_digest": "ab"}
    return {
        "id": f"a-{number}",
        "status": {"code": "OK", "reason": "", "message": ""},
        "duplicate_of": None,
        "title": "",
        "translation": {"title": None, "paragraphs": [{"sentences": [sentence]}], "extracted": None},
        "summary": [{"text": f"Sentence {number}."}],
        "flags": {},
        "provenance": provenance,
        "digest": f"{number:032x}",
    }


@pytest.fixture(params=["out.jsonl", "out"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output of each kind, with parts of 10 records."""
    monkeypatch.setattr(output_module, "PART_RECORDS", 10)
    return tmp_path / str(request.param)


def test_places_lead_back_to_records_also_in_the_next_run(path: Path) -> None:
    """Of this run and of the one before, packed into a part or not."""
    first = open_output(path)
    assert list(first.recover()) == []
    places = {number: first.append(record(number)) for number in range(25)}  # not closed: killed
    assert [first.read(places[number]) for number in range(25)] == [record(number) for number in range(25)]
    first.abandon()
    second = open_output(path)
    recovered = {found["id"]: place for place, found in second.recover()}
    assert recovered == {f"a-{number}": place for number, place in places.items()}
    assert second.read(places[24]) == record(24)
    second.append(record(25))
    second.close()
    assert list(records_of(path)) == [record(number) for number in range(26)]


@pytest.mark.parametrize("torn", [b'{"id": "a-9", "tit', b"\x00" * 40, b'{"id": "a-9"}'])
def test_a_torn_last_line_is_taken_away(path: Path, torn: bytes) -> None:
    """What a power cut left of the last record is gone, the records before it are there."""
    output = open_output(path)
    assert list(output.recover()) == []
    for number in range(3):
        output.append(record(number))
    lines = path / JOURNAL if path.is_dir() else path
    with lines.open("ab") as file:
        file.write(torn)
    output.abandon()
    again = open_output(path)
    assert [found["id"] for _, found in again.recover()] == ["a-0", "a-1", "a-2"]
    again.append(record(3))
    again.close()
    assert [found["id"] for found in records_of(path)] == ["a-0", "a-1", "a-2", "a-3"]


def test_a_line_of_others_in_the_middle_is_refused(tmp_path: Path) -> None:
    """It is not taken for a torn one: nothing that somebody wrote is thrown away."""
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(record(0)) + "\nnotes\n" + json.dumps(record(1)) + "\n")
    output = JsonLines(path)
    with pytest.raises(RunRefused, match="Line 2"):
        list(output.recover())
    output.abandon()
    assert "notes" in path.read_text()


def test_a_part_and_its_waiting_records_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after a part was renamed into place and before its records stopped waiting: each is there once."""
    output = ParquetParts(tmp_path / "out")
    assert list(output.recover()) == []
    for number in range(7):
        output.append(record(number))
    monkeypatch.setattr(JsonLines, "clear", lambda _: None)
    output.pack()
    monkeypatch.undo()
    assert (tmp_path / "out" / JOURNAL).stat().st_size > 0
    (tmp_path / "out" / ".part-000002.tmp").write_bytes(b"torn")
    output.abandon()
    again = ParquetParts(tmp_path / "out")
    assert [found["id"] for _, found in again.recover()] == [f"a-{number}" for number in range(7)]
    again.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-000001.parquet"]
