"""Reasons not to trust a translation, found without a second model.

Each check is one function of a sentence in both languages; `CHECKS` lists them. A check says nothing rather than guess:
a flag costs a reader a look at the source, so it must mean something.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Reason(IntEnum):
    """Names and numbers of `Flag.Reason` in `article.proto`."""

    LOW_PROBABILITY = 1
    REPETITION = 2
    LENGTH_RATIO = 3
    ARABIC_LEFT = 4
    SOURCE_COPIED = 5
    NUMBER_MISMATCH = 6
    LINK_LOST = 7
    LATIN_LOST = 8
    TRUNCATED = 9
    EMPTY = 10
    NOT_ARABIC = 11
    FRAGMENT = 12
    BOILERPLATE_SKIPPED = 13


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason and what exactly, for people."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Checkable:
    """A sentence as the model read it and what it wrote."""

    source: str
    translation: str
    log_probability: float
    """Mean natural log over the tokens."""
    source_tokens: int
    target_tokens: int
    source_truncated: bool
    target_truncated: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where doubt begins. First estimates from looking at real outputs; not fitted on labelled data yet."""

    log_probability: float = -1.3
    """Fluent right answers of the models here lie above -1.0, invented ones often below -1.5."""
    repeats: int = 3
    """The same three words, or one word in a row, this often; style repeats twice."""
    shortest_ratio: float = 0.4
    """English characters to Arabic ones. Human translations have 1.2 on average, hardly any below 0.6."""
    longest_ratio: float = 3.0
    """Hardly any human translation is above 2.2."""
    ratio_slack_chars: int = 25
    """Added to both sides: "نعم" may well be "Yes, of course"."""


THRESHOLDS = Thresholds()


def check(sentence: Checkable, thresholds: Thresholds = THRESHOLDS) -> list[Doubt]:
    """Return every reason for doubt, at most one of each kind, the gravest first."""
    if not sentence.translation:
        return [Doubt(Reason.EMPTY, "the model wrote nothing")]
    return [doubt for find in CHECKS for doubt in find(sentence, thresholds)]


def truncated(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if sentence.source_truncated:
        yield Doubt(Reason.TRUNCATED, f"only the first {sentence.source_tokens} tokens were read")
    elif sentence.target_truncated:
        yield Doubt(Reason.TRUNCATED, f"the English was cut at {sentence.target_tokens} tokens")


def repetition(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    words = _words(sentence.translation)
    source_words = _words(sentence.source)
    source_repeats = max(_most_common(source_words, 3)[1], _longest_run(source_words)[1])
    for phrase, times in (_longest_run(words), _most_common(words, 3)):
        # Long sentences repeat "of the Committee" in good style, so they may a little more often.
        if times >= max(thresholds.repeats + len(words) // 25, source_repeats + 1):
            yield Doubt(Reason.REPETITION, f"{phrase!r} {times} times")
            return


def source_copied(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if _words(sentence.source) == _words(sentence.translation):
        yield Doubt(Reason.SOURCE_COPIED, "the Arabic came back as it was")


def arabic_left(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if left := _ARABIC_WORD.findall(sentence.translation):
        yield Doubt(Reason.ARABIC_LEFT, " ".join(left[:5]))


def length_ratio(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    slack = thresholds.ratio_slack_chars
    source, translation = len(sentence.source), len(sentence.translation)
    if translation + slack < thresholds.shortest_ratio * (source + slack):
        yield Doubt(Reason.LENGTH_RATIO, f"{translation} characters for {source}: too short")
    elif translation > thresholds.longest_ratio * (source + slack):
        yield Doubt(Reason.LENGTH_RATIO, f"{translation} characters for {source}: too long")


def numbers(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    source, translation = _numbers(_LIST_MARKER.sub("", sentence.source)), _numbers(sentence.translation)
    spelled = _spelled_numbers(sentence.translation)
    lost = [n for n in (source - translation) if n not in spelled and not _is_month_date(n, sentence)]
    # English may write in digits what Arabic spells out, so a small new number proves nothing.
    added = [
        n for n in (translation - _numbers(sentence.source)) if len(n) > 2 and not _could_be_spelled(sentence.source)
    ]
    if lost:
        yield Doubt(Reason.NUMBER_MISMATCH, f"{', '.join(sorted(lost))} is missing")
    elif added:
        yield Doubt(Reason.NUMBER_MISMATCH, f"{', '.join(sorted(added))} is not in the source")


def links(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    translation = sentence.translation.lower()
    lost = [link for link in _LINK.findall(sentence.source) if link.lower().rstrip(".,") not in translation]
    if lost:
        yield Doubt(Reason.LINK_LOST, " ".join(lost))


def latin(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    text = _LINK.sub(" ", sentence.source)
    translation = sentence.translation.lower()
    lost = [word for word in _LATIN_WORD.findall(text) if word.lower() not in translation]
    if lost:
        yield Doubt(Reason.LATIN_LOST, " ".join(lost))


def low_probability(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if sentence.log_probability < thresholds.log_probability:
        yield Doubt(Reason.LOW_PROBABILITY, f"mean log-probability {sentence.log_probability:.2f}")


CHECKS: tuple[Callable[[Checkable, Thresholds], Iterator[Doubt]], ...] = (
    truncated,
    source_copied,
    arabic_left,
    repetition,
    length_ratio,
    numbers,
    links,
    latin,
    low_probability,
)

_ARABIC_WORD = re.compile(r"[\u0620-\u06ff]+")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")
_LINK = re.compile(r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+|[@#][A-Za-z_]\w*", re.ASCII)
_LIST_MARKER = re.compile(r"^\d{1,3} ?[-.)](?=\D)")  # often dropped in translation, and nobody misses it
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_SPELLED = {word: number for number, word in enumerate(_UNITS.split())}
_SPELLED |= {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_SPELLED |= {word: number for number, word in enumerate(_ORDINALS.split(), start=1)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_ARABIC_NUMBER_WORD = re.compile(
    r"مئة|مائة|مئت|مائت|ألف|آلاف|ألفي|مليون|ملايين|مليار|بليون|عشر|ثلاث|أربع|خمس|ست|سبع|ثمان|تسع|اثن|عقد|قرن|الأول|الثاني"
)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _most_common(words: list[str], size: int) -> tuple[str, int]:
    grams = Counter(" ".join(words[i : i + size]) for i in range(len(words) - size + 1))
    return grams.most_common(1)[0] if grams else ("", 0)


def _longest_run(words: list[str]) -> tuple[str, int]:
    best, run = ("", 0), 0
    for index, word in enumerate(words):
        run = run + 1 if index and words[index - 1] == word else 1
        if run > best[1]:
            best = (word, run)
    return best


def _numbers(text: str) -> set[str]:
    """Return the numbers of `text` without the marks between thousands: "1,000" is "1000", "3.50" is "3.5"."""
    return {_plain(number) for number in _NUMBER.findall(text)}


def _plain(number: str) -> str:
    number = re.sub(r"(?<=\d)[.,](?=\d{3}(?:\D|$))", "", number)
    whole, point, part = number.replace(",", ".").partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (point + part if part else "")


def _spelled_numbers(text: str) -> set[str]:
    """Return what the number words of an English text come to: "twenty-five" is "25", "two million" also "2"."""
    found: set[int] = set()
    total = current = 0
    previous_was_number = False
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in _SPELLED:
            value = _SPELLED[word]
            current = current + value if previous_was_number and current % 10 == 0 and value < 10 else value
            previous_was_number = True
        elif word in _SCALES and previous_was_number:
            found.add(current)
            total += max(current, 1) * _SCALES[word]
            current = 0
        elif word != "and":
            if previous_was_number:
                found |= {current, total + current}
            total = current = 0
            previous_was_number = False
    if previous_was_number:
        found |= {current, total + current}
    return {str(number) for number in found}


def _is_month_date(number: str, sentence: Checkable) -> bool:
    """Tell whether a number is the month of a date like 12/3/2024, which English writes in words."""
    return bool(re.search(rf"\d/0?{re.escape(number)}/\d|0?{re.escape(number)}/\d+/\d{{4}}", sentence.source))


def _could_be_spelled(source: str) -> bool:
    """Tell whether the source has number words, which English may write in digits."""
    return bool(_ARABIC_NUMBER_WORD.search(source))
