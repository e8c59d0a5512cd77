"""M2M100 and NLLB: one model for many languages, told by tags which one it reads and which one to write.

Both are of type "m2m_100" and differ in how the tags are spelled and numbered.
"""

import importlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.translator.conversion.family import MAX_TOKENS, CannotConvert, Card, Recipe
from services.translator.conversion.hugging_face import (
    Converter,
    HuggingFaceFolder,
    Vocabulary,
    read_json,
    write_weights,
)

BOS, EOS, UNK = "<s>", "</s>", "<unk>"
TOKENIZER = "sentencepiece.bpe.model"


@dataclass(frozen=True, slots=True)
class M2M100:
    """An M2M100 or NLLB model."""

    folder: HuggingFaceFolder
    nllb: bool

    @classmethod
    def open(cls, folder: HuggingFaceFolder) -> "M2M100":
        """Tell the two apart and check their tokenizer. Raises CannotConvert."""
        # Only M2M100 numbers its pieces in a vocab.json; NLLB has them in tokenizer.json.
        nllb = not (folder.path / "vocab.json").is_file()
        if nllb and not (folder.path / "tokenizer.json").is_file():
            raise CannotConvert(f"{folder.path} has neither vocab.json (M2M100) nor tokenizer.json (NLLB).")
        folder.processor(TOKENIZER)
        return cls(folder, nllb)

    @property
    def found(self) -> str:
        config = self.folder.config
        layers = f"{config.get('encoder_layers')} + {config.get('decoder_layers')} layers"
        source, target = self._tags()
        return f"an {'NLLB' if self.nllb else 'M2M100'} model ({layers}), used from {source} to {target}"

    @property
    def card(self) -> Card:
        return self.folder.card

    def write(self, folder: Path, quantization: str | None) -> Recipe:
        vocabulary = self._vocabulary()
        source, target = self._tags()
        for tag in (source, target):
            if tag not in vocabulary:
                raise CannotConvert(f"The vocabulary has no language tag {tag!r}.")
        vocabulary.check_pieces(self.folder.processor(TOKENIZER), TOKENIZER)
        write_weights(Converter(self.folder, vocabulary), folder, quantization)
        shutil.copyfile(self.folder.path / TOKENIZER, folder / TOKENIZER)
        self.folder.copy_papers(folder)
        positions = int(self.folder.config.get("max_position_embeddings", 1024))
        old_order = bool(self.folder.tokenizer_config.get("legacy_behaviour")) and self.nllb
        return Recipe(
            kind="encoder-decoder",
            source_tokenizer=TOKENIZER,
            target_tokenizer=TOKENIZER,
            source_prefix=[] if old_order else [source],
            source_suffix=[EOS, source] if old_order else [EOS],
            target_prefix=[target],
            end_token=EOS,
            max_source_tokens=min(MAX_TOKENS, positions - 2),
            max_target_tokens=min(MAX_TOKENS, positions - 2),
        )

    def _tags(self) -> tuple[str, str]:
        return ("arb_Arab", "eng_Latn") if self.nllb else ("__ar__", "__en__")

    def _vocabulary(self) -> Vocabulary:
        numbers = _nllb_numbers(self.folder) if self.nllb else _m2m100_numbers(self.folder)
        return Vocabulary(numbers, bos_token=BOS, eos_token=EOS, unk_token=UNK)


def _nllb_numbers(folder: HuggingFaceFolder) -> dict[str, int]:
    tokenizer = read_json(folder.path / "tokenizer.json")
    pieces = tokenizer.get("model", {}).get("vocab", {})
    if not isinstance(pieces, dict):
        raise CannotConvert(f"{folder.path / 'tokenizer.json'} is not NLLB's: its vocabulary is not that of BPE.")
    added: list[dict[str, Any]] = tokenizer.get("added_tokens", [])
    return {**pieces, **{token["content"]: token["id"] for token in added}}


def _m2m100_numbers(folder: HuggingFaceFolder) -> dict[str, int]:
    """Return the pieces and, behind them, the tags in the order in which fairseq had the languages.

    No file of the folder has that order; transformers does.
    """
    numbers = read_json(folder.path / "vocab.json")
    codes = importlib.import_module("transformers.models.m2m_100.tokenization_m2m_100").FAIRSEQ_LANGUAGE_CODES
    which = folder.tokenizer_config.get("language_codes") or "m2m100"
    if which not in codes:
        raise CannotConvert(f"The tokenizer's language_codes are {which!r}; known are {', '.join(codes)}.")
    return {**numbers, **{f"__{code}__": len(numbers) + place for place, code in enumerate(codes[which])}}
