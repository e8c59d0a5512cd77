"""Which language a sentence is in, as far as it matters here: Arabic is translated, all else passed through and marked.

By script first; then Persian, Urdu, Kurdish and Pashto, which share the script, by their own letters and commonest
words against the marks of Arabic. Statistical detectors guess on the short lines that news is full of. In doubt it is
Arabic: a foreign word that was translated can be flagged, an Arabic sentence that was not is lost.
"""

import re

# Letters that no Arabic text has, or only by mistake.
_OWN_LETTERS = {
    "fa": "",
    "ur": "ٹڈڑںےہ",
    "ckb": "ەێۆڕڵ",
    "ps": "ښځڅټډړږڼۍې",
}
# Persian letters that Arabic text has too: ک and ی from Persian keyboards, پ چ ژ گ ڤ in foreign names.
_SHARED_LETTERS = frozenset("پچژگڤکی")
# Words that are not Arabic ones too: without به, هم, آن, شد, له, نه, ده, دی, سره.
_COMMON_WORDS = {
    "fa": frozenset(
        {
            "است",
            "که",
            "را",
            "این",
            "از",
            "در",
            "برای",
            "می",
            "با",
            "های",
            "خود",
            "کرد",
            "یک",
            "گفت",
            "شده",
            "اند",
            "نمی",
            "بود",
        }
    ),
    "ur": frozenset({"ہے", "کے", "میں", "نے", "اور", "کی", "کا", "سے", "کو", "ہیں", "پر", "یہ"}),
    "ckb": frozenset({"لە", "بە", "کە", "بۆ", "ئەم", "ئەو", "لەسەر"}),
    "ps": frozenset({"چې", "کې", "په", "څخه", "هغه", "خپل", "شوی", "شوي", "دغه"}),
}
_WORD = re.compile(r"[^\W\d_]+")
_ARABIC_SCRIPT = re.compile(r"[\u0620-\u064a\u066e-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06fc\u0750-\u077f\u08a0-\u08c7]")
# What Arabic writes and its neighbours hardly do: ة, ى, hamza on alef, the article, and its commonest words. With ی for
# ي, as a Persian keyboard writes it.
_ARABIC_MARK = re.compile(
    r".*[ةىأإ].*|[وفبك]?ال\w{2,}|و?لل\w{2,}|و?(?:ف[يی]|عل[يی]|ال[يی]|عن|هذا|هذه|ذلك|الذ[يی]|الت[يی]|[كک]ان|قد|لم|هو|ه[يی]|ما|لا)"
)

# A sentence with a third of its letters in Arabic has words to translate; with fewer it is a foreign one with a name.
ARABIC_SHARE = 1 / 3
# One foreign word in three: quotations and names in an Arabic sentence stay well below.
FOREIGN_SHARE = 0.3
# A word with a letter that Arabic borrows is weak evidence: a sentence of them needs a common word beside them.
SHARED_LETTER_WEIGHT = 0.25


def language_of(text: str) -> str:
    """Return "ar", "fa", "ur", "ckb" or "ps" for Arabic script, "other" for other scripts, "none" without letters."""
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    if not letters:
        return "none"
    arabic = sum(len(_ARABIC_SCRIPT.findall(word)) for word in words)
    if arabic < letters * ARABIC_SHARE:
        return "other"
    scripted = [word for word in words if _ARABIC_SCRIPT.search(word)]
    marks = sum(_ARABIC_MARK.fullmatch(word) is not None for word in scripted)
    weights = {language: _weight(scripted, language) for language in _OWN_LETTERS}
    best = max(weights, key=lambda language: weights[language])
    return best if weights[best] > marks and weights[best] >= FOREIGN_SHARE * len(scripted) else "ar"


def _weight(words: list[str], language: str) -> float:
    """Return how many of the words only this language writes."""
    own, common = frozenset(_OWN_LETTERS[language]), _COMMON_WORDS[language]
    certain = sum(word in common or not own.isdisjoint(word) for word in words)
    shared = sum(word not in common and own.isdisjoint(word) and not _SHARED_LETTERS.isdisjoint(word) for word in words)
    return certain + SHARED_LETTER_WEIGHT * shared
