"""One article to its answer, however often the gateway must be asked; as many at once as it takes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from khulasa.errors import (
    DeadlineExceeded,
    InternalError,
    KhulasaError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    code_of,
)
from khulasa.jobs.concurrency import LONGEST_WAIT_S, AdaptiveLimit
from khulasa.jobs.failures import GOES_ON, RunStopped
from khulasa.types import Article, CacheUse, Result

TRIES = 3
"""For errors that may be the article's own: out of time, a fault of the server."""
TRIES_WHILE_AWAY = 20
"""An article during which the gateway goes away this often, while others are answered, may be what ends it."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """Asks `process` under the limit. `patience_s` is how long a run is put off without any answer before it stops."""

    process: Callable[[Article], Awaitable[Result]]
    limit: AdaptiveLimit
    patience_s: float
    tell: Callable[[str], None] = lambda _: None
    """Called with words for people when the gateway is away, or takes nothing for a long time."""

    async def answer(self, article: Article) -> Result:
        """Return the answer. Raises a KhulasaError of this article, RunStopped, or Closed when the run ends."""
        tries = away = 0
        answers = -1
        while True:
            try:
                async with self.limit.place() as began_at:
                    result = await self.process(article)
                    cached = result.provenance.cache_use in (CacheUse.HIT, CacheUse.PARTIAL)
                    self.limit.answered(began_at, len(article.text or article.html), cached=cached)
                    return result
            except (Unauthenticated, PermissionDenied) as error:
                # It is said of the caller, so it would be the failure of every article that is left.
                raise RunStopped(f"The gateway refuses the caller: {error} {GOES_ON}") from None
            except Overloaded as error:
                self._put_off(began_at, error)
            except (DeadlineExceeded, InternalError):
                tries += 1
                if tries >= TRIES:
                    raise
            except KhulasaError as error:
                if not _is_away(error):
                    self.limit.heard()
                    raise
                self.limit.away(error.retry_after_s)
                self.tell(f"The gateway does not answer ({error}). Trying again.")
                self._check_patience("does not answer", error)
                if self.limit.answers != answers:  # while nobody is answered, it is not for this article
                    away, answers = away + 1, self.limit.answers
                    if away >= TRIES_WHILE_AWAY:
                        raise

    def _put_off(self, began_at: float, error: Overloaded) -> None:
        """Have everybody wait. Raises the error of an article that no time makes fit, or RunStopped."""
        retry_after_s = error.retry_after_s
        if retry_after_s is not None and retry_after_s > LONGEST_WAIT_S:
            at = datetime.now() + timedelta(seconds=retry_after_s + 30)  # to the nearest minute
            why = error.reason or code_of(error)
            self.tell(f"The gateway says to come back at {at:%H:%M} ({why}). Looking again until then.")
        if error.reason != "QUOTA_EXCEEDED":
            self.limit.overloaded(began_at, retry_after_s)
            self._check_patience("has too much to do", error)
        elif retry_after_s is None:
            self.limit.heard()
            raise error  # the article is longer than a day's quota
        else:  # which ends with the day, so that patience has nothing to find out
            self.limit.heard()
            self.limit.wait(retry_after_s)

    def _check_patience(self, what: str, error: Exception) -> None:
        if self.limit.silent_s >= self.patience_s:
            raise RunStopped(f"The gateway {what}, and gave no answer for {self.patience_s:g} s: {error}. {GOES_ON}")


def _is_away(error: KhulasaError) -> bool:
    """Tell whether nobody is answered now. A model that the operator does not want is on its way out."""
    return isinstance(error, Unavailable) or error.reason == "MODEL_UNEXPECTED"
