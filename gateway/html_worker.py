"""Extracts articles from HTML pages in a process of its own: `python -m gateway.html_worker`.

Reads requests from standard input and writes answers to standard output, each a length of four bytes and JSON; an empty
one says that it is ready. At most a hostile page ends this process; the gateway starts another.
"""

import json
import os
import re
import resource
import sys
from copy import deepcopy
from typing import BinaryIO

import trafilatura
from lxml import etree, html
from trafilatura.settings import Document

# Four times what the largest allowed page was seen to take.
MEMORY_BYTES = 1024 * 1024 * 1024
NO_TEXT = ("script", "style", "noscript", "template", "svg", "head", "iframe", "object")
# Removed before extraction too; scripts and the head are left to it, since titles and JSON-LD are in them.
UNSEEN = ("noscript", "template", "textarea", "svg", "iframe", "object")
# Their text stays. Old pages nest hundreds that are never closed, and trafilatura in places reads only the first 256.
LOOKS = ("font", "b", "i", "u", "big", "small")
AS_WRITTEN = ("pre", "script", "style")
INLINE = (
    "a", "abbr", "bdi", "bdo", "cite", "code", "em", "mark", "q", "s", "span", "strong", "sub", "sup", "time",
)  # fmt: skip


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    write(sys.stdout.buffer, {})
    # Whatever keeps this process from starting has been told by now; trafilatura's complaints quote the page.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    while (request := read(sys.stdin.buffer)) is not None:
        write(sys.stdout.buffer, extract(request["html"]))


def extract(page: str) -> dict[str, object]:
    """Return title, text and dropped characters of a page; an empty text if there is none."""
    tree = parse(page.replace("\x00", ""))
    if tree is None:
        return {"title": "", "text": "", "dropped_chars": 0}
    visible = visible_text(deepcopy(tree))
    furniture = [*tree.iter("nav"), *tree.xpath("//body/footer")]
    for element in furniture:  # trafilatura falls back on these too where a page has little else
        element.drop_tree()
    document = trafilatura.bare_extraction(tree, include_comments=False, with_metadata=True)
    title, text = "", ""
    if isinstance(document, Document):
        title, text = document.title or "", document.text or ""
    if not text.strip() and not furniture:
        text = visible  # a fragment such as <p>…</p>, too small for a page
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in text.splitlines())
    text = "\n".join(line for line in lines if line)
    return {"title": title.strip(), "text": text, "dropped_chars": max(0, _size(visible) - _size(text))}


def parse(page: str) -> html.HtmlElement | None:
    """Return the tree of a page, without what nobody sees and with a paragraph's line breaks turned into spaces."""
    # Without huge_tree the parser drops, silently, all that is nested deeper than 256: old pages never close <font>.
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        tree = html.fromstring(page.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return None
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        # Nested deeper than 2,048: the rest of the page was cut off, and an article must not end without a word.
        raise RuntimeError("the page is nested too deeply")
    etree.strip_elements(tree, *UNSEEN, with_tail=False)
    etree.strip_tags(tree, *LOOKS)
    for element in tree.iter(etree.Element):
        if element.tag not in AS_WRITTEN:
            element.text = _one_line(element.text)
        if (parent := element.getparent()) is None or parent.tag not in AS_WRITTEN:
            element.tail = _one_line(element.tail)
    return tree


def visible_text(tree: html.HtmlElement) -> str:
    """Return what a reader of the page sees, a block a line; changes the tree."""
    etree.strip_elements(tree, *NO_TEXT, with_tail=False)
    parts: list[str] = []
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        if element.tag not in INLINE:
            parts.append("\n")
        parts.append((element.text if event == "start" else element.tail) or "")
    lines = (re.sub(r"\s+", " ", line).strip() for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _one_line(text: str | None) -> str | None:
    return text and re.sub(r"\s+", " ", text)


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
