"""A model: a folder with CTranslate2 and SentencePiece files and a `manifest.json` that says how to use them.

The manifest holds the SHA-256 of every other file, so the SHA-256 of the manifest names the whole: it is the model's
digest, part of every cache key. A folder that does not match its manifest is never loaded.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from services.translator.normalize import SCHEMES

MANIFEST = "manifest.json"
FORMAT = 1
VOCABULARIES = ("shared_vocabulary.json", "vocabulary.json")
"""Where CTranslate2 keeps the tokens of an encoder-decoder whose sides have the same, and of a decoder-only model."""


class BadModel(Exception):
    """A folder that is no model, or not the one its manifest describes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says. Every key is required, none other is known."""

    format: int
    name: str
    kind: Literal["encoder-decoder", "decoder-only"]
    source_language: str
    target_language: str
    normalization: str
    """A name in `normalize.SCHEMES`: how the text was cleaned in training."""
    source_tokenizer: str
    target_tokenizer: str
    source_prefix: list[str]
    """Tokens before the sentence: a language tag, or "<bos>" of a decoder-only model."""
    source_suffix: list[str]
    """Tokens after it: "</s>", or the prompt that asks a decoder-only model for English."""
    target_prefix: list[str]
    """Tokens that the answer must begin with, such as the language tag of NLLB."""
    end_token: str
    max_source_tokens: int
    """The longest sentence, without prefix and suffix, that training saw; longer ones are split."""
    max_target_tokens: int
    beam_size: int
    licence: str
    sources: list[str]
    scores: dict[str, Any]
    files: dict[str, str]
    """SHA-256 of every other file of the folder."""


@dataclass(frozen=True, slots=True)
class Model:
    """A verified model folder."""

    folder: Path
    manifest: Manifest
    digest: str
    """SHA-256 of `manifest.json`, lower-case hexadecimal."""

    @classmethod
    def open(cls, folder: Path) -> "Model":
        """Read and verify `folder`. Raises BadModel with what is wrong and in which file."""
        manifest, digest = read_manifest(folder)
        for fault in _faults(folder, manifest):
            raise BadModel(fault)
        return cls(folder, manifest, digest)


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return what `folder` says of itself and the model's digest; its other files are not read. Raises BadModel."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BadModel(f"{folder} has no {MANIFEST}: it is no model folder. Set KHULASA_MODEL to one.")
    data = path.read_bytes()
    return _parse(data, path), hashlib.sha256(data).hexdigest()


def faults(folder: Path) -> list[str]:
    """Return everything that is wrong with `folder`, each fault with its file; `Model.open` raises the first."""
    try:
        manifest, _ = read_manifest(folder)
    except BadModel as error:
        return [str(error)]
    return list(_faults(folder, manifest))


def unlisted(folder: Path) -> list[str]:
    """Return the names in `folder` that its manifest does not vouch for. Raises BadModel."""
    manifest, _ = read_manifest(folder)
    return sorted(path.name for path in folder.iterdir() if path.name not in {MANIFEST, *manifest.files})


class Tokenizer:
    """Text to the model's tokens and back."""

    def __init__(self, model: Model) -> None:
        manifest = model.manifest
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(model.folder / manifest.source_tokenizer))
        self._target = sentencepiece.SentencePieceProcessor(model_file=str(model.folder / manifest.target_tokenizer))
        self._reserved = _reserved_pieces(self._source)

    def encode(self, text: str) -> list[str]:
        """Return the tokens of `text`. A control token that stands in the text, such as "<eos>", is spelled out:
        an article must not be able to end its own prompt."""
        pieces: list[str] = self._source.encode(text, out_type=str)
        if self._reserved.isdisjoint(pieces):
            return pieces
        return [part for piece in pieces for part in (piece if piece in self._reserved else [piece])]

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`."""
        return len(self.encode(text))

    def decode(self, tokens: list[str]) -> str:
        """Return the text of the model's answer."""
        text: str = self._target.decode(tokens)
        return text.strip()


def read_vocabulary(folder: Path) -> list[str]:
    """Return the model's tokens in the order of their ids. Raises BadModel if its two sides have different ones."""
    for name in VOCABULARIES:
        if (folder / name).is_file():
            tokens: list[str] = json.loads((folder / name).read_text())
            return tokens
    raise BadModel(f"{folder} has none of {', '.join(VOCABULARIES)}.")


def _reserved_pieces(processor: sentencepiece.SentencePieceProcessor) -> frozenset[str]:
    """Return the pieces that stand for no text: "<eos>" and the like, and what a chat model was given as markers."""
    # Bytes are spelled like markers, "<0x62>", but stand for text.
    numbers = (number for number in range(processor.get_piece_size()) if not processor.is_byte(number))
    pieces = (processor.id_to_piece(number) for number in numbers)
    return frozenset(piece for piece in pieces if len(piece) > 2 and piece[0] == "<" and piece[-1] == ">")


def _parse(data: bytes, path: Path) -> Manifest:
    try:
        values = json.loads(data)
        manifest = Manifest(**values)
        if not isinstance(manifest.files, dict):
            raise TypeError("files is no object of names and digests")
    except (ValueError, TypeError) as error:
        names = ", ".join(field.name for field in fields(Manifest))
        raise BadModel(f"{path} is not a manifest of format {FORMAT}: {error}. Its keys are {names}.") from None
    if manifest.format != FORMAT:
        raise BadModel(f"{path} has format {manifest.format}; this version reads format {FORMAT}.")
    return manifest


def _faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    path = folder / MANIFEST
    if manifest.normalization not in SCHEMES:
        known = ", ".join(SCHEMES)
        yield f"{path} asks for normalization {manifest.normalization!r}; this version has {known}."
    for name, expected in manifest.files.items():
        if fault := _fault(folder, name, expected):
            yield fault
    for name in ("model.bin", manifest.source_tokenizer, manifest.target_tokenizer):
        if name not in manifest.files:
            yield f"{path} gives no digest for {name}."


def _fault(folder: Path, name: str, expected: str) -> str | None:
    if Path(name).name != name:
        return f"{folder / MANIFEST} names {name!r}, which is outside its folder."
    path = folder / name
    if not path.is_file():
        return f"{path} is missing."
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        return f"{path} has SHA-256 {actual}, its manifest says {expected}. Copy the model again."
    return None
