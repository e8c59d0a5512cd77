"""Models of `training/model.py` that are small enough to be trained in a test."""

import torch
from torch import Tensor

from training.model import GLOBAL_PERIOD, LOCAL_PERIOD, Model, Shape, Sizes
from training.train import Batches, TokenPair, framing

# Threads would wait for one another longer than such models compute, and sums would differ from run to run.
torch.set_num_threads(1)

SIZES = Sizes(width=16, heads=2, head=8)
KINDS = ("encoder-decoder", "decoder-only")


def tiny_model(kind: str, vocabulary_size: int, *, seed: int = 0) -> Model:
    """Return a model with random weights, norms too; both rotary periods occur, in no regular order."""
    torch.manual_seed(seed)
    encoder = (LOCAL_PERIOD, GLOBAL_PERIOD) if kind == "encoder-decoder" else ()
    decoder = (GLOBAL_PERIOD, LOCAL_PERIOD, LOCAL_PERIOD)
    model = Model(Shape(vocabulary_size, encoder, decoder, SIZES, encoder_inner=32 if encoder else 0, decoder_inner=24))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.normal_(0, 0.2)
    # Rows as long as those of the trained model would make the greatest logit the input's own token.
    model.embed_tokens.weight.data *= 0.3
    return model.eval()


def teacher_state(shape: Shape) -> dict[str, Tensor]:
    """Return the random weights of a decoder-only model under the names of `teacher.pt`."""
    return {f"model.{name.replace('decoder', 'layers')}": weight for name, weight in Model(shape).state_dict().items()}


def tiny_batches(
    kind: str,
    pairs: list[TokenPair],
    vocabulary: list[str],
    *,
    rows: int = 2,
    row_tokens: int = 64,
    seed: int = 1,
) -> Batches:
    """Return batches of few and short rows."""
    return Batches(
        pairs,
        rows=rows,
        source_size=row_tokens if kind == "encoder-decoder" else 0,
        target_size=row_tokens,
        prompt=framing(kind, vocabulary),
        seed=seed,
    )
