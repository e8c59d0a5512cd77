"""Phrases and shapes of lines that stand around an article on a page: menus, breadcrumbs, credits, "read also".

The only place where the gateway knows words of a language. Precision first: a line that is taken for boilerplate is not
translated by default, so running text must never be.
"""

import re
import unicodedata

# Longer lines are running text, whatever they begin with.
MAX_WORDS = 12

_RELATED = (
    "شاهد ايضا", "اقرا ايضا", "اقرا المزيد", "اقرأوا ايضا", "مواضيع ذات صله", "موضوعات ذات صله", "اخبار ذات صله",
    "مقالات ذات صله", "قد يهمك", "قد يعجبك", "المزيد من الاخبار", "الاكثر قراءه", "روابط ذات صله", "موضوعات متعلقه",
    "read also", "related articles", "related stories", "see also", "most read",
)  # fmt: skip
_CREDIT = (
    "تصوير", "المصدر", "مصدر الصوره", "الصوره", "حقوق النشر", "جميع الحقوق محفوظه", "حقوق الطبع",
    "اعداد", "تحرير", "ترجمه",
    "كتب", "بقلم", "نشر في", "تاريخ النشر", "اخر تحديث", "نشرت في", 
    "getty images", "photo", "credit", "copyright",
)  # fmt: skip
_MENU = (
    "الرئيسيه", "الصفحه الرئيسيه", "الصفحه الام", "اخر الاخبار", "أخر الاخبار", "احدث الاخبار", "عاجل",
    "اتصل بنا", "من نحن",
    "سياسه الخصوصيه", "تسجيل الدخول", "اشترك", "اشترك في النشره", "النشره البريديه", "شارك", "مشاركه",
    "طباعه", "تعليقات",
    "التعليقات", "تابعنا", "تابعونا", "نسخ الرابط", "القائمه", "بحث", "اعلان", "فيسبوك",
    "تويتر", "واتساب", "تلغرام", "يوتيوب",
    "رياضه", "اقتصاد", "سياسه", "ثقافه", "فيديو", "صور", "منوعات", 
    "home", "menu", "share", "login", "subscribe", "advertisement",
)  # fmt: skip
_RIGHTS = ("حقوق النشر", "جميع الحقوق محفوظه", "نقلا عن", "copyright", "©")
_MAX_CHARS = 400
_SECTION_WORDS = 4
_BREADCRUMB = re.compile(r"\s[/›»>|«‹]\s")
_FOLDED = str.maketrans("أإآٱىةؤئ", "اااايهوي")
_MARKS = re.compile(r"[\u0640\u064b-\u065f\u0670]")
_SENTENCE_END = re.compile(r"[.!?؟…](?:[\"'”»)\]]*)\s*$")


def fold(line: str) -> str:
    """Return a line in the form in which phrases are compared: for matching only, never for translation."""
    line = unicodedata.normalize("NFKC", line)
    return re.sub(r"\s+", " ", _MARKS.sub("", line).translate(_FOLDED)).strip(" :.،|-–").lower()


def begins_related(line: str) -> bool:
    """Tell whether the line opens a list of other articles ("read also")."""
    return _short(line) and _starts_with(line, _RELATED_FOLDED)


def is_menu_line(line: str) -> bool:
    """Tell whether the line is a menu entry, a rule such as "-----" or a breadcrumb."""
    if not any(char.isalnum() for char in line):
        return True
    return (_short(line) and fold(line) in _MENU_FOLDED) or is_breadcrumb(line)


def is_breadcrumb(line: str) -> bool:
    """Tell whether the line is the way to the page, "home / news / …"; it may end with the whole headline."""
    # « and » together quote: « نعم » with spaces inside is common, and such a paragraph is running text.
    if ("«" in line and "»" in line) or ends_sentence(line):
        return False
    *sections, last = _BREADCRUMB.split(line)
    if not sections or any(len(section.split()) > _SECTION_WORDS for section in sections):
        return False
    return fold(sections[0]) in _MENU_FOLDED or (len(sections) > 1 and _short(last))


def is_credit(line: str) -> bool:
    """Tell whether the line says who wrote, photographed or published: "تصوير: …"."""
    head, colon, _ = line.partition(":")
    labelled = bool(colon) and fold(head) in _CREDIT_FOLDED
    return _short(line) and (labelled or _starts_with(line.lstrip("* "), _RIGHTS_FOLDED))


def ends_sentence(line: str) -> bool:
    """Tell whether the line ends like a sentence."""
    return bool(_SENTENCE_END.search(line[-40:]))


def _short(line: str) -> bool:
    return len(line) <= _MAX_CHARS and len(line.split()) <= MAX_WORDS


def _starts_with(line: str, phrases: frozenset[str]) -> bool:
    folded = fold(line)
    return folded in phrases or any(folded.startswith((phrase + " ", phrase + ":")) for phrase in phrases)


# Folded once: `cut` asks for every line of texts with tens of thousands of them.
_RELATED_FOLDED = frozenset(map(fold, _RELATED))
_CREDIT_FOLDED = frozenset(map(fold, _CREDIT))
_MENU_FOLDED = frozenset(map(fold, _MENU))
_RIGHTS_FOLDED = frozenset(map(fold, _RIGHTS))
