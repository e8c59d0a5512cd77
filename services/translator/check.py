"""Reasons not to trust a translation, found without a second model.

Each check is one function of a sentence in both languages; `CHECKS` lists them. A check says nothing rather than guess:
a flag costs a reader a look at the source, so it must mean something.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

from services.translator.amounts import SCALES
from services.translator.language import dialect_of
from services.translator.survival import lost_marks, lost_months


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
    MARK_LOST = 14
    UNRELATED = 15
    NOT_TRANSLATED = 16
    PART_LOST = 17


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
    english_explained: float = 0.0
    """See `Adequacy`; 0 where there is no lexicon."""
    arabic_carried: float = 0.0
    confidence: float | None = None
    """None where there is no calibration; then the bare log-probability has to do."""
    doubtful_below: float = 0.0
    """The confidence under which the calibration says to doubt."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where doubt begins. What the lexicon measures is fitted on human translations of TICO-19 and Tatoeba, the rest on
    looks at real outputs; `benchmarks/doubts` reports what comes of it on FLORES and UN."""

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
    english_explained: float = -5.6
    """3 in 100 human translations of FLORES and TICO lie below; three quarters of those of another sentence."""
    unrelated_tokens: int = 12
    """The mean over a few words says little: of such short sentences 6 in 100 lie below."""
    part_lost: float = -6.7
    """Of `arabic_carried` and three times the ln of the ratio of lengths, where it is below 0. 1 in 100 human
    translations of TICO and Tatoeba lie below, 9 in 10 of those that end before the middle."""


THRESHOLDS = Thresholds()


def check(sentence: Checkable, thresholds: Thresholds = THRESHOLDS) -> list[Doubt]:
    """Return every reason for doubt, at most one of each kind, the gravest first."""
    if not _words(sentence.translation):
        return [Doubt(Reason.EMPTY, "the model wrote no words")]
    return [doubt for find in CHECKS for doubt in find(sentence, thresholds)]


def truncated(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if sentence.source_truncated:
        yield Doubt(Reason.TRUNCATED, f"only the first {sentence.source_tokens} tokens were read")
    elif sentence.target_truncated:
        yield Doubt(Reason.TRUNCATED, f"the English was cut at {sentence.target_tokens} tokens")


def repetition(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    words = _words(sentence.translation)
    source_words = _words(sentence.source)
    source_repeats = max(times for _, times in _repeats(source_words))
    if (times := _rounds(words)) > max(_rounds(source_words), source_repeats):
        yield Doubt(Reason.REPETITION, f"the whole {times} times")
        return
    for phrase, times in _repeats(words):
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
    source, translation = _numbers(sentence.source), _numbers(sentence.translation)
    expected = _numbers(_LIST_MARKER.sub("", sentence.source), scaled=True)
    known = frozenset().union(*source.values(), *(map(_plain, number.split()) for number in source))
    written = _spelled_numbers(sentence.translation).union(*translation.values())
    lost = [
        n for n, readings in expected.items() if not (_is_written(n, readings, written) or _is_month_date(n, sentence))
    ]
    if lost:
        roman = _roman_numbers(sentence.translation)
        lost = [number for number in lost if expected[number].isdisjoint(roman)]
    lost += lost_months(sentence.source, sentence.translation)
    # English may write in digits what Arabic spells out, and 1 and 2 what Arabic puts into the form of the noun.
    added = [
        n
        for n, readings in _numbers(_LIST_MARKER.sub("", _NAMED_BY_NUMBER.sub(" ", sentence.translation))).items()
        if n not in ("0", "1", "2") and readings.isdisjoint(known) and not _could_be_spelled(sentence.source)
    ]
    # "12 million" for 12 thousand, whatever else is right and wherever else the source has number words.
    in_words = {_plain(match[1]) for match in _SCALED_IN_WORDS.finditer(sentence.translation)} & source.keys()
    scaled = _numbers(sentence.translation, scaled=True)
    added += [n for n in in_words & scaled.keys() if n not in scaled[n] and scaled[n].isdisjoint(known)]
    if lost:
        yield Doubt(Reason.NUMBER_MISMATCH, f"{', '.join(sorted(lost))} is missing")
    elif added:
        yield Doubt(Reason.NUMBER_MISMATCH, f"{', '.join(sorted(added))} is not in the source")


def links(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    translation = sentence.translation.lower()
    found = [link.rstrip(_LINK_END) for link in _LINK.findall(sentence.source)]
    lost = [link for link in found if link.lower() not in translation]
    if lost:
        yield Doubt(Reason.LINK_LOST, " ".join(lost))


def latin(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    text = _LINK.sub(" ", sentence.source)
    translation = sentence.translation.lower()
    lost = [word for word in _LATIN_WORD.findall(text) if word.lower() not in translation]
    if lost:
        yield Doubt(Reason.LATIN_LOST, " ".join(lost))


def marks(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if lost := lost_marks(sentence.source, sentence.translation):
        yield Doubt(Reason.MARK_LOST, ", ".join(lost))


def unrelated(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if (
        sentence.source_tokens >= thresholds.unrelated_tokens
        and sentence.english_explained < thresholds.english_explained
    ):
        yield Doubt(Reason.UNRELATED, f"few of the words stand for any of the source: {sentence.english_explained:.1f}")


def part_lost(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    shortness = min(0.0, math.log((len(sentence.translation) + 1) / (len(sentence.source) + 1)))
    if sentence.arabic_carried < 0 and sentence.arabic_carried + 3 * shortness < thresholds.part_lost:
        yield Doubt(
            Reason.PART_LOST, f"short, and much of the source has no counterpart: {sentence.arabic_carried:.1f}"
        )


def low_probability(sentence: Checkable, thresholds: Thresholds) -> Iterator[Doubt]:
    if sentence.confidence is not None:
        unsure = sentence.confidence < sentence.doubtful_below
        measured = f"confidence {sentence.confidence:.2f}"
    else:
        unsure = sentence.log_probability < thresholds.log_probability
        measured = f"mean log-probability {sentence.log_probability:.2f}"
    if unsure:
        # Dialect alone is no doubt, since a model may know some; an unsure model and dialect are one story.
        dialect = dialect_of(sentence.source)
        yield Doubt(
            Reason.LOW_PROBABILITY, f"{measured}; {dialect} dialect, which news does not write" if dialect else measured
        )


CHECKS: tuple[Callable[[Checkable, Thresholds], Iterator[Doubt]], ...] = (
    truncated,
    source_copied,
    arabic_left,
    repetition,
    length_ratio,
    numbers,
    links,
    latin,
    marks,
    unrelated,
    part_lost,
    low_probability,
)

_ARABIC_WORD = re.compile(r"[\u0620-\u06d3\u06d5-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc]+")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[A-Za-z]")
_LINK = re.compile(
    r"https?://\S+|www\.\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.-]+|[@#][A-Za-z_]\w*"
    r"|(?<![\w.-])[\w-]{1,64}(?:\.[\w-]{1,64}){0,4}\.(?:com|net|org|info|gov|edu|io|tv)\b(?:/\S*)?",
    re.ASCII,
)
_LINK_END = ".,!?،؛؟:;\"')]}"  # stands after an address rather than in it
_LIST_MARKER = re.compile(r"^\d{1,3} ?[-.)](?=\D)")  # often dropped in translation, and nobody misses it
# The UN writes thousands with a space and, as typed, in reverse: "000 350" is 350,000, "294 641 1" is 1,641,294.
_NUMBER = re.compile(r"(?<![\d.,])(?:\d{3} )+\d{1,3}(?![\d.,]\d|\d)|\d+(?:[.,:،]\d+)*")
_DIGIT = re.compile(r"\d")
# Sections and times that Arabic joins otherwise: "3-2-1" is 3.2.1, "47/10" is 10:47.
_JOINED = re.compile(r"(?<![\d/-])\d+(?:[/-]\d+)+(?![\d/-])")
_ROMAN = re.compile(r"\b(?:X{0,3}|XL|LX{0,3}|XC)(?:IX|IV|V?I{0,3})\b")
_NAMED_BY_NUMBER = re.compile(r"[A-Za-z]+-?\d+|\d+(?=[A-Za-z])|\[\d+\]")  # "COVID-19", "G20", "[23]"

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED: dict[str, int] = {word: number for number, word in enumerate(_UNITS.split())}
_SPELLED |= {word: 10 * number for number, word in enumerate(_TENS, start=2)}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
_SPELLED |= {word: number for number, word in enumerate(_ORDINALS.split(), start=1)}
_SPELLED |= {"thirtieth": 30, "fortieth": 40, "fiftieth": 50, "twice": 2, "couple": 2, "pair": 2}
_SMALL_SCALES = {"dozen": 12, "hundred": 100, "hundredth": 100}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE_AFTER_DIGITS = {
    **_SCALES,
    **SCALES,
    **{"k": 10**3, "m": 10**6, "mn": 10**6, "bn": 10**9},
    **dict.fromkeys(("hundred", "مئة", "مائة"), 100),
}
# Whole words, since "ست" also begins "ستكون" and "عشر" ends "نشر".
_ARABIC_NUMBER_WORD = re.compile(
    r"\b[وفبلك]?(?:ال|ل)?(?:(?:ثلاث|أربع|خمس|ست|سبع|ثمان|ثماني|تسع)(?:ة|ون|ين)?(?:مئة|مائة)?|اثن\w{2,4}|عشر(?:ة|ون|ين|ات)?"
    r"|(?:مئة|مائة|مئت|مائت|مئات)(?:ا|ي|ان|ين)?|(?:ألف|آلاف|مليون|ملايين|مليار|بليون)(?:ا|ي|ان|ين|ات)?|(?:عشر|ثلاث|أربع|خمس|ست|سبع|ثمان|تسع)يني?ات"
    r"|قرن|عقد|أول|أولى|ثاني|ثانية|ثالثة?|رابعة?|خامسة?|سادسة?|سابعة?|ثامنة?|تاسعة?|عاشرة?|نصف|ربع|ثلث)\b"
)
_CLOCK = re.compile(r"([01]?\d|2[0-4])[:.]([0-5]\d)")
_MONTH = re.compile(
    r"\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)
_SCALED_IN_WORDS = re.compile(rf"(\d+(?:[.,]\d+)*)[ -](?:{'|'.join(_SCALES)})\b", re.IGNORECASE)
_NEXT_WORD = re.compile(r"[ -]?([^\W\d_]+)")
_DECIMAL = re.compile(r"\d+(?:\.\d+)?")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _repeats(words: list[str]) -> Iterator[tuple[str, int]]:
    """Yield phrases and how often they come: one to four words directly after themselves, three words anywhere."""
    for size in range(1, 5):
        yield _longest_run(words, size)
    grams = Counter(" ".join(words[i : i + 3]) for i in range(len(words) - 2))
    yield grams.most_common(1)[0] if grams else ("", 0)


def _rounds(words: list[str]) -> int:
    """Return how many times `words` are one phrase after itself: 2 for "hello hello"."""
    sizes = (size for size in range(1, len(words)) if len(words) % size == 0)
    return next((len(words) // size for size in sizes if words == words[:size] * (len(words) // size)), 1)


def _longest_run(words: list[str], size: int) -> tuple[str, int]:
    """Return the phrase of `size` words that follows itself most often, and how often it comes in a row."""
    best, equal = ("", 1 if len(words) >= size else 0), 0
    for index in range(size, len(words)):
        equal = equal + 1 if words[index] == words[index - size] else 0
        if equal // size + 1 > best[1]:
            best = (" ".join(words[index - size + 1 : index + 1]), equal // size + 1)
    return best


def _numbers(text: str, *, scaled: bool = False) -> dict[str, frozenset[str]]:
    """Return each number in digits, without the marks between thousands, with all that it may be written as.

    "2.5 مليون" may be "2.5" and "2500000", but only the latter if `scaled`: a thousand that became a million is wrong.
    "14:30" is also "2:30", "15:00" also "3".
    """
    if not _DIGIT.search(text):
        return {}
    joined = [(match.span(), match.group()) for match in _JOINED.finditer(text)]
    return {
        (match.group() if " " in match.group() else _plain(match.group())): frozenset(
            [
                *_readings(text, match, scaled),
                *(
                    reading
                    for span, group in joined
                    if span[0] <= match.start() < span[1]
                    for reading in _rejoined(group)
                ),
            ]
        )
        for match in _NUMBER.finditer(text)
    }


def _rejoined(group: str) -> Iterator[str]:
    """Yield what "3-2-1" and "47/10" may be written as."""
    parts = re.split("[/-]", group)
    for order in (parts, parts[::-1]):
        yield from (_plain(sign.join(order)) for sign in ".:")
        if len(parts) == 2:
            yield "".join(order)


def _readings(text: str, match: re.Match[str], scaled: bool) -> Iterator[str]:
    if " " in match.group():
        yield from _spaced(match.group().split())
        return
    plain = _plain(match.group())
    if _DECIMAL.fullmatch(plain):
        word = _NEXT_WORD.match(text, match.end())
        if word and (scale := _SCALE_AFTER_DIGITS.get(word[1].lower())):
            yield _written(Decimal(plain) * scale)
            if scaled:
                return
    yield plain
    if clock := _CLOCK.fullmatch(match.group()):
        for hour in (int(clock[1]), int(clock[1]) % 12 or 12):
            yield f"{hour}:{clock[2]}"
            if clock[2] == "00":
                yield str(hour)


def _spaced(groups: list[str]) -> Iterator[str]:
    """Yield what groups of three digits may be as one number, in either order."""
    yield _plain("".join(reversed(groups)))
    if len(groups[-1]) == 3 and groups[0] != "000":
        yield _plain("".join(groups))


def _is_written(number: str, readings: frozenset[str], written: frozenset[str]) -> bool:
    """Tell whether one of the readings is written, or "100 200" as two numbers."""
    apart = " " in number and "000" not in number.split()
    return not readings.isdisjoint(written) or (apart and {_plain(group) for group in number.split()} <= written)


def _roman_numbers(text: str) -> frozenset[str]:
    """Return the values of Roman numerals up to 99; a lone "I" only in brackets, where it is no pronoun."""
    numerals = {match.group() for match in _ROMAN.finditer(text)} - {"", "I"}
    if "(I)" in text:
        numerals.add("I")
    return frozenset(str(_roman_value(numeral)) for numeral in numerals)


def _roman_value(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[letter] for letter in numeral]
    return sum(-value if value < later else value for value, later in zip(values, [*values[1:], 0], strict=True))


def _plain(number: str) -> str:
    number = re.sub(r"(?<=\d)[.,،](?=\d{3}(?:\D|$))", "", number)
    whole, point, part = number.replace(",", ".").replace("،", ".").partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (point + part if part else "")


def _written(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _spelled_numbers(text: str) -> frozenset[str]:
    """Return what the number words of an English text come to: "twenty-five" is "25", "two million" also "2"."""
    found: set[int] = set()
    total = current = 0
    counting = False
    for word in [*re.findall(r"[a-z]+", text.lower()), ""]:
        if counting and word == "and":
            continue
        if word in _SPELLED:
            value = _SPELLED[word]
            if (joined := _joined(current, value)) is None:
                found |= {current, total + current}
                total = 0
            current = value if joined is None else joined
        elif word in _SMALL_SCALES:
            current = (current or 1) * _SMALL_SCALES[word]
        elif word in _SCALES:
            found.add(current or 1)
            total, current = total + (current or 1) * _SCALES[word], 0
        elif counting:
            found |= {current, total + current}
            total = current = 0
        counting = word in _SPELLED or word in _SMALL_SCALES or word in _SCALES
    halves = {"0.5"} if re.search(r"\bhalf\b", text, re.IGNORECASE) else set()
    return frozenset(map(str, found)) | halves


def _joined(current: int, value: int) -> int | None:
    """Return the number that two number words make ("eighty four", "hundred five", "nineteen eighty"), if any."""
    if current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20 and value < 10):
        return current + value
    return current * 100 + value if 10 <= current <= 99 and 10 <= value <= 99 else None


def _is_month_date(number: str, sentence: Checkable) -> bool:
    """Tell whether a number is the month of a date like 12/3/2024 or 2024-03-12, which English writes in words."""
    month = re.escape(number)
    return bool(
        _MONTH.search(sentence.translation)
        and re.search(rf"\d[/-]0?{month}[/-]\d|(?<![\d/-])0?{month}/\d+/\d{{4}}", sentence.source)
    )


def _could_be_spelled(source: str) -> bool:
    """Tell whether the source has number words, which English may write in digits."""
    return bool(_ARABIC_NUMBER_WORD.search(source))
