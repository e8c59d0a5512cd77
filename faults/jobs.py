"""Jobs while whatever takes part in them is killed at random moments: what is lost, comes twice or is wrong.

    python -m faults.jobs --way run|submit|ray|ray-in-process [--runs 20] [--articles 400] [--kills 6] [--seed 1]
                          [--engine stub|model] [--input FILE.jsonl.gz [--words N]] [--output jsonl|parquet|both]

run is `khulasa job run` against the gateways, submit is `khulasa job submit` and `results --follow`, the others are
`khulasa job run --engine ray`. Killed with -9 are the command, gateways, translators, the Redis of the cache, that of
the jobs, and workers of Ray; each is started again in its place after a while, a Redis with its data, and the same
command is given until it ends by itself. Then the output is held against the input.

The stub engine stands in the real translators. In the processes of Ray, where no stub can be put, it is a model of
random weights. With `--engine model` the shipped model translates, and kills go on until the job has ended, 60 to 120 s
apart. Ends with status 1 if anything is lost, doubled, wrong, or needed more than the same command again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from benchmarks import results_file
from benchmarks.stub_translator import STUB
from faults import job_articles
from faults.cluster import CACHE, GATEWAYS, JOBS, TRANSLATORS, Cluster
from faults.job_articles import Line, Record, Said, Verdict
from khulasa.jobs.failures import STOPPED
from khulasa.jobs.output import records_of
from services.translator.settings import SHIPPED_MODEL
from tests.conftest import train_tokenizer
from tests.tiny_models import write_encoder_decoder

WAYS = ("run", "submit", "ray", "ray-in-process")
CLIENT, ACTOR = "client", "actor"
MEMBERS = (*GATEWAYS, *TRANSLATORS, CACHE, JOBS)
VICTIMS = {
    "run": (CLIENT, *MEMBERS),
    "submit": (CLIENT, *MEMBERS),
    "ray": (CLIENT, ACTOR, *MEMBERS),
    "ray-in-process": (CLIENT, ACTOR),
}
EVERY_S = {"stub": (0.3, 4.0), "model": (60.0, 120.0)}
AT_WORK = ("ray::MapWorker", "ray::ReadListed")
"""What the processes of Ray are called that answer articles and that read them."""
AWAY_S = 2.0
"""What was killed stands again after at most so long, and its start."""
LOOK_S = 0.3
COMMANDS = 100
ONCE = {"KHULASA_SECOND_TRIES": "false"}
STUB_SETTINGS = {
    # Small batches that take a while, so that articles end all the time, and the job outlasts the kills.
    "KHULASA_STUB_DELAY_S": "0.3",
    "KHULASA_BATCH_TOKENS": "512",
    "KHULASA_JOB_IDLE_S": "2",
    "KHULASA_LOG_LEVEL": "WARNING",
}


def main() -> None:
    """Make the runs, print a line for each, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, required=True)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--articles", type=int, default=400)
    parser.add_argument("--kills", type=int, default=6, help="of a run; with --engine model there is no end to them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=list(EVERY_S), default="stub")
    parser.add_argument("--input", type=Path, metavar="FILE.jsonl.gz", help="real articles; else they are generated")
    parser.add_argument("--words", type=int, help="cut the real articles to so many words")
    parser.add_argument("--output", choices=["jsonl", "parquet", "both"], default="both")
    args = parser.parse_args()
    outputs = {"jsonl": ["out.jsonl"], "parquet": ["out"], "both": ["out.jsonl", "out"]}[args.output]
    if args.way == "submit":
        outputs = ["out.jsonl"]
    outcomes: list[Outcome] = []
    # Ctrl-C ends the runs early; those that were made are kept.
    with shared_model(args.engine) as model, contextlib.suppress(KeyboardInterrupt):
        for number in range(args.runs):
            trial = Trial(
                way=args.way,
                engine=args.engine,
                seed=args.seed + number,
                articles=args.articles,
                kills=args.kills if args.engine == "stub" else None,
                output=outputs[number % len(outputs)],
                input=args.input,
                words=args.words,
            )
            outcomes.append(asyncio.run(run(trial, model)))
            print(outcomes[-1].line(), flush=True)
    bad = sum(outcome.faulty for outcome in outcomes)
    killed = sum((Counter(outcome.killed) for outcome in outcomes), Counter[str]())
    articles = sum(outcome.articles for outcome in outcomes)
    print(f"{bad} of {len(outcomes)} runs with a fault; {articles} articles, {killed.total()} kills {dict(killed)}")
    result: dict[str, object] = {
        "way": args.way,
        "engine": args.engine,
        "words": args.words,
        "runs_with_a_fault": bad,
        "articles": articles,
        "killed": dict(killed),
        "runs": [asdict(outcome) for outcome in outcomes],
    }
    print(results_file.keep(f"job_faults_{args.way.replace('-', '_')}", result))
    raise SystemExit(bool(bad))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run: what is done, in which way, and how much of it is killed."""

    way: str
    seed: int
    articles: int
    kills: int | None
    """None: until the job has ended."""
    engine: str = "stub"
    output: str = "out.jsonl"
    input: Path | None = None
    words: int | None = None


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    seed: int
    output: str
    articles: int
    seconds: float
    """From the first command to the end of the last, kills and new starts included."""
    articles_per_minute: float
    killed: dict[str, int]
    commands: int
    """How often a command was given, the first time included."""
    stopped: int
    """Of these, how often it ended by itself before the end, as documented, for the same command to go on."""
    done: int
    failed: int
    copies: int
    verdict: Verdict
    ended_badly: list[str] = field(default_factory=list)
    """Commands that ended by themselves, and not well."""
    folder: str = ""
    """Where all files of a run with a fault still are."""

    @property
    def faulty(self) -> bool:
        """Whether anything was not as it must be."""
        return bool(self.verdict.faults or self.ended_badly)

    def line(self) -> str:
        """Return what is printed of it."""
        found, killed = self.verdict, " ".join(f"{name} {times}" for name, times in sorted(self.killed.items()))
        words = (
            f"seed {self.seed} {self.output}: {self.seconds} s, {self.articles_per_minute} articles/min; "
            f"killed {sum(self.killed.values())} ({killed}), {self.commands} commands, {self.stopped} stopped; "
            f"{self.done} done, {self.failed} failed, {self.copies} copies; "
            f"lost {found.lost} twice {found.twice} wrong {found.wrong} unmarked {found.unmarked} "
            f"miscounted {found.miscounted}"
        )
        complaints = [*found.told, *self.ended_badly, *([self.folder] if self.folder else [])]
        return "\n    ".join([words, *complaints])


@contextlib.contextmanager
def shared_model(engine: str) -> Iterator[Path]:
    """Yield the folder of the model for all runs: the shipped one, or one of random weights, made for the time."""
    if engine == "model":
        yield SHIPPED_MODEL
        return
    with tempfile.TemporaryDirectory(prefix="khulasa-faults-") as folder:
        train_tokenizer(Path(folder) / "tokenizer.model")
        write_encoder_decoder(Path(folder) / "model", Path(folder) / "tokenizer.model")
        yield Path(folder) / "model"


async def run(trial: Trial, model: Path) -> Outcome:
    """Do one job under faults and hold what came of it against what was sent."""
    chance = random.Random(trial.seed)
    if trial.input:
        sent = job_articles.read(trial.input, trial.articles, trial.words)
    else:
        sent = job_articles.generated(chance, trial.articles)
    said = None
    scripted = trial.way != "ray-in-process"
    if trial.engine == "stub" and (scripted or not trial.input):  # random weights say the same of short texts only
        said = await job_articles.learn(sent, model, scripted=scripted)
    folder = Path(tempfile.mkdtemp(prefix="kf-"))  # short: the sockets of Ray have their paths in it
    (folder / "in.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sent))
    async with _standing(trial, model, folder) as cluster:
        command = Command(folder, chance, ONCE | {"KHULASA_MODEL": str(model), "RAY_TMPDIR": str(folder)})
        killer = Killer(chance, VICTIMS[trial.way], cluster, command)
        killing = asyncio.create_task(killer.kill(trial.kills, EVERY_S[trial.engine]))
        started = time.perf_counter()
        do = _submit if trial.way == "submit" else _run
        records, reasons, verdict = await do(trial, command, killer, sent, said)
        seconds = time.perf_counter() - started
        await killer.end()
        await killing
    outcome = Outcome(
        trial.seed,
        trial.output,
        len(sent),
        round(seconds, 1),
        round(len(sent) / seconds * 60, 1),
        dict(killer.killed),
        command.given,
        command.stopped,
        done=len(records),
        failed=len(reasons),
        copies=sum(bool(record["duplicate_of"]) for record in records),
        verdict=verdict,
        ended_badly=command.ended_badly,
    )
    if outcome.faulty:
        outcome.folder = str(folder)
    else:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return outcome


Done = tuple[list[Record], dict[str, str], Verdict]
"""The records of answered articles, the reasons of the others, and what is wrong."""


async def _run(trial: Trial, command: "Command", killer: "Killer", sent: Sequence[Line], said: Said | None) -> Done:
    output = command.folder / trial.output
    arguments = ["run", str(command.folder / "in.jsonl"), str(output), "--json", *_options(trial)]
    if trial.way.startswith("ray"):
        arguments += ["--engine", "ray", "--actors", "2"]
    if trial.way == "ray-in-process":
        arguments += ["--in-process"]
    else:
        arguments += ["--gateway", killer.gateway()]
    expected = 1 if any("html" in line for line in sent) else 0
    # A Ray that does not start in time, or gives up, stops a run as it is documented: the same command goes on.
    again = {STOPPED} if trial.way.startswith("ray") else set()
    counts = json.loads(await command.until_done(arguments, well={expected}, again=again) or "{}")
    records = list(records_of(output))
    failures = _failures(output)
    reasons = {failure["id"]: failure["reason"] for failure in failures}
    verdict = job_articles.judge(sent, records, reasons, said)
    verdict.twice += len(failures) - len(reasons)
    told = {name: counts.get(name) for name in ("read", "passed_over", "failed")}
    told["in the output"] = counts.get("skipped", 0) + counts.get("done", 0)
    _compare(verdict, told, {"read": len(sent), "passed_over": 0, "failed": len(failures)}, len(records))
    return records, reasons, verdict


async def _submit(trial: Trial, command: "Command", killer: "Killer", sent: Sequence[Line], said: Said | None) -> Done:
    at, output = ["--gateway", killer.gateway()], command.folder / trial.output
    name = (
        await command.until_done(
            ["submit", str(command.folder / "in.jsonl"), *at, *_options(trial)], well={0}, again={1}
        )
    ).strip()
    await command.until_done(["results", name, "--follow", "--output", str(output), *at], well={0}, again={1})
    await killer.end()
    job = json.loads(await command.until_done(["status", name, "--json", *at], well={0}))
    jobs = (await command.until_done(["list", "--json", *at], well={0})).splitlines()
    answers = list(records_of(output))
    records = [answer for answer in answers if answer["translation"]]
    failures = [answer for answer in answers if not answer["translation"]]
    reasons = {answer["id"]: answer["status"]["reason"] for answer in failures}
    verdict = job_articles.judge(sent, records, reasons, said)
    verdict.twice += len(failures) - len(reasons) + len(jobs) - 1
    told = {count: job[count] for count in ("state", "articles", "failed", "duplicates")}
    told["in the output"] = job["done"]
    copies = sum(bool(record["duplicate_of"]) for record in records)
    counted = {"state": "ended", "articles": len(sent), "failed": len(failures), "duplicates": copies}
    _compare(verdict, told, counted, len(records))
    return records, reasons, verdict


def _failures(output: Path) -> list[Record]:
    path = Path(f"{output}.errors.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _options(trial: Trial) -> list[str]:
    return [] if trial.engine == "model" else ["--boilerplate"]  # what is learnt in calm is everything, prose or not


def _compare(verdict: Verdict, told: Mapping[str, object], counted: Mapping[str, object], records: int) -> None:
    for name, number in (counted | {"in the output": records}).items():
        if told[name] != number:
            verdict.miscounted += verdict.tell(f"the command says {name} {told[name]}, it is {number}")


@asynccontextmanager
async def _standing(trial: Trial, model: Path, folder: Path) -> AsyncIterator[Cluster | None]:
    """Start what the way calls; nothing where Ray does it all."""
    if trial.way == "ray-in-process":
        yield None
        return
    settings = ONCE | STUB_SETTINGS if trial.engine == "stub" else ONCE
    module = STUB["translator"] if trial.engine == "stub" else "services.translator"
    async with Cluster(folder, model, translator=module, settings=settings) as cluster:
        yield cluster


class Command:
    """`khulasa job …`, as somebody gives it who knows only that the same command goes on."""

    def __init__(self, folder: Path, chance: random.Random, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.given = self.stopped = 0
        self.ended_badly: list[str] = []
        self.process: asyncio.subprocess.Process | None = None
        self._chance = chance
        self._settings = settings

    async def until_done(self, arguments: Sequence[str], *, well: Set[int], again: Set[int] = frozenset()) -> str:
        """Give the command until it ends by itself, also after a status of `again`; return what it printed.

        Any other status than those of `well` is kept as a fault.
        """
        for _ in range(COMMANDS):
            self.given += 1
            out = self.folder / "command.out"  # a file: what Ray leaves behind for a moment would hold a pipe open
            with out.open("wb") as printed, (self.folder / "command.log").open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "khulasa", "job", *arguments),
                    env=os.environ | self._settings,
                    stdout=printed,
                    stderr=log,
                )
                try:
                    status = await self.process.wait()
                except asyncio.CancelledError:
                    self.process.kill()
                    raise
            self.process = None
            if status in well:
                return out.read_text()
            self.stopped += status in again
            if status != -signal.SIGKILL and status not in again:
                self.ended_badly.append(f"job {arguments[0]} ended with status {status}")
                return out.read_text()
            await asyncio.sleep(self._chance.uniform(0, AWAY_S))
        raise RuntimeError(f"job {arguments[0]} did not end well in {COMMANDS} times; see {self.folder}")


class Killer:
    """Kills one after the other, and starts each again in its place."""

    def __init__(
        self, chance: random.Random, victims: Sequence[str], cluster: Cluster | None, command: Command
    ) -> None:
        self.killed: Counter[str] = Counter()
        self._chance = chance
        self._victims = victims
        self._cluster = cluster
        self._command = command
        self._away: dict[str, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()

    def gateway(self) -> str:
        """Return the address for clients: both gateways, one of them first."""
        assert self._cluster is not None
        return self._chance.choice(self._cluster.gateways)

    async def kill(self, kills: int | None, every_s: tuple[float, float]) -> None:
        """Kill so many, or until `end`, at random moments; where Ray does the work, once it is at it."""
        while kills is None or self.killed.total() < kills:
            while ACTOR in self._victims and not self._workers():  # it takes longer to start than many a job
                if await self._ended_within(LOOK_S):
                    return
            if await self._ended_within(self._chance.uniform(*every_s)):
                return
            await self._kill(self._chance.choice(self._victims))

    async def end(self) -> None:
        """Kill nothing more, and return when everything stands."""
        self._ended.set()
        await asyncio.gather(*self._away.values())

    async def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
        return self._ended.is_set()

    async def _kill(self, victim: str) -> None:
        if victim == CLIENT:
            process = self._command.process
            if process is None or process.returncode is not None:
                return
            process.kill()
        elif victim == ACTOR:
            workers = self._workers()
            if not workers:
                return
            with contextlib.suppress(psutil.NoSuchProcess):
                self._chance.choice(workers).kill()
        else:
            if victim in self._away and not self._away[victim].done():
                return
            assert self._cluster is not None
            await self._cluster.kill(victim)
            self._away[victim] = asyncio.create_task(self._back(victim))
        self.killed[victim] += 1

    def _workers(self) -> list[psutil.Process]:
        """Return the processes of Ray that do our work."""
        process = self._command.process
        if process is None or process.returncode is not None:
            return []
        try:
            children = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:  # it has ended by now
            return []
        found = []
        for child in children:
            with contextlib.suppress(psutil.Error):
                if "".join(child.cmdline()).startswith(AT_WORK):
                    found.append(child)
        return found

    async def _back(self, victim: str) -> None:
        assert self._cluster is not None
        await asyncio.sleep(self._chance.uniform(0, AWAY_S))
        await self._cluster.start(victim)


if __name__ == "__main__":
    main()
