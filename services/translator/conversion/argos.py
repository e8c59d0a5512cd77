"""Argos packages: zip archives with a model that is in CTranslate2's format already.

An archive from elsewhere is hostile until shown otherwise: every name in it is checked before anything is read, and
only the few files that are needed are read, never all of it.
"""

import json
import re
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import sentencepiece

from services.translator.conversion.family import MAX_TOKENS, CannotConvert, Card, Recipe, is_arabic, is_english

MAX_FILES = 10_000
MAX_BYTES = 4_000_000_000
"""Unpacked. Packages have 50 to 500 MB."""
MAX_RATIO = 200
"""Unpacked to packed bytes of one file: text reaches 10, a bomb 1000."""
MAX_METADATA_BYTES = 1_000_000
SEQUENCE_TOKENS = 150
"""Argos drops longer sentences from its training."""

TOKENIZER = "sentencepiece.model"
_MODEL_FILES = re.compile(r"model/(model\.bin|config\.json|\w*vocabulary\.(?:json|txt)|vmap\.txt)")
_PAPERS = ("README.md", "LICENSE", "LICENSE.txt")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class ArgosPackage:
    """A package whose names are safe and whose languages are right."""

    path: Path
    root: str
    """The folder in the archive that holds all, with a slash at its end."""
    metadata: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "ArgosPackage":
        """Check the archive and read its metadata. Raises CannotConvert, before anything is unpacked."""
        try:
            with zipfile.ZipFile(path) as archive:
                _check(archive, path)
                root = _root(archive, path)
                metadata = _metadata(archive, f"{root}metadata.json", path)
                names = set(archive.namelist())
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise CannotConvert(f"{path} is a broken archive: {error}.") from None
        if f"{root}model/model.bin" not in names:
            raise CannotConvert(f"{path} has no model/model.bin: it is no package that translates.")
        if f"{root}{TOKENIZER}" not in names:
            raise CannotConvert(f"{path} has no {TOKENIZER}; packages with another tokenizer (BPE) are not converted.")
        source, target = str(metadata.get("from_code")), str(metadata.get("to_code"))
        if not is_arabic(source) or not is_english(target):
            raise CannotConvert(f"{path} translates {source} to {target}; Khulasa needs Arabic to English.")
        return cls(path, root, metadata)

    @property
    def found(self) -> str:
        return (
            f"an Argos package (version {self.metadata.get('package_version', 'unknown')}), "
            f"{self.metadata['from_code']} to {self.metadata['to_code']}"
        )

    @property
    def card(self) -> Card:
        version = str(self.metadata.get("package_version", "")).replace(".", "_")
        name = f"translate-{self.metadata['from_code']}_{self.metadata['to_code']}-{version}".removesuffix("-")
        # Packages name their data in README.md, in prose, and no licence of the whole.
        return Card(name=f"argos-{name}", origin=f"Argos package {name}", licence=None, sources=[])

    def write(self, folder: Path, quantization: str | None) -> Recipe:
        if quantization is not None:
            raise CannotConvert("The weights of an Argos package are quantized already: leave out --quantization.")
        try:
            with zipfile.ZipFile(self.path) as archive:
                _check(archive, self.path)
                for name in archive.namelist():
                    inner = name.removeprefix(self.root)
                    if _MODEL_FILES.fullmatch(inner) or inner in (TOKENIZER, *_PAPERS):
                        with archive.open(name) as packed, (folder / PurePosixPath(inner).name).open("xb") as unpacked:
                            shutil.copyfileobj(packed, unpacked)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise CannotConvert(f"{self.path} is a broken archive: {error}.") from None
        try:
            sentencepiece.SentencePieceProcessor(model_file=str(folder / TOKENIZER))
        except (OSError, RuntimeError):
            raise CannotConvert(f"{TOKENIZER} in {self.path} is no SentencePiece model.") from None
        target_prefix = self.metadata.get("target_prefix")
        return Recipe(
            kind="encoder-decoder",
            source_tokenizer=TOKENIZER,
            target_tokenizer=TOKENIZER,
            source_prefix=[],
            source_suffix=[],
            target_prefix=[str(target_prefix)] if target_prefix else [],
            end_token="</s>",
            max_source_tokens=SEQUENCE_TOKENS,
            max_target_tokens=MAX_TOKENS,
        )


def _check(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise CannotConvert for names that leave the folder, links, devices, and what unpacks to far too much."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise CannotConvert(f"{path} has {len(entries)} files, the limit is {MAX_FILES}.")
    if (total := sum(entry.file_size for entry in entries)) > MAX_BYTES:
        raise CannotConvert(f"{path} unpacks to {total} bytes, the limit is {MAX_BYTES}.")
    seen: set[str] = set()
    for entry in entries:
        if reason := _objection(entry):
            raise CannotConvert(f"{path} is refused: {entry.filename!r} {reason}.")
        if entry.filename in seen:
            raise CannotConvert(f"{path} is refused: it has {entry.filename!r} twice.")
        seen.add(entry.filename)


def _objection(entry: zipfile.ZipInfo) -> str | None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        return "is not a path within the archive"
    if ".." in PurePosixPath(name).parts:
        return "leaves the archive's folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        return f"unpacks to {entry.file_size} bytes from {entry.compress_size}"
    return None


def _root(archive: zipfile.ZipFile, path: Path) -> str:
    roots = [name.removesuffix("metadata.json") for name in archive.namelist() if name.endswith("metadata.json")]
    roots = [root for root in roots if root.count("/") == 1 and root.endswith("/")]
    if len(roots) != 1:
        raise CannotConvert(f"{path} is no Argos package: it has no metadata.json in one folder that holds all.")
    return roots[0]


def _metadata(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MAX_METADATA_BYTES:
        raise CannotConvert(f"{path}: {name} is larger than {MAX_METADATA_BYTES} bytes.")
    try:
        values = json.loads(archive.read(name))
    except ValueError as error:
        raise CannotConvert(f"{path}: {name} is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise CannotConvert(f"{path}: {name} is not a JSON object.")
    return values
