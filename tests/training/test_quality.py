"""`benchmarks/translation_quality.py`, with a tiny model and made sentences."""

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from benchmarks import results_file, translation_quality
from services.translator import engine
from services.translator.check import Reason
from tests.training.conftest import Pieces, made_pairs
from tests.training.tiny import tiny_model
from training.export import write_folder
from training.served import Answer, ServedModel


def test_a_folder_is_measured(pieces: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores, doubts, every stored output and the speed are in the kept file; a perfect output leads for certain."""
    model = tiny_model("encoder-decoder", len(pieces.vocabulary))
    write_folder(model, pieces.vocabulary, pieces.file, tmp_path / "model", max_source_tokens=160)
    dev = tmp_path / "dev"
    (dev / "other_systems").mkdir(parents=True)
    arabic, english = zip(*made_pairs(30), strict=True)
    (dev / "flores_dev.ar").write_text("\n".join(arabic) + "\n")
    (dev / "flores_dev.en").write_text("\n".join(english) + "\n")
    (dev / "other_systems" / "flores_dev.people.en").write_text("\n".join(english) + "\n")
    monkeypatch.setattr(results_file, "RESULTS", tmp_path / "results")
    options = ["--model", tmp_path / "model", "--dev", dev, "--sets", "flores_dev", "--limit", "20"]
    options += ["--beside", tmp_path / "model", "--outputs", tmp_path / "outputs"]
    monkeypatch.setattr(sys, "argv", ["translation_quality", *map(str, options)])
    translation_quality.main()

    [path] = (tmp_path / "results").iterdir()
    measured = json.loads(path.read_text())
    flores = measured["sets"]["flores_dev"]
    assert flores["n"] == 20
    assert flores["flagged"]["any"] > 0.5
    assert flores["others"]["people"]["bleu"]["score"] == 100
    assert flores["others"]["people"]["bleu"]["p"] < 0.01
    assert flores["others"]["people"]["bleu"]["lead"] > 50
    assert flores["others"]["ours"]["chrf"]["score"] == flores["chrf"]
    assert "seed:12345" in flores["others"]["signatures"]["bleu"]
    assert min(measured["speed"]["times_faster"][name] for name in ("first_tries", "as_served")) > 0
    assert len((tmp_path / "outputs" / "flores_dev.en").read_text().splitlines()) == 20


def test_the_share_of_texts_with_each_doubt_is_counted() -> None:
    """A text with two reasons counts once for each and once for any."""
    answers = [
        Answer("", frozenset({Reason.EMPTY})),
        Answer("a", frozenset({Reason.NUMBER_MISMATCH, Reason.REPETITION})),
        Answer("b", frozenset({Reason.NUMBER_MISMATCH})),
        Answer("c", frozenset()),
    ]
    assert translation_quality.flag_rates(answers) == {
        "any": 0.75,
        "NUMBER_MISMATCH": 0.5,
        "EMPTY": 0.25,
        "REPETITION": 0.25,
    }


def test_a_model_can_be_asked_without_second_tries(
    pieces: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an untrained model says is doubted and tried again, unless only its first tries are wanted."""
    model = tiny_model("decoder-only", len(pieces.vocabulary))
    write_folder(model, pieces.vocabulary, pieces.file, tmp_path / "model", max_source_tokens=160)
    tries = []
    safer = engine.DecoderOnly.decode_safer
    monkeypatch.setattr(engine.DecoderOnly, "decode_safer", lambda *args: tries.append(1) or safer(*args))
    texts = [arabic for arabic, _ in made_pairs(4)]
    ServedModel(tmp_path / "model", second_tries=False).translate(texts)
    assert not tries
    ServedModel(tmp_path / "model").translate(texts)
    assert tries
