"""`khulasa model list | info | verify | convert`: the folders that the translator can serve.

Works from a checkout or an image, where the services' code is. Exit status: 0 done, 1 a folder is no good model or
cannot be converted, or a package is missing, 2 wrong use.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from services.translator.model import Manifest

app = typer.Typer(
    help="List, check and convert models. A model is a folder; the translator serves the one that KHULASA_MODEL names.",
    no_args_is_help=True,
)
console = Console(soft_wrap=True, highlight=False)
complaints = Console(stderr=True, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each model, a line each.")]
Folder = Annotated[Path, typer.Argument(help="A model folder.", metavar="DIR", show_default=False)]


class Quantization(StrEnum):
    """How weights are stored. The translator computes in int8 whatever it finds."""

    INT8 = "int8"
    INT16 = "int16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


@app.command("list")
def list_models(
    directory: Annotated[Path, typer.Argument(help="Where the model folders lie.", metavar="DIR")] = Path("models"),
    as_json: AsJson = False,
) -> None:
    """Name the models under a directory, with languages, kind, size and scores. Digests are not checked."""
    if not directory.is_dir():
        complaints.print(f"khulasa: there is no directory {directory}", style="red", markup=False)
        raise typer.Exit(2)
    with _explained():
        from services.translator.model import MANIFEST, BadModel, read_manifest

        worst = 0
        for folder in sorted(path.parent for path in directory.glob(f"*/{MANIFEST}")):
            try:
                manifest, digest = read_manifest(folder)
            except BadModel as error:
                complaints.print(f"khulasa: {error}", style="red", markup=False)
                worst = 1
                continue
            if as_json:
                _print_json(folder, manifest, digest)
            else:
                console.print(f"{folder}  {manifest.name} {digest[:12]}", style="bold", markup=False)
                size = _megabytes(_size(folder))
                console.print(f"  {_languages(manifest)}, {manifest.kind}, {size}", markup=False)
                for line in _scores(manifest):
                    console.print(f"  {line}", markup=False)
        raise typer.Exit(worst)


@app.command()
def info(folder: Folder, as_json: AsJson = False) -> None:
    """Print what a model says of itself: licence, sources, scores, sizes, how it is used. Digests are not checked."""
    with _explained():
        from services.translator.model import read_manifest

        manifest, digest = read_manifest(folder)
    if as_json:
        _print_json(folder, manifest, digest)
        return
    rows: list[tuple[str, str | list[str]]] = [
        ("name", manifest.name),
        ("digest", digest),
        ("languages", _languages(manifest)),
        ("kind", manifest.kind),
        ("licence", manifest.licence),
        ("sources", manifest.sources or "not stated"),
        ("scores", list(_scores(manifest)) or "not measured"),
        ("reads", f"text normalized by {manifest.normalization}, at most {manifest.max_source_tokens} tokens"),
        ("source", " ".join([*map(repr, manifest.source_prefix), "SENTENCE", *map(repr, manifest.source_suffix)])),
        ("target", " ".join([*map(repr, manifest.target_prefix), "TRANSLATION", repr(manifest.end_token)])),
        ("writes", f"at most {manifest.max_target_tokens} tokens, beam {manifest.beam_size}"),
        ("files", [f"{name}, {_megabytes(_size(folder / name))}" for name in manifest.files]),
        ("size", _megabytes(_size(folder))),
    ]
    for name, value in rows:
        first, *others = [value] if isinstance(value, str) else value
        console.print(f"{name:<11}{first}", markup=False)
        for other in others:
            console.print(f"{'':<11}{other}", markup=False)


@app.command()
def verify(folder: Folder) -> None:
    """Compare every file with its digest in the manifest. Exit status 0 only if the translator would accept it."""
    with _explained():
        from services.translator.model import faults, read_manifest, unlisted

        found = faults(folder)
        for fault in found:
            complaints.print(f"khulasa: {fault}", style="red", markup=False)
        if found:
            raise typer.Exit(1)
        manifest, digest = read_manifest(folder)
        for name in unlisted(folder):
            complaints.print(f"khulasa: {folder / name}: not in the manifest, nothing vouches for it", markup=False)
    console.print(f"{manifest.name} is whole: {len(manifest.files)} files, digest {digest}", markup=False)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A folder or an .argosmodel file.", metavar="SOURCE")],
    folder: Annotated[Path, typer.Argument(help="The model folder to write; must not be there.", metavar="DIR")],
    licence: Annotated[str | None, typer.Option(help="Of the model, if the source does not state it.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the model. Default: the source's name.")] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(help="How weights are stored, int8 if not given. The translator computes in int8 all the same."),
    ] = None,
    normalization: Annotated[
        str | None,
        typer.Option(help="How Arabic is cleaned: diacritics-1 keeps vowels (default), plain-1 drops them."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="For Gemma: the text around the sentence, with {text} for it and \\n for a line break. Default: an "
            "instruction in the model's chat form, or '{text}\\n' if it has none.",
        ),
    ] = None,
    max_source_tokens: Annotated[
        int | None, typer.Option(min=8, help="Split longer sentences. Default: 256, Argos 150.")
    ] = None,
    beam_size: Annotated[int, typer.Option(min=1, max=16, help="More is slower and a little better.")] = 1,
) -> None:
    """Make a model folder from a model of another project, and translate one sentence with it.

    SOURCE is a folder in the layout of Hugging Face, with safetensors, of OPUS-MT (Marian), NLLB, M2M100 or Gemma 3, or
    an Argos package (.argosmodel). All but the latter need the extra "train": torch and transformers.
    """
    with _explained():
        from services.translator.conversion import convert as conversion

        opened = conversion.detect(source, prompt.replace("\\n", "\n") if prompt is not None else None)
        console.print(f"{source} is {opened.found}.", markup=False)
        choices = conversion.Choices(
            name=name,
            licence=licence,
            normalization=normalization,
            quantization=quantization.value if quantization else None,
            max_source_tokens=max_source_tokens,
            beam_size=beam_size,
        )
        converted = conversion.convert(opened, folder, choices)
    manifest = converted.manifest
    console.print(
        f"{folder} is {manifest.name}, {_megabytes(_size(folder))}, licence: {manifest.licence}", markup=False
    )
    console.print(f"  {converted.trial.source}\n  {converted.trial.translation}", markup=False)
    console.print(f"Serve it with KHULASA_MODEL={folder}; it has no scores until you measure it.", markup=False)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what is missing or wrong into a line and an exit status."""
    try:
        from services.translator.conversion.family import CannotConvert
        from services.translator.model import BadModel

        try:
            yield
        except (BadModel, CannotConvert) as error:
            message = str(error)
        else:
            return
    except ModuleNotFoundError as error:
        message = _missing(error)
    complaints.print(f"khulasa: {message}", style="red", markup=False)
    raise typer.Exit(1)


def _missing(error: ModuleNotFoundError) -> str:
    package = (error.name or "").partition(".")[0]
    if package == "services":
        return "The services' code is not here: run this from a checkout of Khulasa, or in an image of it."
    extra = "train" if package in ("torch", "transformers") else "translator"
    return f"The package {package} is missing. Install it in the checkout: pip install --editable '.[{extra}]'"


def _languages(manifest: "Manifest") -> str:
    return f"{manifest.source_language} to {manifest.target_language}"


def _scores(manifest: "Manifest") -> Iterator[str]:
    """Yield a line for each test set: "flores_dev: bleu 11.6, chrf 38.1, n 997"; signatures are left to --json."""
    for name, values in manifest.scores.items():
        if isinstance(values, dict):
            measured = [f"{key} {value}" for key, value in values.items() if not isinstance(value, str)]
            yield f"{name}: {', '.join(measured)}"
        else:
            yield f"{name}: {values}"


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files of a folder; 0 for what is missing."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _print_json(folder: Path, manifest: "Manifest", digest: str) -> None:
    values: dict[str, Any] = {"folder": str(folder), "digest": digest, "bytes": _size(folder), **asdict(manifest)}
    print(json.dumps(values, ensure_ascii=False))
