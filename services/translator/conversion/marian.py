"""OPUS-MT: Marian models with a SentencePiece model for each language and one vocabulary for both."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from services.translator.conversion.family import MAX_TOKENS, CannotConvert, Card, Recipe, is_arabic, is_english
from services.translator.conversion.hugging_face import (
    Converter,
    HuggingFaceFolder,
    Vocabulary,
    read_json,
    write_weights,
)

EOS, UNK = "</s>", "<unk>"
ENGLISH = ">>eng<<"
"""Before the sentence, if the model writes several languages."""


@dataclass(frozen=True, slots=True)
class Marian:
    """A Marian model from Arabic to English."""

    folder: HuggingFaceFolder
    vocabulary: Vocabulary
    languages: str

    @classmethod
    def open(cls, folder: HuggingFaceFolder) -> "Marian":
        """Read vocabulary and languages. Raises CannotConvert."""
        if folder.tokenizer_config.get("separate_vocabs"):
            raise CannotConvert(f"{folder.path} has a vocabulary for each language; only joint ones are converted.")
        numbers = read_json(folder.path / "vocab.json")
        # Marian has no beginning of sentence; the converter asks for one and does not use it.
        vocabulary = Vocabulary(numbers, bos_token=EOS, eos_token=EOS, unk_token=UNK)
        for name in ("source.spm", "target.spm"):
            vocabulary.check_pieces(folder.processor(name), name)
        source = str(folder.tokenizer_config.get("source_lang") or "ar")
        target = str(folder.tokenizer_config.get("target_lang") or "en")
        if not is_arabic(source) or not (is_english(target) or ENGLISH in vocabulary):
            raise CannotConvert(f"{folder.path} translates {source} to {target}; Khulasa needs Arabic to English.")
        return cls(folder, vocabulary, f"{source} to {target}")

    @property
    def found(self) -> str:
        config = self.folder.config
        layers = f"{config.get('encoder_layers')} + {config.get('decoder_layers')} layers"
        return f"an OPUS-MT model (Marian, {layers}), {self.languages}"

    @property
    def card(self) -> Card:
        return self.folder.card

    def write(self, folder: Path, quantization: str | None) -> Recipe:
        write_weights(Converter(self.folder, self.vocabulary), folder, quantization)
        for name in ("source.spm", "target.spm"):
            shutil.copyfile(self.folder.path / name, folder / name)
        self.folder.copy_papers(folder)
        prefix = [ENGLISH] if ENGLISH in self.vocabulary else []
        positions = int(self.folder.config.get("max_position_embeddings", 512))
        return Recipe(
            kind="encoder-decoder",
            source_tokenizer="source.spm",
            target_tokenizer="target.spm",
            source_prefix=prefix,
            source_suffix=[EOS],
            target_prefix=[],
            end_token=EOS,
            max_source_tokens=min(MAX_TOKENS, positions - len(prefix) - 1),
            max_target_tokens=min(MAX_TOKENS, positions - 1),
        )
