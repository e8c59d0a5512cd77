"""Bugs that other systems shipped, each with its link: here they are flagged."""

from services.translator.check import Checkable, Reason, check


def reasons(source: str, translation: str, log_probability: float = -0.5) -> set[Reason]:
    return {doubt.reason for doubt in check(Checkable(source, translation, log_probability, 30, 30, False, False))}


def test_legal_text_does_not_become_a_threat() -> None:
    """github.com/LibreTranslate/LibreTranslate/issues/641: a legal sentence came back as "I will kill you!"."""
    source = (
        "يلتزم الطرف الثاني بتسليم العين المؤجرة إلى الطرف الأول عند انتهاء مدة العقد بالحالة التي تسلمها عليها، "
        "ويكون مسؤولا عن أي ضرر يلحق بها."
    )
    assert Reason.LENGTH_RATIO in reasons(source, "I will kill you!")


def test_endless_repeats_are_seen() -> None:
    """github.com/argosopentech/argos-translate/issues/444: the same words without end."""
    assert Reason.REPETITION in reasons("قال الوزير إن الخطة جاهزة.", "The " * 20 + "plan.")


def test_what_stays_untranslated_is_seen() -> None:
    """github.com/argosopentech/argos-translate/issues/496: a quarter of the sentences came back in Arabic."""
    source = "وصل الوفد إلى العاصمة صباح اليوم"
    assert {Reason.ARABIC_LEFT, Reason.SOURCE_COPIED} <= reasons(source, source)
