"""Ray as the engine of a run, on this machine. Skipped where Ray is not installed."""

import asyncio
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from khulasa.jobs import progress
from khulasa.jobs.inputs import Fields, open_input
from khulasa.jobs.output import records_of
from khulasa.jobs.plan import Counts
from khulasa.jobs.ray_engine import shown
from tests.conftest import Stack
from tests.jobs.test_run import failures, job_run, line, until, write_lines
from tests.tiny_models import write_encoder_decoder


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """Return what an article's record has in common however it came about."""
    sentences = [s for paragraph in record["translation"]["paragraphs"] for s in paragraph["sentences"]]
    return {"english": [s["translation"] for s in sentences], "spans": [s["span"] for s in sentences]} | {
        name: record[name] for name in ("id", "digest", "flags", "status")
    }


async def python(script: str, *arguments: str, **variables: str) -> tuple[int | None, bytes, bytes]:
    """Run a script in a process of its own; return its status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, *arguments),
        env=os.environ | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    return process.returncode, out, errors


async def job_run_with(ray: str, source: Path, output: Path) -> tuple[int | None, bytes, bytes]:
    """Do a run in a process where `ray` has put something in the place of Ray."""
    command = "from khulasa.cli import app; app()"
    return await python(f"{ray}\n{command}", "job", "run", str(source), str(output), "--engine", "ray", "--json")


async def test_without_ray_the_command_says_what_to_install(stack: Stack, tmp_path: Path) -> None:
    """One line, status 2, nothing written."""
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    code, _, errors = await job_run_with("import sys; sys.modules['ray'] = None", source, tmp_path / "out")
    assert (code, b"pip install 'khulasa[ray]'" in errors) == (2, True), errors
    assert not (tmp_path / "out").exists()


SLOW_RAY = """
import sys, types
names = ("ray", "ray.data", "ray.util", "ray.util.scheduling_strategies")
sys.modules |= {name: types.ModuleType(name) for name in names}
def init(**_):
    print("(raylet) A worker died.")
    raise Exception("The current node timed out during startup.")
sys.modules["ray"].init, sys.modules["ray"].shutdown = init, lambda: None
"""


async def test_a_ray_that_does_not_start_stops_the_run(stack: Stack, tmp_path: Path) -> None:
    """On a busy machine Ray gives its node up with a bare Exception: one line, status 3, and the output can go on.

    What Ray prints meanwhile is not among the counts for programs.
    """
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    code, out, errors = await job_run_with(SLOW_RAY, source, tmp_path / "out.jsonl")
    assert code == 3, errors
    assert json.loads(out)["done"] == 0
    assert b"(raylet) A worker died." in errors
    assert b"timed out during startup. All that was done is kept; the same command goes on." in errors
    code, counts, _ = await job_run(source, tmp_path / "out.jsonl", "--gateway", stack.addresses["gateway"])
    assert (code, counts["done"]) == (0, 1)


LOSING_RAY = """
import sys, types
from types import SimpleNamespace as With
names = ("ray", "ray.data", "ray.util", "ray.util.scheduling_strategies")
ray, data, util, strategies = (sys.modules.setdefault(name, types.ModuleType(name)) for name in names)
ray.data, ray.util, util.scheduling_strategies = data, util, strategies
ray.init = ray.shutdown = lambda **_: None
ray.nodes = lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}]
ray.get_runtime_context = lambda: With(get_node_id=lambda: "here")
ray.exceptions = With(RayError=ConnectionError)
strategies.NodeAffinitySchedulingStrategy = data.ActorPoolStrategy = lambda *_, **__: None
data.DataContext, data.Datasource = With(get_current=With), object
data.read_datasource = lambda *_, **__: With(map=lambda *_, **__: With(iter_batches=lambda **_: []))
"""


async def test_articles_that_ray_loses_are_no_end(stack: Stack, tmp_path: Path) -> None:
    """Where fewer answers come back than articles went out, the status is 3, and the same command does the rest."""
    source = write_lines(tmp_path / "in.jsonl", [line(1), line(2)])
    code, _, errors = await job_run_with(LOSING_RAY, source, tmp_path / "out.jsonl")
    assert code == 3, errors
    assert b"Ray ended with 2 articles too few. All that was done is kept; the same command goes on." in errors
    code, counts, _ = await job_run(source, tmp_path / "out.jsonl", "--gateway", stack.addresses["gateway"])
    assert (code, counts["done"]) == (0, 2)


FAULTY_ARTICLE = """
import asyncio
from khulasa.errors import InternalError
from khulasa.jobs.in_process import InProcess
from khulasa.types import Article, Options

class Faulty:
    async def answer(self, article, options):
        raise ValueError(article.text)

async def main():
    async with await InProcess.start() as translator:
        translator._pipeline = Faulty()
        try:
            await translator.process(Article(text="وصل الوزير."), Options())
        except InternalError as error:
            print(error.reason, error)

asyncio.run(main())
"""


async def test_a_fault_at_an_article_is_an_error_of_that_article(model_folder: Path, tmp_path: Path) -> None:
    """To Ray it would be the end of the run. The log has its type and place, and no word of the article."""
    write_encoder_decoder(tmp_path / "model", model_folder / "tokenizer.model")
    _, out, errors = await python(FAULTY_ARTICLE, KHULASA_MODEL=str(tmp_path / "model"), KHULASA_THREADS="1")
    assert out.startswith(b"INTERNAL An internal error."), errors
    assert b"ValueError" in errors
    assert "الوزير" not in (out + errors).decode()


TWO_ARTICLES = """
import asyncio
from khulasa.jobs.in_process import InProcess
from khulasa.types import Article, Options
from services.harness import priority
from services.translator.queue import TranslationQueue

place, lanes = TranslationQueue.place, []

def overheard(self, chars):
    lanes.append(priority.name())
    return place(self, chars)

async def main():
    TranslationQueue.place = overheard
    async with await InProcess.start() as translator:
        articles = [Article(text=text) for text in ("وصل الوزير اليوم.", "غادر الطبيب المدينة أمس.")]
        await asyncio.gather(*(translator.process(article, Options()) for article in articles))
    print(*lanes)

asyncio.run(main())
"""


async def test_the_articles_of_an_actor_are_of_a_job(model_folder: Path, tmp_path: Path) -> None:
    """Those the queue does in their order; articles that somebody waits for would all end at once, and late."""
    write_encoder_decoder(tmp_path / "model", model_folder / "tokenizer.model")
    _, out, errors = await python(TWO_ARTICLES, KHULASA_MODEL=str(tmp_path / "model"), KHULASA_THREADS="1")
    assert out == b"job job\n", errors


async def test_how_far_it_is_is_shown_while_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come by time, not with rows: slow actors, or those that find no place, may give none for long."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)
    console = Console(file=io.StringIO())
    source = open_input(str(write_lines(tmp_path / "in.jsonl", [line(1)])), Fields())
    with shown(progress.RunProgress(Counts(), source, console), 4):
        await until(lambda: console.file.getvalue().count("0 done") >= 2)  # type: ignore[attr-defined]  # a StringIO


async def test_more_processors_than_there_are_is_refused(tmp_path: Path) -> None:
    """With the numbers, where no actor finds any: Ray would wait for them for ever."""
    pytest.importorskip("ray")
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    many = ("--engine", "ray", "--in-process", "--actors", 4, "--actor-cpus", 4096)
    async with asyncio.timeout(120):
        code, counts, errors = await job_run(source, tmp_path / "out.jsonl", *many)
    assert (code, counts["done"]) == (2, 0), errors
    assert "4 actors need 4096 processors each" in errors


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
