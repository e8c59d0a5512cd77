"""Bugs that other systems shipped, each with its link: here they cannot happen, or are flagged."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache_key import ModelIdentity, paragraph_key
from gateway.html import HtmlExtractor
from services.translator.check import Checkable, Reason, check
from services.translator.model import Model
from services.translator.normalize import SCHEMES, normalize
from services.translator.queue import TranslationQueue
from services.translator.split import split
from services.translator.translation import ParagraphTranslator, TranslatedSentence
from tests.conftest import ScriptedEngine

LEGAL = (
    "يلتزم الطرف الثاني بتسليم العين المؤجرة إلى الطرف الأول عند انتهاء مدة العقد بالحالة التي تسلمها عليها، "
    "ويكون مسؤولا عن أي ضرر يلحق بها."
)
MENU = "30.4 C\nبيروت\nالاثنين 4 أكتوبر 2021 11:46\nوسط أفريقيا\nغرب أفريقيا\nاتصالات\nابتكار\nإنترنت\nمقابلات"


def reasons(source: str, translation: str, log_probability: float = -0.5) -> set[Reason]:
    return {doubt.reason for doubt in check(Checkable(source, translation, log_probability, 30, 30, False, False))}


def sentences(text: str) -> list[str]:
    read = normalize(text, SCHEMES["plain-1"]).text
    return [piece.span.of(read) for piece in split(read, max_tokens=10_000, count_tokens=len)]


@pytest.fixture
async def translating(model_folder: Path) -> AsyncIterator[tuple[ScriptedEngine, ParagraphTranslator]]:
    """A translator whose engine says what the test wants."""
    model = Model.open(model_folder)
    engine = ScriptedEngine(model)
    queue = TranslationQueue(engine, workers=1, batch_tokens=1024, capacity=1000, window=256)
    yield engine, ParagraphTranslator(model, queue)
    await queue.close()


async def translate(
    translating: tuple[ScriptedEngine, ParagraphTranslator], paragraph: str, english: str
) -> list[TranslatedSentence]:
    """Return the sentences of `paragraph`; for each one the model says `english`."""
    engine, translator = translating
    engine.say = lambda arabic: english
    [found] = await translator.translate([paragraph])
    return found


@pytest.mark.parametrize("english", ["I will kill you!", "The lights are coming off."])
def test_legal_text_does_not_become_a_threat(english: str) -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/641: a legal text came back as "I will kill you!"."""
    assert Reason.LENGTH_RATIO in reasons(LEGAL, english)


@pytest.mark.parametrize(
    ("source", "english"),
    [
        pytest.param("قال الوزير إن الخطة جاهزة.", "The " * 20 + "plan.", id="argos-translate 444"),
        pytest.param("مسجلون", "registered registered registered", id="argos-translate 428"),
        pytest.param("أبدا", "never ever " * 60, id="argos-translate 318"),
        pytest.param("مرحبا يا عالم", "Z " * 80, id="argos-translate 197"),
        pytest.param("مسبقا", "pre-" * 2 + " pre-pre-" * 50, id="LibreTranslate 183"),
        pytest.param("واجب", "duty " * 128, id="LibreTranslate 351, Dutch"),
        pytest.param("مرحبا", "Hello Hello", id="LibreTranslate 351, Turkish"),
        pytest.param("كو كو كو كو", "ko re " * 12, id="LibreTranslate 168"),
        pytest.param("زيتون", "olive olive olive olive", id="jefs42/libretranslate 12"),
        pytest.param("وسط أفريقيا غرب أفريقيا اتصالات", "Central Africa " * 9, id="Opus-MT 49"),
        pytest.param("عاجل", "BREAKING NEWS " * 7, id="OPUS-MT-train 62"),
        pytest.param("ذهب الناس إلى السوق", "I'm sorry " * 8, id="EasyNMT 38"),
        pytest.param("أوسوليفان 6 دينغ 3", "O'Sullivan 6-3 O'Sullivan 6-3 O'Sullivan 6-3", id="Opus-MT 105"),
    ],
)
def test_endless_repeats_are_seen(source: str, english: str) -> None:
    """The same words again and again, in github.com/argosopentech/argos-translate (issues 197, 318, 428, 444),
    LibreTranslate/LibreTranslate (168, 183, 351), jefs42/libretranslate (pull 12), Helsinki-NLP/Opus-MT (49, 105),
    Helsinki-NLP/OPUS-MT-train (62) and UKPLab/EasyNMT (38)."""
    assert Reason.REPETITION in reasons(source, english)


def test_a_menu_is_no_sentence() -> None:
    """github.com/Helsinki-NLP/Opus-MT/issues/49: the lines of a menu went in as one sentence and came out as a loop."""
    assert sentences(MENU) == MENU.split("\n")


def test_what_stays_untranslated_is_seen() -> None:
    """github.com/argosopentech/argos-translate/issues/496 and github.com/LibreTranslate/LibreTranslate/issues/567:
    a quarter of the sentences came back as they were."""
    source = "وصل الوفد إلى العاصمة صباح اليوم"
    assert {Reason.ARABIC_LEFT, Reason.SOURCE_COPIED} <= reasons(source, source)


async def test_a_question_has_one_mark(translating: tuple[ScriptedEngine, ParagraphTranslator]) -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/776: a question ended in the marks of both languages."""
    for english in ("Are you well؟?", "Are you well?؟", "Are you well؟", "Are you well?"):
        [sentence] = await translate(translating, "هل أنت بخير؟", english)
        assert sentence.translation == "Are you well?"
        assert not sentence.doubts


async def test_signs_alone_are_never_decoded(translating: tuple[ScriptedEngine, ParagraphTranslator]) -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/168: "????????" was translated, into nonsense."""
    engine, _ = translating
    [sentence] = await translate(translating, "؟؟؟؟؟؟؟؟ ...", "The end of the world")
    assert (sentence.translation, engine.sentences) == ("؟؟؟؟؟؟؟؟ ...", 0)


def test_a_lost_placeholder_is_seen() -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/123: `Hello %1$s, good to see you` became "Hello" alone."""
    source = "مرحبا %1$s، تسعدنا رؤيتك مرة أخرى!"
    assert Reason.MARK_LOST in reasons(source, "Hello")
    assert Reason.MARK_LOST in reasons(source, "Hello % 1 $ s, good to see you again!")
    assert not reasons(source, "Hello %1$s, good to see you again!")


def test_a_price_stays_a_price() -> None:
    """github.com/OpenNMT/CTranslate2/issues/693: among other neighbours in the batch "€18.10" became "18h10"."""
    source = "يبلغ سعر التذكرة €18.10 في المتحف"
    assert {Reason.NUMBER_MISMATCH, Reason.MARK_LOST} <= reasons(source, "The ticket costs 18h10 in the museum")
    assert not reasons(source, "The ticket costs 18,10 € in the museum")


async def test_a_long_text_is_not_cut_in_silence(translating: tuple[ScriptedEngine, ParagraphTranslator]) -> None:
    """opennmt.net/CTranslate2/translation.html: by default 1,024 tokens are read and 256 written, without an error."""
    text = "كلمة طويلة " * 3000
    found = await translate(translating, text, "a long word")
    assert "".join("".join(sentence.source for sentence in found).split()) == "".join(text.split())
    assert all(Reason.FRAGMENT in {doubt.reason for doubt in sentence.doubts} for sentence in found)
    cut = Checkable("كلمة طويلة", "a long word", -0.5, 30, 256, False, True)
    assert Reason.TRUNCATED in {doubt.reason for doubt in check(cut)}


def test_a_comma_ends_no_sentence() -> None:
    """github.com/nipunsadvilkar/pySBD/issues/113: Arabic was split at every comma, and at colons."""
    assert len(sentences("هذه تجربة، للغة العربية")) == 1
    assert len(sentences("قال الوزير: هذه تجربة ، للغة العربية ، وأضاف: نعم")) == 1


def test_arabic_news_has_sentences() -> None:
    """github.com/stanfordnlp/stanza/issues/545 and 1393: whole Arabic articles came out as one sentence."""
    text = "وصل الوفد إلى العاصمة أمس. وقال رئيسه إن المحادثات ستبدأ غدا. هل تنجح؟ لا أحد يعلم!"
    assert len(sentences(text)) == 4


def test_abbreviations_and_quotation_marks_end_no_sentence_alone() -> None:
    """github.com/miso-belica/sumy/issues/28 and 97: a summary ended at "(e.g.", and "August." after « was missed."""
    assert len(sentences("قال د. خالد (أي أ.د. خالد) إن أ.ب.ت. شركة كبيرة.")) == 1
    assert sentences("قال: «تم التسليم في الخزنة.» وفي 31 أغسطس سحب 7000 يورو.") == [
        'قال: "تم التسليم في الخزنة."',
        "وفي 31 أغسطس سحب 7000 يورو.",
    ]
    assert sentences('قال: "نعم." ثم "لا."') == ['قال: "نعم."', 'ثم "لا."']


def test_stops_in_a_row_do_not_end_the_splitting() -> None:
    """github.com/allenai/scholarphi/issues/114: after several full stops in a row pySBD split nothing more."""
    assert len(sentences("انتهى الأمر.... ثم عاد. ثم ذهب. ثم نام.")) == 4


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param(
            "<p>\n\t\tإذا لم يكن في السطر\n\t\tفعل فلا بد أن تكون\n\t\tالترجمة خاطئة.\n\t</p>",
            "إذا لم يكن في السطر فعل فلا بد أن تكون الترجمة خاطئة.",
            id="LibreTranslate 288, translate-html 10",
        ),
        pytest.param(
            '<p><a href="#">\n <em>\n <span style="color: red">\n شاهد المجموعة الكاملة من\n </span>\n </em>\n <em>'
            "<span>\n أنظمة الأدراج هنا!\n</span></em>\n</a></p>",
            "شاهد المجموعة الكاملة من أنظمة الأدراج هنا!",
            id="LibreTranslate 806, translate-html 19",
        ),
        pytest.param("<p>مرحبا</p>", "مرحبا", id="argos-translate 190, LibreTranslate 144"),
    ],
)
async def test_markup_does_not_cut_sentences(html: str, text: str) -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/288, 806 and 144, and
    github.com/argosopentech/translate-html/issues/10 and 19: line breaks and tags within a paragraph cut its sentence,
    and a tag was translated."""
    extractor = HtmlExtractor()
    try:
        assert (await extractor.extract(html, timeout_s=20)).text == text
    finally:
        await extractor.close()


def test_texts_that_join_alike_have_different_keys() -> None:
    """github.com/LibreTranslate/LibreTranslate, cache.py: texts were joined with "|" and the model left out."""
    model = ModelIdentity("a", "0" * 64, "engine", "1")
    other = ModelIdentity("a", "1" * 64, "engine", "1")
    keys = [paragraph_key(text, model) for text in ("أ|ب", "أ", "ب")] + [paragraph_key("أ", other)]
    assert len(set(keys)) == len(keys)


def test_a_long_paragraph_costs_no_more_than_its_length() -> None:
    """github.com/miso-belica/sumy/issues/109: three hundred paragraphs took more than half an hour."""
    text = ' قال: "نعم، سنذهب غدا. ثم نعود في 3.5 ساعات." وأضاف د. كمال: بي.بي.سي (...)' * 1500
    started = time.perf_counter()
    assert len(sentences(text)) > 1500
    assert time.perf_counter() - started < 10
