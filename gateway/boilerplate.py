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
    return _short(line) and _starts_with(line, _RELATED)


def is_menu_line(line: str) -> bool:
    """Tell whether the line is a menu entry or a breadcrumb; a breadcrumb may end with the whole headline."""
    if _short(line) and fold(line) in map(fold, _MENU):
        return True
    parts = _BREADCRUMB.split(line)
    return len(parts) > 1 and not ends_sentence(line) and (fold(parts[0]) in map(fold, _MENU) or len(parts) > 2)


def is_credit(line: str) -> bool:
    """Tell whether the line says who wrote, photographed or published: "تصوير: …"."""
    head, colon, _ = line.partition(":")
    labelled = bool(colon) and fold(head) in map(fold, _CREDIT)
    rights = _starts_with(line, ("حقوق النشر", "جميع الحقوق محفوظه", "copyright", "©"))
    return _short(line) and (labelled or rights)


def ends_sentence(line: str) -> bool:
    """Tell whether the line ends like a sentence."""
    return bool(_SENTENCE_END.search(line))


def _short(line: str) -> bool:
    return len(line.split()) <= MAX_WORDS


def _starts_with(line: str, phrases: tuple[str, ...]) -> bool:
    folded = fold(line)
    return any(folded == fold(p) or folded.startswith((fold(p) + " ", fold(p) + ":")) for p in phrases)
