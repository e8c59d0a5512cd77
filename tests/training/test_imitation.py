"""A student learns from the teacher's state at every English token."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from torch import Tensor

from tests.training.conftest import Pieces, made_pairs
from tests.training.tiny import teacher_state, tiny_batches
from training.batch import PAD
from training.imitation import Imitation, join_sides
from training.model import Shape, fast_products, from_teacher
from training.train import encode_pairs, frame_decoder_only

EVEN = {"cross_entropy": 1.0, "soft_targets": 1.0, "hidden_states": 1.0}


@pytest.fixture(scope="module")
def teacher(pieces: Pieces) -> dict[str, Tensor]:
    """The state of a teacher of three layers, under the names of `teacher.pt`; no layer of it is a copy of another."""
    torch.manual_seed(0)
    return teacher_state(Shape.from_layers(len(pieces.vocabulary), [], [0, 1, 2]))


def imitation(teacher: dict[str, Tensor], layers: list[int], pieces: Pieces, **weights: float) -> Imitation:
    rows, newline = range(len(pieces.vocabulary)), pieces.vocabulary.index("\n")
    return Imitation(teacher, rows, layers, newline=newline, weights=EVEN | weights)


def test_the_teacher_reads_each_pair_as_its_prompt_has_it(pieces: Pieces) -> None:
    """Rows are joined pair by pair, source first, and every target position is found in them."""
    pairs = encode_pairs(made_pairs(10), pieces.file, pieces.vocabulary)
    newline = pieces.vocabulary.index("\n")
    batch = next(tiny_batches("encoder-decoder", pairs, pieces.vocabulary).from_number(0))
    ids, sentences, places = join_sides(batch, newline)
    expected = {tuple(frame_decoder_only(newline)(*pair).target) for pair in pairs}
    found = [
        tuple(row[numbers == number].tolist())
        for row, numbers in zip(ids, sentences, strict=True)
        for number in range(1, int(numbers.max()) + 1)
    ]
    assert len(found) > 2
    assert set(found) <= expected
    for row in range(len(ids)):
        learnt = batch.labels[row] != PAD
        following = ids[row].roll(-1)[places[row][learnt]]
        last = batch.labels[row][learnt] == 1
        assert torch.equal(following[~last], batch.labels[row][learnt][~last])


def test_each_layer_is_given_what_the_next_one_had_in_the_teacher(teacher: dict[str, Tensor], pieces: Pieces) -> None:
    """Of the kept layers 0 and 2, the first has to give what layer 1 gave, which layer 2 was made for, and the last
    what the teacher ends with: found again by running the teacher on one pair alone."""
    [pair] = encode_pairs(made_pairs(1), pieces.file, pieces.vocabulary)
    batch = next(tiny_batches("encoder-decoder", [pair], pieces.vocabulary, rows=1).from_number(0))
    with fast_products():
        states = imitation(teacher, [0, 2], pieces).states(batch)
        framed = frame_decoder_only(pieces.vocabulary.index("\n"))(*pair)
        alone = torch.tensor([framed.target])
        whole = from_teacher([], [0, 1, 2], teacher, range(len(pieces.vocabulary)))
        outputs = whole.decode_by_layer(alone, torch.ones_like(alone))
    learnt = torch.tensor([framed.labels]) != PAD
    assert len(states) == 2
    for state, output in zip(states, (outputs[1], outputs[2]), strict=True):
        torch.testing.assert_close(state, output[learnt], rtol=0.05, atol=0.05)


def test_the_student_comes_nearer_to_the_teacher(teacher: dict[str, Tensor], pieces: Pieces) -> None:
    """A few steps with no word of the texts to learn from bring states and next-token distribution closer."""
    pairs = encode_pairs(made_pairs(20), pieces.file, pieces.vocabulary)
    batch = next(tiny_batches("encoder-decoder", pairs, pieces.vocabulary).from_number(0))
    objective = imitation(teacher, [0, 2], pieces, cross_entropy=0.0)
    student = from_teacher([0], [0, 2], teacher, range(len(pieces.vocabulary)))
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    told = []
    for _ in range(8):
        loss, parts = objective(student, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        told.append({name: float(part) for name, part in parts.items()})
    assert told[0].keys() == {"loss", "soft_targets", "hidden_states"}
    for name in ("soft_targets", "hidden_states"):
        assert told[-1][name] < 0.9 * told[0][name], name
        assert told[-1][name] > 0


def test_weights_say_what_is_learnt(teacher: dict[str, Tensor], pieces: Pieces) -> None:
    """The objective is the sum of its parts, each times its weight; the teacher itself stays as it is."""
    pairs = encode_pairs(made_pairs(5), pieces.file, pieces.vocabulary)
    batch = next(tiny_batches("encoder-decoder", pairs, pieces.vocabulary).from_number(0))
    student = from_teacher([0], [1], teacher, range(len(pieces.vocabulary)))
    before = {name: weight.clone() for name, weight in teacher.items()}
    weights = {"cross_entropy": 0.5, "soft_targets": 2.0, "hidden_states": 3.0}
    loss, parts = imitation(teacher, [1], pieces, **weights)(student, batch)
    expected = 0.5 * parts["loss"] + 2 * parts["soft_targets"] + 3 * parts["hidden_states"]
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    assert all(torch.equal(before[name], weight) for name, weight in teacher.items())
    assert all(weight.grad is None for weight in teacher.values())


def test_a_student_without_an_encoder_is_told_the_same(teacher: dict[str, Tensor], pieces: Pieces) -> None:
    """A decoder-only student that is the teacher itself has nothing left to imitate; one without a layer has."""
    pairs = encode_pairs(made_pairs(10), pieces.file, pieces.vocabulary)
    batch = next(tiny_batches("decoder-only", pairs, pieces.vocabulary).from_number(0))
    for layers, same in (([0, 1, 2], True), ([0, 2], False)):
        student = from_teacher([], layers, teacher, range(len(pieces.vocabulary)))
        _, parts = imitation(teacher, layers, pieces)(student, batch)
        assert (float(parts["hidden_states"]) < 1e-5) == same
        assert float(parts["soft_targets"]) < 1e-5 or not same
