"""How many terms of a glossary reach the English, with and without it, and what that does to the rest.

    pip install sacrebleu
    python -m benchmarks.glossary --limit 80      # sentences from each development set

Takes the sentences in which a term of `glossary.tsv` stands and whose human translation has all of its English, so that
asking for it is right. chrF is over those whose translation the glossary changed, and over all of them. The data may be
measured on, not passed on: it is no part of the repository.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from sacrebleu.metrics import CHRF

from benchmarks.results_file import keep
from khulasa.glossary import rows
from services.harness.terms import Term
from services.translator import engine
from services.translator.glossary import glossary_of, outcomes
from services.translator.model import Model
from services.translator.normalize import SCHEMES, normalize
from services.translator.queue import TranslationQueue
from services.translator.settings import SHIPPED_MODEL
from services.translator.translation import ParagraphTranslator

TERMS = Path(__file__).with_suffix(".tsv")
MAX_CHARS = 250  # longer ones take long and say no more


async def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    parser.add_argument("--limit", type=int, default=80)
    arguments = parser.parse_args()
    terms = [Term(source, target) for _, source, target in rows(TERMS.read_text(encoding="utf-8"))]
    model = Model.open(arguments.model)
    pairs = [
        pair for path in sorted(arguments.data.glob("*.ar")) for pair in chosen(path, terms, model)[: arguments.limit]
    ]
    queue = TranslationQueue(
        engine.load(model, workers=1, threads_per_worker=1), workers=1, batch_tokens=1536, capacity=10**6, window=256
    )
    translator = ParagraphTranslator(model, queue)
    plain = await translator.translate([arabic for arabic, _ in pairs])
    done = await translator.translate([arabic for arabic, _ in pairs], terms)
    await queue.close()

    before = [" ".join(sentence.translation for sentence in paragraph) for paragraph in plain]
    after = [" ".join(sentence.translation for sentence in paragraph) for paragraph in done]
    references = [english for _, english in pairs]
    changed = [number for number in range(len(pairs)) if before[number] != after[number]]
    reports = [match for paragraph in done for sentence in paragraph for match in sentence.term_matches]
    result: dict[str, Any] = {
        "model": model.manifest.name,
        "model_digest": model.digest,
        "terms": len(terms),
        "sentences": len(pairs),
        "matches": len(reports),
        "in_plain_translation": sum(
            sum(outcomes(sentence.term_matches, sentence.plain_translation or sentence.translation))
            for paragraph in done
            for sentence in paragraph
        ),
        "applied": sum(match.applied for match in reports),
        "changed": len(changed),
        "flagged_plain": sum(bool(sentence.doubts) for paragraph in plain for sentence in paragraph),
        "flagged": sum(bool(sentence.doubts) for paragraph in done for sentence in paragraph),
    }
    for name, numbers in (("all", range(len(pairs))), ("changed", changed)):
        for kind, texts in (("plain", before), ("glossary", after)):
            score = CHRF().corpus_score([texts[n] for n in numbers], [[references[n] for n in numbers]]).score
            result[f"chrf_{name}_{kind}"] = round(score, 2)
    for key, value in result.items():
        print(f"{key:22} {value}")
    print(keep("glossary", result))


def chosen(path: Path, terms: list[Term], model: Model) -> list[tuple[str, str]]:
    """Return the pairs of a development set in which terms stand and are translated as the glossary says."""
    scheme = SCHEMES[model.manifest.normalization]
    glossary = glossary_of(tuple(terms), scheme)
    arabic, english = (file.read_text(encoding="utf-8").splitlines() for file in (path, path.with_suffix(".en")))
    pairs = []
    for source, reference in zip(arabic, english, strict=True):
        matches = glossary.find(normalize(source, scheme).text) if len(source) <= MAX_CHARS else []
        if matches and all(match.term.english.lower() in reference.lower() for match in matches):
            pairs.append((source, reference))
    return pairs


if __name__ == "__main__":
    asyncio.run(main())
