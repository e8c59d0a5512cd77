"""The reasons for doubt in words that a reader understands, for the page and for notebooks."""

from khulasa.types import FlagReason

FLAG_WORDS = {
    FlagReason.UNKNOWN: "Something about this sentence is doubtful",
    FlagReason.LOW_PROBABILITY: "The translator was unsure of its own words",
    FlagReason.REPETITION: "The same words come again and again",
    FlagReason.LENGTH_RATIO: "Far shorter or longer than such a sentence should be",
    FlagReason.ARABIC_LEFT: "Arabic letters are left in the English",
    FlagReason.SOURCE_COPIED: "The Arabic came back untranslated",
    FlagReason.NUMBER_MISMATCH: "A number or date differs from the Arabic",
    FlagReason.LINK_LOST: "A web address, handle or hashtag is missing",
    FlagReason.LATIN_LOST: "A name in Latin letters is missing",
    FlagReason.TRUNCATED: "The end may be missing: the sentence was too long",
    FlagReason.EMPTY: "No translation came back",
    FlagReason.NOT_ARABIC: "Not Arabic: shown as it was sent",
    FlagReason.FRAGMENT: "Part of a longer sentence: may read as a fragment",
    FlagReason.BOILERPLATE_SKIPPED: "A menu line or credit: not translated",
    FlagReason.MARK_LOST: "A currency, percent or quotation mark is missing",
    FlagReason.UNRELATED: "The English may be about something else",
    FlagReason.NOT_TRANSLATED: "Not translated: the summary did not need it",
    FlagReason.PART_LOST: "Part of the sentence may be missing",
}
PASSED_OVER = (FlagReason.NOT_ARABIC, FlagReason.BOILERPLATE_SKIPPED, FlagReason.NOT_TRANSLATED)
"""Reasons that cast no doubt on a translation: they say that there is none."""
