"""Score a model folder on the development sets, with sacrebleu, as it would be served: int8, greedy, in batches.

    python -m training.evaluate --model models/ar-en --sets flores_dev tico19_dev un_dev tatoeba_dev --write
    python -m training.evaluate --model models/ar-en --teacher ../shared/models/teacher     # speed side by side

`--write` puts the scores into the folder's manifest.
"""

import argparse
import json
import time
from pathlib import Path

import ctranslate2
import sacrebleu
import sentencepiece

from services.translator.normalize import SCHEMES, normalize
from training.export import write_manifest

SETS = ["flores_dev", "tico19_dev", "un_dev", "tatoeba_dev"]


def read_set(dev: Path, name: str, *, limit: int | None = None) -> tuple[list[str], list[str]]:
    """Return the Arabic and the English lines of a set."""
    arabic, english = ((dev / f"{name}.{language}").read_text().splitlines() for language in ("ar", "en"))
    if len(arabic) != len(english):
        raise ValueError(f"{name} has {len(arabic)} Arabic and {len(english)} English lines.")
    return arabic[:limit], english[:limit]


def translate(folder: Path, texts: list[str]) -> tuple[list[str], float]:
    """Return greedy translations by the model in `folder`, and the seconds that decoding them took."""
    manifest = json.loads((folder / "manifest.json").read_text())
    scheme = SCHEMES[manifest["normalization"]]
    source = sentencepiece.SentencePieceProcessor(model_file=str(folder / manifest["source_tokenizer"]))
    target = sentencepiece.SentencePieceProcessor(model_file=str(folder / manifest["target_tokenizer"]))
    pieces = source.encode([normalize(text, scheme).text for text in texts], out_type=str)
    # Longer input was never seen in training; the translator splits it, a score must not hide it.
    prompts = [
        manifest["source_prefix"] + line[: manifest["max_source_tokens"]] + manifest["source_suffix"] for line in pieces
    ]
    outputs, seconds = decode(
        folder,
        prompts,
        kind=manifest["kind"],
        end_token=manifest["end_token"],
        max_target_tokens=manifest["max_target_tokens"],
    )
    return [target.decode(tokens) for tokens in outputs], seconds


def decode(
    folder: Path, prompts: list[list[str]], *, kind: str, end_token: str, max_target_tokens: int
) -> tuple[list[list[str]], float]:
    """Return the target pieces and the time; one worker with one thread for each of two cores is the fastest."""
    threads = {"inter_threads": 2, "intra_threads": 1, "compute_type": "int8"}
    if kind == "encoder-decoder":
        translator = ctranslate2.Translator(str(folder), **threads)
        started = time.monotonic()
        translated = translator.translate_batch(
            prompts, beam_size=1, max_batch_size=32, end_token=end_token, max_decoding_length=max_target_tokens
        )
        return [result.hypotheses[0] for result in translated], time.monotonic() - started
    generator = ctranslate2.Generator(str(folder), **threads)
    started = time.monotonic()
    generated = generator.generate_batch(
        prompts,
        beam_size=1,
        max_batch_size=32,
        end_token=end_token,
        max_length=max_target_tokens,
        include_prompt_in_result=False,
    )
    return [result.sequences[0] for result in generated], time.monotonic() - started


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


def compare_speed(model: Path, teacher: Path, texts: list[str]) -> dict[str, float]:
    """Return sentences a second of both, one after the other on the same sentences, so that other load hits both."""
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(teacher / "tokenizer.model"))
    clean = [normalize(text, SCHEMES["plain-1"]).text for text in texts]
    prompts = [["<bos>", *pieces, "\n", "English", ":", "▁"] for pieces in tokenizer.encode(clean, out_type=str)]
    _, model_s = translate(model, texts)
    _, teacher_s = decode(teacher, prompts, kind="decoder-only", end_token="<eos>", max_target_tokens=160)
    return {
        "sentences_per_s": round(len(texts) / model_s, 1),
        "teacher_sentences_per_s": round(len(texts) / teacher_s, 1),
        "times_faster": round(teacher_s / model_s, 2),
    }


def main(model: Path, dev: Path, sets: list[str], *, limit: int | None, outputs: Path | None, write: bool) -> None:
    scores = {}
    for name in sets:
        arabic, english = read_set(dev, name, limit=limit)
        translations, seconds = translate(model, arabic)
        scores[name] = corpus_scores(translations, english)
        print(name, scores[name], f"{len(arabic) / seconds:.1f} sentences/s", flush=True)
        if outputs:
            outputs.mkdir(parents=True, exist_ok=True)
            (outputs / f"{name}.en").write_text("\n".join(translations) + "\n")
    if write:
        manifest = json.loads((model / "manifest.json").read_text())
        manifest["scores"] |= scores
        write_manifest(model, manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dev", type=Path, default=Path("../shared/data/dev"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--limit", type=int, help="only the first sentences of each set")
    parser.add_argument("--outputs", type=Path, help="keep the translations in this folder")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--teacher", type=Path, help="compare the speed with this folder instead of scoring")
    arguments = parser.parse_args()
    if arguments.teacher:
        flores, _ = read_set(arguments.dev, "flores_dev", limit=200)
        print(compare_speed(arguments.model, arguments.teacher, flores))
    else:
        main(
            arguments.model,
            arguments.dev,
            arguments.sets,
            limit=arguments.limit,
            outputs=arguments.outputs,
            write=arguments.write,
        )
