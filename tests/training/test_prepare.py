"""Which texts are trained on."""

import gzip
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: make .venv/train-ready")

from tests.training.conftest import Pieces, made_pairs
from tests.training.tiny import tiny_model
from training import distill
from training.export import write_folder
from training.prepare import HeldOut, dev_texts, loses_amounts


@pytest.mark.parametrize(
    ("arabic", "english", "loses"),
    [
        ("تبعد أقل من 72 كم عن إيطاليا", "It is less than from Italy", True),
        ("بلغ عددهم 25 في عام 2010", "They were 25 in 2012", True),
        ("بلغ عددهم 25 في عام 2010", "They were 25 in 2010", False),
        ('قال: "سنعود إلى ديارنا غدا جميعا"', "We shall all go home tomorrow, he said", False),
    ],
)
def test_pairs_with_other_numbers_or_units_are_not_taught(arabic: str, english: str, loses: bool) -> None:
    """What a translation is doubted for is no example; lost quotation marks are a matter of style."""
    assert loses_amounts(arabic, english) == loses


def write_dev(folder: Path, pairs: list[tuple[str, str]]) -> None:
    folder.mkdir()
    for language, lines in zip(("ar", "en"), zip(*pairs, strict=True), strict=True):
        (folder / f"some_dev.{language}").write_text("\n".join(lines) + "\n")


def test_both_sides_of_every_development_set_are_held_out(tmp_path: Path) -> None:
    """A sentence is found without its punctuation; of a longer one, half of it is enough; others are free."""
    write_dev(tmp_path / "dev", [("زار الوزير المدرسة يوم الأحد مع وفد كبير", "The minister visited the school.")])
    held_out = HeldOut(dev_texts(tmp_path / "dev"))
    assert "the minister visited the school" in held_out
    assert "زار الوزير المدرسة يوم الأحد ثم عاد" in held_out
    assert "زار الطبيب المستشفى يوم الأحد" not in held_out


def test_a_folder_without_development_sets_is_refused(tmp_path: Path) -> None:
    """From another working directory nothing would be held out, and nobody would notice."""
    with pytest.raises(ValueError, match="no development sets"):
        dev_texts(tmp_path / "nowhere")


def test_distilling_goes_on_where_it_stopped_and_leaves_out_what_is_held_out(pieces: Pieces, tmp_path: Path) -> None:
    """Every second sentence gets a line, in order; a held-out one is not translated, and no line is written twice."""
    pairs = made_pairs(12)
    write_dev(tmp_path / "dev", pairs[2:3])
    model = tiny_model("decoder-only", len(pieces.vocabulary))
    write_folder(model, pieces.vocabulary, pieces.file, tmp_path / "teacher", max_source_tokens=160)
    mono, out = tmp_path / "news.txt.gz", tmp_path / "distilled.tsv"
    mono.write_bytes(gzip.compress("".join(f"{arabic}\n" for arabic, _ in pairs).encode()))
    for limit in (4, None):
        distill.main(mono, tmp_path / "teacher", out, tmp_path / "dev", every=2, limit=limit)
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert [arabic for arabic, _, _ in lines] == [arabic for arabic, _ in pairs[::2]]
    assert [float(score) == 0 for _, _, score in lines] == [False, True, False, False, False, False]
    assert lines[1][1] == ""
