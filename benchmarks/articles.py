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


def beginning(text: str, words: int) -> str:
    """Return the first paragraphs of `text`, the last of them cut, with `words` words together."""
    kept: list[str] = []
    for paragraph in text.splitlines():
        chosen = paragraph.split()[: words - sum(len(line.split()) for line in kept)]
        if chosen:
            kept.append(" ".join(chosen))
    return "\n".join(kept)


def of_words(words: int) -> str:
    """Return one article of whole paragraphs of those of the tests, with at least so many words if they have them."""
    chosen: list[str] = []
    for path in sorted(OURS.glob("*.txt")):
        for paragraph in filter(str.strip, path.read_text(encoding="utf-8").splitlines()):
            if sum(len(one.split()) for one in chosen) >= words:
                break
            chosen.append(paragraph)
    return "\n\n".join(chosen)


def _whole(path: Path | None, count: int) -> list[str]:
    if path is not None:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            bodies = [json.loads(line)["body"] for line in file]
        return bodies[:count]
    texts = [file.read_text(encoding="utf-8") for file in sorted(OURS.glob("*.txt"))]
    return [
        "\n".join(f"{number}. {line}" if line else "" for line in texts[number % len(texts)].splitlines())
        for number in range(count)
    ]
