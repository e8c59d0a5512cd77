"""Ways to spoil a good translation. They share nothing with the checks that are to find them.

Each takes an English sentence, a source of chance and sentences of other articles, and returns the spoilt English, or
None where the sentence has nothing to spoil: no number to change, no name to take.
"""

import random
from collections.abc import Callable, Sequence

Fault = Callable[[str, random.Random, Sequence[str]], str | None]


def other_sentence(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """Good English of about the same length that answers to something else."""
    near = [other for other in others if other != english and abs(len(other) - len(english)) <= 0.2 * len(english) + 5]
    return chance.choice(near) if near else None


def cut_short(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """The second half and more is missing."""
    words = english.split()
    return " ".join(words[: max(1, int(len(words) * chance.uniform(0.25, 0.5)))]) if len(words) >= 8 else None


def loop(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """A few words come again and again, as when decoding cannot find the end."""
    words = english.split()
    if len(words) < 4:
        return None
    size = chance.randint(1, 3)
    start = chance.randrange(len(words) - size)
    return " ".join(words[: start + size] + words[start : start + size] * chance.randint(4, 12))


def other_number(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """One digit of one number is another."""
    places = [index for index, sign in enumerate(english) if sign in "0123456789"]
    if not places:
        return None
    place = chance.choice(places)
    digit = chance.choice([sign for sign in "123456789" if sign != english[place]])
    return english[:place] + digit + english[place + 1 :]


def other_name(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """One name is another's, taken from an English sentence elsewhere."""
    words = english.split()
    places = _names(words)
    found = [word for other in others for words_ in [other.split()] for word in (words_[i] for i in _names(words_))]
    strangers = [name for name in found if name not in words]
    if not places or not strangers:
        return None
    place = chance.choice(places)
    return " ".join([*words[:place], chance.choice(strangers), *words[place + 1 :]])


def shuffled(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """The right words in the wrong places: who did it to whom is lost."""
    words = english.split()
    return " ".join(chance.sample(words, len(words))) if len(words) >= 6 else None


def swapped_halves(english: str, chance: random.Random, others: Sequence[str]) -> str | None:
    """The end of the sentence comes first."""
    words = english.split()
    middle = len(words) // 2
    return " ".join(words[middle:] + words[:middle]) if len(words) >= 6 else None


FAULTS: tuple[Fault, ...] = (other_sentence, cut_short, loop, other_number, other_name, shuffled, swapped_halves)


def _names(words: Sequence[str]) -> list[int]:
    """Return where capitalized words stand that do not begin the sentence."""
    return [i for i, word in enumerate(words) if i and word[:1].isupper() and word.isalpha() and len(word) > 2]
