"""The mode `summary_first`: rank the Arabic, and translate only what the summary shows.

split ─▶ rank ─▶ translate what was chosen ─▶ flagged, or too long in English? rank again ─▶ … ─▶ chosen
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from khulasa.v1 import article_pb2, summarizer_pb2, translator_pb2

TRANSLATED_TIMES = 4
"""The first choice and, as `ArticleOptions.summary_first` promises, three more: a text that the model cannot translate
must not be translated whole in search of a sentence without a flag."""

Flag = article_pb2.Flag
Rank = Callable[[Sequence[summarizer_pb2.SummarizeSentence]], Awaitable[Sequence[summarizer_pb2.ChosenSentence]]]
Translate = Callable[[Sequence[str]], Awaitable[Sequence[translator_pb2.TranslatedParagraph]]]


@dataclass(slots=True)
class Draft:
    """A sentence that is translated if it is chosen. `span` is relative to its paragraph."""

    source: str
    span: article_pb2.Span
    paragraph: int
    fragment: bool
    foreign: bool
    translated: bool = False
    translation: str = ""
    log_probability: float = 0.0
    flags: list[Flag] = field(default_factory=list)

    def take(self, content: translator_pb2.TranslatedParagraph) -> None:
        """Take over the translation. A sentence that falls apart when it stands alone stays one sentence."""
        pieces = content.sentences
        self.translated = True
        self.translation = " ".join(piece.translation for piece in pieces)
        self.log_probability = min((piece.log_probability for piece in pieces), default=0.0)
        flags = {flag.reason: flag for piece in pieces for flag in piece.flags}
        if self.fragment:
            flags.setdefault(Flag.REASON_FRAGMENT, _FRAGMENT)
        self.flags = list(flags.values())

    def as_sentence(self, index: int) -> article_pb2.Sentence:
        """Return the sentence, number `index` of its paragraph, as the translator would."""
        return article_pb2.Sentence(
            index=index,
            source=self.source,
            translation=self.translation,
            span=self.span,
            log_probability=self.log_probability,
            flags=self.flags if self.translated else [_NOT_TRANSLATED],
        )

    def for_ranking(self, *, only_translated: bool) -> summarizer_pb2.SummarizeSentence:
        """Return what the summarizer needs to know; it chooses among translations alone if `only_translated`."""
        return summarizer_pb2.SummarizeSentence(
            text=self.source,
            paragraph_index=self.paragraph,
            doubtful=self.fragment or self.foreign or bool(self.flags),
            shown_text=self.translation,
            context_only=not self.translation.strip() if self.translated else only_translated,
        )


def drafts(paragraphs: Sequence[tuple[int, str, translator_pb2.SplitParagraph]]) -> list[Draft]:
    """Return the sentences of split paragraphs, each given with its number and text."""
    return [
        Draft(
            text[span.start : span.end],
            span,
            paragraph,
            fragment=number in split.fragments,
            foreign=number in split.foreign,
        )
        for paragraph, text, split in paragraphs
        for number, span in enumerate(split.sentences)
    ]


async def choose(
    sentences: Sequence[Draft], *, rank: Rank, translate: Translate
) -> Sequence[summarizer_pb2.ChosenSentence]:
    """Return the summary, in the order of `sentences`; those that were chosen on the way have their translations then.

    Every choice is made by the same ranking and the same budget as without this mode; only what a sentence costs and
    whether it is doubtful is known later.
    """
    for _ in range(TRANSLATED_TIMES):
        chosen = await rank([sentence.for_ranking(only_translated=False) for sentence in sentences])
        missing = {s.source for choice in chosen if not (s := sentences[choice.index]).translated}
        if not missing:
            return chosen
        in_order = [source for source in dict.fromkeys(s.source for s in sentences) if source in missing]
        answers = dict(zip(in_order, await translate(in_order), strict=True))
        for sentence in sentences:
            if sentence.source in answers:
                sentence.take(answers[sentence.source])
    return await rank([sentence.for_ranking(only_translated=True) for sentence in sentences])


_FRAGMENT = Flag(reason=Flag.REASON_FRAGMENT, detail="cut out of a sentence that is longer than the model reads")
_NOT_TRANSLATED = Flag(reason=Flag.REASON_NOT_TRANSLATED, detail="unset summary_first to translate it")
