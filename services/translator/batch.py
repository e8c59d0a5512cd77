"""Which of the waiting sentences are decoded together: as many of like length as make a token cheapest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEP = 10.0
"""Cost of a step of decoding whatever the size of the batch (the weights are read), in steps of one sentence. With the
first model 6 to 10 were measured, since a step costs 10 to 12 ms and each sentence in it 1.2 to 1.6
(`benchmarks/batch_shapes.py`)."""
READ = 0.5
"""Cost of a source token that is read together with all others, in the same unit; 0.33 to 0.5 were measured."""
OF_A_LONG_QUEUE = 2
"""So many times the usual size a batch may have."""
TARGET_PER_SOURCE = 0.9
"""Tokens of an answer, over those of its sentence."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the cost of a batch depends on; lengths are in source tokens."""

    count: int
    shortest: int
    longest: int
    total: int

    def with_one_of(self, length: int) -> "Shape":
        """Return the shape with one more sentence."""
        return Shape(self.count + 1, min(self.shortest, length), max(self.longest, length), self.total + length)


BatchCost = Callable[[Shape], float]
"""Returns what decoding a batch of that shape costs, in steps of one sentence."""


def encoder_decoder_cost(shape: Shape) -> float:
    """Return the cost for a model that reads all sentences at once, then writes until the longest answer ends."""
    return READ * shape.total + TARGET_PER_SOURCE * (STEP * shape.longest + shape.total)


def decoder_only_cost(shape: Shape) -> float:
    """Return the cost for a model whose sentences are prompts.

    CTranslate2 reads of all prompts as much at once as the shortest has, and what the others have more step by step.
    """
    read = shape.count * shape.shortest
    steps = shape.longest - shape.shortest + TARGET_PER_SOURCE * shape.longest
    return READ * read + STEP * steps + shape.total - read + TARGET_PER_SOURCE * shape.total


def batch_budget(waiting: float, batch_tokens: int, *, workers: int) -> float:
    """Return the source tokens of a batch while so many wait: `batch_tokens`, and of a long queue up to twice that.

    Twice the size makes a token about a tenth cheaper, so that all together are done sooner; who is next waits longer.
    """
    return max(batch_tokens, min(OF_A_LONG_QUEUE * batch_tokens, waiting / workers))


def choose_batch(lengths: Sequence[int], budget: float, cost: BatchCost) -> list[int]:
    """Return the indices of a batch: the first sentence and those like it in length; `lengths` are in turn.

    Of the batches that the nearest in length make, it is the one whose tokens are cheapest. The longest sentence times
    the size never passes `budget`, which bounds memory and the time others wait, but a single sentence is a batch
    whatever its length.
    """
    first = max(1, lengths[0])
    order = [0, *sorted(range(1, len(lengths)), key=lambda index: (abs(lengths[index] - first), index))]
    shape, size = Shape(1, first, first, first), 1
    cheapest = cost(shape) / shape.total
    for index in order[1:]:
        shape = shape.with_one_of(max(1, lengths[index]))
        if shape.longest * shape.count > budget:
            break
        price = cost(shape) / shape.total
        if price <= cheapest:
            cheapest, size = price, shape.count
    return order[:size]
