"""From PyTorch to a CTranslate2 folder and back."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from tests.training.conftest import Pieces, made_pairs
from tests.training.tiny import KINDS, tiny_model
from tests.translator import test_engine
from training.export import compare_greedy, load_model, write_folder
from training.model import Model, Shape
from training.restore import CannotRestore, read_variables, restore


def write(model: Model, pieces: Pieces, folder: Path, quantization: str = "int8") -> None:
    write_folder(model, pieces.vocabulary, pieces.file, folder, max_source_tokens=160, quantization=quantization)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_an_export_leaves_the_weights_alone(kind: str, quantization: str, pieces: Pieces, tmp_path: Path) -> None:
    """CTranslate2 quantizes arrays in place, so it must not be given those in training: that once ruined a run."""
    model = tiny_model(kind, len(pieces.vocabulary))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    write(model, pieces, tmp_path / "model", quantization)
    for name, weight in model.state_dict().items():
        assert torch.equal(before[name], weight), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_writes_what_pytorch_writes(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """In float32 CTranslate2 decodes the same tokens, several different ones for each sentence."""
    model = tiny_model(kind, len(pieces.vocabulary))
    texts = [arabic for arabic, _ in made_pairs(8, seed=3)]
    compared = compare_greedy(model, pieces.vocabulary, pieces.file, tmp_path / "model", texts, limit=24)
    assert [same for same, _ in compared] == [True] * 8
    assert len({text for _, text in compared}) > 4
    assert max(len(set(text)) for _, text in compared) > 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_float32_folder_gives_the_weights_back(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """Shape, tokens and weights are those that were written; of a norm, 1 + weight is."""
    model = tiny_model(kind, len(pieces.vocabulary))
    write(model, pieces, tmp_path / "model", "float32")
    restored, vocabulary = restore(tmp_path / "model")
    assert (restored.shape, vocabulary) == (model.shape, pieces.vocabulary)
    for name, weight in model.state_dict().items():
        added = 1 if "norm" in name else 0
        assert torch.equal(added + weight, added + restored.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_an_int8_folder_gives_the_weights_back_rounded(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """No weight is off by more than half a step of its row, whose 127 steps reach its greatest weight."""
    model = tiny_model(kind, len(pieces.vocabulary))
    write(model, pieces, tmp_path / "model")
    restored, _ = restore(tmp_path / "model")
    for name, weight in model.state_dict().items():
        found = restored.state_dict()[name]
        if "norm" in name:
            assert torch.equal(1 + weight, 1 + found), name
        else:
            half_step = weight.abs().amax(dim=1, keepdim=True) / 127 / 2
            assert bool(((weight - found).abs() <= half_step * 1.001).all()), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_restored_is_written_the_same_again(kind: str, pieces: Pieces, tmp_path: Path) -> None:
    """Rounding happens once: a restored int8 model gives the same integers, also of the aliases and the memory."""
    write(tiny_model(kind, len(pieces.vocabulary)), pieces, tmp_path / "first")
    write(restore(tmp_path / "first")[0], pieces, tmp_path / "second")
    first, second = (read_variables(tmp_path / name / "model.bin") for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert any(name.endswith("memory_kv/weight") for name in first) == (kind == "encoder-decoder")
    for name, values in first.items():
        if values.dtype == "int8":
            assert (values == second[name]).all(), name


def test_a_model_of_another_architecture_is_refused(model_folder: Path, tmp_path: Path) -> None:
    """A folder of another converter says what it lacks, instead of being trained on as something it is not."""
    for number, write_other in enumerate(test_engine.WRITERS):
        write_other(tmp_path / str(number), model_folder / "tokenizer.model")
        with pytest.raises(CannotRestore, match=r"Only models that training/export\.py wrote"):
            restore(tmp_path / str(number))


def test_another_setting_is_refused(pieces: Pieces, tmp_path: Path) -> None:
    """The same variables with another activation are another model."""
    write(tiny_model("decoder-only", len(pieces.vocabulary)), pieces, tmp_path / "model")
    path = tmp_path / "model" / "model.bin"
    data = bytearray(path.read_bytes())
    place = data.index(b"decoder/activation\0") + len(b"decoder/activation\0") + 1 + 1 + 4
    data[place] += 1
    path.write_bytes(data)
    with pytest.raises(CannotRestore, match="decoder/activation"):
        restore(tmp_path / "model")


def test_a_cut_file_is_refused(pieces: Pieces, tmp_path: Path) -> None:
    """Half of a file is not restored as a smaller model."""
    write(tiny_model("decoder-only", len(pieces.vocabulary)), pieces, tmp_path / "model")
    path = tmp_path / "model" / "model.bin"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CannotRestore, match="cut or no CTranslate2 file"):
        restore(tmp_path / "model")


def test_a_checkpoint_names_teacher_layers(tmp_path: Path) -> None:
    """Their rotary periods follow from it, and the weights keep the names that checkpoints of long runs have."""
    model = Model(Shape.from_layers(40, [0, 5], [1, 11]))
    config = {"encoder_layers": [0, 5], "decoder_layers": [1, 11], "max_source_tokens": 160}
    state = {"model": model.state_dict(), "optimizer": {}, "step": 3, "seconds": 1.0, "config": config}
    torch.save(state, tmp_path / "checkpoint.pt")
    loaded, settings = load_model(tmp_path / "checkpoint.pt", ["x"] * 40)
    assert loaded.shape.encoder_periods == (10_000.0, 1_000_000.0)
    assert loaded.shape.decoder_periods == (10_000.0, 1_000_000.0)
    assert settings == config
    assert "decoder.1.self_attn.q_proj.weight" in loaded.state_dict()
