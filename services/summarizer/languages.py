"""What the summarizer knows of a language: its words, the ones that say nothing, openings that lean on what was before.

A new language is a new entry of `LANGUAGES`. The tables were written for news.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Language:
    """One language. All words in the tables stand as `fold` leaves them."""

    fold: Callable[[str], str]
    """Brings spelling variants of a text together: case, vowels, forms of a letter."""
    stem: Callable[[str], str]
    """Brings forms of a folded word together, for matching only; it need not be a word."""
    stop_words: frozenset[str]
    """Words that say nothing of the topic. Negations are not among them: they tell sentences apart."""
    dangling: frozenset[str]
    """First words that need the sentence before: connectives, pronouns."""
    dangling_phrases: frozenset[tuple[str, ...]]
    """The same of two and three words."""
    dangling_opening: re.Pattern[str]
    """Openings that need the sentence before and are no list of words; matched against the folded sentence."""
    time_words: frozenset[str]
    """After a dangling word they make it stand: "This week"."""
    first_person: re.Pattern[str]
    """How a reporter speaks of nobody: outside quotation marks it is the rest of a quotation."""
    credit: re.Pattern[str]
    """Found in bylines, photo credits, calls to read on; matched against the folded sentence."""
    open_ends: frozenset[str]
    """Last words after which something must follow."""
    question_marks: str
    cased: bool
    """Capital letters tell names."""

    def read(self, text: str) -> "ReadSentence":
        """Return the sentence with what its checks look at: to fold is dear, so it is done once."""
        folded = self.fold(text)
        return ReadSentence(text, folded, _WORD.findall(folded))

    def words(self, text: str) -> list[str]:
        """Return the folded words and numbers of `text` in order."""
        return self.read(text).words

    def keys(self, words: Sequence[str]) -> list[str]:
        """Return the stems of the words that say something of the topic, a word as often as it stands there."""
        return [self.stem(word) for word in words if word not in self.stop_words]

    def dangles(self, sentence: "ReadSentence") -> bool:
        """Return whether the sentence stands badly alone because of how it opens: "But…", "He added…"."""
        first = sentence.words[:3]
        if tuple(first) in self.dangling_phrases or tuple(first[:2]) in self.dangling_phrases:
            return True
        if self.dangling_opening.match(sentence.folded):
            return True
        return bool(first) and first[0] in self.dangling and not self.time_words.intersection(first[1:2])

    def asks(self, sentence: "ReadSentence") -> bool:
        """Return whether the sentence is a question."""
        return sentence.text.rstrip(_CLOSING).endswith(tuple(self.question_marks))

    def breaks_off(self, sentence: "ReadSentence") -> bool:
        """Return whether the sentence has no end: a list that begins, a teaser "…", a line cut at a comma."""
        bare = sentence.text.rstrip(_CLOSING)
        if bare.endswith(_NO_END):
            return True
        # Many paragraphs lack their full stop, so only a last word that asks for more tells.
        return bare[-1:].isalpha() and not self.open_ends.isdisjoint(sentence.words[-1:])

    def quotes_nobody(self, sentence: "ReadSentence") -> bool:
        """Return whether the sentence is a quotation, or a part of one, and does not say whose."""
        text = sentence.text
        bare = text.strip().rstrip(_STOPS)
        if (bare[:1], bare[-1:]) in _QUOTATION_ENDS and not _QUOTATION_SIGN.search(bare[1:-1]):
            return True
        # After a colon, or with quotation marks inside, the sentence says who speaks.
        return ":" not in text and not _QUOTATION_SIGN.search(text) and self.first_person.search(text) is not None

    def credits(self, sentence: "ReadSentence") -> bool:
        """Return whether the sentence names its makers or sends the reader elsewhere instead of telling something."""
        return self.credit.search(sentence.folded[:_CREDIT_CHARS]) is not None


@dataclass(frozen=True, slots=True)
class ReadSentence:
    """A sentence as it was written, folded, and its folded words."""

    text: str
    folded: str
    words: list[str]


def splits_quotation(text: str) -> bool:
    """Return whether a quotation begins or ends outside the sentence, so that half of one would stand there."""
    return text.count('"') % 2 == 1 or any(text.count(opening) != text.count(end) for opening, end in ("“”", "«»"))


# A line that credits somebody is short.
_CREDIT_CHARS = 120
_NO_END = (",", "،", ":", ";", "؛", "...", "…", "-", "–", "—")
_STOPS = ".!?؟…،, "
_QUOTATION_SIGN = re.compile('["“”«»]')
_QUOTATION_ENDS = [('"', '"'), ("“", "”"), ("”", "“"), ("«", "»"), ("»", "«")]
_CLOSING = " \t\r\n\"'”’»)]"
# A number with its separators is one word, and so is "al-Sisi", "don't", "U.S".
_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’.-][^\W\d_]+)*")


# News has few words and uses them often; so many take some 10 MB.
_STEMS_KEPT = 50_000


def _fold_english(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower().replace("’", "'")


@lru_cache(_STEMS_KEPT)
def _stem_english(word: str) -> str:
    """Singular of most plurals (Harman's S stemmer); a wrong stem harms little, since both sides have it."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _fold_arabic(text: str) -> str:
    """Without vowels and tatweel, with one alef, ya and ha: right for matching, where it is wrong for translating."""
    folded = _ARABIC_MARKS.sub("", unicodedata.normalize("NFKC", text)).lower()
    for letter, plain in _ARABIC_LETTERS:  # six times quicker than str.translate
        folded = folded.replace(letter, plain)
    return folded.translate(_ARABIC_DIGITS) if _ARABIC_DIGIT.search(folded) else folded


@lru_cache(_STEMS_KEPT)
def _stem_arabic(word: str) -> str:
    """Without article, clitics and the commonest endings, as Larkey's light10 does; at least three letters stay.

    Where "and" stands without an article, five must stay: the first letter of وزارة (ministry) is no "and".
    """
    for prefix, stays in _ARABIC_PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) >= stays:
            word = word[len(prefix) :]
            break
    for suffix in ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


_ARABIC_PREFIXES = (
    *(("وبال", 3), ("ولل", 3), ("وال", 3), ("بال", 3), ("كال", 3), ("فال", 3), ("لل", 3), ("ال", 3)),
    ("و", 5),
)
# Vowels and Quranic marks, tatweel; zero-width characters and direction marks.
_ARABIC_MARKS = re.compile(
    "[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u202a-\u202e\u2060-\u2069]"
)
_ARABIC_LETTERS = tuple(zip("أإآٱىة", "اااايه", strict=True))
_ARABIC_DIGITS = {zero + digit: str(digit) for zero in (0x0660, 0x06F0) for digit in range(10)}
_ARABIC_DIGIT = re.compile("[\u0660-\u0669\u06f0-\u06f9]")


def _table(words: str, fold: Callable[[str], str]) -> frozenset[str]:
    return frozenset(fold(words).split())


def _phrases(lines: str, fold: Callable[[str], str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(line.split()) for line in fold(lines).split(","))


_ENGLISH = Language(
    fold=_fold_english,
    stem=_stem_english,
    stop_words=_table(
        """a about above according added after again against all almost along already also although always am among an
        and another any are around as at away back be became because become been before began behind being below between
        both but by called came can could did do does doing done down due during each either else enough ever every few
        for from further gave get gets give given go goes going got had has have having he he'd he'll he's her here
        hers herself him himself his how however i i'd i'll i'm i've if in including indeed instead into is it it's its
        itself just keep kept know known last later least less let like likely made make makes making many may me
        meanwhile might more moreover most mr mrs ms much must my myself near nearly next now of off often on once one
        ones only onto or other others our ours ourselves out over own per perhaps put quite rather really said same
        saw say saying says see seem seemed seems seen several shall she she'd she'll she's should since so some
        something such take taken than that that's the their theirs them themselves then there there's therefore these
        they they'd they'll they're
        they've this those though through thus to together told too took toward towards under until up upon us use used
        very via want was way we we'd we'll we're we've well went were what whatever when where whether which while who
        whole whom whose why will with within would yet you you'd you'll you're you've your yours yourself
        monday tuesday wednesday thursday friday saturday sunday""",
        _fold_english,
    ),
    dangling=_table(
        """he she it they him them his her its their he's she's it's they're this that these those that's here there
        but and so yet or nor however moreover furthermore additionally besides also too then thus therefore hence
        consequently accordingly instead nevertheless nonetheless still otherwise similarly likewise indeed meanwhile
        afterwards such both neither another others because""",
        _fold_english,
    ),
    dangling_phrases=_phrases(
        """in addition,as a result,for example,for instance,in contrast,in fact,in other words,on the contrary,
        on the other,at the same,for this reason,for that reason,after that,before that,in this case,in that case,
        that is,as such,even so,by contrast,of these,of those,one of them,some of them,the former,the latter,
        according to him,according to her,according to them,the same source,the two sides""",
        _fold_english,
    ),
    dangling_opening=re.compile(
        r"\W*(?:(?:in|at|for|on|with|under|from|by|to|of|amid|during|despite|as for) (?:this|that|these|those|such)\b"
        r"(?! (?:day|week|month|year|morning|afternoon|evening|summer|winter|spring|autumn|weekend|season)\b)"
        r"|(?:for|on) (?:his|her|its|their) part\b|(?:said|told|added|stressed|noted|explained|pointed out)\b)"
    ),
    time_words=_table("week month year morning afternoon evening summer winter spring autumn weekend season", str),
    # Neither "us", which folding makes of the country, nor every "I", which numbers kings, nor "our correspondent".
    first_person=re.compile(
        r"\b(?:[Ww]e(?:['’](?:re|ve|ll|d))?|[Mm]y|I['’](?:m|ve|ll|d))\b"
        r"|(?:^\W*|, |\b(?:and|that|but|if|when|as|because|what|so|do|did|have|had) )I\b"
    ),
    credit=re.compile(
        r"^\W*(?:(?:written )?by(?:\s+[a-z.'-]+){1,4}\W*$"
        r"|(?:photo(?:graph)?|picture|image|video|credit|source|caption)s?\s*[:/]"
        r"|(?:image|photo|picture) (?:source|credit|by)\b|(?:additional |)(?:reporting|editing|writing) by\b"
        r"|translated by\b|read (?:more|also|next)\b|see also\b|(?:click|tap) here\b|follow us\b|subscribe\b|sign up\b"
        r"|share this\b|related (?:articles|stories)\b|copyright\b|©)"
        r"|contributed to this (?:report|story)|all rights reserved|getty images"
    ),
    open_ends=frozenset(["the", "a", "an", "of", "to", "from", "in", "and", "or", "that", "with", "for"]),
    question_marks="?",
    cased=True,
)

# "And he said that …": the subject is in the sentence before. With a subject it stands: "The minister said that".
_ARABIC_SAYING = (
    "(?:قالت?|قالوا|[يت]قول|اضافت?|اضافوا|[يت]ضيف|اكدت?|اكدوا|[يت]ؤكد|اوضحت?|اوضحوا|[يت]وضح|اشارت?|ذكرت?|لفتت?|اعتبرت?"
    "|راي|رات|[يت]ري|شددت?|كشفت?|صرحت?|نفي|نفت|تابعت?|اردفت?|اعلنت?|افادت?|نوهت?|طالبت?|دعت?ا?|حذرت?|اتهمت?|توقعت?|زعمت?"
    "|استطردت?|واصلت?|ختمت?|اقرت?|تمنت|تمني)"
)
_ARABIC_SAID = (
    "(?:(?:الي |علي |ب)?ان(?:ه|ها|هم|هما|ني|نا)?|قائل[اه]"
    "|في (?:تصريح|تصريحات|بيان|مؤتمر|حديث|تغريده|كلمه|مقابله|خطاب|رساله)|علي (?:ضروره|اهميه))"
)

_ARABIC = Language(
    fold=_fold_arabic,
    stem=_stem_arabic,
    stop_words=_table(
        """في من إلى على عن مع منذ حتى خلال بعد قبل بين تحت فوق عند لدى حول ضد دون نحو أمام وراء داخل خارج ضمن عبر حيث
        أن إن أنه إنه أنها إنها أنهم بأن لأن كأن وأن وإن فإن بأنه لأنه وأنه وإنه فإنه وأنها لأنها ماذا منه منها منهم
        به بها بهم له لها لهم فيه فيها فيهم عليه عليها عليهم إليه إليها عنه عنها معه معها لديه لديها بينهم بينها
        هو هي هم هن هما أنا نحن أنت أنتم هذا هذه هؤلاء ذلك تلك أولئك هنا هناك الذي التي الذين اللذين اللتين اللواتي
        كان كانت كانوا يكون تكون وكان وكانت أصبح أصبحت ليكون قد لقد وقد فقد سوف ثم أو أم بل لكن ولكن كما كل كلا بعض أي
        أيضا أيضاً كذلك مثل سوى إذا إذ لو لولا لما عندما حين حينما بينما فيما كيف متى أين كم أما إما كانا
        قال قالت وقال وقالت يقول تقول أضاف أضافت وأضاف وأضافت أكد أكدت وأكد وأكدت أوضح وأوضح أشار وأشار ذكر ذكرت
        وهو وهي وهم وهذا وهذه وذلك وفي ومن وعلى وإلى وعن ومع وبعد وقبل وبين وخلال والتي والذي والذين
        يوم أمس اليوم جدا جداً فقط نفسه نفسها أكثر أقل آخر أخرى عدة عدد أحد إحدى تم يتم وتم ويتم جميع كافة ذات ذو
        الاثنين الثلاثاء الأربعاء الخميس الجمعة السبت الأحد لكي كي هل يا عام وهناك لهذا لذلك بشكل""",
        _fold_arabic,
    ),
    dangling=_table(
        """وأضاف وأضافت أضاف أضافت وتابع وتابعت تابع تابعت وأردف أردف واستطرد استطرد ومضى واستدرك وختم واختتم
        لكن ولكن لكنه لكنها ولكنه ولكنها بل ثم كما أيضا كذلك وكذلك لذا ولذا لذلك ولذلك لهذا ولهذا بالتالي وبالتالي
        هو هي هم وهو وهي وهم هذا هذه ذلك تلك هؤلاء وهذا وهذه وذلك وتلك وهؤلاء فهو فهي فهذا فهذه إنه إنها وإنه وإنها
        وبذلك وعليه بينما فيما وفيما وبينما حينها وحينها عندها وعندها هنا وهنا هناك وهناك لأنه لأنها لأن فإن حيث
        مؤكدا مؤكدة مشيرا مشيرة موضحا موضحة مضيفا مضيفة لافتا لافتة معتبرا معتبرة قائلا قائلة مبينا مبينة منوها منوهة
        معربا معربة مشددا مشددة محذرا محذرة مطالبا مطالبة داعيا داعية""",
        _fold_arabic,
    ),
    dangling_phrases=_phrases(
        """غير أن,غير أنه,غير أنها,إلا أن,إلا أنه,إلا أنها,بيد أن,على الرغم من ذلك,رغم ذلك,ورغم ذلك,ومع ذلك,مع ذلك,
        من جهة أخرى,من ناحية أخرى,من جهته,من جهتها,ومن جهته,ومن جهتها,من جانبه,من جانبها,ومن جانبه,ومن جانبها,
        في المقابل,وفي المقابل,إلى ذلك,بعد ذلك,وبعد ذلك,قبل ذلك,نتيجة لذلك,ونتيجة لذلك,على سبيل المثال,وعلى سبيل المثال,
        بالإضافة إلى ذلك,وبالإضافة إلى ذلك,إضافة إلى ذلك,فضلا عن ذلك,علاوة على ذلك,في الوقت نفسه,وفي الوقت نفسه,
        في الوقت ذاته,وفي الوقت ذاته,في السياق ذاته,وفي السياق ذاته,في السياق نفسه,وفي السياق نفسه,في المقابل,
        على صعيد آخر,وعلى صعيد آخر,على الجانب الآخر,وعلى الجانب الآخر,في غضون ذلك,وفي غضون ذلك""",
        _fold_arabic,
    ),
    dangling_opening=re.compile(
        rf"\W*[وف]?{_ARABIC_SAYING}(?:\s*[:،\"«“]|\s+(?:[\"«“]|{_ARABIC_SAID}\b))|\W*[وف]?(?:اعربت?|عبرت?) عن\b"
        # "And this comes …", "In this context": a demonstrative among the first words that opens no expression of time.
        r"|\W*\w+\s+(?:\w+\s+)?(?:هذا|هذه|ذلك|تلك|هؤلاء)\b"
        r"(?!\s+(?:الاسبوع|الشهر|العام|السنه|الصباح|المساء|الصيف|الشتاء|الموسم|اليوم|المره)\b)"
    ),
    first_person=re.compile(
        r"(?<!\w)و?(?:[أا]نا|نحن|[أإا]ن?نا|[أإا]نني|لدينا|علينا|لنا|عندنا|كنا|لسنا|[أن]عتقد|[أن]ريد)(?!\w)"
    ),
    time_words=_table("الأسبوع الشهر العام السنة الصباح المساء الصيف الشتاء الموسم", _fold_arabic),
    credit=re.compile(
        "^\\W*(?:(?:كتبت?|بقلم|تصوير|(?:ال)?صوره|المصدر|اعداد|ترجمه|تحرير|تقرير|(?:بال)?فيديو|بالصور)\\s*[:/]"
        "|(?:كتبت?|بقلم|نقلا عن)(?:\\s+\\w+){1,4}\\s*$|مصدر الصوره|(?:اخر|تاريخ) (?:تحديث|النشر)|نشرت? في\\s*[:\\d]"
        "|اقر[اوئ]+ (?:ايضا|المزيد|كذلك)|شاهد(?:وا)? (?:ايضا|الفيديو)|قد (?:يهمك|يعجبك)"
        "|(?:مواضيع|موضوعات|اخبار|مقالات) (?:ذات صله|متعلقه)|تابع(?:ونا|نا)|تابعوا (?:اخبار|اخر)|(?:اضغط|انقر) هنا"
        "|اشترك في|اشتركوا|للمزيد|للاطلاع علي|لقراءه المزيد|شارك(?:نا|ونا)? ب?رايك|حقوق (?:النشر|الطبع)|©"
        "|getty|afp\\b|reuters\\b|epa\\b)"
        "|جميع الحقوق محفوظه|getty images"
    ),
    open_ends=_table("من في على إلى عن أن مع أو التي الذي بين هو ما كما قد لم لا", _fold_arabic),
    question_marks="؟?",
    cased=False,
)

LANGUAGES: dict[str, Language] = {"en": _ENGLISH, "ar": _ARABIC}
"""By the code that `SummarizeRequest.language` carries."""
