"""Time and memory of a summary by the number of sentences, against LexRank of sumy, in one run.

    python -m benchmarks.summary_speed [--largest 2000]

Each measurement has a process of its own. The time is the processor's, the best of three; the memory is what the peak
rose by. The sentences are made of the words of the tests' articles, about as often as those have them, so none is like
another. The bound we state: for one budget, time and memory grow no faster than the words of the article (exponent
about 1), with up to 100 passes over them, one for each chosen sentence. `sumy_systems.py` says how to get sumy.
"""

import argparse
import math
import multiprocessing
import resource
import time
from collections.abc import Callable

import numpy as np

from benchmarks import articles, results_file, sumy_systems
from services.summarizer.budget import Budget
from services.summarizer.summarize import SourceSentence, summarize

SIZES = (10, 30, 100, 300, 1000, 2000)
WORDS = 22
BEST_OF = 3
SUMY = "sumy LexRank"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    arguments = parser.parse_args()
    rows = []
    for size in (size for size in SIZES if size <= arguments.largest):
        ours, sumys = (measure(system, size) for system in (khulasa, lexrank))
        rows.append(
            {
                "sentences": size,
                "khulasa_ms": round(ours[0], 2),
                "khulasa_mb": round(ours[1], 1),
                "lexrank_ms": round(sumys[0], 2),
                "lexrank_mb": round(sumys[1], 1),
                "lexrank_to_khulasa": round(sumys[0] / ours[0], 1),
            }
        )
        print(rows[-1])
    result: dict[str, object] = {
        "sumy": sumy_systems.VERSION,
        "words_a_sentence": WORDS,
        "rows": rows,
        "growth_exponent": {name: growth(rows, f"{name}_ms") for name in ("khulasa", "lexrank")},
    }
    print(result["growth_exponent"])
    print(results_file.keep("summary_speed", result))


def measure(system: Callable[[list[str]], object], size: int) -> tuple[float, float]:
    """Return milliseconds and the megabytes that the peak of a fresh process rose by."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (system, size))


def _measure(system: Callable[[list[str]], object], size: int) -> tuple[float, float]:
    texts = sentences(size)
    system(texts[:3])  # loads what is loaded only once
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(BEST_OF):
        started = time.process_time()
        system(texts)
        times.append(time.process_time() - started)
        if times[0] > 5:
            break
    return min(times) * 1000, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024


def khulasa(texts: list[str]) -> object:
    """Summarize as the service does."""
    return summarize(
        [SourceSentence(text, 0, False) for text in texts], budget=Budget(sentences=3), language="ar", title=""
    )


def lexrank(texts: list[str]) -> object:
    """Summarize as sumy does."""
    return sumy_systems.order(SUMY, texts, "ar")


def sentences(count: int) -> list[str]:
    """Return different sentences of words that are as frequent as in the tests' articles; always the same ones."""
    words = [word for text in articles.load(None, 100) for word in text.split()]
    chosen = np.random.default_rng(count).integers(0, len(words), size=(count, WORDS))
    return [" ".join(words[index] for index in row) + "." for row in chosen]


def growth(rows: list[dict[str, float]], column: str) -> float | None:
    """Return the exponent with which the time grows over the last two sizes."""
    if len(rows) < 2:
        return None
    one, other = rows[-2:]
    return round(math.log(other[column] / one[column]) / math.log(other["sentences"] / one["sentences"]), 2)


if __name__ == "__main__":
    main()
