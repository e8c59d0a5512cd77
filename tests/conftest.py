"""What the tests share: a real redis-server, a tiny real model folder, and the services in this process.

Everything talks real gRPC over loopback. Only decoding is replaced where a test is not about it: `ScriptedEngine`
answers at once, and as the test says.
"""

import hashlib
import json
import re
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType

import grpc
import pytest
import sentencepiece
from redis.asyncio import Redis

from gateway.cache import Cache
from gateway.cache_secrets import CacheSecrets
from gateway.downstream import Downstream
from gateway.embedded_redis import EmbeddedRedis
from gateway.glossaries import Glossaries
from gateway.html import HtmlExtractor
from gateway.jobs.parts import JobParts
from gateway.pipeline import Lifetimes, Pipeline
from gateway.purge import Purger
from gateway.quotas import Quotas
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from khulasa import AsyncClient
from khulasa.v1 import gateway_pb2_grpc, summarizer_pb2_grpc, translator_pb2_grpc
from services.harness import caller, deadline, priority, work
from services.harness.clients import Clients, Limits
from services.harness.credentials import ClientCredentials, Credentials
from services.harness.server import Server, Service
from services.harness.settings import ServerSettings
from services.harness.terms import Term
from services.summarizer.service import SummarizerService
from services.translator.amounts import lost_amounts
from services.translator.batch import encoder_decoder_cost
from services.translator.engine import Decoded
from services.translator.model import Model, Tokenizer
from services.translator.queue import TranslationQueue
from services.translator.service import TranslatorService
from services.translator.translation import ParagraphTranslator, TranslatedSentence

ROOT = Path(__file__).parents[1]
ARTICLES = ROOT / "tests" / "articles"
SHARED = ROOT.parent / "shared"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the development material is not beside this checkout")


@pytest.fixture
def flood() -> str:
    """A real news text: about 280 words, quotes, numbers, a web address."""
    return (ARTICLES / "flood.txt").read_text()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a real tokenizer, trained on the articles, and no weights: for engines made by the test."""
    folder = tmp_path_factory.mktemp("model")
    train_tokenizer(folder / "tokenizer.model")
    (folder / "model.bin").write_bytes(b"no weights")
    write_manifest(folder)
    return folder


def train_tokenizer(path: Path) -> None:
    """Write a SentencePiece model trained on the articles; `path` ends in `.model`."""
    text = path.with_suffix(".txt")
    text.write_text("\n".join(article.read_text() for article in sorted(ARTICLES.glob("*.txt"))))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(path.with_suffix("")),
        vocab_size=800,
        byte_fallback=True,
        character_coverage=1.0,
        minloglevel=2,
    )
    text.unlink()
    path.with_suffix(".vocab").unlink()


def write_manifest(folder: Path, **changes: object) -> None:
    """Write the manifest that belongs to what lies in `folder`."""
    files = {path.name: path for path in folder.iterdir() if path.name != "manifest.json"}
    manifest = {
        "format": 1,
        "name": "tiny",
        "kind": "encoder-decoder",
        "source_language": "ar",
        "target_language": "en",
        "normalization": "plain-1",
        "source_tokenizer": "tokenizer.model",
        "target_tokenizer": "tokenizer.model",
        "source_prefix": [],
        "source_suffix": ["</s>"],
        "target_prefix": [],
        "end_token": "</s>",
        "max_source_tokens": 160,
        "max_target_tokens": 256,
        "beam_size": 1,
        "licence": "none",
        "sources": [],
        "scores": {},
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
    } | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))


ENGLISH = [
    "river",
    "city",
    "minister",
    "council",
    "people",
    "water",
    "report",
    "school",
    "market",
    "region",
    "bridge",
    "doctor",
    "plan",
    "week",
    "road",
    "vote",
    "price",
    "island",
    "family",
    "union",
    "harbour",
    "letter",
    "museum",
    "winter",
    "signal",
    "budget",
    "garden",
    "train",
    "mountain",
    "court",
]


MARKS = {'"': '""', "%": "%"} | {
    "فبراير": "February",
    "مارس": "March",
    "أبريل": "April",
    "مايو": "May",
    "يوليو": "July",
    "سبتمبر": "September",
}


def plausible_english(arabic: str) -> str:
    """Return an English word for each Arabic one, and numbers, names, units and marks, so that no check objects."""
    words = [word if word.isascii() else ENGLISH[zlib.crc32(word.encode()) % len(ENGLISH)] for word in arabic.split()]
    numbers = re.findall(r"(?<![!-~])\d[\d.,]*(?=[^!-~ ])|(?<=[^!-~ ])\d[\d.,]*", arabic)
    marks = [english for sign, english in MARKS.items() if sign in arabic]
    return " ".join([*words, *numbers, *lost_amounts(arabic, ""), *marks])


class ScriptedEngine:
    """Answers with what `say` makes of the Arabic; counts what it is asked. `hold` keeps answers back."""

    batch_cost = staticmethod(encoder_decoder_cost)

    def __init__(self, model: Model) -> None:
        self._tokenizer = Tokenizer(model)
        self.sentences = 0
        self.batches: list[int] = []
        self.second_tries = 0
        self.say: Callable[[str], str] = plausible_english
        self.say_safer: Callable[[str], list[str]] = lambda arabic: [self.say(arabic)]
        self.log_probability = -0.3
        self.released = threading.Event()
        self.released.set()

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        self.released.wait()
        self.sentences += len(batch)
        self.batches.append(len(batch))
        return [
            Decoded(
                self._tokenizer.encode(self.say(self._tokenizer.decode(tokens))), self.log_probability, truncated=False
            )
            for tokens in batch
        ]

    def decode_safer(self, batch: Sequence[list[str]]) -> list[list[Decoded]]:
        """Answer with what `say_safer` makes of the Arabic, by default the same as before."""
        self.second_tries += len(batch)
        return [
            [Decoded(self._tokenizer.encode(text), self.log_probability, truncated=False) for text in texts]
            for texts in (self.say_safer(self._tokenizer.decode(tokens)) for tokens in batch)
        ]


class Stack:
    """All three services in this process, as `khulasa up` runs them in three."""

    def __init__(
        self, engine: ScriptedEngine, queue: TranslationQueue, translator: TranslatorService, cache: Cache
    ) -> None:
        self.engine = engine
        self.queue = queue
        self.translator = translator
        self.cache = cache
        self.addresses: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self.pipeline: Pipeline | None = None
        self.gateway: GatewayService | None = None
        self.jobs: JobParts | None = None


@pytest.fixture(scope="session")
async def redis() -> AsyncIterator[EmbeddedRedis]:
    """The redis-server that the embedded cache runs, on a socket of its own."""
    server = await EmbeddedRedis.start(memory_mb=64)
    yield server
    await server.stop()


@pytest.fixture
async def redis_url(redis: EmbeddedRedis) -> str:
    """An empty Redis."""
    async with Redis.from_url(redis.url) as connection:
        await connection.flushall()
    return redis.url


@pytest.fixture
async def stack(model_folder: Path, redis_url: str) -> AsyncIterator[Stack]:
    """A ready gateway with all that is behind it, and an empty cache."""
    async with AsyncExitStack() as parts:
        yield await start_stack(model_folder, redis_url, parts)


class Overheard:
    """What the translator knew of each of its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.callers: list[str] = []
        self.priorities: list[str] = []
        self.works: list[work.Work | None] = []
        self.times_s: list[float] = []
        translate = ParagraphTranslator.translate

        async def overheard(
            translator: ParagraphTranslator, paragraphs: Sequence[str], terms: Sequence[Term] = ()
        ) -> list[list[TranslatedSentence]]:
            self.callers.append(caller.name())
            self.priorities.append(priority.name())
            self.works.append(work.current())
            self.times_s.append(deadline.remaining_s())
            return await translate(translator, paragraphs, terms)

        monkeypatch.setattr(ParagraphTranslator, "translate", overheard)


@pytest.fixture
def overheard(monkeypatch: pytest.MonkeyPatch) -> Overheard:
    """What the translator hears from now on."""
    return Overheard(monkeypatch)


async def start_stack(
    model_folder: Path,
    redis_url: str,
    parts: AsyncExitStack,
    *,
    capacity: int = 4096,
    glossaries: Glossaries = MappingProxyType({}),
    clients: Clients | None = None,
    defaults: Limits | None = None,
    cache_secrets: CacheSecrets | None = None,
    cache_shared: bool = False,
    job_settings: GatewaySettings | None = None,
) -> Stack:
    """Start the services on free ports; `parts` stops them. With `job_settings` the gateway takes jobs."""
    model = Model.open(model_folder)
    engine = ScriptedEngine(model)
    parts.callback(engine.released.set)
    queue = TranslationQueue(engine, workers=2, batch_tokens=1024, capacity=capacity, window=256)
    parts.push_async_callback(queue.close)
    translator = TranslatorService()
    translator.use(model, ParagraphTranslator(model, queue))
    cache = Cache(redis_url, timeout_s=0.25, secrets=cache_secrets)
    cache.start()
    parts.push_async_callback(cache.close)
    stack = Stack(engine, queue, translator, cache)

    await start_server(
        stack,
        "translator",
        lambda server: translator_pb2_grpc.add_TranslatorServicer_to_server(translator, server),
        parts,
    )
    await start_server(
        stack,
        "summarizer",
        lambda server: summarizer_pb2_grpc.add_SummarizerServicer_to_server(SummarizerService(), server),
        parts,
    )
    downstream = Downstream(translator=stack.addresses["translator"], summarizer=stack.addresses["summarizer"])
    parts.push_async_callback(downstream.close)
    extractor = HtmlExtractor()
    parts.push_async_callback(extractor.close)
    quotas = Quotas(redis_url, clients=clients, defaults=defaults)
    parts.push_async_callback(quotas.close)
    pipeline = Pipeline(
        downstream=downstream,
        cache=cache,
        extractor=extractor,
        lifetimes=Lifetimes(3600, 60),
        html_timeout_s=10,
        max_article_s=60,
        quotas=quotas,
        cache_shared=cache_shared,
    )
    gateway = GatewayService(
        pipeline,
        downstream,
        cache,
        cache_name="test",
        max_article_s=60,
        glossaries=glossaries or {},
        purger=Purger(pipeline, cache, clients),
    )
    stack.pipeline = pipeline
    stack.gateway = gateway

    def register(server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_GatewayServicer_to_server(gateway, server)
        if jobs:
            jobs.register(server)

    jobs = None
    if job_settings is not None:
        jobs = stack.jobs = await JobParts.start(job_settings, pipeline, glossaries or {}, parts)
    credentials = ClientCredentials(clients) if clients else None
    await start_server(stack, "gateway", register, parts, credentials=credentials, others=jobs.names if jobs else ())
    return stack


async def start_server(
    stack: Stack,
    name: str,
    register: Callable[[grpc.aio.Server], None],
    parts: AsyncExitStack,
    *,
    credentials: Credentials | None = None,
    others: tuple[str, ...] = (),
) -> None:
    """Start one service of a stack on a free port."""

    async def nothing() -> None:
        """The service is ready as it is."""

    settings = ServerSettings(address="127.0.0.1:0", max_call_s=60, drain_s=0)
    kind = Service(f"khulasa.v1.{name.capitalize()}", register, nothing, others=others, credentials=credentials)
    server = Server(settings, kind)
    await server.start()
    await server.warm_up()
    parts.push_async_callback(server.drain)
    stack.servers[name] = server
    stack.addresses[name] = f"127.0.0.1:{server.port}"


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[AsyncClient]:
    """A client of the stack's gateway."""
    async with AsyncClient(stack.addresses["gateway"], timeout_s=30) as client:
        yield client
