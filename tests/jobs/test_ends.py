"""However a run ends, the same command goes on: no article lost, none twice.

Killed are the client, the gateway and the translator."""

import asyncio
import json
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.job_lines import made_up
from benchmarks.stub_translator import STUB
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.inputs import Fields, open_input
from khulasa.jobs.output import recorded_ids, records_of
from khulasa.jobs.plan import Plan
from khulasa.jobs.progress import RunProgress
from khulasa.jobs.run import Ledger, Run
from khulasa.types import Options
from khulasa.up import Services
from services.harness.clients import Clients
from tests.conftest import Stack, start_stack
from tests.harness.test_credentials import OTHER_TOKEN, TOKEN, write_clients
from tests.jobs.test_run import failures, job_run, line, records, running, until, write_lines

COUNT = 150
FAULTY = """
from khulasa.jobs import run
def faulty(*_, **__):
    return {}["secret"]
run.record_of = faulty
from khulasa.cli import app
app()
"""


@pytest.fixture
async def services(model_folder: Path) -> AsyncIterator[Services]:
    """Gateway, translator and summarizer as processes of their own, with an engine that takes a while."""
    settings = {"KHULASA_MODEL": str(model_folder), "KHULASA_STUB_DELAY_S": "0.03", "KHULASA_THREADS": "1"}
    async with await Services.start(quiet=True, settings=settings, modules=STUB) as services:
        yield services


def count_of(output: Path) -> int:
    lines = output / ".journal.jsonl" if output.is_dir() else output
    return lines.read_bytes().count(b"\n") if lines.exists() else 0


@pytest.mark.parametrize("name", ["out.jsonl", "out"])
async def test_a_killed_client_goes_on(services: Services, tmp_path: Path, name: str) -> None:
    """kill -9 at several moments, then a whole run: each id is there once, and none is asked for twice needlessly."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(COUNT)]), tmp_path / name
    done = 0
    for _ in range(3):
        async with running(source, output, "--gateway", services.addresses["gateway"]) as process:
            await until(lambda: count_of(output) >= done + 10)  # noqa: B023
            process.kill()
            await process.communicate()
        done = count_of(output)
    code, counts, errors = await job_run(source, output, "--gateway", services.addresses["gateway"])
    assert (code, counts["skipped"] >= done, counts["skipped"] + counts["done"]) == (0, True, COUNT), errors
    assert sorted(record["id"] for record in records_of(output)) == sorted(f"a-{n}" for n in range(COUNT))


@pytest.mark.parametrize("victim", ["gateway", "translator"])
async def test_a_killed_service_is_waited_for(services: Services, tmp_path: Path, victim: str) -> None:
    """kill -9 of the gateway or of the translator in the middle, and a new one at its place: the run ends well."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(COUNT)]), tmp_path / "out.jsonl"
    running_job = asyncio.create_task(job_run(source, output, "--gateway", services.addresses["gateway"]))
    await until(lambda: count_of(output) >= 10)
    services.processes[victim].kill()
    await services.processes[victim].wait()
    await asyncio.sleep(0.5)
    await services.start_one(victim, services.environment)
    code, counts, errors = await running_job
    assert (code, counts["done"], counts["failed"]) == (0, COUNT, 0), errors
    assert sorted(record["id"] for record in records(output)) == sorted(f"a-{n}" for n in range(COUNT))


async def test_ctrl_c_ends_with_what_is_under_way(services: Services, tmp_path: Path) -> None:
    """Status 130; what was begun is in the output, and the next run does the rest."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(COUNT)]), tmp_path / "out.jsonl"
    async with running(source, output, "--gateway", services.addresses["gateway"], "--json") as process:
        await until(lambda: count_of(output) >= 10)
        process.send_signal(signal.SIGINT)
        out, errors = await process.communicate()
        assert process.returncode == 130, errors
    assert 10 <= json.loads(out)["done"] == len(records(output)) < COUNT
    code, counts, _ = await job_run(source, output, "--gateway", services.addresses["gateway"])
    assert (code, counts["done"] + counts["skipped"]) == (0, COUNT)


async def test_two_runs_on_one_output_are_refused(services: Services, tmp_path: Path) -> None:
    """The second is told of the first and touches nothing."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(5000)]), tmp_path / "out.jsonl"
    async with running(source, output, "--gateway", services.addresses["gateway"]) as process:
        await until(lambda: count_of(output) >= 1)
        code, _, errors = await job_run(source, output, "--gateway", services.addresses["gateway"])
        assert (code, "Another run" in errors) == (2, True)
        assert process.returncode is None


@pytest.mark.parametrize("name", ["out.jsonl", "out"])
async def test_a_full_disk_stops_the_run_and_nothing_is_lost(stack: Stack, tmp_path: Path, name: str) -> None:
    """Status 3 and what to do; with room again the same command does the rest."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(40)]), tmp_path / name
    arguments = ["job", "run", str(source), str(output), "--gateway", stack.addresses["gateway"]]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "khulasa", *arguments),
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    _, errors = await process.communicate()
    assert process.returncode == 3, errors
    assert b"the same command goes on" in errors
    before = len(list(recorded_ids(output)))
    assert 0 < before < 40
    code, counts, _ = await job_run(source, output, "--gateway", stack.addresses["gateway"])
    assert (code, counts["skipped"], counts["done"]) == (0, before, 40 - before)
    assert len({record["id"] for record in records_of(output)}) == len(list(records_of(output))) == 40
    assert not failures(output)


async def test_a_token_that_is_taken_back_stops_the_run(
    model_folder: Path, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 3 and no failures, however many articles are left; when the token is given again the rest is done."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(1000)]), tmp_path / "out.jsonl"
    clients = write_clients(tmp_path / "clients.toml", newsroom=TOKEN)
    monkeypatch.setenv("KHULASA_TOKEN", TOKEN)
    async with AsyncExitStack() as parts:
        stack = await start_stack(model_folder, redis_url, parts, clients=Clients(clients))
        gateway = stack.addresses["gateway"]
        running_job = asyncio.create_task(job_run(source, output, "--gateway", gateway))
        await until(lambda: count_of(output) >= 10)
        write_clients(clients, newsroom=OTHER_TOKEN)
        code, counts, errors = await running_job
        assert (code, counts["failed"], counts["done"] < 1000) == (3, 0, True), errors
        assert "refuses the caller" in errors
        write_clients(clients, newsroom=TOKEN)
        code, counts, errors = await job_run(source, output, "--gateway", gateway)
        assert (code, counts["done"] + counts["skipped"], counts["failed"]) == (0, 1000, 0), errors


async def test_a_file_of_bad_lines_can_be_interrupted(tmp_path: Path) -> None:
    """Others get their turn between lines that are no articles, so that Ctrl-C and the progress are not kept out."""
    source = open_input(str(write_lines(tmp_path / "in.jsonl", ["{"] * 20_000)), Fields())
    ledger = Ledger.open(tmp_path / "out.jsonl", source, Options())
    answerer = Answerer(made_up, AdaptiveLimit(4), 60)
    progress = RunProgress(ledger.counts, source, Console(stderr=True))
    run = Run(source, ledger, Plan(ledger.index, ledger.counts), answerer, progress)
    task = asyncio.create_task(run.run())
    while not ledger.counts.failed:  # noqa: ASYNC110  # it is to be seen between two lines
        await asyncio.sleep(0)
    await run.interrupt()
    await task
    ledger.close()
    assert 0 < ledger.counts.failed < 20_000


async def test_a_fault_that_nobody_knows_is_one_line_to_report(stack: Stack, tmp_path: Path) -> None:
    """Status 3, its kind and place, and nothing of what it was about; then the same command goes on."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(n) for n in range(5)]), tmp_path / "out.jsonl"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FAULTY, "job", "run", str(source), str(output)),
        *("--gateway", stack.addresses["gateway"]),
        stderr=asyncio.subprocess.PIPE,
    )
    _, found = await process.communicate()
    errors = found.decode()
    assert process.returncode == 3, errors
    assert re.search(r"KeyError in run\.py, line \d+\. All that was done is kept", errors)
    assert "secret" not in errors
    assert "Traceback" not in errors
    code, counts, errors = await job_run(source, output, "--gateway", stack.addresses["gateway"])
    assert (code, counts["done"]) == (0, 5), errors


async def test_a_gateway_that_never_comes_stops_the_run(tmp_path: Path) -> None:
    """Status 3 after the patience, with words, and nothing is a failure of an article."""
    source, output = write_lines(tmp_path / "in.jsonl", [line(1)]), tmp_path / "out.jsonl"
    code, counts, errors = await job_run(source, output, "--gateway", "127.0.0.1:1", "--patience", 1)
    assert (code, counts["failed"], "gave no answer for 1 s" in errors) == (3, 0, True)
