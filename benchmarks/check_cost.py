"""What the checks cost: processor time of judging answers as a share of that of decoding them, second tries apart.

    python -m benchmarks.check_cost --model models/ar-en [--count 200]

Decodes sentences of the articles in batches as the translator does, judges every answer with lexicon and calibration,
and takes the second tries separately. All is processor time of this process, so that other work does not count.
"""

import argparse
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TypeVar

from benchmarks import articles, results_file
from services.translator.confidence import Calibration
from services.translator.engine import load
from services.translator.judge import Judge
from services.translator.language import language_of
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.split import split

BATCH = 16
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return the result of `work` and the seconds of processor time that it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def main(folder: Path, file: Path | None, count: int) -> None:
    model = Model.open(folder)
    tokenizer = Tokenizer(model)
    judge = Judge(model, tokenizer, calibration=Calibration.open(folder))
    engine = load(model, workers=1, threads_per_worker=1)
    scheme, limit = SCHEMES[model.manifest.normalization], model.manifest.max_source_tokens
    sentences: list[str] = []
    for text in articles.load(file, 1000):
        for line in filter(str.strip, text.split("\n")):
            normalized = normalize(line, scheme).text
            pieces = split(normalized, max_tokens=limit, count_tokens=tokenizer.count)
            sentences += [piece.span.of(normalized) for piece in pieces]
        if len(sentences) >= count:
            break
    sentences = [text for text in sentences if language_of(text) == model.manifest.source_language][:count]
    tokens = [tokenizer.encode(text) for text in sentences]
    order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    engine.decode([tokens[index] for index in batches[0]])  # the first call allocates
    answers, decoding_s = timed(lambda: [engine.decode([tokens[i] for i in batch]) for batch in batches])
    decoded = dict(zip(order, chain.from_iterable(answers), strict=True))
    judged, judging_s = timed(lambda: {i: judge.judge(sentences[i], tokens[i], decoded[i]) for i in order})
    doubtful = [index for index in order if judged[index].deserves_second_try]
    again = [doubtful[start : start + BATCH] for start in range(0, len(doubtful), BATCH)]
    _, second_s = timed(lambda: [engine.decode_safer([tokens[i] for i in batch]) for batch in again])
    result = {
        "model": model.manifest.name,
        "sentences": len(order),
        "judging_over_decoding": round(judging_s / decoding_s, 4),
        "doubtful": len(doubtful),
        "second_tries_over_decoding": round(second_s / decoding_s, 3),
        "cost_of_a_second_try_over_a_first": round(second_s / max(1, len(doubtful)) / (decoding_s / len(order)), 2),
    }
    print(result)
    results_file.keep("check_cost", result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/ar-en"))
    parser.add_argument("--articles", type=Path, help="gzipped JSONL with `body`; default: the articles of the tests")
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    main(arguments.model, arguments.articles, arguments.count)
