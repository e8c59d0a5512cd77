"""Folders in the layout of Hugging Face: config.json, weights as safetensors, files of a tokenizer.

CTranslate2's converter reads the weights through transformers. The vocabulary is read here, from the folder's own
files: what transformers makes of a tokenizer differs between its versions, and the translator uses SentencePiece.
"""

import importlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
from ctranslate2.converters import TransformersConverter

from services.translator.conversion.family import CannotConvert, Card

DEFAULT_QUANTIZATION = "int8"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "gemma": "Gemma Terms of Use",
    "cc-by-4.0": "CC BY 4.0",
    "cc-by-sa-4.0": "CC BY-SA 4.0",
    "cc-by-nc-4.0": "CC BY-NC 4.0",
    "cc0-1.0": "CC0 1.0",
}
_PAPERS = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")


@dataclass(frozen=True, slots=True)
class HuggingFaceFolder:
    """A folder whose weights may be read: safetensors, nothing that runs code when it is loaded."""

    path: Path
    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    card: Card

    @classmethod
    def open(cls, path: Path) -> "HuggingFaceFolder":
        """Read the small files. Raises CannotConvert if it has no config.json or no safetensors."""
        if not (path / "config.json").is_file():
            raise CannotConvert(f"{path} has no config.json: it is no model folder in the layout of Hugging Face.")
        config = read_json(path / "config.json")
        _check_weights(path)
        if "quantization_config" in config:
            raise CannotConvert(f"The weights in {path} are quantized already. Convert the original ones.")
        tokenizer_config = path / "tokenizer_config.json"
        return cls(path, config, read_json(tokenizer_config) if tokenizer_config.is_file() else {}, _card(path, config))

    def processor(self, name: str) -> sentencepiece.SentencePieceProcessor:
        """Return the SentencePiece model of this name. Raises CannotConvert if it is missing or no such model."""
        if not (self.path / name).is_file():
            raise CannotConvert(f"{self.path} has no {name}, the SentencePiece model. Get it from where the model was.")
        try:
            return sentencepiece.SentencePieceProcessor(model_file=str(self.path / name))
        except (OSError, RuntimeError):
            raise CannotConvert(f"{self.path / name} is no SentencePiece model.") from None

    def copy_papers(self, folder: Path) -> None:
        """Copy what must travel with the model: its card, licence and notices."""
        for name in _PAPERS:
            if (self.path / name).is_file():
                shutil.copyfile(self.path / name, folder / name)


class Vocabulary:
    """The tokens of a model in their order, with what CTranslate2's converter asks of a tokenizer."""

    def __init__(self, numbers: Mapping[str, int], *, bos_token: str, eos_token: str, unk_token: str) -> None:
        if set(numbers.values()) != set(range(len(numbers))):
            raise CannotConvert(f"The {len(numbers)} tokens of the vocabulary are not numbered from 0 without gaps.")
        self.tokens = sorted(numbers, key=lambda token: numbers[token])
        for token in (bos_token, eos_token, unk_token):
            if token not in numbers:
                raise CannotConvert(f"The vocabulary has no token {token!r}.")
        self._numbers = numbers
        self.bos_token = bos_token
        self.eos_token = eos_token
        self.unk_token = unk_token
        self.unk_token_id = numbers[unk_token]
        self.special_tokens_map: dict[str, list[str]] = {}

    def __contains__(self, token: str) -> bool:
        return token in self._numbers

    def get_vocab(self) -> dict[str, int]:
        return dict(self._numbers)

    def convert_ids_to_tokens(self, number: int) -> str:
        return self.tokens[number]

    def check_pieces(self, processor: sentencepiece.SentencePieceProcessor, name: str) -> None:
        """Raise CannotConvert if the pieces of `processor` are not those of the vocabulary.

        A few may be missing: OPUS-MT dropped pieces that its training never saw, and reads them as unknown.
        """
        pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
        known = sum(piece in self for piece in pieces)
        if known < 0.8 * len(pieces):
            raise CannotConvert(
                f"The model's vocabulary has {known} of the {len(pieces)} pieces of {name}: they do not match."
            )


class Converter(TransformersConverter):  # type: ignore[misc]  # CTranslate2 has no types
    """CTranslate2's converter with our vocabulary, and with nothing but safetensors from the folder itself."""

    def __init__(self, folder: HuggingFaceFolder, vocabulary: Vocabulary) -> None:
        super().__init__(str(folder.path))
        self._vocabulary = vocabulary

    def load_model(self, model_class: Any, model_name_or_path: str, **options: Any) -> Any:
        return super().load_model(
            model_class, model_name_or_path, use_safetensors=True, local_files_only=True, **options
        )

    def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **options: Any) -> Vocabulary:
        return self._vocabulary


def write_weights(converter: Converter, folder: Path, quantization: str | None) -> None:
    """Write the CTranslate2 files of a model into `folder`.

    Raises CannotConvert, and ModuleNotFoundError without torch and transformers.
    """
    for package in ("torch", "transformers"):  # CTranslate2 would say no more than NameError
        importlib.import_module(package)
    try:
        # The folder was made for this by `new_folder`; CTranslate2 makes it anew.
        converter.convert(str(folder), quantization=quantization or DEFAULT_QUANTIZATION, force=True)
    except Exception as error:  # three libraries read a stranger's files: what they raise has no common class
        raise CannotConvert(f"CTranslate2 and transformers cannot read this model: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises CannotConvert if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotConvert(f"{path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise CannotConvert(f"{path} is not a JSON object.")
    return values


def _check_weights(path: Path) -> None:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        for name in set(read_json(index).get("weight_map", {}).values()):
            if Path(name).name != name or not name.endswith(".safetensors") or not (path / name).is_file():
                raise CannotConvert(f"{index} names {name!r}, which is no safetensors file of its folder.")
        return
    if (path / "model.safetensors").is_file():
        return
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
    if pickles:
        raise CannotConvert(
            f"{path} has its weights in {', '.join(pickles)}: pickles, which can run any code when they are opened. "
            "Only safetensors are read; get model.safetensors from where the model was, or write it on a machine that "
            "holds nothing else, with transformers' from_pretrained and save_pretrained."
        )
    raise CannotConvert(f"{path} has no weights: neither model.safetensors nor an index of its parts.")


def _card(path: Path, config: Mapping[str, Any]) -> Card:
    readme = path / "README.md"
    stated = _front_matter(readme.read_text(encoding="utf-8", errors="replace")) if readme.is_file() else {}
    origin = str(config.get("_name_or_path") or "")
    # A path of somebody's machine says nothing; a name on the hub is "owner/model".
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", origin):
        origin = path.resolve().name
    licence = (stated.get("license_name") or stated.get("license") or [""])[0]
    sources = [f"base model: {name}" for name in stated.get("base_model", [])]
    sources += [f"data set: {name}" for name in stated.get("datasets", [])]
    return Card(
        name=origin.rpartition("/")[2],
        origin=origin,
        licence=_LICENCES.get(licence.lower(), licence) if licence not in ("", "other", "unknown") else None,
        sources=sources,
    )


def _front_matter(text: str) -> dict[str, list[str]]:
    """Return the plain values and lists that a model card has between its first two lines of `---`."""
    lines = text.splitlines()
    values: dict[str, list[str]] = {}
    key = ""
    for line in lines[1:] if lines[:1] == ["---"] else []:
        if line == "---":
            return values
        if item := re.fullmatch(r"\s*-\s+([^:{}\[\]]+)", line):
            values.setdefault(key, []).append(item[1].strip().strip("\"'"))
        elif pair := re.fullmatch(r"(\w+):\s*(.*)", line):
            key = pair[1]
            if pair[2]:
                values[key] = [pair[2].strip().strip("\"'")]
    return {}
