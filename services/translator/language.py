"""Which language a sentence is in, as far as it matters here: Arabic is translated, all else passed through and named.

By script first. Persian, Urdu, Kurdish and Pashto share the script: their own letters and commonest words stand against
the marks of Arabic. English and Arabizi (Arabic in Latin letters and digits) are known by their commonest words.
Statistical detectors guess on the short lines that news is full of. In doubt it is Arabic: a foreign word that was
translated can be flagged, an Arabic sentence that was not is lost.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

NAMES = {
    "ar": "Arabic",
    "fa": "Persian",
    "ur": "Urdu",
    "ckb": "Kurdish",
    "ps": "Pashto",
    "en": "English",
    "arabizi": "Arabizi",
    "other": "another script or language",
    "none": "no language",
}
"""What the languages are called, for people."""


@dataclass(frozen=True, slots=True)
class Language:
    """What a text is written in."""

    code: str
    """A key of `NAMES`. "other" has another script, or Latin letters and is neither English nor Arabizi."""
    confidence: float
    """Share of the evidence that speaks for it, above 0 and below 1; 0.5 with none. Not a probability."""


# Letters that no Arabic text has, or only by mistake.
_OWN_LETTERS = {
    "fa": frozenset(""),
    "ur": frozenset("ٹڈڑںےہ"),
    "ckb": frozenset("ەێۆڕڵ"),
    "ps": frozenset("ښځڅټډړږڼۍې"),
}
# Persian letters that Arabic text has too: ک and ی from Persian keyboards, پ چ ژ گ ڤ in foreign names.
_SHARED_LETTERS = frozenset("پچژگڤکی")
# Words that are not Arabic ones too: without به, هم, آن, شد, له, نه, ده, دی, سره.
_PERSIAN = (
    "است که را این از در برای می با های خود کرد یک گفت شده اند نمی بود شدند کردند کند کنند کنید خواهد خواهند دارد "
    "دارند دارم یافت نیست هستند باشد شود شوند گفتند داده کرده گرفته گرفت آمد میشود میکند میکنند میرود میگوید میدهد "
    "میتواند نمیشود نمیکند هایی کشته نفر روز هفته آینده دیروز امروز فردا امشب ایران ایرانی تهران سازمان خواستار آتش "
    "کشورهای مردم درباره پس پیش اگر چند همه دیگر هوا خبرنگاران شنبه یکشنبه دوشنبه سهشنبه چهارشنبه پنجشنبه دانشگاه "
    "بازارهای قیمت وزارت پلیس آنها فوتبال"
)
_COMMON_WORDS = {
    "fa": frozenset(_PERSIAN.split()),
    "ur": frozenset({"ہے", "کے", "میں", "نے", "اور", "کی", "کا", "سے", "کو", "ہیں", "پر", "یہ"}),
    "ckb": frozenset({"لە", "بە", "کە", "بۆ", "ئەم", "ئەو", "لەسەر"}),
    "ps": frozenset({"چې", "کې", "په", "څخه", "هغه", "خپل", "شوی", "شوي", "دغه"}),
}
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|[@#]\w+", re.ASCII)
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
# A word with a letter that Arabic borrows is weak evidence: a sentence of them needs a common word beside them, or
# several of them and no mark of Arabic.
SHARED_LETTER_WEIGHT = 0.25
UNOPPOSED_SHARED_LETTER_WEIGHT = 0.5
SEVERAL = 3
# English prose has four words of this list in ten, headlines one; one in five among few words may be chance.
ENGLISH_SHARE = 0.1
ARABIZI_SHARE = 0.3
# Above: the paragraph may speak for its short sentences. Below: a sentence is not heard against its paragraph.
CERTAIN = 0.8
DOUBTFUL = 0.7


def language_of(text: str) -> str:
    """Return the code of the language of `text`; see `identify`."""
    return identify(text).code


def identify(text: str) -> Language:
    """Return the language of `text`, which has been normalized. Addresses in it are in no language."""
    text = _ADDRESS.sub(" ", text)
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    if not letters:
        return Language("none", 0.5)
    arabic = sum(len(_ARABIC_SCRIPT.findall(word)) for word in words)
    if arabic < letters * ARABIC_SHARE:
        return _in_latin(text)
    scripted = [word for word in words if _ARABIC_SCRIPT.search(word)]
    marks = sum(_ARABIC_MARK.fullmatch(word) is not None for word in scripted)
    weights = {language: _weight(scripted, language, unopposed=not marks) for language in _OWN_LETTERS}
    best = max(weights, key=lambda language: weights[language])
    if weights[best] > marks and weights[best] >= FOREIGN_SHARE * len(scripted):
        return Language(best, _confidence(weights[best], marks))
    return Language("ar", _confidence(marks, weights[best]))


def identify_all(sentences: Sequence[str]) -> list[Language]:
    """Return the languages of the sentences of a paragraph; for those that say little the whole paragraph speaks."""
    if len(sentences) == 1:
        return [identify(sentences[0])]
    whole = identify(" ".join(sentences))
    return [_within(whole, identify(sentence)) for sentence in sentences]


def dialect_of(text: str) -> str:
    """Return "Egyptian", "Levantine", "Gulf", "Iraqi" or "Maghrebi" if `text` has words of dialect, else "".

    Two different ones at least, and one word in eight: a quoted word does not make a sentence dialect.
    """
    words = [word.removeprefix("و") if len(word) > 3 else word for word in _WORD.findall(text)]
    found = {word for word in words if word in _DIALECT_WORDS}
    if len(found) < 2 or sum(word in found for word in words) * 8 < len(words):
        return ""
    return Counter(dialect for word in found for dialect in _DIALECT_WORDS[word]).most_common(1)[0][0]


def _within(whole: Language, own: Language) -> Language:
    """Return what a sentence is in, which by itself is `own`, in a paragraph that is `whole`."""
    if own.code == "ar" and own.confidence <= 0.5 and whole.code in _OWN_LETTERS and whole.confidence >= CERTAIN:
        return whole
    if own.code in _OWN_LETTERS and own.confidence < DOUBTFUL and whole.code == "ar" and whole.confidence >= CERTAIN:
        return Language("ar", 1 - own.confidence)
    if own.code == "other" and whole.code in ("en", "arabizi"):
        return whole
    return own


def _in_latin(text: str) -> Language:
    """Tell English and Arabizi from the rest, which includes every other script."""
    words = _LATIN_WORD.findall(text.lower())
    english = sum(word in _ENGLISH_WORDS for word in words)
    spelled = sum(_ARABIZI_SPELLING.fullmatch(word) is not None for word in words)
    common = sum(word in _ARABIZI_WORDS for word in words)
    arabizi = spelled + common
    # One word with a digit in it may be a product; letters alone may be another language's.
    if arabizi > english and arabizi >= max(2, ARABIZI_SHARE * len(words)):
        return Language("arabizi", _confidence(arabizi, english))
    if english and english >= ENGLISH_SHARE * len(words):
        return Language("en", _confidence(english, arabizi))
    return Language("other", 0.5)


def _confidence(evidence: float, against: float) -> float:
    return (evidence + 1) / (evidence + against + 2)


def _weight(words: list[str], language: str, *, unopposed: bool) -> float:
    """Return how many of the words only this language writes; `unopposed` if none of them is marked as Arabic."""
    own, common = _OWN_LETTERS[language], _COMMON_WORDS[language]
    certain = sum(word in common or not own.isdisjoint(word) for word in words)
    shared = sum(word not in common and own.isdisjoint(word) and not _SHARED_LETTERS.isdisjoint(word) for word in words)
    return (
        certain + (UNOPPOSED_SHARED_LETTER_WEIGHT if unopposed and shared >= SEVERAL else SHARED_LETTER_WEIGHT) * shared
    )


_LATIN_WORD = re.compile(r"[a-z0-9'\u00c0-\u024f]*[a-z\u00c0-\u024f][a-z0-9'\u00c0-\u024f]*")
_ENGLISH = (
    "the of and to in is for on that with said was by as at it from are be has have not will were this an or but he "
    "his they their its been who which after more than about when would there new over says also we you my your no "
    "what all can out up into one two if do so how her she had our us just could first against between"
)
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
# A digit for a letter that Latin has not, with letters beside it: "3arabi", "ma3lesh", "7abibi"; not "2nd", "h5n1".
_ARABIZI_SPELLING = re.compile(
    r"(?!\d+(?:st|nd|rd|th|am|pm|km|kg|mm|cm|gb|mb|tb|ghz|mhz|kw|mw|px|bn|mn|min|hrs?|yrs?|m|g|k|d|x|s)$)"
    r"(?=.*[a-z]{2})[a-z']*[235-9]'?[a-z][a-z2-9']*|[a-z]{2,}[37]"
)
_ARABIZI = (
    "ana enta enti inta inti ento howa hiya e7na ehna mesh mish msh mafish mafeesh wallah wallahi habibi habibti "
    "inshallah insha2allah hamdulillah alhamdulillah yalla khalas kida keda keef kifak kifik keefak shu shou shoo leh "
    "leish lesh ezay ezayak izzayak ezzayik fein feen wein wen eh eih elly illi aywa aiwa la2 bas kteer kter ktir awy "
    "awi delwa2ty halla2 bokra bukra embare7 ya3ni mabrook shukran shokran sa7 salam ahlan el fi fel bel kol kull zay "
    "men kan kont ba2a 3ayez 3ayza bedde biddi baddi lazem lazim mumkin momken kamaan kaman 7aga haga"
)
_ARABIZI_WORDS = frozenset(_ARABIZI.split())

_DIALECTS = {
    "Egyptian": (
        "مش ده عايز عايزة عايزين عاوز عاوزة ازاي إزاي ليه كده كدا دلوقتي دلوقت مفيش مافيش بتاع بتاعة بتاعت بتوع "
        "اللي احنا إحنا علشان عشان لسه لسة النهارده النهاردة امبارح ايوه أيوه حاجة وحشتيني محدش معلش هيعمل هنعمل "
        "بيقول بنقول بيعمل بنعمل بيعملوا اهو أهو"
    ),
    "Levantine": (
        "مش شو هيك هلق هلأ كتير منيح منيحة ليش بدي بدك بدنا بدو بدهم مو هاد هادا هيدا هيدي هاي مشان منشان وين "
        "عشان اللي لسا شوي هون هونيك إيمتى ايمتى نحنا كيفك رح فيني ليك هديك متل حدا"
    ),
    "Gulf": (
        "وش ايش إيش شلون ليش الحين ابغى أبغى تبغى نبغى مو هالحين وايد هذي عشان اللي وين ابي أبي تبي يبي يبون نبيه "
        "مب كذا بس ودي ترا إحنا احنا حنا"
    ),
    "Iraqi": ("شنو شلون هسة هسه هسع شكو ماكو اكو أكو شلونك هواية هوايه ليش وين اللي مو احنا إحنا هاي چان گال وياك"),
    "Maghrebi": (
        "بزاف واش كيفاش علاش دابا غادي ديال ديالي ديالنا ديالها هاد شنو برشا توا ماكاش كاين كاينة باش فاش حنا "
        "راهي راني ماشي مزيان شكون وقتاش هكا خويا عندو"
    ),
}
_DIALECT_WORDS: dict[str, tuple[str, ...]] = {}
"""The dialects that have each word."""
for _dialect, _words in _DIALECTS.items():
    for _word in _words.split():
        _DIALECT_WORDS[_word] = (*_DIALECT_WORDS.get(_word, ()), _dialect)
