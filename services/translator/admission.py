"""Who may come in: only work that can be done in its time, without making those late who were let in before.

A work is one call, or the several calls of an article; it is let in or refused as a whole, at its first call and before
anything is read. What it needs is foretold from the engine's measured speed and from the fair shares in which the queue
serves: of each other caller's work, as much stands ahead of it as it has itself.
"""

import bisect
import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from services.harness import priority
from services.harness.errors import Reason, Refusal
from services.translator.batch import batch_budget
from services.translator.engine import Search
from services.translator.speed import Speed

REFUSED = Counter("khulasa_queue_refused_total", "Calls that the translator's queue refused.", ["why"])
BACKLOG = Gauge("khulasa_queue_seconds", "Time that all work let in will still take, as foretold.")

MARGIN = 1.25
"""What is foretold may be so much too short. By default it also covers the share of jobs that come later."""
TRUST_ALONE = 0.5
"""Work that finds the queue empty harms nobody, and the speed foretold may be that of an hour ago: it is refused only
if it would take twice its time."""
RESERVE_S = 1.0
"""Of a call's time, for what follows on decoding. What comes on top of the first answers is not decoded within it."""
GRACE_S = 1.0
"""Between two calls of a work. Who sends no more within it has left."""
MAX_WORKS = 1024
MIN_RETRY_S, MAX_RETRY_S = 0.5, 60.0


@dataclass(eq=False, slots=True)
class Work:
    """What was let in and is not yet done."""

    caller: Hashable
    lane: str
    ends_at: float
    number: int = 0
    """In the order in which the works of its lane were let in."""
    announced: int = 0
    """Characters of calls that have not come yet. Not tokens: how many those are is another estimate at each call, and
    what was let in is not to be refused for that."""
    unread: float = 0.0
    """Tokens of calls that are here and not yet split into sentences, by estimate."""
    waiting: dict[Search, float] = field(default_factory=lambda: dict.fromkeys(Search, 0.0))
    """Tokens of sentences of which no batch has been begun."""
    chars: int = 0
    calls: int = 0
    """That are here now."""
    begun: int = 0
    """Calls that there ever were."""


class Admission:
    """Lets work in or refuses it.

    `job_share` is the part of the engine that jobs get while others wait too; `busy_s` tells how many seconds of one
    worker the batches in hand will still take.
    """

    def __init__(
        self,
        speed: Speed,
        *,
        workers: int,
        batch_tokens: int,
        job_share: float,
        max_chars: int,
        busy_s: Callable[[], float],
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._speed = speed
        self._workers = workers
        self._batch_tokens = batch_tokens
        self._share = {priority.INTERACTIVE: 1 - job_share, priority.JOB: job_share}
        self._max_chars = max_chars
        self._busy_s = busy_s
        self._clock = clock
        self._later = later
        self._works: dict[Hashable, Work] = {}
        self._numbers = {lane: itertools.count() for lane in self._share}

    def enter(
        self, key: Hashable, *, caller: Hashable, lane: str, ends_at: float, chars: int, whole_chars: int
    ) -> tuple[Work, float]:
        """Begin a call of the work `key`; return the work and the tokens that the call is taken to have.

        `whole_chars` is the size of the work as its first call gives it. Raises Refusal (OVERLOADED) if the work cannot
        be let in, or the call has more than was announced and that cannot.
        """
        tokens = self._speed.tokens_of(chars)
        if work := self._works.get(key):
            announced, excess = work.announced, max(0, chars - work.announced)
            work.ends_at = max(work.ends_at, ends_at)  # also where the call is refused: who joined has more time
        else:
            announced = excess = max(chars, whole_chars)
            work = Work(caller, lane, ends_at, chars=announced)
            self._check_room(work)
        if excess:
            self._check_time(work, self._speed.tokens_of(excess))
        if key not in self._works:
            work.number = next(self._numbers[lane])
            self._works[key] = work
        work.announced = max(0, announced - chars)
        work.unread += tokens
        work.calls += 1
        work.begun += 1
        return work, tokens

    def knows(self, key: Hashable) -> bool:
        """Tell whether a call of that work was let in, and the work is not done."""
        return key in self._works

    def leave(self, key: Hashable, work: Work) -> None:
        """End a call of `work`. The work is forgotten with its last call, or after a grace if more were announced."""
        work.calls -= 1
        if work.calls:
            return
        if work.announced:
            begun = work.begun
            self._later(GRACE_S, lambda: self._forget(key, work) if work.begun == begun else None)
        else:
            self._forget(key, work)

    def check_more(self, work: Work, search: Search, tokens: float) -> None:
        """Raise Refusal (OVERLOADED) if work that was let in has no time for `tokens` beside its first answers.

        Second tries were foreseen when it was let in, so of them this is for speed that has fallen since.
        """
        needs_s = self.seconds_until_done(work, dict.fromkeys(Search, 0.0) | {search: tokens})
        if needs_s * MARGIN > work.ends_at - RESERVE_S - self._clock():
            raise no_time_for_more()

    def can_wait_for_all(self, work: Work) -> bool:
        """Tell whether `work` would be done in its time if all that waits now went before it."""
        others = any(other.lane != work.lane for other in self._works.values())
        share = self._share[work.lane] if others else 1.0
        return self._backlog_s() * MARGIN / share <= work.ends_at - self._clock()

    def seconds_until_done(self, work: Work, more: dict[Search, float] | None = None) -> float:
        """Return in how many seconds `work`, with `more` of it, would be done."""
        finishes = self._finishes(work, more or dict.fromkeys(Search, 0.0))
        return next(seconds for each, seconds in finishes if each is work)

    def _forget(self, key: Hashable, work: Work) -> None:
        if not work.calls and self._works.get(key) is work:
            del self._works[key]
        BACKLOG.set(self._backlog_s())

    def _check_room(self, work: Work) -> None:
        held = sum(other.chars for other in self._works.values())
        if len(self._works) >= MAX_WORKS or (self._works and held + work.chars > self._max_chars):
            REFUSED.labels("room").inc()
            delay_s = _within(self._backlog_s())
            raise Refusal(
                Reason.OVERLOADED,
                f"The translator has {len(self._works)} works of {held} characters waiting; the limits are {MAX_WORKS} "
                f"and {self._max_chars}. Try again in {delay_s:.1f} s.",
                retry_after_s=delay_s,
                waiting=len(self._works),
                waiting_chars=held,
                limit=self._max_chars,
            )

    def _check_time(self, work: Work, tokens: float) -> None:
        more = {Search.PLAIN: tokens, Search.SAFER: 0.0}
        alone = not any(other is not work for other in self._works.values())
        with_it = self._finishes(work, more)
        needs_s = next(seconds for each, seconds in with_it if each is work)
        left_s = work.ends_at - self._clock()
        short_s = needs_s * (TRUST_ALONE if alone else MARGIN) - left_s
        why = f"The translator needs about {needs_s:.1f} s for this, with what is ahead of it, and has {left_s:.1f} s."
        if short_s <= 0 and not alone:
            before = dict(self._finishes(work, dict.fromkeys(Search, 0.0)))
            short_s = max((self._made_late_by(other, before[other], then) for other, then in with_it), default=0.0)
            why = "The translator would make calls late that were let in before."
        BACKLOG.set(self._backlog_s())
        if short_s > 0:
            REFUSED.labels("time").inc()
            delay_s = _within(short_s)
            raise Refusal(
                Reason.OVERLOADED,
                f"{why} Try again in {delay_s:.1f} s, or allow more time.",
                retry_after_s=delay_s,
                needs_s=f"{needs_s:.1f}",
                left_s=f"{left_s:.1f}",
            )

    def _made_late_by(self, work: Work, before_s: float, then_s: float) -> float:
        """Return the seconds that `work` would be late by, or 0 if it loses nothing, or is lost already."""
        left_s = work.ends_at - self._clock()
        harmed = then_s > before_s and before_s <= left_s
        return max(0.0, then_s * MARGIN - left_s) if harmed else 0.0

    def _backlog_s(self) -> float:
        works = list(self._works.values())
        waiting_s = sum(self._costs(works, None, dict.fromkeys(Search, 0.0)).values())
        return (waiting_s + self._busy_s()) / self._workers

    def _finishes(self, changed: Work, more: dict[Search, float]) -> list[tuple[Work, float]]:
        """Return for each work of the lane in how many seconds it is done, if `changed` had so many tokens `more`."""
        works = list(self._works.values())
        if not any(work is changed for work in works):
            works.append(changed)
        costs = self._costs(works, changed, more)
        lane = [work for work in works if work.lane == changed.lane]
        others_cost = sum(cost for work, cost in costs.items() if work.lane != changed.lane)
        ahead = _fluid(lane, costs)
        workers, share = self._workers, self._share[changed.lane]
        if others_cost:
            # The share is guaranteed; what the other lane does not need comes on top.
            ahead = [min(cost / share, cost + others_cost) for cost in ahead]
        # A batch is not given in parts: who waits does so for those in hand, and then, if others wait too, for the end
        # of the batch that its last sentence shares with them. What is in hand is delayed by nobody.
        shared = sum(cost > 0 for cost in costs.values()) > 1
        batches_s = self._busy_s() / workers + (self._batch_s(works) if shared else 0.0)
        return [
            (work, cost / workers + batches_s if costs[work] else 0.0) for work, cost in zip(lane, ahead, strict=True)
        ]

    def _costs(self, works: Sequence[Work], changed: Work | None, more: dict[Search, float]) -> dict[Work, float]:
        tokens = {work: self._tokens(work) for work in works}
        if changed is not None:
            for search in Search:
                tokens[changed][search] += more[search]
        together = self._together(sum(sum(each.values()) for each in tokens.values()))
        return {work: self._speed.seconds_of(each, together=together) for work, each in tokens.items()}

    def _tokens(self, work: Work) -> dict[Search, float]:
        """Return what of a work is still to be begun."""
        plain = self._speed.tokens_of(work.announced) + work.unread + work.waiting[Search.PLAIN]
        return {Search.PLAIN: plain, Search.SAFER: work.waiting[Search.SAFER]}

    def _batch_s(self, works: Sequence[Work]) -> float:
        together = self._together(sum(sum(self._tokens(work).values()) for work in works))
        return self._speed.batch_seconds(Search.PLAIN, together)

    def _together(self, tokens: float) -> float:
        """Return how many tokens are decoded at once while so many wait."""
        return min(batch_budget(tokens, self._batch_tokens, workers=self._workers), tokens / self._workers)


def _fluid(works: Sequence[Work], costs: dict[Work, float]) -> list[float]:
    """Return what is served until each work is done, in shares that are fair between callers.

    By the time a caller has been given `x`, each other has been given `x` or all it wanted.
    """
    given: dict[Hashable, float] = {}
    upto = []
    for work in works:  # a caller's works are done in the order in which they came
        given[work.caller] = given.get(work.caller, 0.0) + costs[work]
        upto.append(given[work.caller])
    wanted = sorted(given.values())
    sums = [0.0, *itertools.accumulate(wanted)]
    ahead = []
    for x in upto:
        satisfied = bisect.bisect_right(wanted, x)
        ahead.append(sums[satisfied] + x * (len(wanted) - satisfied))
    return ahead


def no_time_for_more() -> Refusal:
    """Return the refusal for what comes on top of a call's first answers."""
    return Refusal(Reason.OVERLOADED, "There is no time left for more.", retry_after_s=MIN_RETRY_S)


def _within(seconds: float) -> float:
    return min(MAX_RETRY_S, max(MIN_RETRY_S, math.ceil(seconds * 10) / 10))
