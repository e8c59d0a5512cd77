"""Several sentences in one row of tokens are trained on as if each were alone."""

from collections import Counter
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.tiny import KINDS, tiny_batches, tiny_model
from training.batch import PAD, Batch
from training.model import Model, fast_products, positions_in_sentence
from training.train import Framed, TokenPair, framing, loss_of

VOCABULARY = ["<pad>", "<eos>", "<bos>", "<unk>", "\n", *"abcdefghijklmnopqrstuvwxyz"]
SIDES = st.lists(st.integers(5, len(VOCABULARY) - 1), min_size=1, max_size=20)
PAIRS = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=60)
ABC: list[TokenPair] = [([5, 6, 7], [8, 9, 10, 11]), ([12, 13], [14, 15]), ([16, 17, 18, 19], [20, 21, 22])]


def pairs_in(batch: Batch) -> Iterator[Framed]:
    """Yield what is in the rows, sentence by sentence."""
    for row in range(len(batch.target)):
        for number in range(1, int(batch.target_sentences[row].max()) + 1):
            source, target = batch.source_sentences[row] == number, batch.target_sentences[row] == number
            yield Framed(
                batch.source[row][source].tolist(),
                batch.target[row][target].tolist(),
                batch.labels[row][target].tolist(),
            )


def countable(pair: Framed) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, pair))


@pytest.mark.parametrize("kind", KINDS)
@given(pairs=PAIRS, rows=st.integers(1, 5), row_tokens=st.integers(8, 70), epoch=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_epoch_shows_every_pair_once(
    kind: str, pairs: list[TokenPair], rows: int, row_tokens: int, epoch: int
) -> None:
    """Each pair that fits into a row is in exactly one row, whole and framed; the others are counted."""
    frame = framing(kind, VOCABULARY)
    framed = [frame(source, target) for source, target in pairs]
    room = row_tokens if kind == "encoder-decoder" else 0
    fitting = [pair for pair in framed if len(pair.source) <= room and len(pair.target) <= row_tokens]
    if not fitting:
        with pytest.raises(ValueError, match="None of"):
            tiny_batches(kind, pairs, VOCABULARY, rows=rows, row_tokens=row_tokens)
        return
    batches = tiny_batches(kind, pairs, VOCABULARY, rows=rows, row_tokens=row_tokens)
    found = [pair for batch in batches.epoch(epoch) for pair in pairs_in(batch)]
    assert Counter(map(countable, fitting)) == Counter(map(countable, found))
    assert batches.dropped == len(pairs) - len(fitting)


@given(pairs=PAIRS, first=st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_batches_go_on_from_any_number(pairs: list[TokenPair], first: int) -> None:
    """Starting at a number gives what the run from the beginning sees there, also in later epochs."""
    batches = tiny_batches("encoder-decoder", pairs, VOCABULARY)
    from_start = batches.from_number(0)
    for _ in range(first):
        next(from_start)
    later = batches.from_number(first)
    for _ in range(3):
        expected, actual = next(from_start), next(later)
        assert torch.equal(expected.target, actual.target)
        assert torch.equal(expected.source_sentences, actual.source_sentences)


def hidden_of(model: Model, batch: Batch) -> "torch.Tensor":
    memory = memory_sentences = None
    if model.shape.has_encoder:
        memory_sentences = batch.source_sentences
        memory = model.encode(batch.source, memory_sentences)
    return model.decode(batch.target, batch.target_sentences, memory, memory_sentences)


def one_batch(kind: str, pairs: list[TokenPair], *, rows: int = 1, row_tokens: int = 40) -> Batch:
    [batch] = tiny_batches(kind, pairs, VOCABULARY, rows=rows, row_tokens=row_tokens).epoch(0)
    return batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", range(3))
@torch.no_grad()
def test_no_sentence_sees_another(kind: str, changed: int) -> None:
    """Other words in one sentence of a row, on both sides, change no logit of the others, and some of its own."""
    model = tiny_model(kind, len(VOCABULARY))
    before = one_batch(kind, ABC)
    others = [([25] * len(pair[0]), [26] * len(pair[1])) if i == changed else pair for i, pair in enumerate(ABC)]
    after = one_batch(kind, others)
    # The rows differ in the changed sentence alone, since the order follows from the seed and the lengths.
    differing = (before.target != after.target) & (before.target_sentences > 0)
    [number] = before.target_sentences[differing].unique().tolist()
    logits, changed_logits = (model.logits(hidden_of(model, batch)) for batch in (before, after))
    same = before.target_sentences != number
    assert torch.equal(logits[same], changed_logits[same])
    assert not torch.equal(logits[~same], changed_logits[~same])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_packed_row_costs_what_its_sentences_cost_alone(kind: str) -> None:
    """The loss of a row is the mean over the tokens of its sentences, each alone in a row."""
    model = tiny_model(kind, len(VOCABULARY))
    alone = [loss_of(model, one_batch(kind, [pair]), exact=True).item() for pair in ABC]
    tokens = [len(target) + 1 for _, target in ABC]
    expected = sum(loss * number for loss, number in zip(alone, tokens, strict=True)) / sum(tokens)
    packed = one_batch(kind, ABC)
    assert int(packed.target_sentences.max()) == 3
    assert loss_of(model, packed, exact=True).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_teaches_nothing(kind: str) -> None:
    """Longer rows and empty ones change neither the loss nor a gradient."""
    model = tiny_model(kind, len(VOCABULARY))

    def gradients(batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
        model.zero_grad()
        loss = loss_of(model, batch, exact=True)
        loss.backward()
        return loss.item(), {name: weight.grad.clone() for name, weight in model.named_parameters()}

    tight = one_batch(kind, ABC, rows=1, row_tokens=40)
    loose = one_batch(kind, ABC, rows=4, row_tokens=100)
    assert int((loose.target == PAD).sum()) > 4 * int((tight.target == PAD).sum())
    (loss, expected), (padded_loss, actual) = gradients(tight), gradients(loose)
    assert padded_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-7)


def test_positions_begin_anew_with_each_sentence() -> None:
    """Every sentence of a row counts from zero, whatever its number."""
    sentences = torch.tensor([[1, 1, 1, 2, 2, 3, 0, 0], [7, 7, 2, 2, 2, 2, 2, 1]])
    assert positions_in_sentence(sentences).tolist() == [[0, 1, 2, 0, 1, 0, 0, 1], [0, 1, 0, 1, 2, 3, 4, 0]]


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16", ""])
def test_bfloat16_is_for_processors_that_know_it(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others compute in float32, and so does everybody who asks for it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, instructions: True, "architecture": "x"})
    weight = torch.ones(2, 2)
    with fast_products():
        assert (weight @ weight).dtype == (torch.bfloat16 if instructions else torch.float32)
    with fast_products(exact=True):
        assert (weight @ weight).dtype == torch.float32
