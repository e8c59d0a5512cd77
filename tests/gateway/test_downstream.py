"""The gateway and its services: known to each other by token or certificate, with the model that is expected."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from gateway.downstream import Downstream
from khulasa import Tls
from khulasa.v1 import summarizer_pb2_grpc, translator_pb2, translator_pb2_grpc
from services.harness import deadline
from services.harness.errors import Reason, Refusal
from services.harness.server import Server, Service
from services.harness.settings import ServerSettings
from tests.certificates import Authority
from tests.harness.test_credentials import OTHER_TOKEN, SERVICE_TOKEN

DIGESTS = ["a" * 64, "b" * 64]


class Model(translator_pb2_grpc.TranslatorServicer):
    """A translator that only says which model it has, and gives a text back unless it is full."""

    def __init__(self) -> None:
        self.digest = DIGESTS[0]
        self.full = False
        self.asked = 0

    async def DescribeModel(self, request: object, context: object) -> translator_pb2.DescribeModelResponse:
        return translator_pb2.DescribeModelResponse(model=translator_pb2.Model(name="tiny", digest=self.digest))

    async def TranslateParagraphs(
        self, request: translator_pb2.TranslateParagraphsRequest, context: object
    ) -> translator_pb2.TranslateParagraphsResponse:
        self.asked += 1
        if self.full:
            raise Refusal(Reason.OVERLOADED, "The queue is full.", retry_after_s=7)
        return translator_pb2.TranslateParagraphsResponse(
            paragraphs=[translator_pb2.TranslatedParagraph() for _ in request.paragraphs]
        )


async def start(parts: AsyncExitStack, **settings: object) -> tuple[str, Model]:
    """Start a translator with the settings; return its address and what stands for its model."""
    model = Model()

    def register(server: grpc.aio.Server) -> None:
        translator_pb2_grpc.add_TranslatorServicer_to_server(model, server)
        summarizer_pb2_grpc.add_SummarizerServicer_to_server(summarizer_pb2_grpc.SummarizerServicer(), server)

    values = {"address": "127.0.0.1:0", "drain_s": 0, **settings}
    server = Server(ServerSettings.model_validate(values), Service("khulasa.v1.Translator", register, nothing))
    await server.start()
    parts.push_async_callback(server.drain)
    return f"localhost:{server.port}", model


async def nothing() -> None:
    """A service that is ready as it is."""


async def connect(
    parts: AsyncExitStack,
    address: str,
    *,
    service_tokens: Callable[[], Sequence[str]] | None = None,
    tls: Tls | None = None,
    expected_model_digest: str = "",
) -> Downstream:
    """Connect to a translator, as the gateway does."""
    downstream = Downstream(
        translator=address,
        summarizer=address,
        service_tokens=service_tokens,
        tls=tls,
        expected_model_digest=expected_model_digest,
    )
    parts.push_async_callback(downstream.close)
    return downstream


async def test_the_gateway_sends_the_service_token() -> None:
    """With the service's token the gateway is answered; with another or none its callers hear of an absent service."""
    async with AsyncExitStack() as parts:
        address, _ = await start(parts, service_token=SERVICE_TOKEN)
        known = await connect(parts, address, service_tokens=lambda: [SERVICE_TOKEN])
        assert (await known.ask_model()).digest == DIGESTS[0]
        for tokens in (lambda: [OTHER_TOKEN], None):
            stranger = await connect(parts, address, service_tokens=tokens)
            with pytest.raises(Refusal, match="does not take the gateway's credentials") as raised:
                await stranger.ask_model()
            assert raised.value.reason == Reason.TRANSLATOR_UNAVAILABLE


async def test_a_stranger_in_the_place_of_the_translator_is_an_absent_translator() -> None:
    """An address that another service has by now is asked again later: the translator that was killed comes back."""
    async with AsyncExitStack() as parts:
        values = ServerSettings.model_validate({"address": "127.0.0.1:0", "drain_s": 0})
        stranger = Server(values, Service("khulasa.v1.Summarizer", lambda server: None, nothing))
        await stranger.start()
        parts.push_async_callback(stranger.drain)
        downstream = await connect(parts, f"127.0.0.1:{stranger.port}")
        with pytest.raises(Refusal, match="in the place of the translator") as raised:
            await downstream.ask_model()
        assert raised.value.reason == Reason.TRANSLATOR_UNAVAILABLE
        assert raised.value.retry_after_s


async def test_a_gateway_takes_up_a_new_certificate(tmp_path: Path) -> None:
    """When all certificates and their authority are replaced, gateway and service meet again without a restart."""
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path), Authority(tmp_path / "new")
    cert, key = old.sign("translator")
    tls = old.client("gateway")
    async with AsyncExitStack() as parts:
        address, _ = await start(parts, tls_cert=cert, tls_key=key, tls_client_ca=old.ca)
        downstream = await connect(parts, address, tls=tls)
        assert (await downstream.ask_model()).digest == DIGESTS[0]

        assert tls.cert is not None
        assert tls.key is not None
        fresh_cert, fresh_key = new.sign("gateway")
        server_cert, server_key = new.sign("translator")
        for path, fresh in ((tls.cert, fresh_cert), (tls.key, fresh_key), (cert, server_cert), (key, server_key)):
            fresh.rename(path)
        new.ca.rename(old.ca)
        stale = await connect(parts, address, tls=Tls(ca=old.ca))
        with pytest.raises(Refusal):
            await stale.ask_model()  # the service asks for a certificate
        downstream.take_up_certificates()
        assert (await downstream.ask_model()).digest == DIGESTS[0]
        newcomer = await connect(parts, address, tls=tls)
        assert (await newcomer.ask_model()).digest == DIGESTS[0]


async def test_another_model_than_the_expected_is_refused() -> None:
    """A pinned gateway takes its model's translations only, also when the translator changes its model later."""
    async with AsyncExitStack() as parts:
        address, model = await start(parts)
        downstream = await connect(parts, address, expected_model_digest=DIGESTS[0])
        assert (await downstream.model()).digest == DIGESTS[0]
        model.digest = DIGESTS[1]
        for ask in (downstream.ask_model, downstream.model):
            with pytest.raises(Refusal, match="takes only aaaaaaaaaaaa") as raised:
                await ask()
            assert raised.value.reason == Reason.MODEL_UNEXPECTED
        model.digest = DIGESTS[0]
        assert (await downstream.model()).digest == DIGESTS[0]


async def test_what_a_full_replica_refuses_is_offered_to_the_next() -> None:
    """Callers hear of a full translator, with its own word on when to come back, only if the next one is full too."""
    async with AsyncExitStack() as parts:
        (first_address, first), (second_address, second) = [await start(parts) for _ in range(2)]
        addresses = ",".join(address.replace("localhost", "127.0.0.1") for address in (first_address, second_address))
        downstream = await connect(parts, f"ipv4:{addresses}")
        deadline.start(30)
        model = await downstream.model()
        while not (first.asked and second.asked):  # until both are connected to
            await downstream.translate(["نص"], model)
        first.full = True
        asked = first.asked
        for _ in range(6):
            assert len(await downstream.translate(["نص"], model)) == 1
        assert first.asked > asked
        second.full = True
        before = first.asked + second.asked
        with pytest.raises(Refusal, match="full") as raised:
            await downstream.translate(["نص"], model)
        assert (raised.value.reason, raised.value.retry_after_s) == (Reason.OVERLOADED, 7)
        assert first.asked + second.asked == before + 2
