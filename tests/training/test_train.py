"""A training run can be stopped and gone on with."""

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from services.translator.model import Model as ModelFolder
from tests.training.conftest import Pieces, made_pairs, write_prepared
from tests.training.tiny import KINDS, teacher_state, tiny_batches, tiny_model
from training import train
from training.config import Config, RunConfig
from training.export import load_model
from training.model import Shape
from training.train import Fields, Run, encode_pairs, mean_loss

CONFIG: dict[str, Any] = {
    "rows": 4,
    "row_tokens": 64,
    "seed": 1,
    "learning_rate": 1e-2,
    "warmup_steps": 2,
    "decay_share": 0.5,
    "betas": [0.9, 0.98],
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "steps": 24,
    "checkpoint_minutes": 10,
    "probe_minutes": 10,
    "threads": 1,
}


def a_run(kind: str, pieces: Pieces, out: Path, told: list[Fields] | None = None, **changes: object) -> Run:
    pairs = encode_pairs(made_pairs(40), pieces.file, pieces.vocabulary)
    model = tiny_model(kind, len(pieces.vocabulary))
    batches = tiny_batches(kind, pairs, pieces.vocabulary, rows=4)
    report = told.append if told is not None else lambda fields: None
    return Run(model, batches, RunConfig(**CONFIG | changes), out, probe=lambda: {"probe": "done"}, report=report)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """Stopped in the second epoch and resumed, the weights are the same to the last bit."""
    whole = a_run(kind, pieces, tmp_path / "whole")
    assert whole.train()

    first = a_run(kind, pieces, tmp_path / "halves")
    assert not first.train(stopping=lambda: first.step == 11)
    assert first.batches.steps(1) < 11
    second = a_run(kind, pieces, tmp_path / "halves")
    assert second.step == 11
    assert second.train()
    assert second.step == CONFIG["steps"]
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


def test_a_run_learns_and_says_how_far_it_is(pieces: Pieces, tmp_path: Path) -> None:
    """The loss falls; every ten steps a line says loss, speed and what is left, and the last one is the probe's."""
    told: list[Fields] = []
    run = a_run("encoder-decoder", pieces, tmp_path, told)
    before = mean_loss(run.model, run.batches)
    run.train()
    assert mean_loss(run.model, run.batches) < 0.8 * before
    assert [line["step"] for line in told] == [10, 20, 24]
    assert told[0]["loss"] > told[1]["loss"]
    assert all(line["tokens_per_s"] > 0 for line in told[:2])
    assert told[0]["eta_minutes"] >= told[1]["eta_minutes"]
    assert told[-1]["probe"] == "done"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


def test_a_finished_run_does_nothing_more(pieces: Pieces, tmp_path: Path) -> None:
    """The same command after the end trains no further step."""
    a_run("decoder-only", pieces, tmp_path).train()
    again = a_run("decoder-only", pieces, tmp_path)
    assert again.train()
    assert again.step == CONFIG["steps"]


def test_time_in_which_a_run_is_stopped_is_not_spent(
    pieces: Pieces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an hour between begin and end of a step a minute is counted, so a stopped process keeps its budget."""
    hours = count(step=3600)
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: float(next(hours))))
    run = a_run("decoder-only", pieces, tmp_path, steps=3)
    assert run.train()
    assert run.seconds == 180


def test_without_decay_the_learning_rate_stays(pieces: Pieces, tmp_path: Path) -> None:
    """A run whose end is not known keeps its rate to the last step."""
    told: list[Fields] = []
    run = a_run("decoder-only", pieces, tmp_path, told, steps=20, decay_share=None)
    run.train()
    assert [line["lr"] for line in told if "lr" in line] == [1e-2, 1e-2]


def test_a_cooldown_ends_a_copy_and_leaves_the_run(pieces: Pieces, tmp_path: Path) -> None:
    """The copy begins with step, weights and optimizer of the run and a budget of its own; the run is untouched."""
    run = a_run("decoder-only", pieces, tmp_path / "run", steps=12)
    run.train()
    before = run.checkpoint.read_bytes()
    cooled = train.begin_cooldown(tmp_path / "run")
    copy = a_run("decoder-only", pieces, cooled)
    assert (copy.step, copy.seconds) == (12, 0.0)
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight, copy.model.state_dict()[name]), name
    copy.train()
    assert copy.step == CONFIG["steps"]
    assert run.checkpoint.read_bytes() == before
    with pytest.raises(ValueError, match="no checkpoint to cool down"):
        train.begin_cooldown(tmp_path / "nothing")


def test_a_cooldown_goes_on_and_a_later_one_begins_anew(pieces: Pieces, tmp_path: Path) -> None:
    """Of the same checkpoint the copy that was begun is kept; once the run has gone on, another is made."""
    run = a_run("decoder-only", pieces, tmp_path, steps=12)
    run.train()
    first = train.begin_cooldown(tmp_path)
    copy = a_run("decoder-only", pieces, first, steps=24)
    copy.train(stopping=lambda: copy.step == 14)
    assert train.begin_cooldown(tmp_path) == first
    assert a_run("decoder-only", pieces, first).step == 14
    a_run("decoder-only", pieces, tmp_path, steps=16).train()
    later = train.begin_cooldown(tmp_path)
    assert later != first
    assert a_run("decoder-only", pieces, later).step == 16


def test_weights_of_a_config_go_before_those_of_the_data(pieces: Pieces, tmp_path: Path) -> None:
    """1.5 shows every second pair twice, 0.5 every second one at all; a misspelt source is refused."""
    (tmp_path / "tokenizer.model").write_bytes(pieces.file.read_bytes())
    texts = made_pairs(12)
    names = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    lines = [f"{name}\t2\t{arabic}\t{english}\n" for name, (arabic, english) in zip(names, texts, strict=True)]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    encoded = encode_pairs(texts, pieces.file, pieces.vocabulary)
    shown = train.read_pairs(tmp_path, pieces.vocabulary, {"a": 1.5, "b": 0.5})
    assert [shown.count(pair) for pair in encoded] == [1, 2, 1, 2, 0, 1, 0, 1, 2, 2, 2, 2]
    with pytest.raises(ValueError, match="weighs d, of which"):
        train.read_pairs(tmp_path, pieces.vocabulary, {"d": 1})


def test_what_the_teacher_translated_is_one_more_source(pieces: Pieces, tmp_path: Path) -> None:
    """Where the teacher was not to be trusted its English is empty: such a line is not shown."""
    (tmp_path / "tokenizer.model").write_bytes(pieces.file.read_bytes())
    (of_people, by_teacher, untrusted) = made_pairs(3)
    (tmp_path / "pairs.tsv").write_text(f"a\t1\t{of_people[0]}\t{of_people[1]}\n")
    distilled = tmp_path / "distilled.tsv"
    distilled.write_text(f"{by_teacher[0]}\t{by_teacher[1]}\t-0.300\n{untrusted[0]}\t\t-1.900\n")
    shown = train.read_pairs(tmp_path, pieces.vocabulary, {"distilled": 2}, distilled)
    first, second = encode_pairs([of_people, by_teacher], pieces.file, pieces.vocabulary)
    assert shown == [first, second, second]


def test_minutes_bound_a_run_too(pieces: Pieces, tmp_path: Path) -> None:
    """A run without a number of steps ends when its minutes of work are over."""
    run = a_run("decoder-only", pieces, tmp_path, steps=None, minutes=0.005)
    assert run.train()
    assert 0.3 <= run.seconds < 3


@pytest.mark.parametrize("encoder_layers", [[0], []])
def test_the_recipe_runs_from_teacher_to_folder(encoder_layers: list[int], pieces: Pieces, tmp_path: Path) -> None:
    """`train.py` starts from the teacher's layers, logs what the translator says of the sentences, and checkpoints."""
    teacher = teacher_state(Shape.from_layers(len(pieces.vocabulary), [], [0, 1]))
    torch.save(teacher, tmp_path / "teacher.pt")
    prepared, dev, out = (tmp_path / name for name in ("prepared", "dev", "run"))
    prepared.mkdir()
    dev.mkdir()
    pairs = made_pairs(40)
    write_prepared(prepared, pieces, pairs)
    for language, lines in zip(("ar", "en"), zip(*pairs[:3], strict=True), strict=True):
        (dev / f"flores_dev.{language}").write_text("\n".join(lines) + "\n")
    layers = {"encoder_layers": encoder_layers, "decoder_layers": [1]}
    config = Config(**CONFIG | layers | {"steps": 2, "rows": 2, "max_source_tokens": 160})
    train.main(config, prepared, tmp_path / "teacher.pt", out, dev)

    [line] = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    assert (line["step"], line["bleu"] >= 0, isinstance(line["sample"], str)) == (2, True, True)
    trained, _ = load_model(out / "checkpoint.pt", pieces.vocabulary)
    assert trained.shape == Shape.from_layers(len(pieces.vocabulary), encoder_layers, [1])
    change = trained.decoder[0].mlp.up_proj.weight - teacher["model.layers.1.mlp.up_proj.weight"]
    assert 0 < change.abs().max() < 0.1
    assert ModelFolder.open(out / "probe").manifest.kind == trained.shape.kind


@pytest.mark.parametrize("path", sorted(Path("training/configs").iterdir()), ids=lambda path: path.name)
def test_every_config_says_all_that_a_run_needs_and_nothing_else(path: Path) -> None:
    """Unknown and missing settings are refused before a run begins, and so is one without an end or with two."""
    config = Config.read(path)
    settings = config.model_dump()
    for wrong in ({"shapes": []}, {"seed": None}, {"steps": 5}, {"minutes": None}):
        with pytest.raises(ValueError, match=r"shapes|seed|length"):
            Config(**settings | wrong)
