"""Write BLEU and chrF on the development sets into the manifest of a model folder, as the translator serves it.

    python -m training.evaluate --model models/ar-en

`benchmarks/translation_quality.py` says more about a folder and changes nothing in it.
"""

import argparse
import json
from pathlib import Path

import sacrebleu

from training.export import write_manifest
from training.served import ServedModel

SETS = ("flores_dev", "tico19_dev", "un_dev", "tatoeba_dev")


def read_set(dev: Path, name: str, *, limit: int | None = None) -> tuple[list[str], list[str]]:
    """Return the Arabic and the English lines of a set."""
    arabic, english = ((dev / f"{name}.{language}").read_text().splitlines() for language in ("ar", "en"))
    if len(arabic) != len(english):
        raise ValueError(f"{name} has {len(arabic)} Arabic and {len(english)} English lines.")
    return arabic[:limit], english[:limit]


def corpus_scores(translations: list[str], references: list[str]) -> dict[str, float | int | str]:
    """Return BLEU and chrF with the signatures that make them comparable."""
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    return {
        "bleu": round(bleu.corpus_score(translations, [references]).score, 1),
        "chrf": round(chrf.corpus_score(translations, [references]).score, 1),
        "n": len(references),
        "signature_bleu": str(bleu.get_signature()),
        "signature_chrf": str(chrf.get_signature()),
    }


def main(folder: Path, dev: Path) -> None:
    served = ServedModel(folder)
    scores = {}
    for name in SETS:
        arabic, english = read_set(dev, name)
        scores[name] = corpus_scores([answer.translation for answer in served.translate(arabic)], english)
        print(name, scores[name], flush=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["scores"] |= scores
    write_manifest(folder, manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    arguments = parser.parse_args()
    main(arguments.model, arguments.dev)
