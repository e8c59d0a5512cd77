"""Calls to the translator and the summarizer: the time that is left, and errors in our own words."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from grpc_status import rpc_status

from gateway.cache_key import ModelIdentity
from khulasa.channel import OPTIONS, Tls, open_channel
from khulasa.v1 import (
    article_pb2,
    summarizer_pb2,
    summarizer_pb2_grpc,
    translator_pb2,
    translator_pb2_grpc,
)
from services.harness import deadline, relay, tracing
from services.harness.errors import Reason, Refusal
from services.harness.logs import log_internal_error
from services.harness.watched_files import WatchedFiles

# Time kept back from what the caller gave, to bring the answer home.
MARGIN_S = 0.02
DESCRIBE_S = 2.0
# The longest that a call over connections with an old certificate may still take.
LEAVE_S = 300.0
# The translator takes 20,000 paragraphs in a call.
SPLIT_AT_ONCE = 10_000
# Whoever has another model or no room says so within milliseconds, and the next replica may take the call. Eight calls
# miss the one of two that has the model once in 256 times.
REPLICAS_TO_ASK = {Reason.MODEL_CHANGED: 8, Reason.OVERLOADED: 2}
# A summarizer is back within seconds of its end; who asked without a deadline should not wait for ever.
RESTART_S = 10.0
RETRY_S = 0.25

# Refusals between the services; the caller gets one that fits its own call.
KEPT_HERE = (
    Reason.NOT_READY,
    Reason.INTERNAL,
    Reason.DEADLINE_EXCEEDED,
    Reason.TOKEN_MISSING,
    Reason.TOKEN_UNKNOWN,
    Reason.TOKEN_UNREADABLE,
    Reason.CERTIFICATE_UNUSABLE,
)

CHANNEL_OPTIONS = [
    *OPTIONS,
    ("grpc.lb_policy_name", "round_robin"),  # the default sends everything to the first replica
    ("grpc.initial_reconnect_backoff_ms", 200),
]

Response = TypeVar("Response")


class Downstream:
    """The two services behind the gateway."""

    def __init__(
        self,
        *,
        translator: str,
        summarizer: str,
        service_tokens: Callable[[], Sequence[str]] | None = None,
        tls: Tls | None = None,
        expected_model_digest: str = "",
    ) -> None:
        """Connect. Of `service_tokens` the first is sent. Any model does if none is expected.

        Raises OSError for a file of `tls`.
        """
        self._addresses = (translator, summarizer)
        self._token = (lambda: service_tokens()[0]) if service_tokens else None
        self._tls = tls
        files = tls.files if tls else []
        self._tls_files = WatchedFiles(files, lambda: [path.read_bytes() for path in files])
        self._expected_model_digest = expected_model_digest
        self._leaving: set[asyncio.Task[None]] = set()
        self._model: ModelIdentity | None = None
        self._ranking = ""
        self._connect()

    def _connect(self) -> None:
        self._connected_with = self._tls_files.value()
        self._channels = [
            open_channel(
                address,
                options=CHANNEL_OPTIONS,
                interceptors=tracing.client_interceptors(),
                token=self._token,
                tls=self._tls,
            )
            for address in self._addresses
        ]
        self._translator = translator_pb2_grpc.TranslatorStub(self._channels[0])
        self._summarizer = summarizer_pb2_grpc.SummarizerStub(self._channels[1])

    async def model(self) -> ModelIdentity:
        """Return what translates, as known from the last answer; asks the translator only if nothing is known.

        Raises Refusal (TRANSLATOR_UNAVAILABLE, MODEL_UNEXPECTED).
        """
        return self._model or await self.ask_model()

    async def ask_model(self) -> ModelIdentity:
        """Ask the translator what it runs. Raises Refusal (TRANSLATOR_UNAVAILABLE, MODEL_UNEXPECTED)."""
        response = await _call(
            self._translator.DescribeModel,
            translator_pb2.DescribeModelRequest(),
            Reason.TRANSLATOR_UNAVAILABLE,
            at_most_s=DESCRIBE_S,
        )
        model, expected = ModelIdentity.of(response.model), self._expected_model_digest
        if expected and model.digest != expected:
            self._model = None
            raise Refusal(
                Reason.MODEL_UNEXPECTED,
                f"The translator has the model {model.digest[:12]}, this gateway takes only {expected[:12]}. "
                "The operator has to bring them together.",
                digest=model.digest,
                expected=expected,
            )
        self._model = model
        return model

    async def translate(
        self, paragraphs: Sequence[str], model: ModelIdentity, terms: Sequence[article_pb2.GlossaryTerm] = ()
    ) -> Sequence[translator_pb2.TranslatedParagraph]:
        """Translate with just this model. Raises Refusal; MODEL_CHANGED if no translator has it any more.

        While replicas are upgraded one after the other some have it and some do not, and of several one may be full;
        each call goes to another one.
        """
        request = translator_pb2.TranslateParagraphsRequest(
            paragraphs=paragraphs,
            model_digest=model.digest,
            engine=model.engine,
            pipeline=model.pipeline,
            glossary_terms=terms,
        )
        refused = Counter[Reason]()
        while True:
            try:
                response = await _call(self._translator.TranslateParagraphs, request, Reason.TRANSLATOR_UNAVAILABLE)
                break
            except Refusal as refusal:
                if refusal.reason == Reason.MODEL_CHANGED:
                    self._model = None
                refused[refusal.reason] += 1
                if refused[refusal.reason] == REPLICAS_TO_ASK.get(refusal.reason, 1):
                    raise
        if len(response.paragraphs) != len(paragraphs):
            raise RuntimeError(
                f"asked for {len(paragraphs)} paragraphs, the translator sent {len(response.paragraphs)}"
            )
        return response.paragraphs

    async def split(self, paragraphs: Sequence[str]) -> list[translator_pb2.SplitParagraph]:
        """Tell where the sentences stand, without translating. Raises Refusal."""
        found: list[translator_pb2.SplitParagraph] = []
        for start in range(0, len(paragraphs), SPLIT_AT_ONCE):
            asked = paragraphs[start : start + SPLIT_AT_ONCE]
            request = translator_pb2.SplitParagraphsRequest(paragraphs=asked)
            response = await _call(self._translator.SplitParagraphs, request, Reason.TRANSLATOR_UNAVAILABLE)
            if len(response.paragraphs) != len(asked):
                raise RuntimeError(f"sent {len(asked)} paragraphs, the translator split {len(response.paragraphs)}")
            found.extend(response.paragraphs)
        return found

    async def summarize(
        self,
        sentences: Sequence[summarizer_pb2.SummarizeSentence],
        budget: article_pb2.SummaryBudget,
        title: str,
        *,
        language: str = "en",
    ) -> Sequence[summarizer_pb2.ChosenSentence]:
        """Choose sentences of an article; they and the title are in `language`. Raises Refusal.

        A summarizer that restarts is waited for: by now the article is translated, which took far longer.
        """
        request = summarizer_pb2.SummarizeRequest(sentences=sentences, budget=budget, language=language, title=title)
        waited_until = asyncio.get_running_loop().time() + RESTART_S
        while True:
            try:
                response = await _call(self._summarizer.Summarize, request, Reason.SUMMARIZER_UNAVAILABLE)
                break
            except Refusal as refusal:
                away = refusal.reason in (Reason.SUMMARIZER_UNAVAILABLE, Reason.DRAINING)
                if not away or asyncio.get_running_loop().time() > waited_until or deadline.remaining_s() < RETRY_S:
                    raise
            await asyncio.sleep(RETRY_S)
        self._ranking = response.version
        return response.sentences

    async def ranking(self) -> str:
        """Return the version of the summarizer's ranking, as known from the last answer or else asked for.

        Raises Refusal (SUMMARIZER_UNAVAILABLE).
        """
        return self._ranking or await self.ask_ranking()

    async def ask_ranking(self) -> str:
        """Ask the summarizer for its version. Raises Refusal (SUMMARIZER_UNAVAILABLE)."""
        response = await _call(
            self._summarizer.DescribeRanking,
            summarizer_pb2.DescribeRankingRequest(),
            Reason.SUMMARIZER_UNAVAILABLE,
            at_most_s=DESCRIBE_S,
        )
        self._ranking = response.version
        return self._ranking

    async def follow(self, every_s: float) -> None:
        """Keep asking both what they run, so that an upgrade shows even while every answer comes from the cache.

        Certificates that were changed are taken up too.
        """
        while True:
            await asyncio.sleep(every_s)
            try:
                self.take_up_certificates()
                for ask in (self.ask_model, self.ask_ranking):
                    with contextlib.suppress(Refusal):
                        await ask()
            except Exception:  # a fault of ours must not end this for good, and nobody else would see it
                log_internal_error()

    def take_up_certificates(self) -> None:
        """Connect anew if a certificate was changed: gRPC reads a client's only once. Calls in hand end as before."""
        if self._tls_files.value() is self._connected_with:
            return
        for channel in self._channels:
            leaving = asyncio.create_task(channel.close(grace=LEAVE_S))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._connect()

    async def close(self) -> None:
        """Close the connections."""
        for leaving in self._leaving:
            leaving.cancel()
        await asyncio.gather(*self._leaving, *(channel.close() for channel in self._channels), return_exceptions=True)


async def _call(
    method: Callable[..., Awaitable[Response]], request: Any, unavailable: Reason, *, at_most_s: float = float("inf")
) -> Response:
    try:
        left_s = deadline.remaining_s() - MARGIN_S
    except LookupError:  # at start, before any call
        left_s = at_most_s
    try:
        return await method(request, timeout=max(0.001, min(left_s, at_most_s)), metadata=relay.metadata())
    except grpc.aio.AioRpcError as error:
        raise _refusal(error, unavailable, at_most_s < left_s) from None


def _refusal(error: grpc.aio.AioRpcError, unavailable: Reason, impatient: bool) -> Refusal:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it reads what both kinds of call have
    known = Refusal.from_status(status) if status else None
    if known and known.reason not in KEPT_HERE:
        return known
    service = unavailable.removesuffix("_UNAVAILABLE").lower()
    code = error.code()
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return Refusal(unavailable, f"The {service} does not take the gateway's credentials.", retry_after_s=2)
    if code == grpc.StatusCode.UNIMPLEMENTED:  # a stranger, to whom the address went when the service ended
        return Refusal(unavailable, f"What answers in the place of the {service} is none.", retry_after_s=2)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED and not impatient:
        return Refusal(Reason.DEADLINE_EXCEEDED, f"The {service} was not done in the time that was left.")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Refusal(Reason.OVERLOADED, f"The {service} has too many calls. Try again in 2 s.", retry_after_s=2)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED):
        return Refusal(unavailable, f"The {service} does not answer. Try again in 2 s.", retry_after_s=2)
    return Refusal(Reason.INTERNAL, f"The {service} failed ({code.name}).", status=code.name)
