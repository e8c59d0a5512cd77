"""Who may drive the gateway from a browser: only pages that it served itself.

A page of somebody else can send requests to any address its visitor reaches, also to loopback. It names itself in
`Origin`, which is refused; or it points its own name at our address and becomes "the same origin" (DNS rebinding), so a
`Host` that is no name of ours is refused too.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problems import problem_response
from services.harness import metrics
from services.harness.errors import Reason, Refusal

PROBED = ("/healthz", "/readyz")
"""Asked by the address of a pod or a machine, and telling nothing."""
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Checks `Host` and `Origin` before anything else, and puts the headers on every answer that browsers obey."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.strip().lower() for host in hosts) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refusal:
            metrics.REFUSALS.labels(refusal.reason.value).inc()
            await problem_response(refusal)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, method: str, path: str, headers: Headers) -> Refusal | None:
        host = headers.get("host", "")
        if path not in PROBED and not self._is_ours(_name(host)):
            return Refusal(
                Reason.UNKNOWN_HOST,
                f"This gateway is not called {_name(host)[:100]!r}. Its operator can add names by KHULASA_HTTP_HOSTS.",
                host=_name(host)[:100],
            )
        origin = headers.get("origin")
        foreign = origin is not None and origin.lower().partition("://")[2] != host.lower()
        if method not in ("GET", "HEAD") and (foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site")):
            return Refusal(
                Reason.FOREIGN_ORIGIN,
                "A page of another origin cannot use this gateway. Open its own page, or call it from a program.",
                origin=(origin or "")[:100],
            )
        return None

    def _is_ours(self, name: str) -> bool:
        if name == "localhost" or name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _name(host: str) -> str:
    """Return a Host header's name or address, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
