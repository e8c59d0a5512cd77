"""HTML whose words are translated and whose markup is not touched."""

import html
from html.parser import HTMLParser

NOT_WORDS = ("script", "style", "code", "kbd", "samp", "textarea", "template")
"""Elements whose text is no prose."""


def pieces(page: str) -> list[tuple[str, bool]]:
    """Return the page in pieces which are, joined, the page again; and whether each is text to translate, unescaped."""
    parser = _Pieces()
    parser.feed(page)
    parser.close()
    return parser.done()


def escaped(text: str) -> str:
    """Return text as it stands in HTML."""
    return html.escape(text, quote=False)


class _Pieces(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._pieces: list[tuple[str, bool]] = []
        self._text: list[str] = []
        self._open: list[str] = []

    def done(self) -> list[tuple[str, bool]]:
        self._end_text()
        return self._pieces

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._markup(self.get_starttag_text() or "")
        if tag in NOT_WORDS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._markup(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self._markup(f"</{tag}>")
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._markup(data)
        else:
            self._text.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self._markup(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._markup(f"<!{decl}>")

    def unknown_decl(self, data: str) -> None:
        self._markup(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        self._markup(f"<?{data}>")

    def _markup(self, markup: str) -> None:
        self._end_text()
        self._pieces.append((markup, False))

    def _end_text(self) -> None:
        if self._text:
            self._pieces.append((html.unescape("".join(self._text)), True))
            self._text.clear()
