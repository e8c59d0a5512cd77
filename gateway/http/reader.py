"""The reader page: HTML filled in here, a style sheet, a script and a font, all from this server and nothing else."""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.validation import MAX_ARTICLE_BYTES
from khulasa.types import FlagReason
from khulasa.words import FLAG_WORDS, PASSED_OVER

FOLDER = Path(__file__).parent / "page"
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "noto-naskh-arabic-400.woff2": "font/woff2",
    "noto-naskh-arabic-700.woff2": "font/woff2",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, and no text that becomes markup: an article is shown, never run."""


def routes() -> list[BaseRoute]:
    """Return the routes of the page and its files."""
    return [
        Route("/", _page, methods=["GET"]),
        *(Route(f"/page/{name}", _file(name, kind), methods=["GET"]) for name, kind in FILES.items()),
    ]


async def _page(request: Request) -> Response:
    return HTMLResponse(_html(), headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


@cache
def _html() -> str:
    template = Template((FOLDER / "index.html").read_text(encoding="utf-8"))
    settings = {
        "flagWords": {f"REASON_{reason.name}": words for reason, words in FLAG_WORDS.items()},
        "unknownFlag": FLAG_WORDS[FlagReason.UNKNOWN],
        "passedOver": [f"REASON_{reason.name}" for reason in PASSED_OVER],
        "maxArticleBytes": MAX_ARTICLE_BYTES,
    }
    return template.substitute(settings=escape(json.dumps(settings, ensure_ascii=False)))


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return FileResponse(FOLDER / name, media_type=kind, headers={"Cache-Control": "no-cache"})

    return send
