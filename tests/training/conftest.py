"""A tokenizer and pairs for models of a few thousand parameters. The pairs are made from templates of our own."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_proto

WHO = {
    "الوزير": "The minister",
    "الطبيب": "The doctor",
    "المدير": "The manager",
    "الكاتب": "The writer",
    "القاضي": "The judge",
    "السفير": "The ambassador",
    "المهندس": "The engineer",
    "المعلم": "The teacher",
}
DID = {
    "زار": "visited",
    "افتتح": "opened",
    "غادر": "left",
    "وصف": "described",
    "دخل": "entered",
    "رسم": "drew",
}
WHAT = {
    "المدرسة": "the school",
    "المستشفى": "the hospital",
    "المتحف": "the museum",
    "الجسر": "the bridge",
    "السوق": "the market",
    "المكتبة": "the library",
    "المصنع": "the factory",
    "الميناء": "the port",
}
WHEN = {
    "يوم الأحد": "on Sunday",
    "يوم الاثنين": "on Monday",
    "يوم الثلاثاء": "on Tuesday",
    "يوم الأربعاء": "on Wednesday",
    "أمس": "yesterday",
    "صباحا": "in the morning",
}


def made_pairs(number: int, *, seed: int = 1) -> list[tuple[str, str]]:
    """Return different pairs of a short sentence in both languages."""
    every = [
        (f"{did} {who} {what} {when}.", f"{WHO[who]} {DID[did]} {WHAT[what]} {WHEN[when]}.")
        for who in WHO
        for did in DID
        for what in WHAT
        for when in WHEN
    ]
    return random.Random(seed).sample(every, number)


@dataclass(frozen=True)
class Pieces:
    """A tokenizer file, and its pieces in the order of a model's ids."""

    file: Path
    vocabulary: list[str]


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    """A tokenizer with the marks of the shipped one, learnt from the pairs."""
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "text.txt").write_text("\n".join(text for pair in made_pairs(600) for text in pair))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=480,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        minloglevel=2,
    )
    file = folder / "tokenizer.model"
    proto = sentencepiece_proto.ModelProto.FromString(file.read_bytes())
    # The line feed ends the source of a decoder-only model; the trainer of SentencePiece cannot be told of it.
    proto.pieces.add(piece="\n", score=-1000.0)
    file.write_bytes(proto.SerializeToString())
    return Pieces(file, [piece.piece for piece in proto.pieces])


def write_prepared(folder: Path, pieces: Pieces, pairs: list[tuple[str, str]]) -> None:
    """Write what `prepare.py` would; every token is the teacher's of the same id."""
    (folder / "pairs.tsv").write_text("".join(f"made\t2\t{arabic}\t{english}\n" for arabic, english in pairs))
    (folder / "tokenizer.model").write_bytes(pieces.file.read_bytes())
    (folder / "vocabulary.json").write_text(json.dumps(pieces.vocabulary))
    (folder / "teacher_rows.json").write_text(json.dumps(list(range(len(pieces.vocabulary)))))
