"""`khulasa train`: a user's pairs in, an adapted model folder out."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from typer.testing import CliRunner

from khulasa.cli import app
from services.translator.model import Model as ModelFolder
from services.translator.normalize import SCHEMES
from tests.conftest import ROOT
from tests.training.conftest import Pieces, made_pairs
from tests.training.tiny import KINDS, tiny_model
from training.adapt import CannotAdapt, adapt
from training.export import write_folder, write_manifest
from training.served import ServedModel
from training.user_pairs import (
    NoPairs,
    NotTabSeparated,
    TooFewPairs,
    UnreadablePairs,
    WrongDirection,
    read_user_pairs,
)

PLAIN = SCHEMES["plain-1"]


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{arabic}\t{english}\n" for arabic, english in pairs))
    return path


def shipped(kind: str, pieces: Pieces, folder: Path) -> Path:
    """Write a tiny model in the place of the shipped one."""
    model = tiny_model(kind, len(pieces.vocabulary))
    write_folder(model, pieces.vocabulary, pieces.file, folder, max_source_tokens=160, name="tiny")
    return folder


def command(pairs: Path, init: Path, out: Path, *, epochs: int = 15) -> list[str]:
    options = {"pairs": pairs, "init": init, "out": out, "epochs": epochs, "learning-rate": 0.01, "threads": 1}
    return ["train", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_adapted_and_served(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """The loss on held-out pairs falls, and the folder is a model that the real engine serves."""
    init = shipped(kind, pieces, tmp_path / "shipped")
    (init / "extra.json").write_text("{}")
    write_manifest(init, json.loads((init / "manifest.json").read_text()))
    mine = write_pairs(tmp_path / "mine.tsv", made_pairs(200))
    out = tmp_path / "adapted"
    result = CliRunner().invoke(app, command(mine, init, out, epochs=25))
    assert result.exit_code == 0, result.output
    assert "180 pairs to train on" in result.output
    assert "20 held out" in result.output
    assert "tokens/s" in result.output

    report = json.loads((tmp_path / "adapted.run" / "report.json").read_text())
    assert report["after"]["loss"] < 0.6 * report["before"]["loss"]
    assert report["after"]["chrf"] > report["before"]["chrf"]
    adapted, original = ModelFolder.open(out).manifest, ModelFolder.open(init).manifest
    assert adapted.name == "tiny+mine"
    assert (adapted.kind, adapted.normalization, adapted.licence) == (kind, original.normalization, original.licence)
    assert adapted.sources[:-1] == original.sources
    assert adapted.sources[-1].startswith("mine.tsv: of the user, sha256 ")
    assert adapted.scores == {}
    assert "extra.json" in adapted.files
    [answer] = ServedModel(out).translate(["زار الوزير المدرسة أمس."])
    assert answer.translation.startswith("The")  # as all pairs do; what comes after it depends on the processor
    assert not (tmp_path / "adapted.run" / "checkpoint.pt").exists()


def test_a_stopped_training_goes_on(pieces: Pieces, tmp_path: Path) -> None:
    """SIGTERM ends it between two steps with status 1; the same command goes on and ends with status 0."""
    init = shipped("encoder-decoder", pieces, tmp_path / "shipped")
    mine = write_pairs(tmp_path / "mine.tsv", made_pairs(150))
    arguments = command(mine, init, tmp_path / "adapted", epochs=25)
    with subprocess.Popen(
        [sys.executable, "-m", "khulasa", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("step 10 "))
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 1
    assert "the same command goes on" in rest
    assert not (tmp_path / "adapted").exists()

    other = CliRunner().invoke(app, command(mine, init, tmp_path / "adapted", epochs=24))
    assert other.exit_code == 2
    assert "another epochs (25, now 24)" in other.stderr

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "goes on from step" in result.output
    assert ModelFolder.open(tmp_path / "adapted").manifest.name == "tiny+mine"


def swapped(pairs: list[tuple[str, str]]) -> bytes:
    return "\n".join(f"{english}\t{arabic}" for arabic, english in pairs).encode()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", NoPairs, "is empty"),
        (b"\n \n", NoPairs, "is empty"),
        ("نعم. Yes.\n".encode(), NotTabSeparated, "1 columns in line 1"),
        ("نعم.\tYes.\nلا.\tNo.\t3\n".encode(), NotTabSeparated, "3 columns in line 2"),
        (swapped(made_pairs(120)), WrongDirection, "Swap the columns"),
        (b"Good\tBien\n" * 120, WrongDirection, "Arabic belongs there"),
        ("نعم يا سيدي.\tYes, sir.\n".encode() * 300, TooFewPairs, r"1 usable pairs \(299 repeated\)"),
        ("نعم.\tYes.\n".encode("cp1256"), UnreadablePairs, "not UTF-8 at byte 0"),
    ],
)
def test_a_bad_file_is_refused(content: bytes, error: type[Exception], message: str, tmp_path: Path) -> None:
    """Each fault has its own error, which says where it is and what to do."""
    path = tmp_path / "mine.tsv"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_user_pairs(path, PLAIN, seed=1)


def test_held_out_sentences_are_not_trained_on(tmp_path: Path) -> None:
    """A twentieth is held out, and no sentence of it is left among the others, in either language."""
    pairs = made_pairs(1000)
    path = write_pairs(tmp_path / "mine.tsv", pairs + [(arabic, f"Yesterday: {english}") for arabic, english in pairs])
    found = read_user_pairs(path, PLAIN, seed=1)
    assert len(found.held_out) == 100
    assert len(found.train) < 2000 - 100
    known = {text for pair in found.held_out for text in pair}
    assert not any(text in known for pair in found.train for text in pair)


@pytest.mark.parametrize("scheme", ["plain-1", "diacritics-1"])
def test_pairs_are_normalized_as_the_model_wants_it(scheme: str, tmp_path: Path) -> None:
    """The manifest's scheme decides whether vowels stay."""
    pairs = [(f"كِتَابٌ {number}", f"book {number}") for number in range(150)]
    found = read_user_pairs(write_pairs(tmp_path / "mine.tsv", pairs), SCHEMES[scheme], seed=1)
    assert any("كِتَابٌ" in arabic for arabic, _ in found.train) == (scheme == "diacritics-1")


def begin(pairs: Path, init: Path, out: Path) -> list[str]:
    """Return what a run tells that is stopped before its first step."""
    told: list[str] = []
    options = {"epochs": 1, "learning_rate": 0.01, "threads": 1, "compiled": False}
    assert adapt(pairs, init, out, **options, tell=told.append, stopping=lambda: True) is None
    return told


def test_pairs_that_are_too_long_are_counted(pieces: Pieces, tmp_path: Path) -> None:
    """What fits into no row is left out and said; a file of nothing else is refused."""
    init = shipped("encoder-decoder", pieces, tmp_path / "shipped")
    made = made_pairs(2000)
    long = [tuple(" ".join(pair[side] for pair in made[start : start + 24]) for side in (0, 1)) for start in range(120)]
    mixed = write_pairs(tmp_path / "mixed.tsv", made[200:1200] + long[:40])
    told = begin(mixed, init, tmp_path / "mixed")
    held_out = 52
    left, dropped = (int(number) for number in re.findall(r"(\d+) (?:pairs to train|too long)", told[0]))
    assert left + dropped == 1040 - held_out
    assert 30 <= dropped <= 40
    with pytest.raises(CannotAdapt, match="Give a sentence a line"):
        begin(write_pairs(tmp_path / "long.tsv", long), init, tmp_path / "long")


def existing_out(pairs: Path, init: Path, out: Path) -> None:
    out.mkdir()


def no_manifest(pairs: Path, init: Path, out: Path) -> None:
    (init / "manifest.json").unlink()


def missing_pairs(pairs: Path, init: Path, out: Path) -> None:
    pairs.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(existing_out, "exists already"), (no_manifest, "no model folder"), (missing_pairs, "cannot be read")],
)
def test_wrong_use_is_told_in_a_line(
    spoil: Callable[[Path, Path, Path], None], message: str, pieces: Pieces, tmp_path: Path
) -> None:
    """Status 2 and one line on the standard error; no folder is begun."""
    init = shipped("decoder-only", pieces, tmp_path / "shipped")
    pairs, out = write_pairs(tmp_path / "mine.tsv", made_pairs(150)), tmp_path / "adapted"
    spoil(pairs, init, out)
    result = CliRunner().invoke(app, command(pairs, init, out))
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "adapted.run").exists()
