"""`khulasa model`: what it prints and with which status it ends."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from khulasa.cli import app
from tests.conftest import write_manifest
from tests.tiny_foreign_models import write_argos, write_marian_tokenizer
from tests.tiny_models import write_encoder_decoder


def khulasa(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["model", *map(str, arguments)])


@pytest.fixture
def models(model_folder: Path, tmp_path: Path) -> Path:
    """A directory with one model."""
    directory = tmp_path / "models"
    directory.mkdir()
    write_encoder_decoder(directory / "tiny", model_folder / "tokenizer.model")
    scores = {"flores_dev": {"bleu": 30.1, "n": 997, "signature": "nrefs:1"}}
    write_manifest(directory / "tiny", name="tiny-model", scores=scores, sources=["ours: CC0"], licence="CC0")
    return directory


@pytest.fixture
def package(models: Path) -> Path:
    """The same model as an Argos package."""
    write_argos(models / "ar_en.argosmodel", models / "tiny")
    return models / "ar_en.argosmodel"


def test_list_names_every_model(models: Path) -> None:
    """Name, languages, kind, size and scores; a folder that is no model is passed over."""
    (models / "notes").mkdir()
    result = khulasa("list", models)
    assert result.exit_code == 0
    assert "tiny-model" in result.stdout
    assert "ar to en, encoder-decoder, 0.5 MB" in result.stdout
    assert "flores_dev: bleu 30.1, n 997" in result.stdout
    assert len(khulasa("list", "--json", models).stdout.splitlines()) == 1


def test_list_goes_on_after_a_broken_manifest(models: Path) -> None:
    """It is named, the others are listed, and the status says so."""
    (models / "broken").mkdir()
    (models / "broken" / "manifest.json").write_text("{}")
    result = khulasa("list", models)
    assert result.exit_code == 1
    assert "broken" in result.stderr
    assert "tiny-model" in result.stdout


def test_list_without_a_directory_is_wrong_use(tmp_path: Path) -> None:
    """Status 2 and its name."""
    result = khulasa("list", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_info_says_what_the_manifest_says(models: Path) -> None:
    """Licence, sources, scores, sizes and how the sentence is wrapped; as JSON, all of it with the digest."""
    result = khulasa("info", models / "tiny")
    assert result.exit_code == 0
    for part in ("CC0", "ours: CC0", "flores_dev: bleu 30.1", "tokenizer.model, 0.3 MB", "SENTENCE '</s>'", "plain-1"):
        assert part in result.stdout
    values = json.loads(khulasa("info", "--json", models / "tiny").stdout)
    assert values["name"] == "tiny-model"
    assert values["digest"] in result.stdout
    assert values["bytes"] == sum(path.stat().st_size for path in (models / "tiny").iterdir())


def test_verify_finds_a_changed_byte(models: Path) -> None:
    """Status 0 for a whole folder, 1 with the file's name after one bit has changed."""
    result = khulasa("verify", models / "tiny")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "is whole" in result.stdout
    data = bytearray((models / "tiny" / "model.bin").read_bytes())
    data[-1] ^= 1
    (models / "tiny" / "model.bin").write_bytes(data)
    result = khulasa("verify", models / "tiny")
    assert result.exit_code == 1
    assert "model.bin has SHA-256" in result.stderr


def test_verify_names_what_nothing_vouches_for(models: Path) -> None:
    """A file that the manifest does not list is pointed out; the translator would serve the folder all the same."""
    (models / "tiny" / "stranger.txt").write_text("hello")
    result = khulasa("verify", models / "tiny")
    assert result.exit_code == 0
    assert "stranger.txt" in result.stderr


def test_verify_of_no_model_is_an_error_in_words(tmp_path: Path) -> None:
    """Status 1, one line."""
    result = khulasa("verify", tmp_path)
    assert result.exit_code == 1
    assert "has no manifest.json" in result.stderr


def test_convert_says_what_it_found_and_translates_a_sentence(package: Path, tmp_path: Path) -> None:
    """The kind of the source, the new folder, and a sentence in both languages."""
    result = khulasa("convert", package, tmp_path / "new", "--licence", "CC0", "--name", "from-argos")
    assert result.exit_code == 0, result.stderr
    # What random weights say may have a line break in it.
    found, made, arabic, *translation, serve = result.stdout.removesuffix("\n").split("\n")
    assert "an Argos package (version 1.0), ar to en" in found
    assert "from-argos" in made
    assert arabic.strip() == "أعلنت الحكومة اليوم عن خطة جديدة."
    assert "".join(translation).strip()
    assert f"KHULASA_MODEL={tmp_path / 'new'}" in serve
    assert khulasa("verify", tmp_path / "new").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--licence"),
        (["--licence", "CC0", "--quantization", "int16"], "leave out --quantization"),
        (["--licence", "CC0", "--normalization", "none"], "no normalization 'none'"),
        (["--licence", "CC0", "--prompt", "{text}\\n"], "leave out --prompt"),
        (["--licence", "CC0", "--max-source-tokens", "9999"], "at most 150 tokens"),
    ],
)
def test_convert_refuses_in_words(package: Path, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    """Status 1 and what to do; no folder."""
    result = khulasa("convert", package, tmp_path / "new", *arguments)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert not (tmp_path / "new").exists()


def test_the_client_alone_says_where_the_code_is(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed package holds no services: one line says so."""
    monkeypatch.setitem(sys.modules, "services.translator.model", None)
    result = khulasa("info", models / "tiny")
    assert result.exit_code == 1
    assert "run this from a checkout" in result.stderr


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of Hugging Face need torch: without it, the line says what to install, and nothing is left behind."""
    write_marian_tokenizer(tmp_path / "source")
    (tmp_path / "source" / "config.json").write_text('{"model_type": "marian"}')
    (tmp_path / "source" / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    result = khulasa("convert", tmp_path / "source", tmp_path / "new")
    assert result.exit_code == 1
    assert "pip install --editable '.[train]'" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
