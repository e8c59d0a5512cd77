"""The articles of a job under faults, and what is right for each: there once, whole, and translated as in calm."""

import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.articles import beginning
from khulasa.copies import digest_of, normal_form
from services.translator import engine
from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.settings import TranslatorSettings
from services.translator.translation import ParagraphTranslator
from tests.conftest import ScriptedEngine

Line = dict[str, str]
Record = dict[str, Any]
Said = Mapping[str, set[str]]
"""By the normal form of a sentence, what the engine may say of it: copies may differ in what the form leaves out."""

NO_ARTICLE = "<html><body></body></html>"
SHARE_WITHOUT_ARTICLE, SHARE_OF_COPIES = 0.05, 0.25
PARAGRAPHS_AT_ONCE = 200
TOLD = 5
"""Faults of a run that are told in words; the others are counted."""
WORDS = (
    *("وصل", "الوزير", "المدينة", "خبر", "عاجل", "المجلس", "قرار", "النهر", "مدرسة", "سوق", "جسر", "طبيب", "خطة"),
    *("أسبوع", "طريق", "سعر", "جزيرة", "عائلة", "ميناء"),
)


def generated(chance: random.Random, count: int) -> list[Line]:
    """Return lines for a job: a quarter set otherwise than one before, one in twenty no article, the rest new."""
    lines: list[Line] = []
    texts: list[str] = []
    for number in range(count):
        kind = chance.random()
        if kind < SHARE_WITHOUT_ARTICLE:
            lines.append({"id": f"article-{number}", "html": NO_ARTICLE})
            continue
        if kind < SHARE_WITHOUT_ARTICLE + SHARE_OF_COPIES and texts:
            text = chance.choice(texts).replace(" ", chance.choice([" ", "  ", " \u200f"])).replace("ر", "رّ")
        else:
            text = "\n".join(
                " ".join([*chance.choices(WORDS, k=chance.randint(5, 30)), str(number), str(part)]) + "."
                for part in range(chance.randint(1, 5))
            )
        texts.append(text)
        lines.append({"id": f"article-{number}", "text": text})
    return lines


def read(path: Path, count: int, words: int | None) -> list[Line]:
    """Return the first articles of a file as `benchmarks.articles` takes it, headlines included, cut to `words`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    texts = [article["body"] if words is None else beginning(article["body"], words) for article in found]
    return [
        {"id": article["id"], "title": article["title"], "text": text}
        for article, text in zip(found, texts, strict=True)
    ]


async def learn(lines: Sequence[Line], model_folder: Path, *, scripted: bool) -> Said:
    """Return what the stub's engine, or the model, says of each sentence of the articles."""
    settings = TranslatorSettings(model=model_folder, threads=1)
    model = Model.open(model_folder)
    loaded = ScriptedEngine(model) if scripted else engine.load(model, workers=1, threads_per_worker=1)
    queue = TranslationQueue.as_set(loaded, settings)
    translator = ParagraphTranslator(model, queue, second_tries=False)
    texts = (text for line in lines for text in (line.get("title", ""), *line.get("text", "").splitlines()))
    paragraphs = sorted(set(texts) - {""})
    said: defaultdict[str, set[str]] = defaultdict(set)
    try:
        for start in range(0, len(paragraphs), PARAGRAPHS_AT_ONCE):
            some = paragraphs[start : start + PARAGRAPHS_AT_ONCE]
            for paragraph, sentences in zip(some, await translator.translate(some), strict=True):
                for sentence in sentences:
                    source = paragraph[sentence.span.start : sentence.span.end]
                    said[normal_form(source)].add(sentence.translation)
    finally:
        await queue.close()
    return said


@dataclass(slots=True)
class Verdict:
    """What is wrong with the output of a job, by kind, and the first of it in words."""

    lost: int = 0
    twice: int = 0
    wrong: int = 0
    """Records or failures that are not those of the article."""
    unmarked: int = 0
    """Stories of which not all copies name the first, or more than one was none."""
    miscounted: int = 0
    """Counts of the command that are not those of its output."""
    told: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """All together."""
        return self.lost + self.twice + self.wrong + self.unmarked + self.miscounted

    def tell(self, what: str) -> int:
        """Keep a fault's words, if there are not too many; return 1, to be added up."""
        if len(self.told) < TOLD:
            self.told.append(what)
        return 1


def judge(
    sent: Sequence[Line],
    records: Sequence[Record],
    reasons: Mapping[str, str],
    said: Said | None,
) -> Verdict:
    """Hold the records of the articles that were answered, and the reasons of those that were not, against the input.

    Without `said` the English is not looked at: real models differ a little with what stands in the same batch.
    """
    verdict = Verdict()
    lines = {line["id"]: line for line in sent}
    found = Counter([*(record["id"] for record in records), *reasons])
    for name in lines:
        if not found[name]:
            verdict.lost += verdict.tell(f"{name} is lost")
        elif found[name] > 1:
            verdict.twice += verdict.tell(f"{name} is there {found[name]} times")
    for name in found.keys() - lines.keys():
        verdict.wrong += verdict.tell(f"nobody sent {name}")
    for name, reason in reasons.items():
        expected = "NO_ARTICLE_IN_HTML" if "html" in lines.get(name, {}) else "none"
        if reason != expected:
            verdict.wrong += verdict.tell(f"{name} failed with {reason}, expected {expected}")
    for record in records:
        if (line := lines.get(record["id"])) and (fault := fault_in(line, record, said)):
            verdict.wrong += verdict.tell(f"{record['id']}: {fault}")
    stories: defaultdict[object, list[Record]] = defaultdict(list)
    for record in records:
        if line := lines.get(record["id"]):
            stories[digest_of(line.get("title", ""), line.get("text", ""), "")].append(record)
    for copies in stories.values():
        firsts = [record["id"] for record in copies if not record["duplicate_of"]]
        if len(firsts) != 1 or any(record["duplicate_of"] not in (None, *firsts) for record in copies):
            marks = {record["id"]: record["duplicate_of"] for record in copies}
            verdict.unmarked += verdict.tell(f"copies are marked {marks}")
    return verdict


def fault_in(line: Line, record: Record, said: Said | None) -> str:
    """Say what is wrong with the record of an article; an empty string where nothing is."""
    if "html" in line:
        return "translated, though there is no text in it"
    title = record["translation"]["title"]
    parts = [(line["text"], record["translation"]["paragraphs"]), (line.get("title", ""), [title] if title else [])]
    for text, paragraphs in parts:
        position = 0
        for sentence in (sentence for paragraph in paragraphs for sentence in paragraph["sentences"]):
            start, end = sentence["span"]["start"], sentence["span"]["end"]
            if start < position or normal_form(text[position:start]):
                return f"text is left out or doubled at {position}"
            if sentence["source"] != text[start:end]:
                return f"an offset points elsewhere at {start}"
            if said is not None and sentence["translation"] not in said.get(normal_form(sentence["source"]), ()):
                return f"another translation than in calm at {start}"
            position = end
        if normal_form(text[position:]):
            return f"text is left out at {position}"
    return ""
