"""Arabic text as the model was trained to read it, with a way back to the text the caller sent.

The translator calls `normalize` on every paragraph before splitting; `training/prepare.py` calls it on every Arabic
sentence it trains on. The two must never differ, so a scheme, once a model was trained with it, is not changed: a
change is a new scheme with a new name. Alef, ya and ta marbuta are never folded: that is a search trick that loses
meaning in translation.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from services.translator.span import Span


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a model was trained to see. `manifest.json` of a model names one of `SCHEMES`."""

    diacritics: bool
    """Keep short vowels and Quranic marks. News is written without them, so our own models are trained without."""


SCHEMES = {
    "plain-1": Scheme(diacritics=False),
    "diacritics-1": Scheme(diacritics=True),
}


@dataclass(frozen=True, slots=True)
class Normalized:
    """Normalized text and, for each of its characters, where in the source it came from."""

    text: str
    origins: Sequence[int]
    """`len(text) + 1` offsets into the source, never decreasing; the last one is the length of the source."""

    def source_span(self, span: Span) -> Span:
        """Return the part of the source that became `span` of the normalized text.

        Removed characters (vowels, tatweel, bidi controls) belong to the character before them.
        """
        return Span(self.origins[span.start], self.origins[span.end])


def normalize(text: str, scheme: Scheme) -> Normalized:
    """Return `text` under `scheme`: NFC, Arabic letters in their base form, ASCII digits, plain spaces and quotes.

    Any string is accepted; applying it twice changes nothing more. Lone surrogates are passed through (the protobuf
    layer refuses them long before).
    """
    chars, origins = _replace_characters(text, scheme)
    chars, origins = _compose(chars, origins, scheme)
    chars, origins = _squeeze_spaces(chars, origins)
    return Normalized("".join(chars), [*origins, len(text)])


_Chars = tuple[list[str], list[int]]


def _replace_characters(text: str, scheme: Scheme) -> _Chars:
    table = _REPLACEMENTS if scheme.diacritics else _REPLACEMENTS_WITHOUT_DIACRITICS
    chars: list[str] = []
    origins: list[int] = []
    for offset, char in enumerate(text):
        replacement = table.get(char, char)
        chars.extend(replacement)
        origins.extend([offset] * len(replacement))
    return chars, origins


def _compose(chars: list[str], origins: list[int], scheme: Scheme) -> _Chars:
    """Bring each base character and the marks on it to NFC; the whole cluster points at its base."""
    composed: list[str] = []
    composed_origins: list[int] = []
    start = 0
    for position in range(1, len(chars) + 1):
        if position < len(chars) and unicodedata.combining(chars[position]):
            continue
        if position - start == 1:
            cluster = unicodedata.normalize("NFC", chars[start])
        else:
            cluster = _compose_cluster("".join(chars[start:position]), scheme)
        composed.extend(cluster)
        composed_origins.extend([origins[start]] * len(cluster))
        start = position
    return composed, composed_origins


def _compose_cluster(cluster: str, scheme: Scheme) -> str:
    composed = unicodedata.normalize("NFC", cluster)
    if scheme.diacritics:
        return composed
    # Hamza and madda above or below are removed only now: on alef, waw and ya they compose into a letter.
    return unicodedata.normalize("NFC", "".join(char for char in composed if char not in _HAMZA_AND_MADDA))


def _squeeze_spaces(chars: list[str], origins: list[int]) -> _Chars:
    kept = [index for index, char in enumerate(chars) if char != " " or index == 0 or chars[index - 1] != " "]
    return [chars[index] for index in kept], [origins[index] for index in kept]


def _characters(*ranges: tuple[int, int]) -> list[str]:
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


_HAMZA_AND_MADDA = frozenset("\u0653\u0654\u0655")
_DIACRITICS = frozenset(
    _characters((0x0610, 0x061A), (0x064B, 0x0652), (0x0656, 0x065F), (0x0670, 0x0670))
    + _characters((0x06D6, 0x06DC), (0x06DF, 0x06E4), (0x06E7, 0x06E8), (0x06EA, 0x06ED), (0x08D3, 0x08FF))
)
_TATWEEL = "\u0640"


def _replacements() -> dict[str, str]:
    table: dict[str, str] = {}
    # Letter shapes that PDF extraction leaves behind, ligatures such as ﻻ, and full-width Latin.
    for char in _characters((0xFB1D, 0xFDFF), (0xFE70, 0xFEFC), (0xFF01, 0xFF5E), (0xFE50, 0xFE6B)):
        folded = unicodedata.normalize("NFKC", char)
        # The shapes of a lone vowel fold to "space + vowel"; the space was never in the text.
        table[char] = folded.lstrip(" ") or folded
    # Written as one character after a name without a space; unspaced, its expansion would run into the name.
    table["\ufdfa"] = " صلى الله عليه وسلم "
    table["\ufdfb"] = " جل جلاله "
    table["\ufd3e"], table["\ufd3f"] = '"', '"'  # ornate brackets are quotation marks around Quran verses

    for control in range(0x20):
        table[chr(control)] = " "
    table |= dict.fromkeys(_characters((0x7F, 0x9F)), " ")
    table |= dict.fromkeys("\n\v\f\x85\u2028\u2029", "\n")
    table["\r"] = "\n"  # of "\r\n" the splitter sees an empty line, which it skips
    table |= dict.fromkeys("\u00a0\u1680\u202f\u205f\u3000\ufffc\ufffd" + "".join(_characters((0x2000, 0x200A))), " ")

    invisible = _characters((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F), (0xE000, 0xF8FF))
    table |= dict.fromkeys([*invisible, "\u00ad", "\u061c", "\ufeff", _TATWEEL], "")

    for zero in (0x0660, 0x06F0):  # Arabic-Indic and Persian digits
        table |= {chr(zero + digit): str(digit) for digit in range(10)}
    table |= {"٪": "%", "٫": ".", "٬": ",", "…": "..."}
    table |= dict.fromkeys("“”„‟«»″", '"')
    table |= dict.fromkeys("‘’‚‛′`´", "'")
    table |= dict.fromkeys("‐‑‒–—―−", "-")
    return table


def _closed(table: dict[str, str]) -> dict[str, str]:
    """Apply the table to its own results, so that a presentation form of a removed mark is removed too."""
    return {char: "".join(table.get(part, part) for part in result) for char, result in table.items()}


_REPLACEMENTS = _closed(_replacements())
_REPLACEMENTS_WITHOUT_DIACRITICS = _closed(_replacements() | dict.fromkeys(_DIACRITICS, ""))
