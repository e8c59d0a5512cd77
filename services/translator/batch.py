"""Which of the waiting sentences are decoded together: those of like length, within a bounded cost."""

import math
from collections.abc import Sequence

BAND = math.log(1.25)
"""Lengths within a quarter of each other are alike; among the alike, who is first in turn goes first."""


def choose_batch(lengths: Sequence[int], batch_tokens: int) -> list[int]:
    """Return the indices of a batch: the first sentence and those like it in length; `lengths` are in turn.

    A batch costs its longest sentence times its size, since the others are padded to it; that product stays within
    `batch_tokens`. A single sentence is a batch whatever its length.
    """
    first = max(1, lengths[0])

    def unlike(index: int) -> tuple[int, int]:
        return int(abs(math.log(max(1, lengths[index]) / first)) / BAND), index

    batch, longest = [0], lengths[0]
    for index in sorted(range(1, len(lengths)), key=unlike):
        longest = max(longest, lengths[index])
        if longest * (len(batch) + 1) > batch_tokens:
            break
        batch.append(index)
    return batch
