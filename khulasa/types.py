"""What goes in and what comes out, as plain immutable data. The proto comments say what each field means in full."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

from khulasa.errors import KhulasaError


class FlagReason(IntEnum):
    """Why a sentence should not be trusted as it stands: `Flag.Reason` of the protos."""

    UNKNOWN = 0
    """Sent by a newer server; `Flag.detail` has words for it."""
    LOW_PROBABILITY = 1
    REPETITION = 2
    LENGTH_RATIO = 3
    ARABIC_LEFT = 4
    SOURCE_COPIED = 5
    NUMBER_MISMATCH = 6
    LINK_LOST = 7
    LATIN_LOST = 8
    TRUNCATED = 9
    EMPTY = 10
    NOT_ARABIC = 11
    FRAGMENT = 12
    BOILERPLATE_SKIPPED = 13
    MARK_LOST = 14
    UNRELATED = 15
    NOT_TRANSLATED = 16
    PART_LOST = 17


class Priority(StrEnum):
    """How urgent articles are; the gateway is told in the metadata khulasa-priority."""

    INTERACTIVE = "interactive"
    """Somebody waits for the answer."""
    JOB = "job"
    """Done behind what somebody waits for, with a share of the engine that is kept for jobs."""


class ParagraphKind(IntEnum):
    """What a paragraph is to the article."""

    UNKNOWN = 0
    BODY = 1
    TITLE = 2
    HEADING = 3
    BOILERPLATE = 4


class ScoreFeature(IntEnum):
    """What was measured in a sentence to rank it: `ScorePart.Feature` of the protos."""

    UNKNOWN = 0
    POSITION = 1
    CENTRALITY = 2
    TITLE = 3
    NAMES = 4
    NUMBERS = 5
    LENGTH = 6
    QUESTION = 7
    DANGLING = 8
    QUOTATION = 9
    UNFINISHED = 10
    OFF_TOPIC = 11
    CREDIT = 12


class Verdict(IntEnum):
    """What the flags come to for a whole article."""

    UNKNOWN = 0
    NO_DOUBTS = 1
    DOUBTS = 2
    """Some sentences are flagged, at most a third."""
    UNRELIABLE = 3
    NOTHING_TRANSLATED = 4


class CacheUse(IntEnum):
    """What the cache gave for an answer."""

    UNKNOWN = 0
    MISS = 1
    PARTIAL = 2
    HIT = 3
    BYPASSED = 4


@dataclass(frozen=True, slots=True)
class Article:
    """An article to be translated: `text` or `html`, and its headline if it stands apart."""

    text: str = ""
    html: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        if self.text and self.html:
            raise ValueError("An article has text or html, not both.")


@dataclass(frozen=True, slots=True)
class SummaryBudget:
    """The length of a summary, in one of four measures; the server's default is 3 sentences."""

    sentences: int | None = None
    words: int | None = None
    characters: int | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.sentences, self.words, self.characters, self.ratio)) > 1:
            raise ValueError("A summary budget has one measure: sentences, words, characters or ratio.")


@dataclass(frozen=True, slots=True)
class Options:
    """How an article is to be done."""

    summary_budget: SummaryBudget = SummaryBudget()
    translate_boilerplate: bool = False
    bypass_cache: bool = False
    glossary: Mapping[str, str] | str = ""
    """Terms and their English ("" keeps a term as it is), or the name of a glossary on the server."""
    summary_first: bool = False
    """Translate only the headline and what the summary shows; the rest is flagged NOT_TRANSLATED."""


@dataclass(frozen=True, slots=True)
class Span:
    """Code points `start` (inclusive) to `end` (exclusive): `text[span.start:span.end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Flag:
    """A reason for doubt, and what exactly."""

    reason: FlagReason
    detail: str


@dataclass(frozen=True, slots=True)
class TermMatch:
    """A place where a term of the glossary stands, and whether the translation has its English."""

    span: Span
    source: str
    target: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in both languages."""

    index: int
    source: str
    translation: str
    span: Span
    log_probability: float
    confidence: float | None
    """Probability that a reader gets the sense; None for what was not translated, or by a model without calibration."""
    flags: tuple[Flag, ...]
    plain_translation: str = ""
    """Without the glossary, where it differs."""
    term_matches: tuple[TermMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph and its sentences."""

    index: int
    kind: ParagraphKind
    span: Span
    sentences: tuple[Sentence, ...]

    @property
    def translation(self) -> str:
        """The English sentences, joined."""
        return " ".join(sentence.translation for sentence in self.sentences if sentence.translation)

    def _repr_html_(self) -> str:
        from khulasa.notebook import paragraphs_html  # it needs these types

        return paragraphs_html([self])


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """The text found in an HTML page; the offsets point into `text`."""

    title: str
    text: str
    dropped_characters: int


@dataclass(frozen=True, slots=True)
class Translation:
    """An article in English."""

    title: Paragraph | None
    paragraphs: tuple[Paragraph, ...]
    extracted: ExtractedText | None

    @property
    def headline(self) -> str:
        """The English headline, whether it was sent, found in the page, or recognised in the text; else empty."""
        title = self.title_paragraph
        return title.translation if title else ""

    @property
    def title_paragraph(self) -> Paragraph | None:
        """The paragraph of the headline."""
        in_text = (paragraph for paragraph in self.paragraphs if paragraph.kind == ParagraphKind.TITLE)
        return self.title or next(in_text, None)

    def _repr_html_(self) -> str:
        from khulasa.notebook import translation_html

        return translation_html(self)


@dataclass(frozen=True, slots=True)
class ScorePart:
    """What one feature added to a sentence's score, or took away."""

    feature: ScoreFeature
    points: float


@dataclass(frozen=True, slots=True)
class SummarySentence:
    """A sentence of the summary and its Arabic source."""

    sentence_index: int
    paragraph_index: int
    text: str
    source: str
    span: Span
    score: float
    rationale: str
    flags: tuple[Flag, ...]
    score_parts: tuple[ScorePart, ...]
    """What made up `score`; the points add up to it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer came about. Times in seconds."""

    model: str
    model_digest: str
    engine: str
    pipeline: str
    cache_use: CacheUse
    paragraphs: int
    cached_paragraphs: int
    sentences: int
    flagged_sentences: int
    verdict: Verdict
    total_s: float
    translation_s: float
    summary_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one article."""

    translation: Translation
    summary: tuple[SummarySentence, ...]
    provenance: Provenance

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return a row for each sentence, headline included. Raises ImportError where pandas is not installed."""
        import pandas  # a user's own; the client needs none of it

        from khulasa.notebook import sentence_rows

        return pandas.DataFrame(sentence_rows(self))

    def _repr_html_(self) -> str:
        from khulasa.notebook import result_html

        return result_html(self)


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary, as an event of a stream."""

    sentences: tuple[SummarySentence, ...]

    def _repr_html_(self) -> str:
        from khulasa.notebook import summary_html

        return summary_html(self.sentences)


Event = ExtractedText | Paragraph | Summary | Provenance
"""What a stream yields; the provenance comes last."""


class JobState(IntEnum):
    """What a job is at."""

    UNKNOWN = 0
    RUNNING = 1
    ENDED = 2
    """Every article has its result, which may be an error."""
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class Job:
    """Many articles that a gateway works off in the background, as they were when it was asked. Times in UTC."""

    name: str
    """By which the gateway knows it: "operations/…"."""
    state: JobState
    display_name: str
    request_id: str
    articles: int
    done: int
    """Articles with a translation."""
    failed: int
    """Articles with an error."""
    flagged_sentences: int
    duplicates: int
    """Of `done`, those that were near-identical to another of the job and not translated again."""
    created: datetime | None
    updated: datetime | None
    ended: datetime | None
    expires: datetime | None
    """When the gateway will remove it with its results."""

    @property
    def running(self) -> bool:
        """Whether articles are waiting or in the works."""
        return self.state == JobState.RUNNING


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of an article of a job."""

    id: str
    index: int
    """Its place among the articles sent, from 0."""
    answer: Result | KhulasaError
    duplicate_of: str
    """The id of the article whose translation this is; empty for one that was translated itself."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What a gateway runs on. `model` is empty while its translator is away."""

    model: str
    model_digest: str
    engine: str
    pipeline: str
    cache: str
    cache_ready: bool
    summarizer_ready: bool
    max_article_bytes: int
