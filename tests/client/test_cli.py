"""The command line, against a real gateway."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from khulasa.cli import app
from tests.conftest import ARTICLES, Stack


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
