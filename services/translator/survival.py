"""What must come through a translation besides words, numbers and addresses.

Percent signs, placeholders, quotation marks and months are looked for in the English, and currencies and units
(`amounts.py`). A list marker that a model dropped is put back, and Arabic punctuation that it kept is made English. A
hashtag in Arabic is translated like any word, with or without its "#". All of it works on normalized Arabic.
"""

import re
from collections import Counter
from collections.abc import Iterator

from services.translator.amounts import lost_amounts


def lost_marks(source: str, translation: str) -> list[str]:
    """Return what of `source` has no counterpart in `translation`: placeholders, percent signs, currencies and units,
    quotation marks. The English may write them in words."""
    return [
        *_lost_placeholders(source, translation),
        *_lost_percent(source, translation),
        *lost_amounts(source, translation),
        *_lost_quotation(source, translation),
    ]


def lost_months(source: str, translation: str) -> list[str]:
    """Return the English names of months in dates of `source` that `translation` does not name, nor has in digits."""
    if _DATE_IN_DIGITS.search(translation):
        return []
    found = {month: None for match in _DATED_MONTH.finditer(source) for month in [_MONTH_OF[match[1] or match[2]]]}
    return [
        month for month in found if not re.search(rf"\b{month[:3]}(?:{month[3:]}|t?\b)", translation, re.IGNORECASE)
    ]


def in_english_marks(translation: str) -> str:
    """Return `translation` with "?", "," and ";" for the Arabic ones; a question that ends in both has one."""
    return re.sub(r"؟ ?\?|\? ?؟", "?", translation).translate(_ENGLISH_MARKS)


def with_list_marker(source: str, translation: str) -> str:
    """Return `translation` with the marker that `source` begins with, if it has none: models drop it.

    A dash, a bullet, or a number with a full stop, bracket or dash is meant. Nothing is put before nothing.
    """
    marker = _LIST_MARKER.match(source)
    if not marker or not translation:
        return translation
    sign = "".join(marker[0].split())
    number = re.search(r"\d+", sign)
    present = re.search(rf"\b{number[0]}\b", translation) if number else translation[0] in _BULLETS
    return translation if present else f"{sign} {translation}"


_ENGLISH_MARKS = str.maketrans("؟،؛٪", "?,;%")
_BULLETS = "-*•·▪●◦‣"
_LIST_MARKER = re.compile(rf"(?:[{_BULLETS}]|\d{{1,3}} ?[-.)]|\(\d{{1,3}}\)) +(?=\S)")
# Of printf, of Python and of templates.
_PLACEHOLDER = re.compile(
    r"%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?[sdiufxXc@](?![A-Za-z])|%\(\w+\)[sdf]|\$?\{\{?[ \w.]*\}\}?", re.ASCII
)
_PERCENT = re.compile(r"\d ?%|% ?\d|\d (?:في ال|بال)(?:مئة|مائة|مية)")
_ENGLISH_PERCENT = re.compile(r"%|per ?cent|\bpct\b", re.IGNORECASE)
# Somebody's words: after a verb of saying or a colon. A title in quotation marks may lose them.
_SPEECH = re.compile(r"(?:قال|قائل|ضاف|صرح|ذكر|تابع|وضح|ؤكد|أكد|علن|كتب|شدد|:)\w*[^\"]{0,40}\"(?P<words>[^\"]+)\"")
SPEECH_WORDS = 4
_QUOTATION_MARK = re.compile(r"[\"“”«»‟„]|''|``|(?<!\w)['‘]|['’](?!\w)")
_MONTHS = {
    "January": "يناير|كانون الثاني|جانفي",
    "February": "فبراير|شباط|فيفري",
    "March": "مارس|آذار",
    "April": "أبريل|إبريل|ابريل|نيسان|أفريل",
    "May": "مايو|أيار",
    "June": "يونيو|يونيه|حزيران|جوان",
    "July": "يوليو|يوليه|تموز|جويلية",
    "August": "أغسطس|آب|أوت",
    "September": "سبتمبر|أيلول",
    "October": "أكتوبر|اكتوبر|تشرين الأول",
    "November": "نوفمبر|تشرين الثاني",
    "December": "ديسمبر|كانون الأول",
}
_MONTH_OF = {name: month for month, names in _MONTHS.items() for name in names.split("|")}
# Beside a day or a year, since مارس is also "practised" and آب "returned".
_ANY_MONTH = "|".join(_MONTHS.values())
_DATED_MONTH = re.compile(
    rf"(?<!\d)\d{{1,2}} (?:من )?(?:شهر )?({_ANY_MONTH})(?!\w)"
    rf"|(?<!\w)({_ANY_MONTH})(?: ?/ ?\w+(?: الأول| الثاني)?)? (?:من )?(?:عام )?\d{{4}}"
)
_DATE_IN_DIGITS = re.compile(r"\d[/.-]\d")


def _lost_placeholders(source: str, translation: str) -> Iterator[str]:
    wanted, written = (Counter(_PLACEHOLDER.findall(text)) for text in (source, translation))
    yield from wanted - written


def _lost_percent(source: str, translation: str) -> Iterator[str]:
    if _PERCENT.search(source) and not _ENGLISH_PERCENT.search(translation):
        yield "%"


def _lost_quotation(source: str, translation: str) -> Iterator[str]:
    said = any(len(match["words"].split()) >= SPEECH_WORDS for match in _SPEECH.finditer(source))
    if said and not _QUOTATION_MARK.search(translation):
        yield "quotation marks"
