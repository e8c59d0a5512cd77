"""Nothing is lost in silence, whatever is sent and whatever the model makes of it.

`KHULASA_HOSTILE=10000 python -m pytest tests/translator/test_nothing_lost.py` tries ten thousand texts.
"""

import asyncio
import os
import zlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.translation import ParagraphTranslator, TranslatedSentence
from tests.conftest import ScriptedEngine, plausible_english

EXAMPLES = int(os.environ.get("KHULASA_HOSTILE", "200"))
PIECES = (
    *(
        "قال الوزير إن المدرسة أغلقت",
        "وصل",
        "سلام دنیا چطوری",
        "كلمة" * 200,
        "د. ",
        "أ.ب.ج",
        "ﷺ",
        "ﻻ",
        "NATO",
        "日本語",
        "é",
    ),
    *("٣٤٥", "2,500", "12.5%", "- ", "1. ", "%s", "{name}", "https://example.org/؟x=1", "a@b.c", "@handle", "#وسم"),
    *(
        "،",
        "؟",
        ".",
        "...",
        "؛",
        '"',
        "«",
        "»",
        "(",
        ")",
        " ",
        "\n",
        "\t",
        "\u00a0",
        "\u200b",
        "\u200f",
        "\u202e",
        "\ufeff",
    ),
    *("\u0640" * 30, "ً" * 12, "<eos>", "</s>", "<unk>", "▁", "<0x41>", "😀", "𝕬", "\x00", "\x1b", "x" * 500),
)
texts = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), max_size=25
).map("".join)


def awkward(arabic: str) -> str:
    """Answer well, or in one of the ways in which models fail; the same for the same sentence."""
    answers = ["", " ", "the the the the the the the", arabic, "نعم", "\x00", "<eos>", "9" * 300]
    choice = zlib.crc32(arabic.encode()) % 16
    return answers[choice] if choice < len(answers) else plausible_english(arabic)


async def translate(model: Model, paragraphs: list[str]) -> list[list[TranslatedSentence]]:
    """Translate with an engine that fails at times, the second try too."""
    engine = ScriptedEngine(model)
    engine.say = awkward
    queue = TranslationQueue(engine, workers=1, batch_tokens=1000, capacity=1000, window=100)
    try:
        return await ParagraphTranslator(model, queue).translate(paragraphs)
    finally:
        await queue.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(paragraphs=st.lists(texts, min_size=1, max_size=3))
def test_every_character_is_answered_for(model_folder: Path, paragraphs: list[str]) -> None:
    """Spans and the white space between them make up each paragraph; no sentence is empty without a reason."""
    answers = asyncio.run(translate(Model.open(model_folder), paragraphs))
    assert len(answers) == len(paragraphs)
    for paragraph, sentences in zip(paragraphs, answers, strict=True):
        position = 0
        for sentence in sentences:
            assert not paragraph[position : sentence.span.start].strip()
            assert sentence.source == paragraph[sentence.span.start : sentence.span.end]
            assert sentence.translation.strip() or sentence.doubts
            position = sentence.span.end
        assert not paragraph[position:].strip()
