"""One article to its answer, however often the gateway must be asked; as many at once as it takes."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from khulasa.errors import Cancelled, DeadlineExceeded, InternalError, Overloaded, Unavailable
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.failures import RunStopped
from khulasa.types import Article, CacheUse, Result

TRIES = 3
"""For errors that may be the article's own: out of time, a fault of the server."""
TRIES_WHILE_AWAY = 20
"""An article during which the gateway goes away this often may be what ends it."""


@dataclass(frozen=True, slots=True)
class Answerer:
    """Asks `process` under the limit. `patience_s` is how long a run goes without any answer before it stops."""

    process: Callable[[Article], Awaitable[Result]]
    limit: AdaptiveLimit
    patience_s: float
    tell: Callable[[str], None] = lambda _: None
    """Called with words for people when the gateway is away."""

    async def answer(self, article: Article) -> Result:
        """Return the answer. Raises a KhulasaError of this article, RunStopped, or Closed when the run ends."""
        tries = away = 0
        while True:
            try:
                async with self.limit.place() as began_at:
                    result = await self.process(article)
                    cached = result.provenance.cache_use in (CacheUse.HIT, CacheUse.PARTIAL)
                    self.limit.answered(began_at, len(article.text or article.html), cached=cached)
                    return result
            except Overloaded as error:
                if error.reason == "QUOTA_EXCEEDED" and error.retry_after_s is None:
                    raise  # the article is longer than a day's quota, and no time makes it fit
                self.limit.overloaded(began_at, error.retry_after_s)
                self._check_patience("has too much to do", error)
            except (Unavailable, Cancelled) as error:
                away += 1
                self.limit.away(error.retry_after_s)
                self.tell(f"The gateway does not answer ({error}). Trying again.")
                self._check_patience("does not answer", error)
                if away >= TRIES_WHILE_AWAY:
                    raise
            except (DeadlineExceeded, InternalError):
                tries += 1
                if tries >= TRIES:
                    raise

    def _check_patience(self, what: str, error: Exception) -> None:
        if time.monotonic() - self.limit.answered_at > self.patience_s:
            raise RunStopped(
                f"The gateway {what}, and gave no answer for {self.patience_s:g} s: {error}. "
                f"All that was done is kept; the same command goes on."
            )
