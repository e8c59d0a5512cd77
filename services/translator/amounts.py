"""Currencies and units after a number: 8.4 metres must not become 8.4 a.m.

Each is looked for in the English once its Arabic name follows digits. Another unit does not do, even where it would be
right: the number would be another one then. All of it works on normalized Arabic.
"""

import re
from collections.abc import Iterator

SCALES: dict[str, int] = {
    **dict.fromkeys(("ألف", "ألفا", "الف", "آلاف"), 10**3),
    **dict.fromkeys(("مليون", "مليونا", "ملايين"), 10**6),
    **dict.fromkeys(("مليار", "مليارا", "مليارات", "بليون"), 10**9),
    **dict.fromkeys(("تريليون", "تريليونات"), 10**12),
}
"""What may stand between digits and the thing counted, and what it makes of the number."""
_SCALE = rf"(?:{'|'.join(SCALES)})(?:ا|ات|ي)?"
_NUMBER = rf"\d(?: {_SCALE})?"
_DIGIT = re.compile(r"\d")
_WEEKDAY_OR_DATE = r"(?! (?:ال(?:[أا]حد|[إا]ثنين|ثلاثاء|[أا]ربعاء|خميس|جمعة|سبت)|أمس|غد|\d))"

# In Arabic, in signs of any script, and in English words, of which the beginning is enough.
_CURRENCIES = {
    "dollar": (r"دولار(?:ا|ات)?", r"\$", r"dollar|usd"),
    "euro": ("يورو", "€", r"euros?(?![a-z])|eur(?![a-z])"),
    "pound": (r"جنيه(?:ا|ات)?", "£", r"pound|egp|gbp|sterling|guinea"),
    "riyal": (r"ريال(?:ا|ات)?", "﷼", r"ri[yi]?als?(?![a-z])|reals?(?![a-z])|reais|sar(?![a-z])|qar(?![a-z])|omr"),
    "dirham": (r"درهما?|دراهم", "", r"dirham|aed|mad(?![a-z])|dhs?(?![a-z])"),
    "dinar": (r"دينارا?|دنانير", "", r"dinar|kwd|jod|iqd|tnd|bhd|lyd|dzd"),
    "lira": (r"ليرة|ليرات", "₺", r"lir[ae]|pound|try(?![a-z])|lbp|syp"),
    "rouble": (r"روبلا?", "₽", r"ro?uble|rub(?![a-z])"),
    "yuan": (r"يوانا?", "", r"yuan|renminbi|cny|rmb"),
    "yen": (r"ينا?", "¥", r"yen(?![a-z])|jpy"),
    "rupee": (r"روبية|روبيات", "₹", r"rupee|rupiah|inr|rs(?![a-z])"),
    "shekel": (r"شي[كق]لا?", "₪", r"she[kq]el|nis(?![a-z])|ils(?![a-z])"),
    "franc": (r"فرنكا?", "", r"franc(?!e|h|i)|chf|x[oa]f|cfa"),
    "toman": (r"تومانا?", "", "toman"),
}
# "(34 عاما)" may be "34" between commas, a run of "10 كم" a "10K".
_UNITS = {
    "kilometres": (r"كيلو ?مترا?|كيلو ?مترات|كم[²2]?|كلم[²2]?", "", r"kilomet|km|kph|\dk(?![a-z])"),
    "metres": (r"مترا?|أمتار", "", r"met(?:er|re)|\d[ -]?m(?![a-z])|sq\.? ?m(?![a-z])|sqm|m[²³23]|yards? dash"),
    "centimetres": (r"سن?تي?مترا?|سنتيمترات|سم", "", r"centimet|cms?(?![a-z])"),
    "millimetres": (r"ملل?ي ?مترا?|ملل?يمترات|ملم|مم", "", r"millimet|mms?(?![a-z])"),
    "miles": (r"ميلا?|أميال", "", r"miles?(?![a-z])|mi(?![a-z])|mph"),
    "feet": (r"قدما|أقدام", "", r"feet|foot(?![a-z])|ft(?![a-z])|forward|ahead"),
    "inches": (r"بوصة|بوصات", r"\d ?[\"”″]", r"inch|\d[ -]?in(?![a-z])"),
    "kilograms": (r"كيلو ?[غج]رام(?:ا|ات)?|كغم?|كجم|كلغ", "", r"kilogram|kilos?(?![a-z])|kgs?(?![a-z])"),
    "grams": (r"[غج]راما?|[غج]رامات", "", r"gram|\d[ -]?gr?(?![a-z])|fines?(?![a-z])"),
    "tons": (r"طنا?|أطنان", "", r"(?:kilo|mega|giga)?ton(?:ne)?s?(?![a-z])|tonnage|mt(?![a-z])"),
    "litres": (r"لي?ترا?|لترات", "", r"lit(?:er|re)s?(?![a-z])|\d[ -]?l(?![a-z])"),
    "hectares": (r"هكتارا?|هكتارات", "", r"hectare|ha(?![a-z])"),
    "acres": (r"فدانا?|فدادين|أفدنة", "", r"acres?(?![a-z])|feddan"),
    "dunums": (r"دونما?|دونمات", "", r"du?o?na?u?m"),
    "barrels": (r"برميلا?|براميل", "", r"barrel|bpd|bbl"),
    "megawatts": (r"مي[غج]اوا[طت]", "", r"megawatt|mw(?![a-z])"),
    "degrees": (
        r"درجة|درجات",
        "[°º℃℉]",
        r"degree|\d ?o?[cf](?![a-z])|points?(?![a-z])|magnitude|level|grade|place|rank|score|step|notch",
    ),
    "seconds": (r"ثوان|ثواني|ثانية", r":\d\d", r"(?:arc)?seconds?(?![a-z])|secs?(?![a-z])|\d ?s(?![a-z])"),
    "minutes": (r"دقيقة|دقائق", r":\d\d", r"minute|mins?(?![a-z])"),
    "hours": (r"ساعة|ساعات", r":\d\d|\d[/x]7", r"hour|hrs?(?![a-z])|\d ?h(?![a-z])|o'clock"),
    "days": (rf"يوما|أيام|يوم{_WEEKDAY_OR_DATE}", r"\d[/x]7", r"days?(?![a-z])|daily"),
    "weeks": (r"أسبوعا?|أسابيع", "", r"week"),
    "months": (r"شهرا|أشهر|شهور", "", r"month"),
    "years": (
        r"عاما|أعوام|سنة|سنوات|سنين",
        r"[,(] ?\d{1,3}[,)]|\d0s",
        r"year|aged?(?![a-z])|ages|yrs?(?![a-z])|annual|olds?(?![a-z])|decade|anniversar|birthday|under-|u-?\d\d",
    ),
}
# After hundreds, thousands and millions the singular counts; elsewhere it is another word: "قدم", he presented.
_SINGULARS = {"feet": "قدم", "months": "شهر", "years": "عام"}


def lost_amounts(source: str, translation: str) -> Iterator[str]:
    """Yield the currencies and units that `source` has after a number and `translation` has nowhere."""
    if not _DIGIT.search(source):
        return
    for name, (amount, english) in _AMOUNTS.items():
        if amount.search(source) and not english.search(translation):
            yield name


def _amount(name: str, words: str, signs: str) -> re.Pattern[str]:
    counted = [rf"{_NUMBER} ?(?:{words})(?!\w)"]
    if name in _SINGULARS:
        counted.append(rf"(?:(?<![:.])00| {_SCALE}) {_SINGULARS[name]}(?!\w)")
    if name in _CURRENCIES and signs:
        counted.append(rf"(?:{signs}) ?\d|{_NUMBER} ?(?:{signs})")
    return re.compile("|".join(counted))


def _in_english(words: str, signs: str) -> re.Pattern[str]:
    """Words from their beginning, lest "announced" be an ounce; signs anywhere, as in "US$"."""
    return re.compile(rf"(?<![a-z])(?:{words})" + (f"|{signs}" if signs else ""), re.IGNORECASE)


_AMOUNTS = {
    name: (_amount(name, arabic, signs), _in_english(words, signs))
    for name, (arabic, signs, words) in (_CURRENCIES | _UNITS).items()
}
