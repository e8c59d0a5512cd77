"""Narrower feed-forward layers: which units stay, and that the rest is made up for."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from torch import Tensor

from tests.training.conftest import Pieces, made_pairs, write_prepared
from tests.training.tiny import teacher_state, tiny_batches
from training import pruning
from training.batch import PAD
from training.export import load_model
from training.model import Model, Shape, from_teacher
from training.pruning import prune_units, unit_products
from training.train import encode_pairs


def layer_with_copies(seed: int) -> tuple[Tensor, Tensor]:
    """Units over 400 tokens, the last 6 of 16 mixtures of the others, and a down projection of them to 8."""
    torch.manual_seed(seed)
    units = torch.randn(400, 10)
    units = torch.cat([units, units @ torch.randn(10, 6)], dim=1)
    return units, torch.randn(8, 16)


@pytest.mark.parametrize("seed", range(5))
def test_what_can_be_made_up_for_is_not_missed(seed: int) -> None:
    """Ten of sixteen units of which six are mixtures of others give all that the sixteen gave."""
    units, down = layer_with_copies(seed)
    kept, weight = prune_units(down, units.T @ units / len(units), 10)
    whole = units @ down.T
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert (units[:, kept] @ weight.T - whole).norm() < 0.02 * whole.norm()


@pytest.mark.parametrize("seed", range(5))
def test_what_stays_is_fitted_to_what_all_gave(seed: int) -> None:
    """With fewer units than are needed, no other weights of them come nearer, and the loudest as they are lose more."""
    units, down = layer_with_copies(seed)
    products = units.T @ units / len(units)
    whole = units @ down.T
    kept, weight = prune_units(down, products, 6)
    lost = (units[:, kept] @ weight.T - whole).norm()
    best = torch.linalg.lstsq(units[:, kept], whole).solution
    assert lost < 1.001 * (units[:, kept] @ best - whole).norm()
    loudest = (products.diagonal() * down.pow(2).sum(0)).topk(6).indices
    assert lost < (units[:, loudest] @ down[:, loudest].T - whole).norm()


def test_units_are_seen_over_each_language(pieces: Pieces) -> None:
    """The products are those of a pair read alone, its Arabic apart from its English."""
    torch.manual_seed(0)
    teacher = Model(Shape.from_layers(len(pieces.vocabulary), [], [0, 1], decoder_inner=24)).eval()
    [pair] = encode_pairs(made_pairs(1), pieces.file, pieces.vocabulary)
    batch = next(tiny_batches("decoder-only", [pair], pieces.vocabulary, rows=1).from_number(0))
    source, target = unit_products(teacher, [batch])
    given: list[Tensor] = []
    teacher.decoder[1].mlp.down_proj.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0][0]))
    with torch.no_grad():
        teacher.decode(batch.target, batch.target_sentences)
    english = batch.labels[0] != PAD
    arabic = ~english & (batch.target_sentences[0] > 0)
    assert (int(arabic.sum()), int(english.sum())) == (len(pair[0]) + 1, len(pair[1]) + 1)
    for found, places in ((source, arabic), (target, english)):
        seen = given[0][places]
        torch.testing.assert_close(found[1], seen.T @ seen / len(seen))


def test_a_narrow_student_is_trained_and_read_again(pieces: Pieces, tmp_path: Path) -> None:
    """Each side has the width asked for, all else is the teacher's, and a checkpoint tells its widths."""
    state = teacher_state(Shape.from_layers(len(pieces.vocabulary), [], [0, 1], decoder_inner=64))
    torch.save(state, tmp_path / "teacher.pt")
    write_prepared(tmp_path, pieces, made_pairs(40))
    file = tmp_path / "narrow.pt"
    pruning.main(tmp_path, tmp_path / "teacher.pt", file, encoder_inner=48, inner=40, batches=1)
    model = from_teacher([0], [0, 1], state, range(len(pieces.vocabulary)), torch.load(file))
    assert model.encoder[0].mlp.up_proj.weight.shape == (48, 640)
    assert model.decoder[1].mlp.down_proj.weight.shape == (640, 40)
    assert torch.equal(model.decoder[1].self_attn.q_proj.weight, state["model.layers.1.self_attn.q_proj.weight"])

    config = {"encoder_layers": [0], "decoder_layers": [0, 1]}
    torch.save({"model": model.state_dict(), "config": config}, tmp_path / "checkpoint.pt")
    again, _ = load_model(tmp_path / "checkpoint.pt", pieces.vocabulary)
    assert again.shape == model.shape
