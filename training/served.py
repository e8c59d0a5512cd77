"""A model folder asked as the translator would ask it: normalize, split, decode in batches, check.

`train.py` probes with it, `adapt.py` compares with it, `evaluate.py` and `benchmarks/translation_quality.py` measure
with it, so that a score is of what users get.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.translator import engine
from services.translator.check import Reason
from services.translator.model import Model
from services.translator.queue import TranslationQueue
from services.translator.settings import TranslatorSettings
from services.translator.translation import ParagraphTranslator, TranslatedSentence


@dataclass(frozen=True, slots=True)
class Answer:
    """The English of one text, and every reason to doubt a sentence of it."""

    translation: str
    reasons: frozenset[Reason]


class ServedModel:
    """A verified and loaded model folder, with the translator's own settings. Raises BadModel.

    Without `second_tries` what is doubtful is not decoded again: for the speed of a model alone, since a calibrated one
    doubts more.

    >>> ServedModel(Path("models/ar-en")).translate(["نعم."])
    """

    def __init__(self, folder: Path, *, second_tries: bool = True) -> None:
        self._settings = TranslatorSettings()
        self._second_tries = second_tries
        self.model = Model.open(folder)
        self._engine = engine.load(self.model, workers=self._settings.threads, threads_per_worker=1)

    def translate(self, texts: Sequence[str]) -> list[Answer]:
        """Return one answer for each text, in order."""
        return asyncio.run(self._translate(texts))

    async def _translate(self, texts: Sequence[str]) -> list[Answer]:
        queue = TranslationQueue(
            self._engine,
            workers=self._settings.threads,
            batch_tokens=self._settings.batch_tokens,
            capacity=self._settings.queue_sentences,
            window=self._settings.window_sentences,
        )
        try:
            translator = ParagraphTranslator(self.model, queue, second_tries=self._second_tries)
            translated = await translator.translate(texts)
        finally:
            await queue.close()
        return [_answer(sentences) for sentences in translated]


def _answer(sentences: list[TranslatedSentence]) -> Answer:
    reasons = frozenset(doubt.reason for sentence in sentences for doubt in sentence.doubts)
    return Answer(" ".join(sentence.translation for sentence in sentences), reasons)
