"""What is doubtful is decoded once more; the better answer is kept, and what stays doubtful stays flagged."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.harness import deadline
from services.harness.errors import Reason as RefusalReason
from services.harness.errors import Refusal
from services.translator.admission import RESERVE_S
from services.translator.check import Reason
from services.translator.engine import Decoded
from services.translator.model import Model
from services.translator.queue import Place, TranslationQueue
from services.translator.translation import ParagraphTranslator, TranslatedSentence
from tests.conftest import ScriptedEngine, plausible_english

GOOD, BAD = "وصل الوزير إلى المدينة صباح اليوم.", "اجتمع المجلس في القرية مساء أمس."
LOOP = "the council the council the council the council the council the council"


@pytest.fixture
def engine(model_folder: Path) -> ScriptedEngine:
    """An engine that repeats itself over one sentence at the first try."""
    engine = ScriptedEngine(Model.open(model_folder))
    engine.say = lambda arabic: LOOP if arabic == BAD else plausible_english(arabic)
    return engine


@pytest.fixture
async def queue(engine: ScriptedEngine) -> AsyncIterator[TranslationQueue]:
    """A queue with room for two sentences."""
    queue = TranslationQueue(engine, workers=1, batch_tokens=1000, capacity=2, window=2)
    yield queue
    await queue.close()


async def translate(model_folder: Path, queue: TranslationQueue) -> list[TranslatedSentence]:
    """Translate the good sentence and the bad one."""
    (sentences,) = await ParagraphTranslator(Model.open(model_folder), queue).translate([f"{GOOD} {BAD}"])
    return sentences


async def test_a_rescued_sentence_carries_no_flag(
    model_folder: Path, engine: ScriptedEngine, queue: TranslationQueue
) -> None:
    """Of several new answers the one without doubts is taken; a sentence without doubts is not asked for again."""
    engine.say_safer = lambda arabic: [LOOP, plausible_english(arabic)]
    good, bad = await translate(model_folder, queue)
    assert engine.second_tries == 1
    assert (good.translation, list(good.doubts)) == (plausible_english(GOOD), [])
    assert (bad.translation, list(bad.doubts)) == (plausible_english(BAD), [])


async def test_what_stays_bad_stays_flagged(
    model_folder: Path, engine: ScriptedEngine, queue: TranslationQueue
) -> None:
    """A second try that is no better changes nothing: the sentence is there, with its flag."""
    engine.say_safer = lambda arabic: [LOOP + " the council", ""]
    _, bad = await translate(model_folder, queue)
    assert bad.translation == LOOP
    assert [doubt.reason for doubt in bad.doubts] == [Reason.REPETITION]


async def test_a_full_queue_keeps_the_first_answer(
    model_folder: Path, queue: TranslationQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room for a second try the call still succeeds, with the flag."""

    async def refuse(place: Place, sentences: Sequence[list[str]]) -> list[list[Decoded]]:
        raise Refusal(RefusalReason.OVERLOADED, f"no room for {len(sentences)}")

    monkeypatch.setattr(Place, "decode_safer", refuse)
    _, bad = await translate(model_folder, queue)
    assert bad.translation == LOOP
    assert [doubt.reason for doubt in bad.doubts] == [Reason.REPETITION]


async def test_a_second_try_that_takes_too_long_is_given_up(
    model_folder: Path, engine: ScriptedEngine, queue: TranslationQueue
) -> None:
    """A call has its first answers, flagged, before its time is over, whatever has become slow since it was let in."""
    released = threading.Event()
    engine.say_safer = lambda arabic: [plausible_english(arabic)] * released.wait()
    translator = ParagraphTranslator(Model.open(model_folder), queue)
    deadline.start(RESERVE_S + 2)
    try:
        async with asyncio.timeout(RESERVE_S + 2):
            ((_, bad),) = await translator.translate([f"{GOOD} {BAD}"])
    finally:
        released.set()
    assert engine.second_tries == 1
    assert bad.translation == LOOP
    assert [doubt.reason for doubt in bad.doubts] == [Reason.REPETITION]


async def test_second_tries_can_be_turned_off(
    model_folder: Path, engine: ScriptedEngine, queue: TranslationQueue
) -> None:
    """Then the doubtful sentence stays flagged, nothing is decoded twice, and the cache tells the answers apart."""
    once = ParagraphTranslator(Model.open(model_folder), queue, second_tries=False)
    ((bad,),) = await once.translate([BAD])
    assert engine.second_tries == 0
    assert [doubt.reason for doubt in bad.doubts] == [Reason.REPETITION]
    assert once.version != ParagraphTranslator(Model.open(model_folder), queue).version
