"""Jobs while their gateways, their Redis and the client that sends them are killed: what is lost, what comes twice.

    python -m benchmarks.job_faults [--runs 20] [--articles 400] [--kills 6] [--seed 1]

Each run sends a job of generated articles (some the same but for how they are set, some pages without text) to two
gateway processes that share a real redis-server, and kills -9 one of them, the redis-server or the sending client at
random moments; each is started again, the redis-server with its data. Translations come from a stub in this process,
which refuses now and then as overloaded; all else is real. Ends with status 1 if any article is lost, doubled or wrong.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks import results_file
from gateway.embedded_redis import redis_server
from gateway.jobs.duplicates import normal_form
from khulasa import AsyncClient, BadRequest, Job, JobResult, KhulasaError, Result
from khulasa.up import free_port, until_serving
from khulasa.v1 import article_pb2, summarizer_pb2_grpc, translator_pb2, translator_pb2_grpc
from services.harness import logs
from services.harness.errors import Reason, Refusal
from services.harness.server import Server, Service
from services.harness.settings import ServerSettings
from services.summarizer.service import SummarizerService

GATEWAYS = 2
IDLE_S = 2.0
END_S = 180.0
NO_ARTICLE = "<html><body></body></html>"
SENDINGS = 50
WORDS = [
    "وصل",
    "الوزير",
    "المدينة",
    "خبر",
    "عاجل",
    "المجلس",
    "قرار",
    "النهر",
    "مدرسة",
    "سوق",
    "جسر",
    "طبيب",
    "خطة",
    "أسبوع",
    "طريق",
    "سعر",
    "جزيرة",
    "عائلة",
    "ميناء",
]


def main() -> None:
    """Run, print a table, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--articles", type=int, default=400)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logs.configure("ERROR", process="stub")
    outcomes = []
    print("seed  seconds  killed: gateway redis client   articles  done failed saved   lost doubled wrong   redone")
    for seed in range(args.seed, args.seed + args.runs):
        outcome = asyncio.run(run(seed, articles=args.articles, kills=args.kills))
        outcomes.append(outcome)
        killed = outcome.killed
        print(
            f"{seed:4}  {outcome.seconds:7.1f}  {killed['gateway']:15} {killed['redis']:5} {killed['client']:6}   "
            f"{outcome.articles:8}  {outcome.done:4} {outcome.failed:6} {outcome.saved:5}   "
            f"{outcome.lost:4} {outcome.doubled:7} {outcome.wrong:5}   {outcome.redone:6}",
            flush=True,
        )
    bad = sum(outcome.lost + outcome.doubled + outcome.wrong for outcome in outcomes)
    rows = [{**vars(outcome), "killed": dict(outcome.killed)} for outcome in outcomes]
    print(
        f"{len(outcomes)} runs, {sum(outcome.articles for outcome in outcomes)} articles, {bad} lost, doubled or wrong"
    )
    print(results_file.keep("job_faults", {"runs": rows, "lost_doubled_or_wrong": bad}))
    raise SystemExit(1 if bad else 0)


@dataclass
class Outcome:
    """What a run came to."""

    seed: int
    articles: int
    seconds: float = 0.0
    killed: Counter[str] = field(default_factory=Counter)
    done: int = 0
    failed: int = 0
    saved: int = 0
    """Duplicates that were not translated."""
    lost: int = 0
    doubled: int = 0
    """Results, counts in the job's metadata or jobs too many."""
    wrong: int = 0
    """Results that are not those of the article."""
    redone: int = 0
    """Paragraphs that were translated more than once."""


async def run(seed: int, *, articles: int, kills: int) -> Outcome:
    """Do one job under faults and compare what came of it with what was sent."""
    chance = random.Random(seed)
    sent = make_articles(chance, articles)
    outcome = Outcome(seed, len(sent))
    started = time.perf_counter()
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="khulasa-faults-")))
        machines = Machines(folder, StubTranslator(chance))
        parts.push_async_callback(machines.stop)
        await machines.start()
        file = folder / "articles.jsonl"
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sent))
        killing = asyncio.create_task(machines.kill(chance, kills // 3, outcome.killed))
        name = await machines.send(file, chance, outcome.killed)
        await killing
        await machines.kill(chance, kills - kills // 3, outcome.killed)  # the others while the job is worked off
        job, results, jobs = await machines.fetch(name)
        outcome.redone = sum(times - 1 for times in machines.translator.times.values())
    outcome.seconds = round(time.perf_counter() - started, 1)
    compare(sent, job, results, outcome)
    outcome.doubled += jobs - 1
    return outcome


def make_articles(chance: random.Random, count: int) -> list[dict[str, str]]:
    """Return lines for a job: a quarter set otherwise than one before, one in twenty no article, the rest new."""
    lines: list[dict[str, str]] = []
    for number in range(count):
        kind = chance.random()
        before = [line for line in lines if "text" in line]
        if kind < 0.05:
            lines.append({"id": f"article-{number}", "html": NO_ARTICLE})
            continue
        if kind < 0.3 and before:
            text = chance.choice(before)["text"].replace(" ", chance.choice([" ", "  ", " \u200f"])).replace("ر", "رّ")
        else:
            paragraphs = [
                " ".join([*chance.choices(WORDS, k=chance.randint(5, 30)), str(number), str(part)]) + "."
                for part in range(chance.randint(1, 5))
            ]
            text = "\n".join(paragraphs)
        lines.append({"id": f"article-{number}", "text": text})
    return lines


def compare(sent: Sequence[dict[str, str]], job: Job, results: Sequence[JobResult], outcome: Outcome) -> None:
    """Count what is lost, doubled or wrong."""
    texts = {line["id"]: line.get("text", "") for line in sent}
    found = Counter(result.id for result in results)
    outcome.lost = sum(1 for name in texts if not found[name])
    outcome.doubled = sum(times - 1 for times in found.values())
    outcome.done = sum(isinstance(result.answer, Result) for result in results)
    outcome.failed = len(results) - outcome.done
    outcome.saved = sum(bool(result.duplicate_of) for result in results)
    counts = (job.articles, job.done, job.failed, job.duplicates)
    outcome.doubled += counts != (len(sent), outcome.done, outcome.failed, outcome.saved)
    outcome.wrong = sum(not _right(texts.get(result.id), result) for result in results)


def _right(text: str | None, result: JobResult) -> bool:
    if text is None:
        return False
    if not text:
        return isinstance(result.answer, BadRequest) and result.answer.reason == "NO_ARTICLE_IN_HTML"
    if not isinstance(result.answer, Result):
        return False
    position = 0
    for paragraph in result.answer.translation.paragraphs:
        for sentence in paragraph.sentences:
            if text[position : sentence.span.start].strip():
                return False
            position = sentence.span.end
            if sentence.source != text[sentence.span.start : position] or sentence.translation != say(sentence.source):
                return False
    return not text[position:].strip()


def say(arabic: str) -> str:
    """Return the stub's translation: the same for what is the same but for how it is set, another for all else."""
    return f"English {zlib.crc32(normal_form(arabic).encode()):08x}"


class StubTranslator(translator_pb2_grpc.TranslatorServicer):
    """Answers after a while, refuses now and then, counts how often it translated each paragraph."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.times: Counter[str] = Counter()

    async def TranslateParagraphs(
        self, request: translator_pb2.TranslateParagraphsRequest, context: Any
    ) -> translator_pb2.TranslateParagraphsResponse:
        if self._chance.random() < 0.05:
            raise Refusal(Reason.OVERLOADED, "The queue is full.", retry_after_s=0.2)
        await asyncio.sleep(self._chance.uniform(0.1, 0.8))
        self.times.update(request.paragraphs)
        answers = [
            translator_pb2.TranslatedParagraph(
                sentences=[
                    article_pb2.Sentence(
                        source=text, translation=say(text), span=article_pb2.Span(start=0, end=len(text))
                    )
                ]
            )
            for text in request.paragraphs
        ]
        return translator_pb2.TranslateParagraphsResponse(paragraphs=answers, model=MODEL)

    async def DescribeModel(
        self, request: translator_pb2.DescribeModelRequest, context: Any
    ) -> translator_pb2.DescribeModelResponse:
        return translator_pb2.DescribeModelResponse(model=MODEL)


MODEL = translator_pb2.Model(name="stub", digest="0" * 64, engine="stub", pipeline="stub")


class Machines:
    """The processes of a run: they are killed, and started again in their places."""

    def __init__(self, folder: Path, translator: StubTranslator) -> None:
        self._folder = folder
        self.translator = translator
        self._server = Server(
            ServerSettings(address="127.0.0.1:0", drain_s=0), Service("stub", self._register, _nothing)
        )
        self._url = f"unix://{folder / 'redis.sock'}"
        self._addresses = [f"127.0.0.1:{free_port()}" for _ in range(GATEWAYS)]
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._downstream = ""
        self._log = (folder / "gateways.log").open("wb")

    async def start(self) -> None:
        """Start all, ready."""
        await self._server.start()
        self._downstream = f"127.0.0.1:{self._server.port}"
        await self._start_redis()
        for number in range(GATEWAYS):
            await self._start_gateway(number)
        await self._until_ready()

    async def kill(self, chance: random.Random, kills: int, killed: Counter[str]) -> None:
        """Kill one process after the other at random moments, each started again a little later."""
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            victim = chance.choice(["redis", *(f"gateway {number}" for number in range(GATEWAYS))])
            killed[victim.split()[0]] += 1
            await self._kill(victim)
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            if victim == "redis":
                await self._start_redis()
            else:
                await self._start_gateway(int(victim.split()[1]))

    async def send(self, file: Path, chance: random.Random, killed: Counter[str]) -> str:
        """Send the job by the command line, as often as it takes; the first two times it may be killed."""
        for attempt in range(SENDINGS):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "khulasa", "job", "submit", str(file)),
                *("--gateway", chance.choice(self._addresses)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            if attempt < 2 and chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0.4, 1.5))
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                    killed["client"] += 1
            out, errors = await process.communicate()
            if process.returncode == 0:
                return out.decode().strip()
            if attempt == SENDINGS - 1:
                raise RuntimeError(f"the job could not be sent: {errors.decode()}")
            await asyncio.sleep(0.2)
        raise AssertionError("the last sending returns or raises")

    async def fetch(self, name: str) -> tuple[Job, list[JobResult], int]:
        """Return the job when it has ended, its results, and how many jobs there are."""
        await self._until_ready()
        async with AsyncClient(self._addresses[0], timeout_s=20) as client, asyncio.timeout(END_S):
            while True:
                with contextlib.suppress(KhulasaError):
                    job = await client.wait_for_job(name, timeout_s=5)
                    if not job.running:
                        break
            results = [result async for result in client.job_results(name)]
            return job, results, len([listed async for listed in client.jobs()])

    async def stop(self) -> None:
        """End all."""
        for name in list(self._running):
            await self._kill(name)
        await self._server.drain()
        self._log.close()

    def _register(self, server: grpc.aio.Server) -> None:
        translator_pb2_grpc.add_TranslatorServicer_to_server(self.translator, server)
        summarizer_pb2_grpc.add_SummarizerServicer_to_server(SummarizerService(), server)

    async def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()

    async def _start_redis(self) -> None:
        (self._folder / "redis.sock").unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self._folder / "redis.sock"),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._running["redis"] = await asyncio.create_subprocess_exec(
            redis_server(), *arguments, stdout=asyncio.subprocess.DEVNULL
        )

    async def _start_gateway(self, number: int) -> None:
        own = {
            "KHULASA_ADDRESS": self._addresses[number],
            "KHULASA_TRANSLATOR": self._downstream,
            "KHULASA_SUMMARIZER": self._downstream,
            "KHULASA_JOBS_REDIS_URL": self._url,
            "KHULASA_JOB_IDLE_S": str(IDLE_S),
            "KHULASA_LOG_LEVEL": "WARNING",
        }
        self._running[f"gateway {number}"] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway"), env=os.environ | own, stderr=self._log
        )

    async def _until_ready(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*map(until_serving, self._addresses))


async def _nothing() -> None:
    """The stubs are ready as they are."""


if __name__ == "__main__":
    main()
