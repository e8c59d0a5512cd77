"""Where sentences end: our splitter, pySBD and a plain regular expression against boundaries that people set.

    pip install pysbd                                         # MIT; for this comparison alone
    python -m benchmarks.splitting                            # boundaries
    python -m benchmarks.splitting --model models/ar-en       # and what they do to the translation

`splitting_gold.jsonl` holds offsets and digests, not texts. `hard` are paragraphs of four broadcasters chosen for what
is hard in them, and the splitter was mended on them; `sampled` are random paragraphs of the same broadcasters with a
stop inside, marked before that. In the development sets the ends of the lines are known and the stops within lines
were read one by one; four lines in a row are joined with a space. A boundary is known by the word after it, so that it
costs nothing to leave a quotation mark on either side. `optional` boundaries, most of them after a semicolon, count
neither for nor against. The end of a text is no boundary: everyone finds it.
"""

import argparse
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from sacrebleu.metrics import CHRF

from benchmarks import results_file
from services.translator import engine
from services.translator.batch import choose_batch
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from services.translator.split import cut_to_fit, split
from services.translator.threads import usable_processors

GOLD = Path(__file__).parent / "splitting_gold.jsonl"
JOINED_LINES = 4
DEVELOPMENT_SETS = ("flores_dev", "tico19_dev", "un_dev")
BATCH_TOKENS = 1536

Method = Callable[[str], list[int]]
"""Returns the ends of all sentences but the last, in code points."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and where its sentences begin, the first one left out."""

    source: str
    text: str
    starts: frozenset[int]
    optional: frozenset[int]


def main() -> None:
    """Measure, print, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, help="a model folder: translate documents split by each method")
    parser.add_argument("--limit", type=int, default=40, help="documents to translate")
    args = parser.parse_args()
    examples = [*articles(args.data), *joined(args.data)]
    result: dict[str, object] = {"pysbd": version("pysbd"), "boundaries": boundaries(examples)}
    if args.model:
        result["translation"] = translation(args.data / "dev", args.model, args.limit)
    print(results_file.keep("splitting", result))


def ours(text: str) -> list[int]:
    """Split as the translator does, for a model that reads any length."""
    normalized = normalize(text, SCHEMES["plain-1"])
    pieces = split(normalized.text, max_tokens=len(normalized.text) + 1, count_tokens=len)
    return [normalized.source_span(piece.span).end for piece in pieces[:-1]]


def regular_expression(text: str) -> list[int]:
    """Split after stops and what closes, before a space."""
    return [match.end() for match in re.finditer(r"[.!?؟؛…][\"'»”’)\]]*(?=\s)", text)]


def pysbd_arabic(text: str) -> list[int]:
    """Split as pySBD does."""
    import pysbd  # not among the packages of the tests, which use the marks without it

    segmenter = pysbd.Segmenter(language="ar", clean=False, char_span=True)
    return [span.end for span in segmenter.segment(text)][:-1]


METHODS: dict[str, Method] = {"khulasa": ours, "pysbd": pysbd_arabic, "regular expression": regular_expression}


def articles(data: Path) -> Iterator[Example]:
    """Yield the paragraphs of articles whose sentences people marked."""
    with gzip.open(data / "articles" / "articles-2000.jsonl.gz", "rt", encoding="utf-8") as file:
        bodies = {article["id"]: article["body"].split("\n") for article in map(json.loads, file)}
    for row in _gold():
        if "article" in row:
            text = _checked(bodies[row["article"]][row["paragraph"]], row)
            broadcaster = row["article"].partition("-")[0]
            yield _example(f"{row['set']} {broadcaster}", text, row["ends"], row["optional"])


def joined(data: Path) -> Iterator[Example]:
    """Yield lines of the development sets, joined by fours."""
    within = {(row["set"], row["line"]): row for row in _gold() if "line" in row}
    for name in DEVELOPMENT_SETS:
        lines = (data / "dev" / f"{name}.ar").read_text(encoding="utf-8").splitlines()
        for first in range(0, len(lines), JOINED_LINES):
            text, ends, optional = "", [], []
            for number, line in enumerate(lines[first : first + JOINED_LINES], start=first):
                text = f"{text} " if text else ""
                if row := within.get((name, number)):
                    _checked(line, row)
                    ends += [len(text) + end for end in row["ends"]]
                    optional += [len(text) + end for end in row["optional"]]
                text += line
                ends.append(len(text))
            yield _example(name, text, ends, optional)


def _gold() -> Iterator[dict]:
    return map(json.loads, GOLD.read_text().splitlines())


def _checked(text: str, row: dict) -> str:
    if hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
        raise SystemExit(f"The text of {row} is not the one that was read. Get the data as its README describes.")
    return text


def _example(source: str, text: str, ends: list[int], optional: list[int]) -> Example:
    return Example(source, text, _starts(text, ends), _starts(text, optional))


def _starts(text: str, ends: list[int]) -> frozenset[int]:
    """Return where the word after each end begins; an end without one is the end of the text."""
    words = (re.compile(r"\w").search(text, end) for end in ends)
    return frozenset(word.start() for word in words if word)


def boundaries(examples: list[Example], methods: dict[str, Method] = METHODS) -> dict[str, dict[str, dict[str, float]]]:
    """Return precision, recall and F1 of each method for each source, and over all broadcasters."""
    sources = sorted({example.source for example in examples})
    groups = {source: [source] for source in sources}
    for kind in ("hard", "sampled"):
        groups[kind] = [source for source in sources if source.startswith(kind)]
    counts = {name: _count(method, examples) for name, method in methods.items()}
    table = {
        group: {name: _scores(sum((count[source] for source in members), Counter())) for name, count in counts.items()}
        for group, members in groups.items()
        if members
    }
    for group, row in table.items():
        cells = "  ".join(
            f"{name} {s['f1']:5.1f} (P {s['precision']:5.1f} R {s['recall']:5.1f})" for name, s in row.items()
        )
        print(f"{group:12} {row['khulasa']['boundaries']:5.0f} boundaries  {cells}")
    return table


def _count(method: Method, examples: list[Example]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for example in examples:
        found = _starts(example.text, method(example.text)) - example.optional
        count = counts.setdefault(example.source, Counter())
        count += Counter(right=len(found & example.starts), found=len(found), known=len(example.starts))
    return counts


def _scores(count: Counter[str]) -> dict[str, float]:
    precision = count["right"] / count["found"] if count["found"] else 1.0
    recall = count["right"] / count["known"] if count["known"] else 1.0
    f1 = 2 * precision * recall / (precision + recall) if count["right"] else 0.0
    percent = {"precision": precision, "recall": recall, "f1": f1}
    return {"boundaries": count["known"]} | {name: round(100 * value, 1) for name, value in percent.items()}


def translation(folder: Path, model_folder: Path, limit: int) -> dict[str, object]:
    """Return the chrF of FLORES documents translated in the sentences of each method, and in the lines of the set."""
    arabic, english = (
        (folder / f"flores_dev.{language}").read_text(encoding="utf-8").splitlines() for language in ("ar", "en")
    )
    firsts = range(0, min(len(arabic), limit * JOINED_LINES), JOINED_LINES)
    documents = [arabic[first : first + JOINED_LINES] for first in firsts]
    references = [" ".join(english[first : first + JOINED_LINES]) for first in firsts]
    cut = {name: [_parts(" ".join(lines), method) for lines in documents] for name, method in METHODS.items()}
    cut |= {"lines of the set": documents, "not split": [[" ".join(lines)] for lines in documents]}
    model = Model.open(model_folder)
    translate = _translator(model)
    chrf = {}
    for name, parts in cut.items():
        answers = translate(parts)
        chrf[name] = round(CHRF().corpus_score(answers, [references]).score, 2)
        print(f"chrF {chrf[name]:6.2f}  {sum(map(len, parts)):5} sentences  {name}")
    return {
        "model": model.digest,
        "documents": len(documents),
        "chrf": chrf,
        "sentences": {name: sum(map(len, parts)) for name, parts in cut.items()},
    }


def _parts(text: str, method: Method) -> list[str]:
    ends = [0, *method(text), len(text)]
    return [text[start:end] for start, end in pairwise(ends) if text[start:end].strip()]


def _translator(model: Model) -> Callable[[list[list[str]]], list[str]]:
    """Return what translates documents given in parts; a part that the model cannot read whole is cut by our rules."""
    tokenizer, scheme = Tokenizer(model), SCHEMES[model.manifest.normalization]
    loaded = engine.load(model, workers=1, threads_per_worker=usable_processors())

    def pieces(part: str) -> list[list[str]]:
        text = normalize(part, scheme).text
        cut = cut_to_fit(text, max_tokens=model.manifest.max_source_tokens, count_tokens=tokenizer.count)
        return [tokenizer.encode(span.of(text)) for span in cut]

    def translate(documents: list[list[str]]) -> list[str]:
        sentences = [(number, tokens) for number, d in enumerate(documents) for part in d for tokens in pieces(part)]
        waiting = sorted(range(len(sentences)), key=lambda index: len(sentences[index][1]))
        answers = [""] * len(sentences)
        while waiting:
            lengths = [len(sentences[index][1]) for index in waiting]
            chosen = [waiting[i] for i in choose_batch(lengths, BATCH_TOKENS, loaded.batch_cost)]
            waiting = [index for index in waiting if index not in set(chosen)]
            for index, decoded in zip(chosen, loaded.decode([sentences[i][1] for i in chosen]), strict=True):
                answers[index] = tokenizer.decode(decoded.tokens)
        texts: list[list[str]] = [[] for _ in documents]
        for (number, _), answer in zip(sentences, answers, strict=True):
            texts[number].append(answer)
        return [" ".join(text) for text in texts]

    return translate


if __name__ == "__main__":
    main()
