"""Extracts articles from HTML pages in a process of its own: `python -m gateway.html_worker`.

Reads requests from standard input and writes answers to standard output, each a length of four bytes and JSON. At most
a hostile page ends this process; the gateway starts another.
"""

import json
import re
import resource
import sys
from typing import BinaryIO

import trafilatura
from lxml import etree, html
from trafilatura.settings import Document

# Four times what the largest allowed page was seen to take.
MEMORY_BYTES = 1024 * 1024 * 1024
NO_TEXT = ("script", "style", "noscript", "template", "svg", "head", "iframe", "object")


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while (request := read(sys.stdin.buffer)) is not None:
        write(sys.stdout.buffer, extract(request["html"]))


def extract(page: str) -> dict[str, object]:
    """Return title, text and dropped characters of a page; an empty text if there is none."""
    page = page.replace("\x00", "")
    visible = visible_text(page)
    document = trafilatura.bare_extraction(page, include_comments=False, with_metadata=True)
    title, text = "", ""
    if isinstance(document, Document):
        title, text = document.title or "", document.text or ""
    if not text.strip():
        text = visible  # a fragment such as <p>…</p>, too small for a page
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in text.splitlines())
    text = "\n".join(line for line in lines if line)
    return {"title": title.strip(), "text": text, "dropped_chars": max(0, _size(visible) - _size(text))}


def visible_text(page: str) -> str:
    """Return what a reader of the page sees, a block a line."""
    try:
        tree = html.fromstring(page.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.ParserError, etree.XMLSyntaxError):
        return ""
    etree.strip_elements(tree, etree.Comment, *NO_TEXT, with_tail=False)
    lines = (re.sub(r"\s+", " ", part).strip() for part in tree.itertext())
    return "\n".join(line for line in lines if line)


def _size(text: str) -> int:
    return len(re.sub(r"\s", "", text))


def read(stream: BinaryIO) -> dict[str, str] | None:
    """Read one message, None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    message: dict[str, str] = json.loads(stream.read(int.from_bytes(head, "big")))
    return message


def write(stream: BinaryIO, message: dict[str, object]) -> None:
    """Write one message."""
    data = json.dumps(message).encode()
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


if __name__ == "__main__":
    main()
