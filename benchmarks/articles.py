"""The articles that benchmarks send: real news from `--articles`, or those of the tests."""

import gzip
import json
from pathlib import Path

OURS = Path(__file__).parents[1] / "tests" / "articles"


def load(path: Path | None, count: int, *, words: int | None = None) -> list[str]:
    """Return `count` different texts, cut to `words`. Without a file: the tests' articles, with numbered paragraphs.

    Of a file with fewer articles there are as many as it has.
    """
    texts = _whole(path, count)
    return texts if words is None else [" ".join(text.split()[:words]) for text in texts]


def _whole(path: Path | None, count: int) -> list[str]:
    if path is not None:
        with gzip.open(path, "rt") as file:
            bodies = [json.loads(line)["body"] for line in file]
        return bodies[:count]
    texts = [file.read_text() for file in sorted(OURS.glob("*.txt"))]
    return [
        "\n".join(f"{number}. {line}" if line else "" for line in texts[number % len(texts)].splitlines())
        for number in range(count)
    ]
