"""A set of translations that are known to be good or bad.

Good: human translations, and the model's own answers with a chrF of at least `GOOD`. Bad: the model's own answers with
a chrF below `BAD`, and human translations that a fault of `faults.py` has spoilt. What lies between is not labelled: a
chrF of 40 may be a fine paraphrase or a missing clause. Every text that the model did not write is scored by force.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sacrebleu
import sentencepiece

from benchmarks.doubts.faults import FAULTS
from services.translator.engine import Decoded
from services.translator.model import Model, Tokenizer
from services.translator.normalize import SCHEMES, normalize
from training.evaluate import read_set

GOOD, BAD = 60.0, 25.0
OWN, HUMAN = "own answer", "human translation"

Score = Callable[[Sequence[list[str]], Sequence[list[str]]], list[float]]
"""Source pieces and English pieces in, the mean log-probability of each English out."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence in both languages, and what is known of it."""

    set: str
    kind: str
    """OWN, HUMAN or the name of a fault."""
    good: bool | None
    """None for an own answer that is neither."""
    source: str
    source_tokens: list[str]
    decoded: Decoded
    reference: str
    """The human translation."""
    chrf: float
    """Against it."""


def build(
    model: Model,
    decode: Callable[[Sequence[list[str]]], list[Decoded]],
    score: Score,
    *,
    dev: Path,
    names: Sequence[str],
    limit: int,
    spoilt: int,
) -> Iterator[Labelled]:
    """Yield the model's answers to the first `limit` sentences of each set, and `spoilt` human ones of each with every
    fault that they can have."""
    tokenizer = Tokenizer(model)
    target = sentencepiece.SentencePieceProcessor(model_file=str(model.folder / model.manifest.target_tokenizer))
    scheme = SCHEMES[model.manifest.normalization]
    for name in names:
        arabic, english = read_set(dev, name, limit=limit)
        sources = [normalize(text, scheme).text for text in arabic]
        pieces = [tokenizer.encode(text)[: model.manifest.max_source_tokens] for text in sources]
        for index, decoded in enumerate(decode(pieces)):
            chrf = sacrebleu.sentence_chrf(tokenizer.decode(decoded.tokens), [english[index]]).score
            good = True if chrf >= GOOD else False if chrf < BAD else None
            yield Labelled(name, OWN, good, sources[index], pieces[index], decoded, english[index], chrf)
        chance = random.Random(name)
        made = [(index, HUMAN, english[index]) for index in range(min(spoilt, len(english)))]
        for index, _, text in list(made):
            found = ((fault.__name__, fault(text, chance, english)) for fault in FAULTS)
            made += [(index, kind, bad) for kind, bad in found if bad is not None and bad != text]
        answers = target.encode([text for _, _, text in made], out_type=str)
        scores = score([pieces[index] for index, _, _ in made], answers)
        for (index, kind, text), tokens, log_probability in zip(made, answers, scores, strict=True):
            decoded = Decoded(tokens, log_probability, truncated=False)
            chrf = sacrebleu.sentence_chrf(text, [english[index]]).score
            good = kind == HUMAN
            yield Labelled(name, kind, good, sources[index], pieces[index], decoded, english[index], chrf)
