"""Learn which English pieces translate which Arabic ones: IBM Model 1 over the prepared pairs.

    python -m training.lexicon --prepared ../lab/training/data --out ../lab/training/lexicon.npz

The adequacy check of the translator doubts English that no word of the source accounts for; it wants to know what a
model could rightly write, not what it likes to write.

Model 1 (Brown et al. 1993) has no word order: p(English | Arabic) = Π_j Σ_i t(e_j | a_i) / (l + 1), with an empty word
a_0 that accounts for articles and the like. Expectation maximization finds its one maximum from any start.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from training.train import TokenPair, read_pairs

ROUNDS = 4
"""The ranking of the first few candidates hardly changes after the third."""
LONGEST = 60
"""Longer sentences say less for what they cost: their every piece may belong to every other."""


def learn(pairs: list[TokenPair], size: int, *, rounds: int = ROUNDS) -> np.ndarray:
    """Return t as size × size, t[a, e] the probability that piece `a` is translated by piece `e`.

    Row 0, the padding of other files, is the empty word.
    """
    pairs = [pair for pair in pairs if max(map(len, pair)) <= LONGEST]
    indexed = [(np.array([0, *set(source)]), np.array(target)) for source, target in pairs]
    t = np.ones((size, size), dtype=np.float32)
    for _ in range(rounds):
        counts = np.zeros_like(t)
        for source, target in indexed:
            cells = np.ix_(source, target)
            share = t[cells]
            share /= share.sum(axis=0, keepdims=True)
            # A piece that stands twice in the target has two columns; plain indexed addition would keep only one.
            np.add.at(counts, cells, share)
        t = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    return t


def best(t: np.ndarray, *, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each Arabic piece its `width` likeliest English pieces and their probabilities, both size × width."""
    columns = np.argpartition(-t, width, axis=1)[:, :width]
    values = np.take_along_axis(t, columns, axis=1)
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=24, help="candidates for each Arabic piece")
    arguments = parser.parse_args()
    vocabulary = json.loads((arguments.prepared / "vocabulary.json").read_text())
    everything = read_pairs(arguments.prepared, vocabulary)
    english, probability = best(learn(everything, len(vocabulary)), width=arguments.width)
    np.savez_compressed(arguments.out, english=english.astype(np.uint16), probability=probability.astype(np.float16))
