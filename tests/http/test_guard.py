"""A foreign page cannot drive a gateway on loopback."""

import httpx
import pytest

from tests.conftest import Stack
from tests.http.conftest import http_server

BODY = {"article": {"text": "أعلنت الوزارة عن الخطة."}}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "10.0.0.8"])
async def test_other_names_are_not_answered(http: httpx.AsyncClient, host: str) -> None:
    """A page that points its own name at this address (DNS rebinding) reads and does nothing."""
    for path in ("/", "/languages", "/openapi.json", "/metrics"):
        response = await http.get(path, headers={"Host": host})
        assert (response.status_code, response.json()["reason"]) == (421, "UNKNOWN_HOST")
    response = await http.post("/v1/articles", json=BODY, headers={"Host": host})
    assert response.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
async def test_names_of_loopback_are_answered(http: httpx.AsyncClient, host: str) -> None:
    """The machine's own names need no setting."""
    assert (await http.get("/languages", headers={"Host": host})).status_code == 200


async def test_operator_can_add_names(stack: Stack) -> None:
    """KHULASA_HTTP_HOSTS names the gateway as others call it."""
    server = http_server(stack, hosts="khulasa.example, read.example")
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        for host, status in (("read.example", 200), ("khulasa.example:443", 200), ("other.example", 421)):
            assert (await http.get("/languages", headers={"Host": host})).status_code == status
    await server.drain(0)


@pytest.mark.parametrize("path", ["/v1/articles", "/v1/articles:stream", "/translate", "/detect"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["origin", "null", "port", "unreadable", "cross-site", "same-site"],
)
async def test_pages_of_other_origins_are_refused(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    """A POST from a page that this gateway did not serve is refused, also of a form, which needs no preflight."""
    response = await http.post(path, data={"q": "مرحبا"}, headers=headers)
    assert (response.status_code, response.json()["reason"]) == (403, "FOREIGN_ORIGIN")


async def test_own_page_is_let_in(http: httpx.AsyncClient) -> None:
    """The gateway's own origin is no foreign one."""
    origin = str(http.base_url).rstrip("/")
    response = await http.post("/v1/articles", json=BODY, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 200


async def test_no_answer_allows_other_origins(http: httpx.AsyncClient) -> None:
    """Nothing is shared with other origins: no CORS header, no answer to a preflight."""
    preflight = await http.options("/v1/articles", headers={"Access-Control-Request-Method": "POST"})
    answer = await http.post("/v1/articles", json=BODY)
    page = await http.get("/")
    assert preflight.status_code == 405
    for response in (preflight, answer, page):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert response.headers["x-content-type-options"] == "nosniff"
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


async def test_unknown_paths_and_methods_are_problems(http: httpx.AsyncClient) -> None:
    """Also what is not there is told as a problem."""
    for method, path, status, reason in (
        ("GET", "/nothing", 404, "UNKNOWN_PATH"),
        ("GET", "/v1/articles", 405, "UNKNOWN_METHOD"),
        ("GET", "/page/../app.py", 404, "UNKNOWN_PATH"),
    ):
        response = await http.request(method, path)
        assert (response.status_code, response.json()["reason"]) == (status, reason)
