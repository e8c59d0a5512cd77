"""Read a user's parallel text: one pair a line, Arabic, a tab, English, in UTF-8.

A file that is not what it should be is refused as a whole, with the line. Single pairs that would teach something wrong
are dropped and counted, by the rules of `prepare.py`.
"""

import hashlib
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from services.translator.normalize import Scheme
from training.prepare import clean_arabic, clean_english, reason_to_drop

MINIMUM_PAIRS = 100
"""With fewer, what is held out says nothing, and a model learns them by heart."""
HELD_OUT_SHARE, HELD_OUT_MINIMUM, HELD_OUT_MAXIMUM = 0.05, 20, 200
"""Of the pairs, to compare the model before and after. More than 200 sentences take longer than they tell."""

_ARABIC = re.compile(r"[\u0621-\u064A]")


class BadPairs(Exception):
    """A file that cannot be trained on."""


class UnreadablePairs(BadPairs):
    """It is not there, or no UTF-8."""


class NoPairs(BadPairs):
    """It is empty."""


class NotTabSeparated(BadPairs):
    """A line has not two columns."""


class WrongDirection(BadPairs):
    """The left side is not Arabic."""


class TooFewPairs(BadPairs):
    """Fewer usable pairs than a training needs."""


@dataclass(frozen=True, slots=True)
class UserPairs:
    """Clean pairs of Arabic and English, none twice; no sentence of `held_out` is in `train`."""

    train: list[tuple[str, str]]
    held_out: list[tuple[str, str]]
    dropped: dict[str, int]
    """How many lines each rule of `prepare.py` removed."""
    digest: str
    """SHA-256 of the file."""


def read_user_pairs(path: Path, scheme: Scheme, *, seed: int) -> UserPairs:
    """Return the pairs of `path` as a model with this normalization reads them. Raises BadPairs."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UnreadablePairs(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UnreadablePairs(
            f"{path} is not UTF-8 at byte {error.start}. Convert it, for example with iconv."
        ) from None
    rows = _rows(path, text)
    _check_direction(path, rows)
    dropped: Counter[str] = Counter()
    clean: dict[tuple[str, str], None] = {}
    for left, right in rows:
        pair = (clean_arabic(left, scheme), clean_english(right))
        reason = "repeated" if pair in clean else reason_to_drop(*pair, minimum_words=1)
        if reason:
            dropped[reason] += 1
        else:
            clean[pair] = None
    if len(clean) < MINIMUM_PAIRS:
        reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.most_common()) or "none dropped"
        raise TooFewPairs(
            f"{path} has {len(clean)} usable pairs ({reasons}); at least {MINIMUM_PAIRS} are needed. Add more."
        )
    train, held_out = _hold_out(list(clean), seed)
    return UserPairs(train, held_out, dict(dropped), hashlib.sha256(data).hexdigest())


def _rows(path: Path, text: str) -> list[tuple[str, str]]:
    rows = []
    # Not splitlines(): a line separator of Unicode may stand within a sentence.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        columns = line.rstrip("\r").split("\t")
        if len(columns) != 2:
            raise NotTabSeparated(
                f"{path} has {len(columns)} columns in line {number}; every line must be Arabic, one tab, English."
            )
        rows.append((columns[0], columns[1]))
    if not rows:
        raise NoPairs(f"{path} is empty. Every line must be Arabic, one tab, English.")
    return rows


def _check_direction(path: Path, rows: list[tuple[str, str]]) -> None:
    without = [index for index, (left, _) in enumerate(rows) if not _ARABIC.search(left)]
    if 2 * len(without) > len(rows):
        left, right = rows[without[0]]
        advice = "Swap the columns" if _ARABIC.search(right) else "Arabic belongs there"
        raise WrongDirection(
            f"{path} has no Arabic on the left side of {len(without)} of {len(rows)} lines, such as {left[:40]!r}. "
            f"{advice}."
        )


def _hold_out(pairs: list[tuple[str, str]], seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    share = min(max(HELD_OUT_MINIMUM, round(HELD_OUT_SHARE * len(pairs))), HELD_OUT_MAXIMUM)
    order = random.Random(seed).sample(pairs, len(pairs))
    held_out = order[:share]
    # The same sentence with another translation would give the answer away.
    known = {text for pair in held_out for text in pair}
    return [pair for pair in order[share:] if known.isdisjoint(pair)], held_out
