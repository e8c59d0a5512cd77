"""The command line, against a real gateway."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from khulasa.cli import app
from tests.conftest import ARTICLES, Stack, plausible_english


async def khulasa(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "khulasa",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_files_are_translated_in_any_encoding(stack: Stack, tmp_path: Path) -> None:
    """A file in Windows-1256 and a page of HTML each give one JSON line."""
    old = tmp_path / "old.txt"
    old.write_bytes((ARTICLES / "flood.txt").read_text().replace("٦", "6").replace("٢٥", "25").encode("cp1256"))
    code, out, errors = await khulasa(
        "translate", "--json", "--gateway", stack.addresses["gateway"], str(old), str(ARTICLES / "satellite.html")
    )
    assert (code, errors) == (0, "")
    first, second = (json.loads(line) for line in out.splitlines())
    assert "فيضانات" in first["translation"]["paragraphs"][0]["sentences"][0]["source"]
    assert second["translation"]["extracted"]["dropped_characters"] > 0


async def test_standard_input_is_summarized(stack: Stack) -> None:
    """`-` reads the article from the pipe."""
    text = (ARTICLES / "vaccine.txt").read_bytes()
    code, out, _ = await khulasa(
        "summarize", "--sentences", "2", "--gateway", stack.addresses["gateway"], "-", stdin=text
    )
    assert code == 0
    assert out.count("•") == 2


async def test_a_doubtful_headline_has_its_mark_where_it_stands(stack: Stack) -> None:
    """As every doubtful sentence has, and the doubt is listed under it; its number is no sentence's of the text."""
    stack.engine.say = lambda _: "the satellite the satellite the satellite the satellite the satellite"
    code, out, _ = await khulasa("translate", "--gateway", stack.addresses["gateway"], str(ARTICLES / "satellite.html"))
    assert code == 0
    shown, listed = out.split("Do not trust without a look at the source\n")
    marks = re.findall(r"^(\?h?\d+) ", listed, re.MULTILINE)
    assert {"?h0", "?1"} < set(marks)
    for mark in marks:
        assert f"({mark})" in shown


async def test_a_glossary_comes_from_a_file(stack: Stack, tmp_path: Path) -> None:
    """Its terms are in the JSON with their outcome, and in the text the missed ones are listed."""
    terms = tmp_path / "terms.tsv"
    terms.write_text("# names\nوادي الزهراء\tZahra Valley\n", encoding="utf-8")
    stack.engine.say = lambda arabic: plausible_english(re.sub("Zahra Valley|XYZ", "", arabic))
    arguments = ("translate", "--gateway", stack.addresses["gateway"], "--glossary", str(terms))
    code, out, errors = await khulasa(*arguments, "--json", str(ARTICLES / "flood.txt"))
    assert (code, errors) == (0, "")
    sentences = [s for p in json.loads(out)["translation"]["paragraphs"] for s in p["sentences"]]
    matches = [match for sentence in sentences for match in sentence["term_matches"]]
    assert {(match["target"], match["applied"]) for match in matches} == {("Zahra Valley", False)}
    code, out, _ = await khulasa(*arguments, str(ARTICLES / "flood.txt"))
    assert code == 0
    assert f"Glossary: 0 of {len(matches)} terms applied" in out


async def test_a_bad_glossary_is_wrong_use(stack: Stack, tmp_path: Path) -> None:
    """A file with three columns is named with its line, a missing one too, an unknown name is the server's refusal."""
    terms = tmp_path / "terms.tsv"
    terms.write_text("a\tb\tc\n", encoding="utf-8")
    for glossary, status, why in (
        (str(terms), 2, "line 1"),
        ("absent.tsv", 2, "cannot be read"),
        ("absent", 1, "does not have"),
    ):
        code, _, errors = await khulasa(
            *("translate", "--gateway", stack.addresses["gateway"], "--glossary", glossary),
            str(ARTICLES / "flood.txt"),
        )
        assert code == status
        assert why in errors


async def test_one_unreadable_file_does_not_stop_the_others(stack: Stack, tmp_path: Path) -> None:
    """The good file is done, the bad one is named, and the status says so."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00" * 50)
    code, out, errors = await khulasa(
        "translate", "--gateway", stack.addresses["gateway"], str(picture), str(ARTICLES / "flood.txt")
    )
    assert code == 2
    assert "picture.png" in errors
    assert "Summary" in out


async def test_status_says_what_runs(stack: Stack) -> None:
    """Model, summarizer and cache, and status 0 when all are well."""
    code, out, _ = await khulasa("status", "--gateway", stack.addresses["gateway"])
    assert code == 0
    assert "tiny" in out
    assert "ready" in out


async def test_no_gateway_is_an_error_in_words() -> None:
    """Nobody at the address is status 1 and a line, no traceback."""
    code, _, errors = await khulasa("status", "--gateway", "127.0.0.1:1")
    assert code == 1
    assert errors.startswith("khulasa: 127.0.0.1:1")


def test_training_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyTorch or the checkout is missing, one line names it and the command that installs it."""
    monkeypatch.setitem(sys.modules, "training.adapt", None)
    options = [part for name in ("pairs", "init", "out") for part in (f"--{name}", str(tmp_path / name))]
    result = CliRunner().invoke(app, ["train", *options])
    assert result.exit_code == 2
    assert "training.adapt is missing" in result.stderr
    assert "pip install -e '.[train,translator]'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
