"""What a batch costs by its shape: reading a token, a step of decoding, and each sentence in a step.

    python -m benchmarks.batch_shapes [--model models/ar-en] [--rounds 3]

The translator's constants rest on this (`services/translator/batch.py`: STEP, READ). Batches of 1 to 32 sentences of 45
tokens are decoded for 1 and for 21 steps, on one thread; a line through the costs of a step tells what it costs beside
its sentences. Then sixteen sentences of one length are compared with sixteen of 30 to 60 tokens. The time is the
processor's, so that other work on the machine counts little.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ctranslate2

from benchmarks import articles, results_file
from benchmarks.throughput import tokenized
from services.translator.model import Model
from services.translator.settings import SHIPPED_MODEL

SIZES = (1, 2, 4, 8, 16, 32)
LENGTH = 45
STEPS = 20
SPREAD = tuple(range(30, 62, 2))

Decode = Callable[[Sequence[int], int], float]
"""Takes the lengths of sentences and the tokens to write for each; returns seconds."""


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    model = Model.open(args.model)
    decode = decoder(model)

    def best(lengths: Sequence[int], tokens: int) -> float:
        return min(decode(lengths, tokens) for _ in range(args.rounds))

    best([LENGTH] * 4, 2)
    steps, reads = [], []
    for size in SIZES:
        read_s = best([LENGTH] * size, 1)
        steps.append((best([LENGTH] * size, 1 + STEPS) - read_s) / STEPS)
        reads.append((read_s - steps[-1]) / (size * LENGTH))
    fit = statistics.linear_regression(SIZES, steps)
    alike, unlike = (best(lengths, STEPS) for lengths in ([LENGTH] * len(SPREAD), SPREAD))
    result: dict[str, object] = {
        "model": model.digest,
        "kind": model.manifest.kind,
        "step_ms": {size: round(1000 * seconds, 2) for size, seconds in zip(SIZES, steps, strict=True)},
        "read_ms_a_token": {size: round(1000 * seconds, 3) for size, seconds in zip(SIZES, reads, strict=True)},
        "sentence_step_ms": round(1000 * fit.slope, 3),
        "STEP": round(fit.intercept / fit.slope, 1),
        "READ": round(statistics.median(reads[2:]) / fit.slope, 2),
        "unlike_lengths_to_alike": round(unlike / alike, 3),
    }
    print(result)
    print(results_file.keep("batch_shapes", result))


def decoder(model: Model) -> Decode:
    """Return what decodes pieces of our articles with the bare engine on one thread."""
    manifest = model.manifest
    tokens = itertools.cycle(itertools.chain(*tokenized(articles.load(None, 20), model)))

    def batch(lengths: Sequence[int]) -> list[list[str]]:
        own = (itertools.islice(tokens, length) for length in lengths)
        return [[*manifest.source_prefix, *sentence, *manifest.source_suffix] for sentence in own]

    if manifest.kind == "encoder-decoder":
        translator = ctranslate2.Translator(str(model.folder), inter_threads=1, intra_threads=1, compute_type="int8")

        def translate(lengths: Sequence[int], wanted: int) -> float:
            sentences, started = batch(lengths), time.process_time()
            translator.translate_batch(
                sentences, beam_size=1, max_input_length=0, min_decoding_length=wanted, max_decoding_length=wanted
            )
            return time.process_time() - started

        return translate
    generator = ctranslate2.Generator(str(model.folder), inter_threads=1, intra_threads=1, compute_type="int8")

    def generate(lengths: Sequence[int], wanted: int) -> float:
        sentences, started = batch(lengths), time.process_time()
        generator.generate_batch(
            sentences,
            beam_size=1,
            min_length=wanted,
            max_length=wanted,
            include_prompt_in_result=False,
            end_token=manifest.end_token,
        )
        return time.process_time() - started

    return generate


if __name__ == "__main__":
    main()
