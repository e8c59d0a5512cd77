"""Limits on what callers send, each with its error."""

from gateway.cache_key import content_of
from khulasa.v1 import article_pb2, gateway_pb2
from services.harness.errors import Reason, Refusal

MAX_ARTICLE_BYTES = 1_000_000
MAX_BYTES_PER_CHAR = 4
MAX_TITLE_CHARS = 1_000
MAX_ID_CHARS = 200
MAX_ARTICLES_PER_CALL = 100_000

BUDGET_RANGES: dict[str, tuple[float, float]] = {
    "sentences": (1, 100),
    "words": (1, 10_000),
    "characters": (1, 100_000),
    "ratio": (0.0, 1.0),
}
"""As `SummaryBudget` documents them; the ratio's lower end is excluded."""


def checked_content(article: article_pb2.Article) -> str:
    """Return the text or the page of an article. Raises Refusal if the article is empty or too long."""
    if len(article.title) > MAX_TITLE_CHARS:
        raise Refusal(
            Reason.TITLE_TOO_LONG,
            f"article.title has {len(article.title)} characters, the limit is {MAX_TITLE_CHARS}. Shorten it.",
            field="article.title",
            length=len(article.title),
            limit=MAX_TITLE_CHARS,
        )
    kind, content = article.WhichOneof("content"), content_of(article)
    if not content or content.isspace():
        raise Refusal(
            Reason.ARTICLE_EMPTY,
            "The article has no text. Send it in article.text or article.html.",
            field=f"article.{kind or 'text'}",
        )
    if len(content) * MAX_BYTES_PER_CHAR > MAX_ARTICLE_BYTES and (length := len(content.encode())) > MAX_ARTICLE_BYTES:
        raise Refusal(
            Reason.ARTICLE_TOO_LONG,
            f"article.{kind} has {length} bytes, the limit is {MAX_ARTICLE_BYTES}. Split it.",
            field=f"article.{kind}",
            length=length,
            limit=MAX_ARTICLE_BYTES,
        )
    return content


def check_options(options: gateway_pb2.ArticleOptions) -> None:
    """Raise Refusal if the summary's budget is out of its range, or an option undoes another."""
    if options.summary_first and options.translate_boilerplate:
        raise Refusal(
            Reason.CONTRADICTORY_OPTIONS,
            "options.summary_first translates only the summary, options.translate_boilerplate more. Unset one.",
            field="options.translate_boilerplate",
            other="options.summary_first",
        )
    name = options.summary_budget.WhichOneof("limit")
    if name is None:
        return
    value, (low, high) = getattr(options.summary_budget, name), BUDGET_RANGES[name]
    if not low <= value <= high or value <= 0:  # also refuses "not a number"
        raise Refusal(
            Reason.BUDGET_OUT_OF_RANGE,
            f"options.summary_budget.{name} is {value:g}, allowed is {low:g} to {high:g}"
            + (", 0 excluded." if name == "ratio" else "."),
            field=f"options.summary_budget.{name}",
            value=value,
            low=low,
            high=high,
        )


def check_id(article_id: str, seen: set[str]) -> None:
    """Raise Refusal if the id of an article in a stream is missing, too long, or was there before."""
    if not article_id:
        raise Refusal(Reason.ID_MISSING, "id is empty. Give each article a name of its own.", field="id")
    if len(article_id) > MAX_ID_CHARS:
        raise Refusal(
            Reason.ID_TOO_LONG,
            f"id has {len(article_id)} characters, the limit is {MAX_ID_CHARS}.",
            field="id",
            length=len(article_id),
            limit=MAX_ID_CHARS,
        )
    if article_id in seen:
        raise Refusal(Reason.REPEATED_ID, f"id {article_id!r} came before in this call.", field="id", id=article_id)
    if len(seen) >= MAX_ARTICLES_PER_CALL:
        raise Refusal(
            Reason.TOO_MANY_ARTICLES,
            f"This call has had {MAX_ARTICLES_PER_CALL} articles, the limit. Open another call for the rest.",
            limit=MAX_ARTICLES_PER_CALL,
        )
