"""How fast the engine is here and now, measured from its batches.

What a token costs depends on how many are decoded together, so every size of batch has a decayed mean of its own. A
second part is what becomes of first tries: the share that is decoded again, which a caller pays for too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.translator.engine import Search

KEPT = 0.8
"""What an earlier batch still counts when the next one of its size has come: about the last five matter."""
KEPT_SHARE = 0.98
"""The same for calls and the share that they have tried again."""
SAFER_COST = 5.0
"""Cost of a second try over a first until one has been measured."""
TOKENS_PER_CHAR = 0.35
"""Of Arabic news, until texts have been read."""
SMALLEST_TOKENS = 32
"""Batches below this are of one size."""
MOST_SLOWER = 3.0
"""A batch is believed to be at most so many times slower than those before of its size, or of the next smaller. If it
stays so, the next ones say it again."""


@dataclass(slots=True)
class _Mean:
    amount: float = 0.0
    total: float = 0.0

    def add(self, amount: float, total: float, kept: float) -> None:
        self.amount = self.amount * kept + amount
        self.total = self.total * kept + total

    @property
    def value(self) -> float:
        return self.total / self.amount if self.amount else 0.0


class Speed:
    """Seconds of one worker, by kind of search and tokens decoded together."""

    def __init__(self) -> None:
        self._seconds: dict[Search, dict[int, _Mean]] = {search: {} for search in Search}
        self._again = _Mean()
        self._tokens = _Mean()

    def saw_batch(self, search: Search, tokens: int, seconds: float) -> None:
        """Learn from a batch of so many source tokens. One slow one teaches little: the process may have stood."""
        measured, size = self._seconds[search], _size(tokens)
        # A token of a larger batch costs no more than one of a smaller.
        known = max((smaller for smaller in measured if smaller <= size), default=None)
        most = math.inf if known is None else MOST_SLOWER * tokens * measured[known].value
        measured.setdefault(size, _Mean()).add(tokens, min(seconds, most), KEPT)

    def saw_text(self, chars: int, tokens: int) -> None:
        """Learn how many tokens Arabic text has."""
        if chars:
            self._tokens.add(chars, tokens, KEPT_SHARE)

    def saw_second_tries(self, first: int, again: int) -> None:
        """Learn how many tokens of a call's first tries are to be tried again."""
        if first:
            self._again.add(first, again, KEPT_SHARE)

    def tokens_of(self, chars: int) -> float:
        """Return how many tokens a text of so many code points will have."""
        return chars * (self._tokens.value or TOKENS_PER_CHAR)

    def seconds_of(self, tokens: Mapping[Search, float], *, together: float) -> float:
        """Return the seconds of one worker for `tokens`, and for what of them will be tried again.

        `together` is how many tokens will be decoded at once. As long as no batch has been measured, nothing costs
        anything.
        """
        plain, safer = (self._per_token(search, together / search.value) for search in (Search.PLAIN, Search.SAFER))
        again = tokens[Search.PLAIN] * self._again.value
        return plain * tokens[Search.PLAIN] + (safer or plain * SAFER_COST) * (tokens[Search.SAFER] + again)

    def batch_seconds(self, search: Search, tokens: float) -> float:
        """Return the seconds of a batch with so many tokens; 0 as long as none has been measured."""
        return self._per_token(search, tokens) * tokens

    def _per_token(self, search: Search, together: float) -> float:
        measured = self._seconds[search]
        if not measured:
            return 0.0
        wanted = _size(together)
        return measured[min(measured, key=lambda size: (abs(size - wanted), -size))].value


def _size(tokens: float) -> int:
    return int(max(tokens, SMALLEST_TOKENS) / SMALLEST_TOKENS).bit_length()
