"""Currencies and units after a number: 8.4 metres must not become 8.4 a.m.

Each is looked for in the English once its Arabic name follows digits. What a translator may write in its place counts
too: miles for kilometres, "aged 20" for 20 years. A single letter counts after digits only: "a.m." has an m. All of it
works on normalized Arabic.
"""

import re
from collections.abc import Iterator

_DIGIT = re.compile(r"\d")
_SCALE = r"(?: (?:ألف|آلاف|مليون|ملايين|مليار|بليون|تريليون)(?:ا|ات|ي)?)?"
# What is counted in Arabic, its sign, and what the English may say.
_CURRENCIES = {
    "dollar": (r"دولار(?:ا|ات)?|\$", r"\$", r"\$|dollar|usd"),
    "euro": (r"يورو|€", "€", r"€|euro|\beur\b"),
    "pound": (r"جنيه(?:ا|ات)?|£", "£", r"£|pound|\begp\b|\bgbp\b|sterling|guinea"),
    "riyal": (r"ريال(?:ا|ات)?", "﷼", r"ri[yi]?al|real|\bsar\b|\bqar\b|\bomr\b"),
    "dirham": (r"درهما?|دراهم", "", r"dirham|\baed\b|\bmad\b|\bdhs?\b"),
    "dinar": (r"دينارا?|دنانير", "", r"dinar|\bkwd\b|\bjod\b|\biqd\b|\btnd\b|\bbhd\b|\blyd\b|\bdzd\b"),
    "lira": (r"ليرة|ليرات", "₺", r"lira|\blire\b|pound|\btry\b|\blbp\b|\bsyp\b|₺"),
    "rouble": (r"روبلا?", "₽", r"ro?uble|\brub\b|₽"),
    "yuan": (r"يوانا?", "", r"yuan|renminbi|\bcny\b|\brmb\b"),
    "yen": (r"ينا?", "¥", r"\byen\b|¥|\bjpy\b"),
    "rupee": (r"روبية|روبيات", "₹", r"rupee|rupiah|\binr\b|₹"),
}
# The same without a sign. Of 3,968 development sentences one human translation has none of it: "those over 70".
_UNITS = {
    "kilometres": (r"كيلو ?مترا?|كيلو ?مترات|كم|كلم", r"kilomet|\dkm|\bkm|\bkph\b|mile|\bmph\b"),
    "metres": (r"مترا?|أمتار", r"met(?:er|re)|\d ?m\b|\bm[²³]|feet|foot|\bft\b|yard"),
    "centimetres": (r"سنتيمترا?|سنتيمترات|سنتمترا?|سم", r"centimet|\d ?cm\b|inch"),
    "millimetres": (r"ملل?ي ?مترا?|ملل?يمترات|ملم|مم", r"millimet|\d ?mm\b|inch"),
    "miles": (r"ميلا?|أميال", r"mile|\bmi\b|\bmph\b|kilomet|\bkm"),
    "feet": (r"قدما|أقدام", r"feet|foot|\bft\b|met(?:er|re)"),
    "kilograms": (r"كيلو ?[غج]رام(?:ا|ات)?|كغم?|كجم", r"kilo|\d ?kgs?\b|pound|\blbs?\b"),
    "grams": (r"[غج]راما?|[غج]رامات", r"gram|\d ?g\b|ounce|\boz\b"),
    "tons": (r"طنا?|أطنان", r"\bton(?:ne)?s?\b|tonnage"),
    "litres": (r"لي?ترا?|لترات", r"lit(?:er|re)|\d ?l\b|gallon"),
    "hectares": (r"هكتارا?|هكتارات", r"hectare|\bha\b|acre"),
    "acres": (r"فدانا?|فدادين|أفدنة", r"acre|feddan"),
    "barrels": (r"برميلا?|براميل", r"barrel|\bbpd\b|\bbbl"),
    "seconds": (r"ثوان|ثواني|ثانية", r"second|\bsecs?\b|\d ?s\b|:\d\d"),
    "minutes": (r"دقيقة|دقائق", r"minute|\bmins?\b|:\d\d|hour"),
    "hours": (r"ساعة|ساعات", r"hour|\bhrs?\b|\d ?h\b|:\d\d|\bday|o'clock"),
    "days": (r"يوما?|أيام", r"\bday|daily|week|fortnight|hour"),
    "weeks": (r"أسبوعا?|أسابيع", r"week|\bday|month"),
    "months": (r"شهرا?|أشهر|شهور", r"month|\bday|week|quarter|year"),
    "years": (
        r"عاما|أعوام|سنة|سنوات|سنين",
        r"year|\bage[ds]?\b|\byrs?\b|annual|\bold\b|decade|centur|anniversar|birthday|\d0s\b|season|month|\bunder-",
    ),
}


def lost_amounts(source: str, translation: str) -> Iterator[str]:
    """Yield the currencies and units that `source` has after a number and `translation` has nowhere."""
    if not _DIGIT.search(source):
        return
    for name, (amount, english) in _AMOUNTS.items():
        if amount.search(source) and not english.search(translation):
            yield name


def _amount(words: str, sign: str) -> re.Pattern[str]:
    return re.compile(rf"\d{_SCALE} ?(?:{words})(?!\w)" + (rf"|{sign} ?\d" if sign else ""))


_AMOUNTS = {
    name: (_amount(words, sign), re.compile(english, re.IGNORECASE))
    for name, (words, sign, english) in (
        _CURRENCIES | {name: (words, "", english) for name, (words, english) in _UNITS.items()}
    ).items()
}
