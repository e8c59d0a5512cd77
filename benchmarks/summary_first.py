"""What `summary_first` saves: share of sentences translated, time, and how many sentences of the summary stay the same.

    python -m benchmarks.summary_first [--articles FILE] [--count 20] [--sentences 3]

Every article goes through the gateway whole and with the option, the cache bypassed, and the order is turned with each
article. Also the share of a whole article's time that its summary takes. `--articles` takes a gzipped JSONL with `body`
and uses its longest; what the choice loses by being made on the Arabic, `summary_quality --translated` measures.
"""

import argparse
import asyncio
import os
import statistics
from pathlib import Path

from benchmarks import articles, results_file
from khulasa import Article, AsyncClient, FlagReason, Options, Result, SummaryBudget
from khulasa.up import Services


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--sentences", type=int, default=3)
    arguments = parser.parse_args()
    texts = articles.load(arguments.articles, 10_000 if arguments.articles else arguments.count)
    longest = sorted(texts, key=len, reverse=True)[: arguments.count]
    result = asyncio.run(measure(longest, SummaryBudget(sentences=arguments.sentences)))
    print(result)
    print(results_file.keep("summary_first", result))


async def measure(texts: list[str], budget: SummaryBudget) -> dict[str, object]:
    """Return what the option saves on each article and in the middle."""
    rows = []
    async with (
        await Services.start(settings=os.environ, quiet=True) as services,
        AsyncClient(services.addresses["gateway"], timeout_s=600) as client,
    ):
        for number, text in enumerate(texts):
            results: dict[bool, Result] = {}
            for summary_first in (False, True) if number % 2 else (True, False):
                options = Options(budget, bypass_cache=True, summary_first=summary_first)
                results[summary_first] = await client.process(Article(text=text), options)
            whole, first = results[False], results[True]
            rows.append(
                {
                    "sentences": whole.provenance.sentences,
                    "share_translated": round(translated(first) / max(1, translated(whole)), 3),
                    "time_to_whole": round(first.provenance.total_s / whole.provenance.total_s, 3),
                    "same_choice": round(same_choice(whole, first), 3),
                    "summary_to_translation": round(whole.provenance.summary_s / whole.provenance.translation_s, 4),
                }
            )
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {"articles": len(rows), "budget_sentences": budget.sentences, "median": middle, "rows": rows}


def translated(result: Result) -> int:
    """Return how many sentences were not left in Arabic."""
    left = (FlagReason.NOT_TRANSLATED, FlagReason.BOILERPLATE_SKIPPED)
    sentences = [sentence for paragraph in result.translation.paragraphs for sentence in paragraph.sentences]
    return sum(not any(flag.reason in left for flag in sentence.flags) for sentence in sentences)


def same_choice(whole: Result, first: Result) -> float:
    """Return F1 of the sentences that both summaries have."""
    one, other = ({chosen.sentence_index for chosen in result.summary} for result in (whole, first))
    return 2 * len(one & other) / max(1, len(one) + len(other))


if __name__ == "__main__":
    main()
