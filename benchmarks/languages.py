"""How often languages and dialects are named right, and how often real Arabic is taken for another language.

    python -m benchmarks.languages

`languages.tsv` are sentences of our own: the word lists were made with most of them in sight, so they show what is
covered, not what is met. The false alarms are measured on texts that nobody chose: the development sets and every
sentence of 500 articles.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results_file
from services.translator.language import dialect_of, identify, identify_all
from services.translator.normalize import SCHEMES, normalize
from services.translator.split import split

SENTENCES = Path(__file__).parent / "languages.tsv"
DEVELOPMENT_SETS = ("flores_dev", "tico19_dev", "un_dev", "tatoeba_dev")
DIALECTS = ("egyptian", "levantine", "gulf", "iraqi", "maghrebi")


def main() -> None:
    """Measure, print, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--articles", type=int, default=500)
    args = parser.parse_args()
    result: dict[str, object] = {"named": named(), "taken_for": false_alarms(args.data, args.articles)}
    for key, table in result.items():
        print(key, json.dumps(table, ensure_ascii=False, indent=1))
    print(results_file.keep("languages", result))


def sentences() -> Iterator[tuple[str, str]]:
    """Yield what each sentence of ours is in and the sentence as the translator reads it."""
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        label, _, text = line.partition("\t")
        yield label, _read(text)


def label_of(text: str) -> str:
    """Return the language, or the dialect of Arabic, that the translator sees in `text`."""
    language = identify(text).code
    return dialect_of(text).lower() or "ar" if language == "ar" else language


def named() -> dict[str, dict[str, int]]:
    """Return what the sentences of each language were taken for."""
    table: dict[str, Counter[str]] = {}
    for label, text in sentences():
        table.setdefault(label, Counter())[label_of(text)] += 1
    return {label: dict(seen.most_common()) for label, seen in table.items()}


def false_alarms(data: Path, count: int) -> dict[str, dict[str, int]]:
    """Return what the sentences of real Arabic texts were taken for, each in its paragraph."""
    table = {}
    for name in DEVELOPMENT_SETS:
        lines = (data / "dev" / f"{name}.ar").read_text(encoding="utf-8").splitlines()
        table[name] = _taken_for([[_read(line)] for line in lines])
    with gzip.open(data / "articles" / "articles-2000.jsonl.gz", "rt", encoding="utf-8") as file:
        bodies = [json.loads(line)["body"] for line, _ in zip(file, range(count), strict=False)]
    table[f"{count} articles"] = _taken_for([_split(line) for body in bodies for line in body.splitlines()])
    return table


def _taken_for(paragraphs: list[list[str]]) -> dict[str, int]:
    seen: Counter[str] = Counter()
    for paragraph in paragraphs:
        seen.update(language.code for language in identify_all(paragraph))
        seen.update(f"{dialect} dialect" for sentence in paragraph if (dialect := dialect_of(sentence)))
    return dict(seen.most_common())


def _read(text: str) -> str:
    return normalize(text, SCHEMES["plain-1"]).text


def _split(paragraph: str) -> list[str]:
    text = _read(paragraph)
    return [piece.span.of(text) for piece in split(text, max_tokens=len(text) + 1, count_tokens=len)]


if __name__ == "__main__":
    main()
