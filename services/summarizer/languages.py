"""What the ranking must know of a language: its commonest words, and openings that cannot stand alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """Tables of one language."""

    stop_words: frozenset[str]
    dangling: frozenset[str]
    """First words that lean on the sentence before: "He", "But", "وأضاف"."""
    stem: Callable[[str], str]
    """Brings forms of a word together, for comparing only."""


def _stem_english(word: str) -> str:
    for ending in ("'s", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


_ARABIC_PREFIX = re.compile(r"^(?:وال|فال|بال|كال|لل|ال|و|ف)(?=\w{3})")
_ARABIC_ENDING = re.compile(r"(?<=\w{3})(?:ات|ون|ين|ها|هم|ية|ة|ه)$")
_ARABIC_FORMS = str.maketrans("أإآى", "اااي")


def _stem_arabic(word: str) -> str:
    return _ARABIC_ENDING.sub("", _ARABIC_PREFIX.sub("", word.translate(_ARABIC_FORMS)))


LANGUAGES = {
    "en": Language(
        stop_words=frozenset(
            ["a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "during", "each", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "may", "more", "most", "no", "not", "now", "of", "on", "one", "only", "or", "other", "our", "out", "over", "own", "said", "same", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "was", "we", "were", "what", "when", "where", "which", "while", "who", "will", "with", "would", "you", "your"]
        ),
        dangling=frozenset(
            ["he", "she", "it", "they", "this", "these", "those", "that", "his", "her", "its", "their", "but", "and", "however", "also", "moreover", "meanwhile", "so", "then", "therefore", "thus", "nevertheless", "still", "yet", "instead"]
        ),
        stem=_stem_english,
    ),
    "ar": Language(
        stop_words=frozenset(
            ["في", "من", "على", "إلى", "الى", "عن", "مع", "أن", "ان", "إن", "كان", "كانت", "هذا", "هذه", "ذلك", "تلك", "التي", "الذي", "الذين", "ما", "لا", "لم", "لن", "قد", "كل", "بعض", "أو", "او", "ثم", "بين", "بعد", "قبل", "عند", "منذ", "حتى", "غير", "أي", "هو", "هي", "هم", "كما", "حيث", "خلال", "أنه", "إنه", "وأن", "وإن", "وقد", "قال", "وقال", "وأضاف", "ولا", "وفي", "ومن"]
        ),
        dangling=frozenset(
            ["وأضاف", "واضاف", "وتابع", "وأوضح", "واوضح", "وأكد", "واكد", "وأشار", "واشار", "لكن", "ولكن", "كما", "وكان", "وكانت", "وهو", "وهي", "وهم", "وذلك", "وهذا", "وهذه", "إلا", "غير", "بينما", "فيما", "وقال", "وقالت", "هو", "هي", "هم", "هذا", "هذه", "ذلك"]
        ),
        stem=_stem_arabic,
    ),
}
