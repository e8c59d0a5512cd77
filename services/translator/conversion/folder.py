"""The folder that comes out: written beside its place, tried, and moved there only when it works."""

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from services.translator import engine
from services.translator.conversion.family import CannotConvert
from services.translator.model import MANIFEST, Manifest, Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize

TRIAL_SENTENCE = "أعلنت الحكومة اليوم عن خطة جديدة."


@dataclass(frozen=True, slots=True)
class Trial:
    """One sentence that went through the engine."""

    source: str
    translation: str


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` to write into; it becomes `folder` if the block ends well, else it is removed.

    Raises CannotConvert if `folder` is there and not empty.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CannotConvert(f"{folder} is there already and not empty. Give a new folder, or remove that one first.")
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(folder)
    except OSError as error:
        raise CannotConvert(f"{folder} cannot be written: {error}.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` with the digests of the files that lie in `folder` now, and return it with them."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    whole = replace(manifest, files=files)
    (folder / MANIFEST).write_text(json.dumps(asdict(whole), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return whole


def try_out(folder: Path) -> Trial:
    """Translate one sentence as the translator would. Raises CannotConvert if nothing comes out."""
    model = Model.open(folder)
    tokenizer = Tokenizer(model)
    text = normalize(TRIAL_SENTENCE, SCHEMES[model.manifest.normalization]).text
    try:
        loaded = engine.load(model, workers=1, threads_per_worker=1)
        [answer] = loaded.decode([tokenizer.encode(text)])
    except (RuntimeError, ValueError) as error:  # what CTranslate2 raises for a model that it cannot run
        raise CannotConvert(f"CTranslate2 does not run the converted model: {error}") from None
    translation = tokenizer.decode(answer.tokens)
    if not translation:
        raise CannotConvert(f"The converted model translates {text!r} to nothing, and would never become ready.")
    return Trial(text, translation)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
