"""Make the teacher's feed-forward layers narrower: depth is what translates, and most of their units do something else.

    python -m training.pruning --prepared ../lab/training/data --teacher teacher.pt \
        --inner 1152 --out ../lab/training/narrow.pt

Of each layer the units are left out, a few at a time, whose loss the others can best make up for, and these are fitted
anew to give what all of them gave (optimal brain surgeon, Hassibi and Stork 1993, with a whole unit in the place of a
weight, as in ZipLM, arXiv:2302.04089). What they give is seen while the teacher reads pairs: Arabic for the encoder,
English for the decoder beside one, both for a decoder alone. `train.py --narrow` starts from the file.
"""

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from training.batch import PAD, Batch
from training.model import Model, whole_teacher
from training.train import Batches, read_pairs

RIDGE = 1e-3
"""Of the mean square of a unit, added to each: some are next to silent, and no weight may grow without bound."""
STEPS = 64
"""A 64th of the units is left out before the rest is fitted anew. One by one takes 30 times as long."""


@torch.no_grad()
def unit_products(teacher: Model, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Return the mean products of the units, layers × inner × inner, over Arabic and over English tokens.

    `batches` are those of a decoder-only model. The token before the first English one counts as English.
    """
    given: list[Tensor] = []
    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        for layer in teacher.decoder
    ]
    inner = teacher.shape.decoder_inner
    sums, tokens = torch.zeros(2, len(teacher.decoder), inner, inner), torch.zeros(2)
    for batch in batches:
        given.clear()
        teacher.decode(batch.target, batch.target_sentences)
        learnt = batch.labels != PAD
        for side, places in enumerate((~learnt & (batch.target_sentences != 0), learnt)):
            tokens[side] += places.sum()
            for products, units in zip(sums[side], given, strict=True):
                seen = units[places]
                products += seen.T @ seen
    for hook in hooks:
        hook.remove()
    source, target = sums / tokens[:, None, None, None]
    return source, target


def prune_units(down: Tensor, products: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Return the places of the `keep` units that stay, in order, and their weights in `down` (width × inner) anew."""
    products = products.double()
    products = products + RIDGE * products.diagonal().mean() * torch.eye(len(products), dtype=torch.float64)
    wanted = down.double() @ products
    stays, at_once = torch.arange(len(products)), max(1, len(products) // STEPS)
    while True:
        inverse = torch.linalg.inv(products[stays][:, stays])
        weight = wanted[:, stays] @ inverse
        if len(stays) == keep:
            return stays, weight.float()
        # What is lost without a unit once the others have made up for it.
        loss = weight.pow(2).sum(0) / inverse.diagonal()
        stays = stays[loss.argsort(descending=True)[: max(keep, len(stays) - at_once)].sort().values]


def narrowed(state: dict[str, Tensor], products: Tensor, keep: int) -> dict[str, Tensor]:
    """Return the feed-forward weights of a teacher's state with `keep` units in each layer, under the same names."""
    narrow = {}
    for number, of_layer in enumerate(products):
        gate, up, down = (f"model.layers.{number}.mlp.{name}_proj.weight" for name in ("gate", "up", "down"))
        kept, narrow[down] = prune_units(state[down], of_layer, keep)
        narrow[gate], narrow[up] = state[gate][kept].clone(), state[up][kept].clone()
    return narrow


def main(prepared: Path, teacher: Path, out: Path, *, encoder_inner: int | None, inner: int, batches: int) -> None:
    """Write the narrow weights of both sides; without `encoder_inner` those of a model that has no encoder."""
    vocabulary: list[str] = json.loads((prepared / "vocabulary.json").read_text())
    rows = json.loads((prepared / "teacher_rows.json").read_text())
    state = torch.load(teacher, mmap=True)
    model = whole_teacher(state, rows)
    shown = Batches.for_model(model, vocabulary, read_pairs(prepared, vocabulary), rows=8, row_tokens=256, seed=1)
    source, target = unit_products(model, islice(shown.from_number(0), batches))
    if encoder_inner is None:
        narrow = {"decoder": narrowed(state, (source + target) / 2, inner)}
    else:
        narrow = {"encoder": narrowed(state, source, encoder_inner), "decoder": narrowed(state, target, inner)}
    torch.save(narrow, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="teacher.pt")
    parser.add_argument("--inner", type=int, required=True, metavar="UNITS", help="of each layer of the decoder")
    parser.add_argument(
        "--encoder-inner", type=int, metavar="UNITS", help="of each layer of the encoder, if there is one"
    )
    parser.add_argument("--batches", type=int, default=16, help="of 2,048 tokens, to look at")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    main(
        arguments.prepared,
        arguments.teacher,
        arguments.out,
        encoder_inner=arguments.encoder_inner,
        inner=arguments.inner,
        batches=arguments.batches,
    )
