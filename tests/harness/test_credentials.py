"""Credentials: who has none is told so before its request is read, who has some is known by name."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from typer.testing import CliRunner

from gateway.settings import GatewaySettings
from khulasa import AsyncClient, Tls
from khulasa.channel import open_channel
from khulasa.cli import app
from khulasa.v1 import summarizer_pb2, summarizer_pb2_grpc
from services.harness import caller
from services.harness.clients import Clients, Limits, read_clients
from services.harness.credentials import ClientCredentials, Credentials
from services.harness.errors import Reason, Refusal
from services.harness.server import Server, Service
from services.harness.settings import ServerSettings
from services.summarizer.settings import SummarizerSettings
from services.translator.settings import TranslatorSettings
from tests.certificates import Authority

TOKEN, OTHER_TOKEN = "khulasa_" + "n" * 43, "khulasa_" + "o" * 43
SERVICE_TOKEN = "s" * 32


def write_clients(path: Path, **tokens: str) -> Path:
    """Write a clients file in which each name has the token given, or none if it is empty."""
    digests = {name: [hashlib.sha256(token.encode()).hexdigest()] if token else [] for name, token in tokens.items()}
    path.write_text("\n".join(f"[{name}]\ntoken_sha256 = {digest}" for name, digest in digests.items()))
    return path


class Echo(summarizer_pb2_grpc.SummarizerServicer):
    """Answers with the name of who asks."""

    async def DescribeRanking(self, request: object, context: object) -> summarizer_pb2.DescribeRankingResponse:
        return summarizer_pb2.DescribeRankingResponse(version=caller.name())


@asynccontextmanager
async def serving(settings: ServerSettings, credentials: Credentials | None = None) -> AsyncIterator[Server]:
    """A server of a service that says who asks."""

    async def nothing() -> None:
        """The service is ready as it is."""

    def register(server: grpc.aio.Server) -> None:
        summarizer_pb2_grpc.add_SummarizerServicer_to_server(Echo(), server)

    server = Server(settings, Service("khulasa.v1.Summarizer", register, nothing, credentials))
    await server.start()
    await server.warm_up()
    try:
        yield server
    finally:
        await server.drain()


def local(**values: object) -> ServerSettings:
    """Settings of a server on a free port of this machine."""
    return ServerSettings.model_validate({"address": "127.0.0.1:0", "drain_s": 0, **values})


async def who(server: Server, *headers: str, tls: Tls | None = None) -> str:
    """Return the name by which the server knows us."""
    channel = open_channel(f"localhost:{server.port}", tls=tls)
    metadata = [("authorization", header) for header in headers]
    async with channel:
        stub = summarizer_pb2_grpc.SummarizerStub(channel)
        answer = await stub.DescribeRanking(summarizer_pb2.DescribeRankingRequest(), metadata=metadata, timeout=10)
    return str(answer.version)


async def refused(server: Server, *headers: str, tls: Tls | None = None) -> str:
    """Return the reason for which the server refuses the call."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await who(server, *headers, tls=tls)
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    status = rpc_status.from_call(raised.value)
    refusal = Refusal.from_status(status)
    assert refusal is not None
    assert not any(header.split()[-1] in str(status) for header in headers if len(header) > 20)
    return refusal.reason


async def test_a_token_names_its_client(tmp_path: Path) -> None:
    """A token is known as its client's; none, a wrong one and what is no token are refused, each with its reason."""
    clients = Clients(write_clients(tmp_path / "clients.toml", newsroom=TOKEN, archive=OTHER_TOKEN))
    async with serving(local(), ClientCredentials(clients)) as server:
        assert await who(server, f"Bearer {TOKEN}") == "newsroom"
        assert await who(server, f"bearer {OTHER_TOKEN}") == "archive"
        assert await refused(server) == Reason.TOKEN_MISSING
        assert await refused(server, f"Bearer {TOKEN}x") == Reason.TOKEN_UNKNOWN
        assert await refused(server, f"Basic {TOKEN}") == Reason.TOKEN_UNREADABLE
        assert await refused(server, f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}") == Reason.TOKEN_UNKNOWN


async def test_a_stranger_is_refused_before_its_request_is_read(tmp_path: Path) -> None:
    """A call without a token ends although its request never comes."""
    clients = Clients(write_clients(tmp_path / "clients.toml", newsroom=TOKEN))
    async with (
        serving(local(), ClientCredentials(clients)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        call = channel.stream_unary("/khulasa.v1.Summarizer/Summarize")(timeout=10)  # nothing is sent
        assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_health_stays_open_and_reflection_does_not(tmp_path: Path) -> None:
    """Probes have no token; what the server offers is told only to whom has one."""
    clients = Clients(write_clients(tmp_path / "clients.toml", newsroom=TOKEN))
    async with (
        serving(local(), ClientCredentials(clients)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        assert (await check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")  # it never ends, and would hold a place
        assert await watch(b"", timeout=10).code() == grpc.StatusCode.UNAUTHENTICATED
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        assert await reflect(iter(asked), timeout=10).code() == grpc.StatusCode.UNAUTHENTICATED
        known = reflect(iter(asked), metadata=[("authorization", f"Bearer {TOKEN}")], timeout=10)
        assert [len(answer.list_services_response.service) async for answer in known] == [3]


async def test_a_changed_file_holds_from_the_next_call_on(tmp_path: Path) -> None:
    """A token that is taken away is refused, a new one taken; a file that became bad changes nothing."""
    path = write_clients(tmp_path / "clients.toml", newsroom=TOKEN)
    async with serving(local(), ClientCredentials(Clients(path))) as server:
        assert await who(server, f"Bearer {TOKEN}") == "newsroom"
        path.rename(tmp_path / "before")
        write_clients(path, newsroom=OTHER_TOKEN)
        assert await who(server, f"Bearer {OTHER_TOKEN}") == "newsroom"
        assert await refused(server, f"Bearer {TOKEN}") == Reason.TOKEN_UNKNOWN
        path.write_text("[newsroom")
        assert await who(server, f"Bearer {OTHER_TOKEN}") == "newsroom"
        path.unlink()
        assert await who(server, f"Bearer {OTHER_TOKEN}") == "newsroom"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a]\ntoken_sha256 = ['khulasa_secret']", "a.token_sha256.0: "),
        ("[a]\narticles_at_once = 0", "a.articles_at_once: "),
        ("[a]\nadmn = true", "a.admn: "),
        ("['ا']", "'ا' is not 1 to 200 ASCII"),
        ("[a]\ntoken_sha256 = ['{0}']\n[b]\ntoken_sha256 = ['{0}']".format("0" * 64), "a and b have the same token"),
    ],
)
def test_a_bad_clients_file_is_refused_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    """What is wrong is named, what may be a secret is not repeated."""
    (tmp_path / "clients.toml").write_text(text)
    with pytest.raises(ValueError, match=problem) as raised:
        read_clients(tmp_path / "clients.toml")
    assert "khulasa_secret" not in str(raised.value)


def test_a_clients_own_limits_go_before_the_defaults(tmp_path: Path) -> None:
    """What a client has no limit of its own for is bounded by the default."""
    (tmp_path / "clients.toml").write_text("[a]\narticles_at_once = 9")
    limits = read_clients(tmp_path / "clients.toml")["a"].limits(Limits(articles_at_once=2, articles_per_minute=5))
    assert limits == Limits(articles_at_once=9, articles_per_minute=5)


def test_the_command_makes_a_token_that_its_lines_know(tmp_path: Path) -> None:
    """`khulasa token new` prints a token, and a file of the printed lines takes it."""
    made = json.loads(CliRunner().invoke(app, ["token", "new", "news.room@1", "--json"]).stdout)
    printed = CliRunner().invoke(app, ["token", "new", "news.room@1"]).stdout
    (tmp_path / "clients.toml").write_text(printed[printed.index("[") :])
    token = next(line for line in printed.splitlines() if line.startswith("khulasa_"))
    assert ClientCredentials(Clients(tmp_path / "clients.toml")).caller_of(f"Bearer {token}") == "news.room@1"
    assert hashlib.sha256(made["token"].encode()).hexdigest() == made["token_sha256"]
    assert made["token"] != token


async def test_certificates_name_their_callers(tmp_path: Path) -> None:
    """With mTLS a caller is its certificate's name; without one, or with a stranger's, there is no connection."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "stranger")
    cert, key = ours.sign("server")
    async with serving(local(tls_cert=cert, tls_key=key, tls_client_ca=ours.ca)) as server:
        assert await who(server, tls=ours.client("newsroom")) == "newsroom"
        stranger = theirs.client("newsroom")
        for tls in (Tls(ours.ca), Tls(ours.ca, stranger.cert, stranger.key), None):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await who(server, tls=tls)
            assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_client_without_tokens_in_the_file_is_known_by_its_certificate(tmp_path: Path) -> None:
    """With both a file and certificates, a certificate is enough only for a client that the file gives no token."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    clients = Clients(write_clients(tmp_path / "clients.toml", archive="", newsroom=TOKEN))
    settings = local(tls_cert=cert, tls_key=key, tls_client_ca=authority.ca)
    async with serving(settings, ClientCredentials(clients)) as server:
        assert await who(server, tls=authority.client("archive")) == "archive"
        assert await refused(server, tls=authority.client("newsroom")) == Reason.TOKEN_MISSING
        assert await refused(server, tls=authority.client("nobody")) == Reason.TOKEN_MISSING
        assert await who(server, f"Bearer {TOKEN}", tls=authority.client("nobody")) == "newsroom"


async def test_a_rotated_certificate_holds_without_a_restart(tmp_path: Path) -> None:
    """New certificates of a new authority are shown and asked for from the next connection on."""
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path), Authority(tmp_path / "new")
    cert, key = old.sign("server")
    async with serving(local(tls_cert=cert, tls_key=key, tls_client_ca=old.ca)) as server:
        assert await who(server, tls=old.client("newsroom")) == "newsroom"
        before = old.client("newsroom")
        new_cert, new_key = new.sign("server")
        for path, fresh in ((cert, new_cert), (key, new_key), (old.ca, new.ca)):
            fresh.rename(path)
        new.ca = old.ca
        assert await who(server, tls=new.client("newsroom")) == "newsroom"
        with pytest.raises(grpc.aio.AioRpcError):
            await who(server, tls=before)


async def test_health_has_a_plain_address_beside_tls(tmp_path: Path) -> None:
    """Probes that know no TLS are answered at an address where nothing else is."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    settings = local(tls_cert=cert, tls_key=key, tls_client_ca=authority.ca, health_address="127.0.0.1:0")
    async with (
        serving(settings) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
        assert health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary("/khulasa.v1.Summarizer/DescribeRanking")(b"", timeout=10)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_services_ask_for_the_service_token(tmp_path: Path) -> None:
    """With a service token set, by value or by file, only who has it gets in; a second line is taken too."""
    async with serving(local(service_token=SERVICE_TOKEN)) as server:
        assert await who(server, f"Bearer {SERVICE_TOKEN}") == "service"
        assert await refused(server) == Reason.TOKEN_MISSING
        assert await refused(server, f"Bearer {TOKEN}") == Reason.TOKEN_UNKNOWN
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n{SERVICE_TOKEN}\n")
    async with serving(local(service_token_file=path)) as server:
        assert await who(server, f"Bearer {SERVICE_TOKEN}") == "service"
        path.write_text(f"{TOKEN}\n")
        assert await refused(server, f"Bearer {SERVICE_TOKEN}") == Reason.TOKEN_UNKNOWN


@pytest.mark.parametrize("settings", [TranslatorSettings, SummarizerSettings, GatewaySettings])
def test_an_open_address_needs_credentials(settings: type[ServerSettings], tmp_path: Path) -> None:
    """An address that others can reach is taken with tokens, with mTLS, or if that is allowed, and never without."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    with pytest.raises(ValueError, match="no credentials are asked for"):
        settings.model_validate({"address": "0.0.0.0:0"})
    with pytest.raises(ValueError, match="no credentials are asked for"):
        settings.model_validate({"address": "0.0.0.0:0", "tls_cert": cert, "tls_key": key})
    tokens = (
        {"tokens_file": write_clients(tmp_path / "clients.toml", a=TOKEN)}
        if settings is GatewaySettings
        else {"service_token": SERVICE_TOKEN}
    )
    mutual = {"tls_cert": cert, "tls_key": key, "tls_client_ca": authority.ca}
    for allowed in (tokens, mutual, {"allow_open": True}):
        assert settings.model_validate({"address": "0.0.0.0:0", **allowed})


def test_the_gateways_own_token_guards_nothing() -> None:
    """The service token is what a gateway sends, so an open gateway with nothing else is refused."""
    with pytest.raises(ValueError, match="no credentials are asked for"):
        GatewaySettings.model_validate({"address": "0.0.0.0:0", "service_token": SERVICE_TOKEN})


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"service_token": "geheim"}, "a token has 6 characters; expected at least 32"),
        ({"tls_cert": "/none/cert.pem"}, "TLS_CERT and KHULASA_TLS_KEY go together"),
        ({"tls_cert": "/none/cert.pem", "tls_key": "/none/key.pem"}, "/none/cert.pem: No such file"),
        ({"tokens_file": "/none/clients.toml"}, "KHULASA_TOKENS_FILE cannot be used: /none/clients.toml: No such file"),
    ],
)
def test_unusable_credentials_end_the_process_at_its_start(values: dict[str, str], problem: str) -> None:
    """The message names the variable and what is wrong, without the secret."""
    with pytest.raises(ValueError, match=problem) as raised:
        GatewaySettings.model_validate(values)
    assert "geheim" not in str(raised.value.errors(include_input=False, include_context=False))  # type: ignore[attr-defined]


async def test_a_client_sends_its_token_with_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the argument, of KHULASA_TOKEN, or of the file of KHULASA_TOKEN_FILE goes with each kind of call."""
    seen: list[str] = []

    class Listener(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: object, details: grpc.HandlerCallDetails) -> None:
            seen.append(dict(details.invocation_metadata).get("authorization", ""))

    server = grpc.aio.server(interceptors=[Listener()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with AsyncExitStack() as clients:
        clients.push_async_callback(server.stop, None)
        for argument, environment in (
            (OTHER_TOKEN, {"KHULASA_TOKEN": TOKEN}),
            (None, {"KHULASA_TOKEN": TOKEN}),
            (None, {"KHULASA_TOKEN_FILE": str(tmp_path / "token")}),
        ):
            for name in ("KHULASA_TOKEN", "KHULASA_TOKEN_FILE"):
                monkeypatch.delenv(name, raising=False)
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            client = await clients.enter_async_context(AsyncClient(f"127.0.0.1:{port}", timeout_s=5, token=argument))
            with pytest.raises(Exception, match="Method not found"):
                await client.describe()
    assert seen == [f"Bearer {token}" for token in (OTHER_TOKEN, TOKEN, TOKEN)]
