"""What to think of an answer of the model: its text, the reasons to doubt it, and how sure we are.

Called for the first answer to a sentence and again for every answer of a second try, so that they can be compared.
"""

from dataclasses import dataclass

from services.translator.adequacy import Adequacy, Lexicon
from services.translator.check import Checkable, Doubt, Reason, check
from services.translator.confidence import Calibration, Evidence
from services.translator.engine import Decoded
from services.translator.model import Model, Tokenizer
from services.translator.survival import in_english_marks, with_list_marker

WORTH_A_SECOND_TRY = frozenset(
    {
        Reason.LOW_PROBABILITY,
        Reason.REPETITION,
        Reason.LENGTH_RATIO,
        Reason.ARABIC_LEFT,
        Reason.SOURCE_COPIED,
        Reason.NUMBER_MISMATCH,
        Reason.LINK_LOST,
        Reason.LATIN_LOST,
        Reason.TRUNCATED,
        Reason.EMPTY,
        Reason.MARK_LOST,
        Reason.UNRELATED,
        Reason.PART_LOST,
    }
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """An answer as a reader gets it."""

    translation: str
    log_probability: float
    confidence: float | None
    """Probability that the translation is good; None for a model without calibration."""
    doubts: list[Doubt]

    @property
    def deserves_second_try(self) -> bool:
        return any(doubt.reason in WORTH_A_SECOND_TRY for doubt in self.doubts)

    @property
    def merit(self) -> tuple[int, float]:
        """Orders the answers to one sentence: fewer doubts first, then the surer one.

        Without a calibration nothing else counts: of bare log-probabilities the best is often that of a stump.
        """
        return -len(self.doubts), self.confidence or 0.0


class Judge:
    """Judges the answers of one model."""

    def __init__(self, model: Model, tokenizer: Tokenizer, *, calibration: Calibration | None) -> None:
        self._tokenizer = tokenizer
        self._lexicon = Lexicon.open(model.folder)
        self._calibration = calibration

    def evidence(self, source: str, source_tokens: list[str], decoded: Decoded) -> Evidence:
        """Return what is known of an answer to `source`, the sentence as the model read it."""
        return self._evidence(source, source_tokens, decoded, self._text(source, decoded))

    def judge(self, source: str, source_tokens: list[str], decoded: Decoded) -> Judgement:
        """Judge an answer to `source`, the sentence as the model read it."""
        translation = self._text(source, decoded)
        evidence = self._evidence(source, source_tokens, decoded, translation)
        calibration = self._calibration
        confidence = calibration.confidence(evidence) if calibration else None
        doubts = check(
            Checkable(
                source=source,
                translation=translation,
                log_probability=decoded.log_probability,
                source_tokens=len(source_tokens),
                target_tokens=len(decoded.tokens),
                source_truncated=False,
                target_truncated=decoded.truncated,
                english_explained=evidence.english_explained,
                arabic_carried=evidence.arabic_carried,
                confidence=confidence,
                doubtful_below=calibration.doubtful_below if calibration else 0.0,
            )
        )
        return Judgement(translation, decoded.log_probability, confidence, doubts)

    def _evidence(self, source: str, source_tokens: list[str], decoded: Decoded, translation: str) -> Evidence:
        adequacy = self._lexicon.adequacy(source_tokens, decoded.tokens) if self._lexicon else Adequacy(0.0, 0.0)
        return Evidence.of(
            source,
            translation,
            log_probability=decoded.log_probability,
            english_explained=adequacy.english_explained,
            arabic_carried=adequacy.arabic_carried,
        )

    def _text(self, source: str, decoded: Decoded) -> str:
        return with_list_marker(source, in_english_marks(self._tokenizer.decode(decoded.tokens)))
