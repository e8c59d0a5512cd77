"""What each way of decoding costs and what it is worth: sentences a second and chrF, over batch size, beams, kinds of
numbers, and workers times threads.

    python -m benchmarks.decoding --dev ../shared/data/dev [--sentences 192] [--seconds 420]

The bare engine decodes the first sentences of FLORES, sorted by length into batches. Each point is run with the weights
loaded and warm, in an order that spreads the slow ones, until the time is over; what was not reached is told. The
shipped model is kept in int8, so "int8_float32" and "int8" are one kind on most processors; other kinds are computed
from those weights.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import sacrebleu

from benchmarks import results_file
from services.translator import engine
from services.translator.batch import choose_batch
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.settings import SHIPPED_MODEL
from services.translator.threads import usable_processors


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """One point of the sweep; what is not said is as shipped."""

    question: str
    batch_tokens: int = 1536
    beam_size: int = 1
    compute_type: str = "int8"
    workers: int = 0
    threads: int = 1
    max_batch_size: int = 0
    """Sentences that CTranslate2 may decode at once of what one call gives it; 0: all."""


def ways(processors: int) -> Iterator[Way]:
    """Yield what is compared, the shipped way first."""
    yield Way("shipped", workers=processors)
    for batch_tokens in (1, 192, 384, 768, 3072):
        yield Way("batch", batch_tokens=batch_tokens, workers=processors)
    yield Way("max_batch_size", batch_tokens=6144, max_batch_size=32, workers=processors)
    for beam_size in (2, 4):
        yield Way("beam", beam_size=beam_size, workers=processors)
    for compute_type in sorted(ctranslate2.get_supported_compute_types("cpu") - {"int8"}):
        yield Way("numbers", compute_type=compute_type, workers=processors)
    if processors > 1:
        yield Way("threads", workers=1, threads=processors)
        yield Way("threads", workers=1, threads=1)
        yield Way("threads", workers=processors, threads=2)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--dev", type=Path, required=True, help="folder with flores_dev.ar and flores_dev.en")
    parser.add_argument("--sentences", type=int, default=192)
    parser.add_argument("--seconds", type=float, default=420, help="no new point is begun after this time")
    args = parser.parse_args()
    model = Model.open(args.model)
    tokenizer, scheme = Tokenizer(model), SCHEMES[model.manifest.normalization]
    arabic, english = ((args.dev / f"flores_dev.{side}").read_text().splitlines() for side in ("ar", "en"))
    sources = [tokenizer.encode(normalize(line, scheme).text) for line in arabic[: args.sentences]]
    references = english[: args.sentences]
    started = time.perf_counter()
    points: list[dict[str, object]] = []
    missed: list[Way] = []
    for way in ways(usable_processors()):
        if time.perf_counter() - started > args.seconds:
            missed.append(way)
            continue
        # The slow points need no more sentences to be told apart; their chrF is of those they did.
        count = min(len(sources), 48) if way.batch_tokens == 1 else len(sources)
        answers, seconds = decode(model, way, sources[:count])
        texts = [tokenizer.decode(tokens) for tokens in answers]
        point = dataclasses.asdict(way) | {
            "sentences": count,
            "sentences_per_s": round(count / seconds, 2),
            "chrf": round(sacrebleu.corpus_chrf(texts, [references[:count]]).score, 1),
        }
        print(point, flush=True)
        points.append(point)
    result: dict[str, object] = {
        "model": model.digest,
        "tokens_per_sentence": round(sum(map(len, sources)) / len(sources), 1),
        "points": points,
        "not_reached": [dataclasses.asdict(way) for way in missed],
    }
    print(results_file.keep("decoding", result))


def decode(model: Model, way: Way, sources: Sequence[list[str]]) -> tuple[list[list[str]], float]:
    """Return the answer to each of `sources`, and the seconds, of an engine loaded for this way and warm."""
    search = _load(model, way)
    search(sources[:1])
    order = sorted(range(len(sources)), key=lambda index: -len(sources[index]))
    batch_cost = engine.KINDS[model.manifest.kind].batch_cost
    batches: list[list[int]] = []
    while order:
        chosen = choose_batch([len(sources[index]) for index in order], way.batch_tokens, batch_cost)
        batches.append([order[position] for position in chosen])
        order = [index for position, index in enumerate(order) if position not in set(chosen)]
    answers: list[list[str]] = [[] for _ in sources]
    started = time.perf_counter()
    with ThreadPoolExecutor(way.workers) as threads:
        decoded = threads.map(lambda batch: search([sources[index] for index in batch]), batches)
        for batch, found in zip(batches, decoded, strict=True):
            for index, tokens in zip(batch, found, strict=True):
                answers[index] = tokens
    return answers, time.perf_counter() - started


def _load(model: Model, way: Way):  # type: ignore[no-untyped-def]
    manifest = model.manifest
    sizes = {"inter_threads": way.workers, "intra_threads": way.threads, "compute_type": way.compute_type}
    options = {"beam_size": way.beam_size, "max_batch_size": way.max_batch_size}

    def read(tokens: list[str]) -> list[str]:
        return [*manifest.source_prefix, *tokens, *manifest.source_suffix]

    if manifest.kind == "encoder-decoder":
        translator = ctranslate2.Translator(str(model.folder), **sizes)
        prefix = len(manifest.target_prefix)

        def translate(batch: Sequence[list[str]]) -> list[list[str]]:
            results = translator.translate_batch(
                [read(tokens) for tokens in batch],
                target_prefix=[manifest.target_prefix] * len(batch) if prefix else None,
                max_input_length=0,
                max_decoding_length=2 * max(map(len, batch)) + 20 + prefix,
                **options,
            )
            return [result.hypotheses[0][prefix:] for result in results]

        return translate
    generator = ctranslate2.Generator(str(model.folder), **sizes)

    def generate(batch: Sequence[list[str]]) -> list[list[str]]:
        results = generator.generate_batch(
            [read(tokens) for tokens in batch],
            max_length=2 * max(map(len, batch)) + 20,
            include_prompt_in_result=False,
            end_token=manifest.end_token,
            **options,
        )
        return [result.sequences[0] for result in results]

    return generate


if __name__ == "__main__":
    main()
