"""Logs of runs as drawings."""

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: make .venv/train-ready")

from training import plot

LOG = [
    {"step": 10, "minutes": 1.0, "loss": 4.5},
    {"step": 20, "minutes": 2.0, "loss": 3.5},
    {"step": 20, "minutes": 2.0, "bleu": 5.0, "chrf": 30.0, "sample": "a sentence that is not ours"},
]


def write_run(folder: Path, log: list[dict]) -> Path:
    folder.mkdir()
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return folder


def test_runs_are_drawn_together(tmp_path: Path) -> None:
    """Each run is named in the drawing; the copies of the logs have the numbers and no translation."""
    runs = [write_run(tmp_path / name, LOG) for name in ("first", "second")]
    out = tmp_path / "results" / "kinds.svg"
    plot.main(runs, ["encoder-decoder", "decoder-only"], out, 2)
    drawing = out.read_text()
    for text in ("encoder-decoder", "decoder-only, chrF", "minutes", "core-hours (2 cores)"):
        assert text in drawing
    copy = out.parent / "kinds-encoder-decoder.jsonl"
    assert [json.loads(line)["minutes"] for line in copy.read_text().splitlines()] == [1.0, 2.0, 2.0]
    assert "not ours" not in copy.read_text()


def test_a_copy_is_drawn_again_to_the_byte(tmp_path: Path) -> None:
    """A drawing changes only when its log does, so it can be kept in the repository."""
    plot.main([write_run(tmp_path / "run", LOG)], ["run"], tmp_path / "run.svg", 2)
    first = (tmp_path / "run.svg").read_bytes()
    plot.main([tmp_path / "run-run.jsonl"], ["run"], tmp_path / "run.svg", 2)
    assert (tmp_path / "run.svg").read_bytes() == first


def test_an_empty_log_is_said(tmp_path: Path) -> None:
    """A run of less than ten steps has nothing to draw."""
    with pytest.raises(ValueError, match="no loss yet"):
        plot.main([write_run(tmp_path / "run", [])], ["run"], tmp_path / "run.svg", 2)
