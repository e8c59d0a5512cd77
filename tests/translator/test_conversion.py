"""Models of other projects: converted, they write what they wrote before, and the translator serves the folders."""

import json
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import pytest

from services.translator import engine
from services.translator.conversion import argos, gemma
from services.translator.conversion.convert import Choices, convert, detect
from services.translator.conversion.family import CannotConvert
from services.translator.model import MANIFEST, BadModel, Model, Tokenizer, faults, unlisted
from services.translator.queue import TranslationQueue
from services.translator.translation import ParagraphTranslator
from tests.tiny_foreign_models import (
    WRITTEN,
    Reference,
    train_tokenizer,
    write_argos,
    write_gemma,
    write_m2m100,
    write_marian,
    write_marian_tokenizer,
    write_nllb,
)
from tests.tiny_models import write_encoder_decoder

TEXTS = [
    "قال الوزير إن الخطة جاهزة.",
    "وصل منسوب النهر إلى 8.4 أمتار، وهو أعلى مستوى منذ عام 1988",
    "نعم",
    'وأضاف: "نعمل على مدار الساعة".',
]
WRITERS: dict[str, Callable[[Path], Reference]] = {
    "marian": write_marian,
    "m2m100": write_m2m100,
    "nllb": write_nllb,
    "gemma": write_gemma,
    "gemma-chat": lambda folder: write_gemma(folder, chat=True),
    "gemma-wrapped": lambda folder: write_gemma(folder, wrapped=True),
    "gemma-scaled": lambda folder: write_gemma(
        folder,
        query_pre_attn_scalar=20,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 300.0},
        },
    ),
}
TAGS = {
    "marian": ([], ["</s>"], [], "</s>"),
    "m2m100": (["__ar__"], ["</s>"], ["__en__"], "</s>"),
    "nllb": (["arb_Arab"], ["</s>"], ["eng_Latn"], "</s>"),
    "gemma": (["<bos>"], ["\n"], [], "<eos>"),
}
LICENSED = Choices(licence="CC0")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A model of another project, and what transformers makes of a text."""

    folder: Path
    reference: Reference


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Foreign]]:
    """Write a source folder once and give it to every test that asks for it."""
    needed = "converting folders of Hugging Face needs the extra 'train'"
    torch = pytest.importorskip("torch", reason=needed)
    pytest.importorskip("transformers", reason=needed)
    made: dict[str, Foreign] = {}

    def write(name: str) -> Foreign:
        if name not in made:
            folder = tmp_path_factory.mktemp("foreign") / name
            made[name] = Foreign(folder, WRITERS[name](folder))
        return made[name]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # models of this size are slower on several
    yield write
    torch.set_num_threads(threads)


@pytest.fixture
def package(model_folder: Path, tmp_path: Path) -> Path:
    """An Argos package."""
    write_encoder_decoder(tmp_path / "ctranslate2", model_folder / "tokenizer.model")
    write_argos(tmp_path / "ar_en.argosmodel", tmp_path / "ctranslate2")
    return tmp_path / "ar_en.argosmodel"


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine compute in float32, as transformers does; int8 rounds."""
    for name in ("Translator", "Generator"):
        monkeypatch.setattr(engine.ctranslate2, name, _in_float32(getattr(ctranslate2, name)))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("exact")
def test_a_converted_model_writes_what_transformers_writes(
    foreign: Callable[[str], Foreign], tmp_path: Path, name: str
) -> None:
    """In float32, the engine's greedy tokens and their probability are those of transformers' tokenizer and search."""
    source = foreign(name)
    convert(detect(source.folder), tmp_path / "model", Choices(quantization="float32"))
    model = Model.open(tmp_path / "model")
    model = replace(model, manifest=replace(model.manifest, max_target_tokens=WRITTEN))
    tokenizer = Tokenizer(model)
    answers = engine.load(model, workers=1, threads_per_worker=1).decode([tokenizer.encode(text) for text in TEXTS])
    prompt = "{text}"
    if name.startswith("gemma"):
        prompt = gemma.CHAT_PROMPT if name == "gemma-chat" else gemma.PLAIN_PROMPT
    expected = [source.reference(prompt.replace("{text}", text)) for text in TEXTS]
    assert [answer.tokens for answer in answers] == [written.tokens for written in expected]
    probabilities = [written.log_probability for written in expected]
    assert [answer.log_probability for answer in answers] == pytest.approx(probabilities, abs=1e-4)
    assert len({round(probability, 3) for probability in probabilities}) == len(TEXTS)  # the texts were read


@pytest.mark.parametrize("name", WRITERS)
async def test_the_translator_serves_a_converted_folder(
    foreign: Callable[[str], Foreign], tmp_path: Path, name: str
) -> None:
    """Nothing but the folder is needed: it is whole, and every sentence has an answer of the int8 engine."""
    converted = convert(detect(foreign(name).folder), tmp_path / "model", Choices())
    assert converted.trial.translation
    assert converted.manifest.licence == "CC BY 4.0"
    assert converted.manifest.sources == [f"{name}: CC BY 4.0", "base model: example/base", "data set: opus100"]
    await _serve(tmp_path / "model")


@pytest.mark.parametrize("name", TAGS)
def test_tags_and_ends_stand_where_the_family_wants_them(
    foreign: Callable[[str], Foreign], tmp_path: Path, name: str
) -> None:
    """The manifest has the language tags before the sentence and the end after it."""
    manifest = convert(detect(foreign(name).folder), tmp_path / "model", Choices()).manifest
    assert TAGS[name] == (
        manifest.source_prefix,
        manifest.source_suffix,
        manifest.target_prefix,
        manifest.end_token,
    )


def test_choices_are_written_to_the_manifest(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """Name, licence, normalization, limit and beam are those that were given, and float32 takes more room than int8."""
    source = foreign("marian").folder
    choices = Choices(name="mine", licence="MIT", normalization="plain-1", max_source_tokens=40, beam_size=4)
    manifest = convert(detect(source), tmp_path / "int8", choices).manifest
    assert (manifest.name, manifest.licence, manifest.normalization) == ("mine", "MIT", "plain-1")
    assert (manifest.max_source_tokens, manifest.beam_size) == (40, 4)
    convert(detect(source), tmp_path / "float32", Choices(quantization="float32"))
    sizes = {name: (tmp_path / name / "model.bin").stat().st_size for name in ("int8", "float32")}
    assert sizes["float32"] > 2 * sizes["int8"]


def test_a_prompt_surrounds_the_sentence(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """A prompt of one's own becomes prefix and suffix, its markers one token each, and ends where the turn ends."""
    prompt = "<start_of_turn>{text}<end_of_turn>\n"
    manifest = convert(detect(foreign("gemma").folder, prompt), tmp_path / "model", Choices()).manifest
    assert manifest.source_prefix == ["<bos>", "<start_of_turn>"]
    assert manifest.source_suffix == ["<end_of_turn>", "\n"]
    assert manifest.end_token == "<end_of_turn>"


def test_an_article_cannot_end_or_open_a_turn(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """For a decoder-only model the markers of its prompt, where an article has them, are spelled out and no tokens."""
    prompt = "<start_of_turn>{text}<end_of_turn>\n"
    convert(detect(foreign("gemma").folder, prompt), tmp_path / "model", Choices())
    markers = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = Tokenizer(Model.open(tmp_path / "model"))
    text = f"قال {' '.join(markers)} نعم"
    assert not set(markers) & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode("قال نعم")) == "قال نعم"


@pytest.mark.parametrize("prompt", ["Translate:", "{text} {text}\n", "Translate: {text}"])
def test_a_prompt_without_its_sentence_is_refused(
    foreign: Callable[[str], Foreign], tmp_path: Path, prompt: str
) -> None:
    """No place for the sentence, two, or nothing after it."""
    with pytest.raises(CannotConvert, match=r"\{text\}"):
        convert(detect(foreign("gemma").folder, prompt), tmp_path / "model", Choices())


def test_gemma_takes_its_terms_along(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """A derivative of Gemma has the notice that its terms want, whatever its card says."""
    convert(detect(foreign("gemma").folder), tmp_path / "model", Choices())
    assert (tmp_path / "model" / "NOTICE").read_text() == gemma.NOTICE


async def test_an_argos_package_is_served(package: Path, tmp_path: Path) -> None:
    """Model, tokenizer and card are taken out of the archive, nothing else, and the translator serves them."""
    converted = convert(detect(package), tmp_path / "model", LICENSED)
    assert converted.manifest.name == "argos-translate-ar_en-1_0"
    assert set(converted.manifest.files) == {
        "README.md",
        "config.json",
        "model.bin",
        "sentencepiece.model",
        "shared_vocabulary.json",
    }
    await _serve(tmp_path / "model")


def test_an_argos_package_writes_what_it_wrote(package: Path, tmp_path: Path) -> None:
    """The engine gives the tokens that Argos' own call of CTranslate2 gives: pieces alone, no tags, no end."""
    convert(detect(package), tmp_path / "model", LICENSED)
    model = Model.open(tmp_path / "model")
    pieces = [Tokenizer(model).encode(text) for text in TEXTS]
    translator = ctranslate2.Translator(str(tmp_path / "ctranslate2"), compute_type="int8", intra_threads=1)
    expected = [result.hypotheses[0] for result in translator.translate_batch(pieces, beam_size=1)]
    answers = engine.load(model, workers=1, threads_per_worker=1).decode(pieces)
    # Random weights never stop by themselves; the engine stops them earlier than Argos' call does.
    assert all(answer.tokens for answer in answers)
    assert [answer.tokens for answer in answers] == [
        tokens[: len(answer.tokens)] for answer, tokens in zip(answers, expected, strict=True)
    ]


def test_a_licence_that_nobody_states_must_be_given(package: Path, tmp_path: Path) -> None:
    """Without one there is no folder."""
    with pytest.raises(CannotConvert, match="--licence"):
        convert(detect(package), tmp_path / "model", Choices())
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("/etc/passwd", 0o100644),
        ("../outside.txt", 0o100644),
        ("translate-ar_en-1_0/model/../../../outside.txt", 0o100644),
        ("..\\outside.txt", 0o100644),
        ("C:/outside.txt", 0o100644),
        ("translate-ar_en-1_0/model/vmap.txt", stat.S_IFLNK | 0o777),
        ("translate-ar_en-1_0/model/pipe", stat.S_IFIFO | 0o644),
    ],
)
def test_archives_do_not_leave_their_folder(package: Path, tmp_path: Path, name: str, mode: int) -> None:
    """Absolute names, parents, drives, links and devices are refused before anything is unpacked."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CannotConvert, match="is refused"):
        convert(detect(package), tmp_path / "model", LICENSED)
    assert sorted(tmp_path.rglob("*")) == before


def test_bombs_are_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ratio of one file, by the size of all, and by their number."""
    with monkeypatch.context() as patch:
        patch.setattr(argos, "MAX_BYTES", 1000)
        with pytest.raises(CannotConvert, match="the limit is 1000"):
            detect(package)
    with monkeypatch.context() as patch:
        patch.setattr(argos, "MAX_FILES", 3)
        with pytest.raises(CannotConvert, match="the limit is 3"):
            detect(package)
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("translate-ar_en-1_0/model/vmap.txt", b"\0" * 10_000_000)
    with pytest.raises(CannotConvert, match="unpacks to 10000000 bytes"):
        detect(package)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile warns of what this test makes
def test_a_name_that_comes_twice_is_refused(package: Path) -> None:
    """Which of the two would be unpacked is anybody's guess."""
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("translate-ar_en-1_0/model/model.bin", b"another model")
    with pytest.raises(CannotConvert, match="twice"):
        detect(package)


def test_a_damaged_archive_leaves_nothing_behind(package: Path, tmp_path: Path) -> None:
    """A byte of the packed model that changed is an error in words, and no folder."""
    with zipfile.ZipFile(package) as archive:
        entry = archive.getinfo("translate-ar_en-1_0/model/model.bin")
    data = bytearray(package.read_bytes())
    data[entry.header_offset + len(entry.filename) + 30 + entry.compress_size // 2] ^= 0xFF
    package.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CannotConvert, match="broken archive"):
        convert(detect(package), tmp_path / "model", LICENSED)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("metadata", [{"from_code": "en", "to_code": "ar"}, {"to_code": "fr"}])
def test_another_direction_is_refused(package: Path, tmp_path: Path, metadata: dict[str, str]) -> None:
    """Khulasa reads Arabic and writes English."""
    write_argos(package, tmp_path / "ctranslate2", metadata=metadata)
    with pytest.raises(CannotConvert, match="needs Arabic to English"):
        detect(package)


def test_another_direction_of_opus_mt_is_refused(tmp_path: Path) -> None:
    """The tokenizer's configuration names the languages."""
    write_marian_tokenizer(tmp_path / "source", target="fr")
    _without_weights(tmp_path / "source")
    with pytest.raises(CannotConvert, match="translates ar to fr"):
        detect(tmp_path / "source")


class Payload:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.target, "the pickle ran"))


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_refused(tmp_path: Path, weights: str) -> None:
    """They run code when they are loaded, so they are never loaded; the error says what to bring instead."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "marian"}')
    (source / weights).write_bytes(pickle.dumps(Payload(tmp_path / "proof")))
    with pytest.raises(CannotConvert, match="safetensors"):
        detect(source)
    assert not (tmp_path / "proof").exists()


def test_a_pickle_beside_safetensors_is_not_opened(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """Many folders have both; only the safetensors are read."""
    source = tmp_path / "source"
    source.mkdir()
    for file in foreign("marian").folder.iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "proof")))
    convert(detect(source), tmp_path / "model", Choices())
    assert not (tmp_path / "proof").exists()


def test_an_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    """The parts of the weights lie in the folder."""
    write_marian_tokenizer(tmp_path / "source")
    _without_weights(tmp_path / "source")
    index = {"weight_map": {"shared": "../model.safetensors"}}
    (tmp_path / "source" / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CannotConvert, match="no safetensors file of its folder"):
        detect(tmp_path / "source")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    """Pieces that the vocabulary does not have would all be read as unknown."""
    write_marian_tokenizer(tmp_path / "source")
    _without_weights(tmp_path / "source")
    other = train_tokenizer(tmp_path / "other", kind="bpe", size=600)
    (tmp_path / "source" / "source.spm").write_bytes(other.read_bytes())
    with pytest.raises(CannotConvert, match=r"pieces of source\.spm: they do not match"):
        detect(tmp_path / "source")


def test_a_vocabulary_with_gaps_is_refused(tmp_path: Path) -> None:
    """Every later token would stand for another row of the model."""
    write_marian_tokenizer(tmp_path / "source")
    _without_weights(tmp_path / "source")
    numbers = json.loads((tmp_path / "source" / "vocab.json").read_text())
    numbers["<pad>"] += 1
    (tmp_path / "source" / "vocab.json").write_text(json.dumps(numbers))
    with pytest.raises(CannotConvert, match="without gaps"):
        detect(tmp_path / "source")


def test_an_unknown_kind_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    """The error says what was found and what could be converted."""
    _without_weights(tmp_path, model_type="bert")
    with pytest.raises(CannotConvert, match=r"'bert'.*OPUS-MT, NLLB and M2M100, Gemma 3"):
        detect(tmp_path)


def test_a_folder_that_is_there_is_never_overwritten(package: Path, tmp_path: Path) -> None:
    """What lies in it stays as it is; an empty folder is used."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").write_text("keep me")
    with pytest.raises(CannotConvert, match="not empty"):
        convert(detect(package), tmp_path / "model", LICENSED)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["precious"]
    (tmp_path / "model" / "precious").unlink()
    convert(detect(package), tmp_path / "model", LICENSED)
    assert faults(tmp_path / "model") == []


def test_weights_that_cannot_be_read_leave_nothing_behind(foreign: Callable[[str], Foreign], tmp_path: Path) -> None:
    """A conversion that fails half way removes what it has written."""
    source = tmp_path / "source"
    source.mkdir()
    for file in foreign("marian").folder.iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    (source / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CannotConvert):
        convert(detect(source), tmp_path / "model", Choices())
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_every_fault_of_a_folder_is_found(package: Path, tmp_path: Path) -> None:
    """A changed byte, a missing file and a stranger are each named, and the translator refuses the folder."""
    folder = tmp_path / "model"
    convert(detect(package), folder, LICENSED)
    assert faults(folder) == []
    assert unlisted(folder) == []
    data = bytearray((folder / "model.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.bin").write_bytes(data)
    (folder / "README.md").unlink()
    (folder / "vmap.txt").write_text("")
    missing, changed = faults(folder)
    assert "README.md is missing" in missing
    assert "model.bin has SHA-256" in changed
    assert unlisted(folder) == ["vmap.txt"]
    with pytest.raises(BadModel, match=r"README.md is missing"):
        Model.open(folder)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"normalization": "none"}, "normalization 'none'"),
        ({"files": ["model.bin"]}, "files"),
        ({"format": 2}, "format 2"),
        ({"files": {}}, "no digest for model.bin"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_a_fault(
    package: Path, tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    """It is found when the folder is looked at, not when the first article comes."""
    convert(detect(package), tmp_path / "model", LICENSED)
    path = tmp_path / "model" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert fault in faults(tmp_path / "model")[0]


async def _serve(folder: Path) -> None:
    model = Model.open(folder)
    loaded = engine.load(model, workers=1, threads_per_worker=1)
    queue = TranslationQueue(loaded, workers=1, batch_tokens=512, capacity=64, window=64)
    try:
        paragraphs = await ParagraphTranslator(model, queue).translate(["قال الوزير نعم. وصل النهر.", "جاهزة"])
    finally:
        await queue.close()
    assert [len(sentences) for sentences in paragraphs] == [2, 1]
    assert all(sentence.log_probability < 0 for sentences in paragraphs for sentence in sentences)


def _without_weights(folder: Path, model_type: str = "marian") -> None:
    """Write the least that a folder needs to be looked at."""
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "model.safetensors").write_bytes(b"")


def _in_float32(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **options: make(*args, **options | {"compute_type": "float32"})
