"""Which language a sentence is in: Arabic is translated, all else is passed through and marked.

By script first; then Persian, Urdu, Kurdish and Pashto, which share the script, by their own letters and commonest
words. Statistical detectors guess on the short lines that news is full of.
"""

import re

# Letters that Arabic does not have. ک and ی come from Persian keyboards in Arabic text too, and پ چ گ ڤ in foreign
# names, so words with them are counted and not a single letter.
_FOREIGN_LETTERS = {
    "fa": "پچژگکی",
    "ur": "ٹڈڑںےھہ",
    "ckb": "ەێۆڕڵڤ",
    "ps": "ښځڅټډړږڼۍې",
}
_COMMON_WORDS = {
    "fa": {"است", "که", "را", "این", "از", "در", "برای", "می", "با", "شد", "های", "آن", "خود", "کرد", "یک", "به"},
    "ur": {"ہے", "کے", "میں", "نے", "اور", "کی", "کا", "سے", "کو", "ہیں", "پر", "یہ"},
    "ckb": {"لە", "بە", "کە", "بۆ", "ئەم", "ئەو", "لەسەر"},
    "ps": {"چې", "دی", "ده", "کې", "په", "نه", "له", "سره", "شوي"},
}
_WORD = re.compile(r"[^\W\d_]+")
_ARABIC_SCRIPT = re.compile(r"[\u0620-\u064a\u066e-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06fc\u0750-\u077f\u08a0-\u08c7]")

# A sentence with a third of its letters in Arabic has words to translate; with fewer it is a foreign one with a name.
ARABIC_SHARE = 1 / 3
# One foreign word in three: quotations and names in an Arabic sentence stay well below.
FOREIGN_SHARE = 0.3


def language_of(text: str) -> str:
    """Return "ar", "fa", "ur", "ckb" or "ps" by script and words, "other" for other scripts, "none" without letters."""
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    if not letters:
        return "none"
    arabic = sum(len(_ARABIC_SCRIPT.findall(word)) for word in words)
    if arabic < letters * ARABIC_SHARE:
        return "other"
    scripted = [word for word in words if _ARABIC_SCRIPT.search(word)]
    shares = {language: _share(scripted, language) for language in _FOREIGN_LETTERS}
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] >= FOREIGN_SHARE else "ar"


def _share(words: list[str], language: str) -> float:
    """Return the share of words that only this language writes."""
    letters, common = set(_FOREIGN_LETTERS[language]), _COMMON_WORDS[language]
    certain = sum(word in common for word in words)
    # A letter alone proves nothing in Arabic typed on a Persian keyboard, so it needs a common word beside it.
    spelled = sum(not letters.isdisjoint(word) and word not in common for word in words)
    weight = certain + spelled if certain or language in ("ckb", "ps") else spelled * 0.5
    return weight / len(words)
