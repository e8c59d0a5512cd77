"""Turn the collected texts into clean pairs and a tokenizer that knows only the pieces Arabic and English need.

    python -m training.prepare --data ../shared/data --teacher ../shared/models/teacher --out ../lab/training/data

Writes `pairs.tsv` (source, weight, Arabic, English), `tokenizer.model`, `vocabulary.json` (the model's tokens in the
order of their ids), `teacher_rows.json` (the teacher's ids of these tokens) and `prepare.json` (how many pairs each
rule removed). `train.py` reads all but the last. A tokenizer that is in `--out` already is kept, since checkpoints are
of its tokens.
"""

import argparse
import gzip
import hashlib
import html
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import sentencepiece
import yaml
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_proto

from services.translator.amounts import lost_amounts
from services.translator.check import THRESHOLDS, Checkable, numbers
from services.translator.normalize import SCHEMES, Scheme, normalize

SEED = 1
SCHEME = "plain-1"
VOCABULARY_SIZE = 28_000
"""Twelve layers of int8 take 68 MB; with 28,000 rows of 640 the folder stays under 90 MB, with 32,000 it does not."""

CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

_ARABIC = re.compile(r"[\u0621-\u064A]")
_LATIN = re.compile(r"[A-Za-z]")
_LETTERS = re.compile(r"\w+")
_ENGLISH = str.maketrans(
    dict.fromkeys("“”„‟«»″", '"')
    | dict.fromkeys("‘’‚‛′`´", "'")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"…": "..."}
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\ufeff\u00ad", "")
)


def clean_arabic(text: str, scheme: Scheme = SCHEMES[SCHEME]) -> str:
    """Return `text` as the translator will send it to the model."""
    return normalize(html.unescape(text), scheme).text.replace("\n", " ").strip()


def clean_english(text: str) -> str:
    """Return NFC with straight quotes, plain hyphens and single spaces: one way to write each thing is enough."""
    text = unicodedata.normalize("NFC", html.unescape(text)).translate(_ENGLISH)
    return " ".join(text.split())


def reason_to_drop(arabic: str, english: str, *, minimum_words: int) -> str | None:
    """Return why a cleaned pair teaches something wrong, or None."""
    arabic_words, english_words = len(arabic.split()), len(english.split())
    if not arabic_words or not english_words:
        return "empty"
    if arabic == english:
        return "identical"
    if english_words < minimum_words:
        return "short"
    if _ARABIC.search(english) or re.search(r"[\u0400-\u04FF\u0590-\u05FF\u3040-\u9FFF]", arabic + english):
        return "wrong script"
    if len(_ARABIC.findall(arabic)) < 0.4 * len(arabic.replace(" ", "")):
        return "little Arabic"
    if len(_LATIN.findall(english)) < 0.4 * len(english.replace(" ", "")):
        return "little English"
    if re.search(r"<[a-zA-Z/][^>]*>|https?://|%[sd(]|\{\{|\]\(|\\n", english):
        return "markup"
    # English has 1.2 times as many words as Arabic on the development sets, because Arabic glues its particles.
    if english_words + 3 > 3.2 * (arabic_words + 3) or arabic_words + 3 > 1.7 * (english_words + 3):
        return "length ratio"
    return None


def loses_amounts(arabic: str, english: str) -> bool:
    """Return whether numbers, months, units or currencies differ: what a translation is doubted for is not taught.

    An encyclopedia's English had lost its conversions ("It is less than from Italy"), and where a number differs one of
    the sides is often of another year.
    """
    sentence = Checkable(arabic, english, 0.0, 0, 0, source_truncated=False, target_truncated=False)
    return any(numbers(sentence, THRESHOLDS)) or any(lost_amounts(arabic, english))


def dev_texts(dev: Path) -> list[str]:
    """Return both sides of every development set in a folder, cleaned as the texts to train on are.

    Raises ValueError if there are none: nothing would be held out.
    """
    sides = ("ar", clean_arabic), ("en", clean_english)
    paths = [(path, clean) for language, clean in sides for path in dev.glob(f"*.{language}")]
    if not paths:
        raise ValueError(f"{dev} has no development sets to hold out. Name the folder they are in.")
    return [clean(line) for path, clean in paths for line in path.read_text().splitlines()]


class HeldOut:
    """The development sentences, and whether a text is one of them or nearly so.

    Short texts must be equal letter by letter. Of longer ones half of the four-word sequences must occur in the sets:
    UN documents repeat whole clauses, and a score on a clause learnt by heart says nothing.
    """

    def __init__(self, texts: list[str]) -> None:
        self._exact = {self._letters(text) for text in texts}
        self._sequences = {sequence for text in texts for sequence in self._fours(text)}

    def __contains__(self, text: str) -> bool:
        if self._letters(text) in self._exact:
            return True
        fours = self._fours(text)
        return len(fours) >= 2 and 2 * sum(four in self._sequences for four in fours) >= len(fours)

    @staticmethod
    def _letters(text: str) -> str:
        return "".join(_LETTERS.findall(text.lower()))

    @staticmethod
    def _fours(text: str) -> list[tuple[str, ...]]:
        words = _LETTERS.findall(text.lower())
        return list(zip(words, words[1:], words[2:], words[3:], strict=False))


def read_lines(path: Path, digest: str) -> Iterator[str]:
    """Yield the lines of a gzip file whose digest is the one in `data.yaml`."""
    compressed = path.read_bytes()
    actual = hashlib.sha256(compressed).hexdigest()
    if actual != digest:
        raise ValueError(f"{path} has sha256 {actual}, data.yaml says {digest}. Use the file the recipe names.")
    yield from gzip.decompress(compressed).decode().splitlines()


def clean_pairs(source: dict, data: Path, held_out: HeldOut, seen: set[str], log: Counter) -> list[tuple[str, str]]:
    """Return the clean pairs of one source, at most its cap, in an order drawn with the seed."""
    lines = list(read_lines(data / source["file"], source["sha256"]))
    random.Random(SEED).shuffle(lines)
    kept: list[tuple[str, str]] = []
    for line in lines:
        if len(kept) == source.get("cap"):
            break
        columns = line.split("\t")
        if len(columns) != 2:
            log["columns"] += 1
            continue
        arabic, english = clean_arabic(columns[0]), clean_english(columns[1])
        reason = reason_to_drop(arabic, english, minimum_words=source.get("minimum_words", 1))
        if reason is None and loses_amounts(arabic, english):
            reason = "amounts"
        if reason is None and (arabic in held_out or english in held_out):
            reason = "development set"
        if reason is None and f"{arabic}\t{english}".lower() in seen:
            reason = "repeated"
        if reason:
            log[reason] += 1
            continue
        seen.add(f"{arabic}\t{english}".lower())
        kept.append((arabic, english))
    return kept


def merge_parts(piece: str, scores: dict[str, float]) -> list[str]:
    """Return every piece that byte-pair encoding passes through on its way from characters to `piece`."""
    symbols, parts = list(piece), list(piece)
    while len(symbols) > 1:
        pairs = [(scores.get(left + right), index) for index, (left, right) in enumerate(pairwise(symbols))]
        known = [(-score, index) for score, index in pairs if score is not None]
        if not known:
            break
        _, index = min(known)
        symbols[index : index + 2] = [symbols[index] + symbols[index + 1]]
        parts.append(symbols[index])
    return parts


def prune_tokenizer(full: Path, embedded: list[str], counts: Counter) -> tuple[bytes, list[str]]:
    """Return a SentencePiece model that emits only the chosen pieces, and these in the order of the model's ids.

    A merge step whose piece was not chosen stays in the file as UNUSED: SentencePiece merges through it and splits it
    again if it would come out. Characters without a piece of their own come out as bytes, never as `<unk>`.
    """
    types = sentencepiece_proto.ModelProto.SentencePiece
    proto = sentencepiece_proto.ModelProto.FromString(full.read_bytes())
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type == types.NORMAL}
    candidates = [piece for piece in embedded if piece in scores]
    # Single printable ASCII characters first: any name, number or address can then be copied.
    always = [piece for piece in candidates if len(piece) == 1 and (piece.isascii() or piece == "▁")]
    by_count = sorted((piece for piece in candidates if piece not in set(always)), key=lambda piece: -counts[piece])
    chosen = [*CONTROL, "\n", *BYTES, *always]
    chosen += by_count[: VOCABULARY_SIZE - len(chosen)]
    emitted = set(chosen)
    steps = {part for piece in chosen if piece in scores for part in merge_parts(piece, scores)} & scores.keys()

    pruned = sentencepiece_proto.ModelProto()
    pruned.trainer_spec.CopyFrom(proto.trainer_spec)
    pruned.normalizer_spec.CopyFrom(proto.normalizer_spec)
    for piece in proto.pieces:
        if piece.piece in emitted or piece.piece in steps:
            added = pruned.pieces.add()
            added.CopyFrom(piece)
            if piece.piece not in emitted:
                added.type = types.UNUSED
            elif piece.piece == "\n":
                added.type = types.NORMAL
    pruned.trainer_spec.vocab_size = len(pruned.pieces)
    ids = {piece.piece: index for index, piece in enumerate(pruned.pieces)}
    spec = pruned.trainer_spec
    spec.pad_id, spec.eos_id, spec.bos_id, spec.unk_id = (ids[token] for token in CONTROL)
    return pruned.SerializeToString(), [piece.piece for piece in pruned.pieces if piece.piece in emitted]


def main(data: Path, teacher: Path, out: Path) -> None:
    sources = yaml.safe_load((Path(__file__).parent / "data.yaml").read_text())
    out.mkdir(parents=True, exist_ok=True)
    held_out_texts = dev_texts(data / "dev")
    held_out = HeldOut(held_out_texts)

    seen: set[str] = set()
    report: dict[str, dict] = {}
    pairs: list[tuple[str, int, str, str]] = []
    for source in sources["parallel"]:
        log: Counter = Counter()
        kept = clean_pairs(source, data, held_out, seen, log)
        name = Path(source["file"]).name.removesuffix(".tsv.gz")
        pairs += [(name, source["weight"], arabic, english) for arabic, english in kept]
        report[name] = {"kept": len(kept), "weight": source["weight"], "dropped": dict(log)}
        print(name, report[name], flush=True)
    with (out / "pairs.tsv").open("w") as file:
        file.writelines(f"{name}\t{weight}\t{arabic}\t{english}\n" for name, weight, arabic, english in pairs)

    full = sentencepiece.SentencePieceProcessor(model_file=str(teacher / "tokenizer.model"))
    if not (out / "tokenizer.model").exists():
        write_tokenizer(sources["mono"], pairs, data, teacher, out, full)
    vocabulary = json.loads((out / "vocabulary.json").read_text())
    report["tokenizer"] = check_tokenizer((out / "tokenizer.model").read_bytes(), set(vocabulary), held_out_texts, full)
    (out / "prepare.json").write_text(json.dumps(report, indent=1) + "\n")
    print(report["tokenizer"])


def write_tokenizer(
    mono: list[dict],
    pairs: list[tuple[str, int, str, str]],
    data: Path,
    teacher: Path,
    out: Path,
    full: sentencepiece.SentencePieceProcessor,
) -> None:
    """Write the tokenizer of the pieces that are most frequent in pairs and news, and the teacher's ids of them."""
    counts: Counter = Counter()
    for _, weight, *sides in pairs:
        for piece in (piece for side in full.encode(sides, out_type=str) for piece in side):
            counts[piece] += weight
    for source in mono:
        clean = clean_arabic if Path(source["file"]).name.startswith("ar-") else clean_english
        # Every fourth sentence: the ranks do not change, the time does.
        lines = list(read_lines(data / source["file"], source["sha256"]))[::4]
        for pieces in full.encode([clean(line) for line in lines], out_type=str):
            counts.update(pieces)
    embedded = json.loads((teacher / "vocabulary.json").read_text())
    model, vocabulary = prune_tokenizer(teacher / "tokenizer.model", embedded, counts)
    (out / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False, indent=0) + "\n")
    rows = {token: row for row, token in enumerate(embedded)}
    (out / "teacher_rows.json").write_text(json.dumps([rows[token] for token in vocabulary]) + "\n")
    # Last, since it is what says that the others are there.
    (out / "tokenizer.model").write_bytes(model)


def check_tokenizer(
    model: bytes, vocabulary: set[str], texts: list[str], full: sentencepiece.SentencePieceProcessor
) -> dict[str, float]:
    """Raise if a text does not survive the round trip; return how much longer than the full tokenizer's texts get."""
    pruned = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = pruned.encode(texts, out_type=str)
    for text, encoded in zip(texts, pieces, strict=True):
        if pruned.decode(encoded) != text or not vocabulary.issuperset(encoded):
            raise ValueError(f"The pruned tokenizer does not give {text!r} back; it made {encoded!r}.")
    total = sum(map(len, pieces))
    return {
        "pieces": len(vocabulary),
        "pieces_in_file": pruned.get_piece_size(),
        "longer_than_full": round(total / sum(map(len, full.encode(texts))), 4),
        "bytes_share": round(sum(piece in set(BYTES) for text in pieces for piece in text) / total, 5),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teacher", type=Path, default=Path("../shared/models/teacher"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    main(arguments.data, arguments.teacher, arguments.out)
