"""Files as people have them: UTF-8, UTF-16, or the Windows-1256 of older Arabic archives; text or HTML."""

import re

from khulasa.errors import UnreadableFile

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_HTML = re.compile(r"<\s*(?:!doctype\s+html|html|head|body|article|div|p|meta)\b", re.IGNORECASE)
_ARABIC = re.compile(r"[\u0600-\u06ff]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def decode(data: bytes) -> str:
    """Return the text of a file. Raises UnreadableFile for what is no text in an encoding that Arabic comes in."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _strict(data, "utf-16")
    if (encoding := _utf_16_without_mark(data)) is not None:
        return _strict(data, encoding)
    try:
        return _printable(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        pass
    declared = _META_CHARSET.search(data[:4096])
    if declared and (text := _arabic(data, declared.group(1).decode())) is not None:
        return text
    # Both readings are mostly Arabic, since the two share half of their letters: the one that is more so is right.
    readings = [text for name in ("cp1256", "iso-8859-6") if (text := _arabic(data, name)) is not None]
    if readings:
        return max(readings, key=_arabic_share)
    raise UnreadableFile("is no text in UTF-8, UTF-16 or Windows-1256. Convert it to UTF-8.")


def looks_like_html(text: str) -> bool:
    """Tell whether a text is an HTML page or fragment."""
    return bool(_HTML.search(text[:2000]))


def _utf_16_without_mark(data: bytes) -> str | None:
    """Return the byte order of UTF-16 without its mark: every second byte is that of Arabic or of ASCII."""
    if len(data) < 4 or len(data) % 2:
        return None
    sample = data[:4000]
    for encoding, high in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if sum(byte in (0x00, 0x06) for byte in high) > 0.9 * len(high):
            return encoding
    return None


def _strict(data: bytes, encoding: str) -> str:
    try:
        return _printable(data.decode(encoding).lstrip("\ufeff"))
    except UnicodeDecodeError:
        raise UnreadableFile(f"looks like {encoding} and is broken. Convert it to UTF-8.") from None


def _printable(text: str) -> str:
    if "\x00" in text or len(_CONTROL.findall(text)) > len(text) // 100:
        raise UnreadableFile("is no text: it has control characters of a binary file.")
    return text


def _arabic(data: bytes, encoding: str) -> str | None:
    """Return the text if the encoding fits: every byte is some character in Windows-1256, so most must be Arabic."""
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError):  # a page may name anything, also Python's "undefined"
        return None
    return text if _arabic_share(text) > 0.7 and not _CONTROL.search(text) else None


def _arabic_share(text: str) -> float:
    """Return the share of Arabic among the characters that are not ASCII."""
    high = sum(char > "\x7f" for char in text)
    return len(_ARABIC.findall(text)) / high if high else 0.0
