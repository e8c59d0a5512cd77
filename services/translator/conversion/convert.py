"""The path of a conversion: detect, convert, manifest, trial."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from services.translator.conversion import folder as folders
from services.translator.conversion.argos import ArgosPackage
from services.translator.conversion.family import NORMALIZATION, CannotConvert, Source
from services.translator.conversion.gemma import Gemma3
from services.translator.conversion.hugging_face import HuggingFaceFolder
from services.translator.conversion.m2m100 import M2M100
from services.translator.conversion.marian import Marian
from services.translator.model import FORMAT, MANIFEST, Manifest
from services.translator.normalize import SCHEMES

FAMILIES: dict[str, Callable[[HuggingFaceFolder], Source]] = {
    "marian": Marian.open,
    "m2m_100": M2M100.open,
    "gemma3": Gemma3.open,
    "gemma3_text": Gemma3.open,
}
"""By `model_type` of config.json. Argos packages are archives and are known by that."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user may say; None leaves it to the family or to the source."""

    name: str | None = None
    licence: str | None = None
    normalization: str | None = None
    quantization: str | None = None
    max_source_tokens: int | None = None
    beam_size: int = 1


@dataclass(frozen=True, slots=True)
class Converted:
    """A folder that the translator serves, and one sentence that it translated."""

    manifest: Manifest
    trial: folders.Trial


def detect(source: Path, prompt: str | None = None) -> Source:
    """Recognise the model at `source`. `prompt` is for decoder-only models. Raises CannotConvert."""
    if source.is_file():
        if not zipfile.is_zipfile(source):
            raise CannotConvert(f"{source} is no Argos package (a zip archive), and other models are folders.")
        opened: Source = ArgosPackage.open(source)
    else:
        opened = _open_folder(source)
    if prompt is None:
        return opened
    if not isinstance(opened, Gemma3):
        raise CannotConvert(f"{opened.found} is not prompted: leave out --prompt, which is for decoder-only models.")
    return replace(opened, prompt=prompt)


def convert(source: Source, folder: Path, choices: Choices) -> Converted:
    """Write `folder` from `source`. Raises CannotConvert, and leaves nothing behind then."""
    normalization = choices.normalization or NORMALIZATION
    if normalization not in SCHEMES:
        raise CannotConvert(f"There is no normalization {normalization!r}; there are {', '.join(SCHEMES)}.")
    card = source.card
    licence = choices.licence or card.licence
    if licence is None:
        raise CannotConvert(f"{card.origin} states no licence. Look it up and give it: --licence 'CC BY 4.0'.")
    with folders.new_folder(folder) as temporary:
        recipe = source.write(temporary, choices.quantization)
        limit = choices.max_source_tokens or recipe.max_source_tokens
        if limit > recipe.max_source_tokens:
            raise CannotConvert(f"This model reads at most {recipe.max_source_tokens} tokens, not {limit}.")
        manifest = Manifest(
            format=FORMAT,
            name=choices.name or card.name,
            kind=recipe.kind,
            source_language="ar",
            target_language="en",
            normalization=normalization,
            source_tokenizer=recipe.source_tokenizer,
            target_tokenizer=recipe.target_tokenizer,
            source_prefix=recipe.source_prefix,
            source_suffix=recipe.source_suffix,
            target_prefix=recipe.target_prefix,
            end_token=recipe.end_token,
            max_source_tokens=limit,
            max_target_tokens=recipe.max_target_tokens,
            beam_size=choices.beam_size,
            licence=licence,
            sources=[f"{card.origin}: {licence}", *card.sources],
            scores={},
            files={},
        )
        return Converted(folders.write_manifest(temporary, manifest), folders.try_out(temporary))


def _open_folder(source: Path) -> Source:
    if not source.is_dir():
        raise CannotConvert(f"There is no {source}.")
    if (source / MANIFEST).is_file():
        raise CannotConvert(f"{source} is a model folder of Khulasa already: set KHULASA_MODEL to it.")
    if (source / "metadata.json").is_file() and not (source / "config.json").is_file():
        raise CannotConvert(f"{source} looks like an unpacked Argos package. Give the .argosmodel file that it was.")
    folder = HuggingFaceFolder.open(source)
    kind = folder.config.get("model_type")
    if kind not in FAMILIES:
        raise CannotConvert(
            f"{source} is a model of type {kind!r}. Those that can be converted are {', '.join(FAMILIES)} "
            "(OPUS-MT, NLLB and M2M100, Gemma 3) and Argos packages."
        )
    return FAMILIES[kind](folder)
