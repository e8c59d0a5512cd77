"""Ray as the engine of a run, on this machine. Skipped where Ray is not installed."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from khulasa.jobs.output import records_of
from tests.conftest import Stack
from tests.jobs.test_run import failures, job_run, line, write_lines


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """Return what an article's record has in common however it came about."""
    sentences = [s for paragraph in record["translation"]["paragraphs"] for s in paragraph["sentences"]]
    return {"english": [s["translation"] for s in sentences], "spans": [s["span"] for s in sentences]} | {
        name: record[name] for name in ("id", "digest", "flags", "status")
    }


async def test_without_ray_the_command_says_what_to_install(stack: Stack, tmp_path: Path) -> None:
    """One line, status 2, nothing written."""
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; sys.modules['ray'] = None; from khulasa.cli import app; app()"),
        *("job", "run", str(source), str(tmp_path / "out"), "--engine", "ray"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert (process.returncode, b"pip install 'khulasa[ray]'" in errors) == (2, True), errors
    assert not (tmp_path / "out").exists()


SLOW_RAY = """
import sys, types
names = ("ray", "ray.data", "ray.util", "ray.util.scheduling_strategies")
sys.modules |= {name: types.ModuleType(name) for name in names}
def init(**_):
    print("(raylet) A worker died.")
    raise Exception("The current node timed out during startup.")
sys.modules["ray"].init, sys.modules["ray"].shutdown = init, lambda: None
from khulasa.cli import app
app()
"""


async def test_a_ray_that_does_not_start_stops_the_run(stack: Stack, tmp_path: Path) -> None:
    """On a busy machine Ray gives its node up with a bare Exception: one line, status 3, and the output can go on.

    What Ray prints meanwhile is not among the counts for programs.
    """
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SLOW_RAY, "job", "run", str(source), str(tmp_path / "out.jsonl"), "--engine", "ray"),
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 3, errors
    assert json.loads(out)["done"] == 0
    assert b"(raylet) A worker died." in errors
    assert b"timed out during startup. All that was done is kept; the same command goes on." in errors
    code, counts, _ = await job_run(source, tmp_path / "out.jsonl", "--gateway", stack.addresses["gateway"])
    assert (code, counts["done"]) == (0, 1)


async def test_actors_that_call_the_gateway_give_the_same_records(stack: Stack, tmp_path: Path) -> None:
    """The same articles through Ray and without it, copies and failures included; then nothing is left to do."""
    pytest.importorskip("ray")
    lines = [*(line(n) for n in range(60)), line(3, id="copy"), line(4), "{"]
    source = write_lines(tmp_path / "in.jsonl", lines)
    gateway = stack.addresses["gateway"]
    plain_code, plain, _ = await job_run(source, tmp_path / "plain", "--gateway", gateway)
    code, counts, errors = await job_run(source, tmp_path / "ray", "--gateway", gateway, "--engine", "ray")
    assert (code, plain_code) == (1, 1), errors
    assert {name: counts[name] for name in ("read", "done", "failed", "duplicates", "saved")} == {
        "read": 63,
        "done": 61,
        "failed": 2,
        "duplicates": 1,
        "saved": 1,
    }
    assert counts["done"] == plain["done"]
    ways = [{r["id"]: comparable(r) for r in records_of(tmp_path / name)} for name in ("plain", "ray")]
    assert ways[0] == ways[1]
    assert [f["reason"] for f in failures(tmp_path / "ray")] == [f["reason"] for f in failures(tmp_path / "plain")]
    code, counts, errors = await job_run(source, tmp_path / "ray", "--gateway", gateway, "--engine", "ray")
    assert (code, counts["skipped"], counts["done"], counts["failed"]) == (1, 61, 0, 2), errors
