"""Articles per second: Khulasa, Argos Translate's own loop and LibreTranslate's server, with one model, in one run.

    python3.11 -m venv PEERS && PEERS/bin/pip install -r benchmarks/peers/requirements.txt
    python -m benchmarks.peers --environment PEERS [--articles FILE.jsonl.gz] [--count 32] [--words 80] [--rounds 2]

All are started once and stay; their turns alternate. They are measured at equal beam and threads, ours without second
tries, and once, at eight callers, each as it comes. The ceiling is what the engine alone does with the batches that our
queue made for so many callers, written down and decoded again, against what it does with theirs: a paragraph at a time,
in parts of 32 tokens. Beside it stands what it would do if it had all sentences of so many articles at once, and of
all. Everything stays on this machine: the packages lie ready, and spaCy's rules split sentences, because the splitter
that Argos has by default is a download.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import ctranslate2

from benchmarks import articles, results_file, throughput
from benchmarks.peers import model as copying
from benchmarks.peers.recording_translator import RECORD, RECORDING, Record
from khulasa import AsyncClient
from khulasa.up import Services, free_port
from services.translator.model import Model
from services.translator.settings import SHIPPED_MODEL, TranslatorSettings

CALLERS = (1, 8, 32)
PEER_BATCH_TOKENS = 32
"""`ARGOS_BATCH_SIZE` as it comes; the unit is tokens."""
START_S = 120
LOG = "peers.log"
"""What the peers write, line upon line of every sentence: beside their packages, and shown only if one fails."""

Batches = Sequence[list[list[str]]]
Round = Callable[[Sequence[str], int], Awaitable[float]]
"""Takes texts and the number of callers; returns seconds."""


def main() -> None:
    """Measure all, print the ratios, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="the virtual environment of the peers")
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--words", type=int, default=80, help="articles are cut after so many")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--beam", type=int, default=1)
    args = parser.parse_args()
    texts = [articles.beginning(text, args.words) for text in articles.load(args.articles, args.count)]
    result = asyncio.run(measure(texts, args.environment.absolute(), rounds=args.rounds, beam=args.beam))
    print(json.dumps(result, indent=1))
    print(results_file.keep("peers", result))


async def measure(texts: list[str], environment: Path, *, rounds: int, beam: int) -> dict[str, object]:
    """Return articles per second of each system, round by round, the ratios, and the ceiling."""
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="khulasa-peers-")))
        copying.write(folder / "model", SHIPPED_MODEL, beam_size=beam)
        copying.write_argos_packages(folder / "packages", folder / "model")
        peers = Peers(environment, folder)
        parts.callback(peers.close)
        peers.prepare()
        threads = TranslatorSettings().threads
        equal = {"ARGOS_INTER_THREADS": f"{threads}", "ARGOS_INTRA_THREADS": "1", "ARGOS_BEAM_SIZE": f"{beam}"}
        ours = {"KHULASA_MODEL": str(folder / "model")}

        record = Record(folder / "batches.jsonl")

        async def khulasa(settings: Mapping[str, str], modules: Mapping[str, str] | None = None) -> Round:
            services = await parts.enter_async_context(
                await Services.start(settings=os.environ | ours | settings, quiet=True, modules=modules)
            )
            client = await parts.enter_async_context(AsyncClient(services.addresses["gateway"], timeout_s=3600))
            return lambda texts, callers: throughput.through(client, texts, callers)

        systems: dict[str, Round] = {
            "khulasa": await khulasa({"KHULASA_SECOND_TRIES": "false", RECORD: str(record.path)}, RECORDING),
            "argos": peers.argos(parts, equal),
            "libretranslate": peers.libretranslate(parts, equal, threads=max(CALLERS)),
        }
        as_they_come: dict[str, Round] = {
            "khulasa": await khulasa({}),
            "argos": peers.argos(parts, {}),
            "libretranslate": peers.libretranslate(parts, {}, threads=None),
        }
        for system in (*systems.values(), *as_they_come.values()):
            await system(texts[:2], 1)

        rates: dict[str, dict[int, list[float]]] = {name: {callers: [] for callers in CALLERS} for name in systems}
        sent = {callers: texts if callers > 1 else texts[: max(1, len(texts) // 2)] for callers in CALLERS}
        batches: dict[int, Batches] = {}
        record.since_last()
        for number in range(rounds):
            for callers in CALLERS:
                for name in sorted(systems, reverse=bool(number % 2)):
                    rates[name][callers].append(len(sent[callers]) / await systems[name](sent[callers], callers))
                batches[callers] = record.since_last()
        usual = {name: round(len(texts) / await system(texts, 8), 3) for name, system in as_they_come.items()}
        counts = {name: counted.last for name, counted in systems.items() if isinstance(counted, ArgosLoop)}
        engine = engine_alone(sent, batches, Model.open(folder / "model"), threads=threads, rounds=rounds)
    return {
        "articles": len(texts),
        "words": sum(len(text.split()) for text in texts),
        "beam": beam,
        "threads": threads,
        "articles_per_s": {
            name: {callers: [round(rate, 3) for rate in found] for callers, found in of.items()}
            for name, of in rates.items()
        },
        "khulasa_to_peer": {
            peer: {callers: ratio(rates["khulasa"][callers], rates[peer][callers]) for callers in CALLERS}
            for peer in ("argos", "libretranslate")
        },
        "share_of_ceiling": {
            peer: {
                callers: round(ratio(rates["khulasa"][callers], rates[peer][callers]) / engine["ceiling"][callers], 3)
                for callers in CALLERS
            }
            for peer in ("argos", "libretranslate")
        },
        "as_they_come_articles_per_s_at_8": usual,
        "argos_read": counts,
        "engine": engine,
    }


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


def engine_alone(
    sent: Mapping[int, Sequence[str]], batches: Mapping[int, Batches], model: Model, *, threads: int, rounds: int
) -> dict[str, Any]:
    """Return, for each number of callers, seconds of the engine by itself with our batches and with the peers'."""
    paragraphs = {
        callers: [[throughput.tokenized([line], model) for line in text.splitlines()] for text in texts]
        for callers, texts in sent.items()
    }
    translator = ctranslate2.Translator(str(model.folder), inter_threads=threads, intra_threads=1, compute_type="int8")
    manifest = model.manifest

    def one_text(text: list[list[list[str]]]) -> None:
        for paragraph in text:
            translator.translate_batch(
                [[*tokens, *manifest.source_suffix] for tokens in paragraph],
                max_batch_size=PEER_BATCH_TOKENS,
                batch_type="tokens",
                beam_size=manifest.beam_size,
            )

    def theirs(callers: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(one_text, paragraphs[callers]))
        return time.perf_counter() - started

    def ours(callers: int) -> float:
        return throughput.decode(batches[callers], model=model, workers=threads, threads=1)

    def at_once(callers: int, articles: int) -> float:
        """So many articles at a time, in batches as the queue makes them if it has all of those."""
        texts = paragraphs[callers]
        waves = [
            [tokens for text in texts[begin : begin + articles] for paragraph in text for tokens in paragraph]
            for begin in range(0, len(texts), articles)
        ]
        return throughput.bare_as_served(*waves, model=model, settings=TranslatorSettings())

    one_text(paragraphs[CALLERS[0]][0])
    engines: dict[str, Callable[[int], float]] = {
        "theirs": theirs,
        "ours": ours,
        "of_so_many_articles": lambda callers: at_once(callers, callers),
        "of_all_articles": lambda callers: at_once(callers, len(sent[callers])),
    }
    seconds: dict[str, dict[int, list[float]]] = {name: {callers: [] for callers in CALLERS} for name in engines}
    for _ in range(rounds):
        for callers in CALLERS:
            for name, engine in engines.items():
                seconds[name][callers].append(engine(callers))

    def over_theirs(name: str) -> dict[int, float]:
        return {callers: ratio(seconds["theirs"][callers], seconds[name][callers]) for callers in CALLERS}

    return {
        "sentences": {callers: sum(len(p) for text in texts for p in text) for callers, texts in paragraphs.items()},
        "our_batches": {callers: len(found) for callers, found in batches.items()},
        "seconds": {
            name: {callers: round(statistics.median(found), 2) for callers, found in of.items()}
            for name, of in seconds.items()
        },
        "ceiling": over_theirs("ours"),
        "if_it_had_all_of_so_many_articles": over_theirs("of_so_many_articles"),
        "if_it_had_all_articles": over_theirs("of_all_articles"),
    }


class ArgosLoop:
    """A process of `argos_loop.py`. `last` is what it counted in its last texts."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self.last: dict[str, float] = {}
        self._answer()

    async def __call__(self, texts: Sequence[str], callers: int) -> float:
        """Return the seconds that Argos says it took."""
        assert self._process.stdin is not None
        print(json.dumps({"texts": texts, "callers": callers}), file=self._process.stdin, flush=True)
        self.last = await asyncio.to_thread(self._answer)
        return self.last["seconds"]

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"Argos ended with status {self._process.wait()}: {self._log.read_text()[-2000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer


class Peers:
    """Argos Translate and LibreTranslate from an environment of their own, both with the packages in `folder`."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self._programs = environment / "bin"
        self._folder = folder
        self._log = (folder / LOG).open("a")
        # Everything they look up lies here, whatever this user has of theirs; int8 is what our engine computes in.
        self._variables = {
            "ARGOS_PACKAGES_DIR": str(folder / "packages"),
            "ARGOS_CHUNK_TYPE": "SPACY",
            "ARGOS_COMPUTE_TYPE": "int8",
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONWARNINGS": "ignore",
        }

    def close(self) -> None:
        """Close their log."""
        self._log.close()

    def prepare(self) -> None:
        """Put spaCy's rules for Arabic into the packages, and a mark that its own model need not be fetched."""
        script = "import spacy, sys; [spacy.blank('ar').to_disk(folder) for folder in sys.argv[1:]]"
        packages = [str(package / "spacy") for package in (self._folder / "packages").iterdir()]
        subprocess.run([self._programs / "python", "-c", script, *packages], check=True)
        mark = self._folder / "cache" / "argos-translate" / "spacy" / "senter" / "model"
        mark.parent.mkdir(parents=True)
        mark.touch()

    def argos(self, parts: AsyncExitStack, settings: Mapping[str, str]) -> ArgosLoop:
        """Start Argos' own loop."""
        loop = Path(__file__).with_name("argos_loop.py")
        process = subprocess.Popen(
            [self._programs / "python", loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | self._variables | settings,
            cwd=self._folder,
        )
        parts.callback(_end, process)
        return ArgosLoop(process, self._folder / LOG)

    def libretranslate(self, parts: AsyncExitStack, settings: Mapping[str, str], *, threads: int | None) -> Round:
        """Start LibreTranslate's server, with `threads` for requests or as many as it has by default."""
        port = free_port()
        command = [self._programs / "libretranslate", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--load-only", "ar,en", "--disable-web-ui", "--disable-files-translation"]
        command += ["--threads", str(threads)] if threads else []
        process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            env=os.environ | self._variables | settings,
            cwd=self._folder,
        )
        parts.callback(_end, process)
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(f"{address}/languages", process, self._folder / LOG)

        def ask(text: str) -> None:
            body = json.dumps({"q": text, "source": "ar", "target": "en"}).encode()
            request = urllib.request.Request(
                f"{address}/translate", data=body, headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as response:
                assert json.load(response)["translatedText"]

        def all_of(texts: Sequence[str], callers: int) -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(ask, texts))
            return time.perf_counter() - started

        return lambda texts, callers: asyncio.to_thread(all_of, texts, callers)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    raise SystemExit(f"LibreTranslate was not ready within {START_S} s: {log.read_text()[-2000:]}")


def _end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait()


if __name__ == "__main__":
    main()
