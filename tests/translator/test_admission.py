"""Admission: what cannot be done in its time is refused at once, as a whole, and what was let in keeps its time."""

from collections.abc import Callable

import pytest

from services.harness import priority
from services.harness.errors import Reason, Refusal
from services.translator.admission import GRACE_S, Admission, Work
from services.translator.engine import Search
from services.translator.speed import Speed

CHARS_A_SECOND = 100
"""Of the engine in these tests: one token for each character, a hundredth of a second for each token."""


class World:
    """An admission whose clock stands still until it is set."""

    def __init__(self, *, workers: int = 1, max_chars: int = 10**9) -> None:
        self.now = 0.0
        self.busy_s = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.speed = Speed()
        self.speed.saw_text(1000, 1000)
        self.speed.saw_batch(Search.PLAIN, 1000, 1000 / CHARS_A_SECOND)
        self.admission = Admission(
            self.speed,
            workers=workers,
            batch_tokens=10,
            job_share=0.2,
            max_chars=max_chars,
            busy_s=lambda: self.busy_s,
            clock=lambda: self.now,
            later=lambda delay_s, call: self.timers.append((self.now + delay_s, call)),
        )

    def enter(
        self,
        name: str,
        *,
        needs_s: float,
        within_s: float,
        whole_s: float = 0.0,
        lane: str = priority.INTERACTIVE,
        caller: str = "",
    ) -> Work:
        """Begin a call that alone takes `needs_s`, of a work that takes `whole_s`, to be done `within_s`."""
        work, _ = self.admission.enter(
            name,
            caller=caller or name,
            lane=lane,
            ends_at=self.now + within_s,
            chars=int(needs_s * CHARS_A_SECOND),
            whole_chars=int(whole_s * CHARS_A_SECOND),
        )
        return work

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and ring what is due."""
        self.now += seconds
        for due in [timer for timer in self.timers if timer[0] <= self.now]:
            self.timers.remove(due)
            due[1]()


def test_what_has_time_is_let_in_and_what_has_not_is_refused() -> None:
    """Behind ten seconds of work, five more fit into a minute and not into twelve seconds."""
    world = World()
    world.enter("first", needs_s=10, within_s=60)
    world.enter("patient", needs_s=10, within_s=60)
    with pytest.raises(Refusal, match=r"has 12\.0 s") as refused:
        world.enter("hurried", needs_s=10, within_s=12)
    assert refused.value.reason == Reason.OVERLOADED
    assert refused.value.metadata["left_s"] == "12.0"


def test_the_delay_grows_with_what_stands_ahead() -> None:
    """Who is refused is told to come back when there will be room: later, the more waits."""
    delays = []
    for waiting_s in (20, 40):
        world = World()
        world.enter("first", needs_s=waiting_s, within_s=1000)
        with pytest.raises(Refusal) as refused:
            world.enter("hurried", needs_s=20, within_s=10)
        delays.append(refused.value.retry_after_s or 0)
    assert 10 < delays[0] == delays[1]  # fair shares: of the longer work only as much stands ahead
    world = World()
    for number in range(3):
        world.enter(f"first-{number}", needs_s=20, within_s=1000)
    with pytest.raises(Refusal) as refused:
        world.enter("hurried", needs_s=20, within_s=10)
    assert (refused.value.retry_after_s or 0) > delays[0]


def test_a_small_call_is_let_in_beside_a_large_one() -> None:
    """Since shares are fair, a second's work need not wait for a minute's."""
    world = World()
    world.enter("large", needs_s=60, within_s=300)
    world.enter("small", needs_s=1, within_s=5)


def test_nobody_is_let_in_at_the_cost_of_who_is_in() -> None:
    """A work that would itself have time is refused if it made an earlier one late."""
    world = World()
    world.enter("large", needs_s=60, within_s=80)
    world.enter("small", needs_s=2, within_s=80)
    with pytest.raises(Refusal, match="late that were let in before"):
        world.enter("another", needs_s=10, within_s=80)


def test_what_is_being_decoded_keeps_nobody_out() -> None:
    """A work whose last batch is in hand cannot be made late, however little time it has."""
    world = World()
    hurried = world.enter("hurried", needs_s=5, within_s=6)
    with pytest.raises(Refusal, match="late that were let in before"):
        world.enter("patient", needs_s=10, within_s=80)
    hurried.unread = 0.0
    world.busy_s = 5
    world.enter("patient", needs_s=10, within_s=80)


def test_batches_in_hand_stand_ahead_for_what_is_left_of_them() -> None:
    """Ten seconds of work do not fit into fifteen while six more are spent on what came before."""
    world = World()
    world.enter("other", needs_s=0, within_s=15)
    world.busy_s = 6
    with pytest.raises(Refusal, match=r"needs about 16\.0 s"):
        world.enter("next", needs_s=10, within_s=15)
    world.busy_s = 1
    world.enter("next", needs_s=10, within_s=15)


def test_alone_only_the_hopeless_is_refused() -> None:
    """On an idle machine a wrong forecast must not keep everybody out for ever."""
    world = World()
    work = world.enter("tight", needs_s=15, within_s=10)
    world.admission.leave("tight", work)
    with pytest.raises(Refusal):
        world.enter("hopeless", needs_s=30, within_s=10)


def test_an_article_is_let_in_or_refused_as_a_whole() -> None:
    """The first call of a work tells its whole size, which decides."""
    world = World()
    world.enter("other", needs_s=30, within_s=300)
    world.enter("possible", needs_s=1, whole_s=10, within_s=60)
    with pytest.raises(Refusal):
        world.enter("impossible", needs_s=1, whole_s=30, within_s=20)


def test_a_later_call_of_an_article_is_never_refused() -> None:
    """What was announced has its place, however much has come since."""
    world = World()
    world.enter("article", needs_s=1, whole_s=10, within_s=30)
    for number in range(10):
        try:
            world.enter(f"other-{number}", needs_s=10, within_s=60)
        except Refusal:
            break
    world.pass_s(5)
    for _ in range(1000):  # texts come of which a character is a third more
        world.speed.saw_text(3000, 4000)
    world.enter("article", needs_s=9, whole_s=10, within_s=25)


def test_who_joins_with_more_time_brings_it() -> None:
    """The end of a work moves out with a call of somebody who has longer, also one that asks for more."""
    world = World()
    world.enter("other", needs_s=5, within_s=300)
    world.enter("article", needs_s=10, whole_s=10, within_s=30)
    world.pass_s(25)
    world.enter("article", needs_s=10, whole_s=10, within_s=200)


def test_more_than_was_announced_is_asked_for_anew() -> None:
    """Nobody gets a large work in under the size of a small one."""
    world = World()
    world.enter("other", needs_s=30, within_s=300)
    world.enter("article", needs_s=1, whole_s=2, within_s=20)
    with pytest.raises(Refusal):
        world.enter("article", needs_s=60, whole_s=2, within_s=20)


def test_who_leaves_frees_its_place() -> None:
    """A work that ends early, or sends no more of what it announced, stands in nobody's way."""
    world = World()
    leaving = world.enter("leaving", needs_s=1, whole_s=60, within_s=300)
    staying = world.enter("staying", needs_s=1, within_s=300)
    with pytest.raises(Refusal):
        world.enter("next", needs_s=40, within_s=60)
    world.admission.leave("leaving", leaving)
    with pytest.raises(Refusal):
        world.enter("next", needs_s=40, within_s=60)
    world.pass_s(GRACE_S)
    world.enter("next", needs_s=40, within_s=60)
    world.admission.leave("staying", staying)


def test_between_two_calls_an_article_keeps_its_place() -> None:
    """The grace ends only if the next call does not come."""
    world = World()
    work = world.enter("article", needs_s=1, whole_s=10, within_s=30)
    world.admission.leave("article", work)
    assert world.enter("article", needs_s=9, whole_s=10, within_s=30) is work
    world.pass_s(GRACE_S)
    assert world.enter("article", needs_s=0.0, within_s=30) is work


def test_the_grace_begins_with_the_last_call() -> None:
    """An article that takes a while over one call is not forgotten for the gap before it."""
    world = World()
    work = world.enter("article", needs_s=1, whole_s=10, within_s=30)
    world.admission.leave("article", work)
    world.pass_s(GRACE_S / 2)
    world.admission.leave("article", world.enter("article", needs_s=1, within_s=30))
    world.pass_s(GRACE_S * 0.75)
    assert world.admission.knows("article")
    world.pass_s(GRACE_S)
    assert not world.admission.knows("article")


def test_a_job_does_not_stand_ahead_of_who_waits() -> None:
    """Of the engine an interactive call has four fifths, whatever jobs wait."""
    world = World()
    world.enter("job", needs_s=1000, within_s=10_000, lane=priority.JOB)
    world.enter("interactive", needs_s=10, within_s=16)


def test_a_job_has_its_share_however_much_others_wait() -> None:
    """Ten seconds of a job take fifty while one fifth is its own, and a batch; they are let in for that."""
    world = World()
    world.enter("interactive", needs_s=200, within_s=10_000)
    with pytest.raises(Refusal, match=r"needs about 50\.2 s"):
        world.enter("hurried", needs_s=10, within_s=20, lane=priority.JOB)
    world.enter("patient", needs_s=10, within_s=70, lane=priority.JOB)


def test_works_are_numbered_by_lane_as_they_are_let_in() -> None:
    """What is refused, and what people wait for, comes between no two articles of jobs."""
    world = World()
    first = world.enter("first", needs_s=1, within_s=600, lane=priority.JOB)
    world.enter("reader", needs_s=1, within_s=600)
    with pytest.raises(Refusal):
        world.enter("hurried", needs_s=100, within_s=1, lane=priority.JOB)
    second = world.enter("second", needs_s=1, within_s=600, lane=priority.JOB)
    assert second.number == first.number + 1


def test_only_who_has_time_for_all_that_waits_can_wait_for_all() -> None:
    """While others wait too, the jobs' share of the engine is what there is for it."""
    world = World()
    patient = world.enter("patient", needs_s=1, within_s=60, lane=priority.JOB)
    world.enter("other", needs_s=9, within_s=60, lane=priority.JOB)
    hurried = world.enter("hurried", needs_s=1, within_s=13, lane=priority.JOB)
    assert world.admission.can_wait_for_all(patient)
    assert not world.admission.can_wait_for_all(hurried)
    world.enter("reader", needs_s=1, within_s=60)
    assert not world.admission.can_wait_for_all(patient)


def test_second_tries_have_to_end_before_the_first_answers_are_late() -> None:
    """They need time with a margin, and leave a second for what follows."""
    world = World()
    work = world.enter("article", needs_s=2, within_s=16)
    world.enter("other", needs_s=2, within_s=60)
    world.admission.check_more(work, Search.SAFER, 1 * CHARS_A_SECOND)  # at five times the price, 2 + 5 + 2 s
    world.pass_s(4)  # of the twelve seconds that are left it needs nine with a quarter more
    with pytest.raises(Refusal, match="no time left"):
        world.admission.check_more(work, Search.SAFER, 1 * CHARS_A_SECOND)


def test_second_tries_are_part_of_the_price() -> None:
    """Where a third of what is translated is tried again at five times the cost, that is foretold for what comes."""
    world = World()
    work = world.enter("first", needs_s=10, within_s=100)
    assert world.admission.seconds_until_done(work) == pytest.approx(10)
    world.speed.saw_second_tries(300, 100)
    assert world.admission.seconds_until_done(work) == pytest.approx(10 * (1 + 5 / 3))
    world.speed.saw_batch(Search.SAFER, 100, 3.0)
    assert world.admission.seconds_until_done(work) == pytest.approx(10 * (1 + 3 / 3))


def test_full_batches_are_foretold_from_full_batches() -> None:
    """A lone sentence costs more for each token; where much waits, that is not what a token will cost."""
    world = World()
    world.speed.saw_batch(Search.PLAIN, 20, 20.0)
    assert world.speed.seconds_of({Search.PLAIN: 10, Search.SAFER: 0}, together=10) == pytest.approx(10)
    assert world.speed.seconds_of({Search.PLAIN: 10, Search.SAFER: 0}, together=900) == pytest.approx(0.1)


def test_a_process_that_stood_still_once_does_not_shut_out_long_articles() -> None:
    """One batch that took a minute may be an accident, and batches of its size may not come again; three are none."""
    world = World()
    world.speed.saw_batch(Search.PLAIN, 1000, 60 * 1000 / CHARS_A_SECOND)
    world.admission.leave("article", world.enter("article", needs_s=40, within_s=60))
    world.speed.saw_batch(Search.PLAIN, 4000, 60 * 4000 / CHARS_A_SECOND)  # the first of its size
    assert world.speed.batch_seconds(Search.PLAIN, 4000) < 10 * 4000 / CHARS_A_SECOND
    for _ in range(3):
        world.speed.saw_batch(Search.PLAIN, 1000, 60 * 1000 / CHARS_A_SECOND)
    with pytest.raises(Refusal):
        world.enter("article", needs_s=40, within_s=60)


def test_what_waits_is_bounded() -> None:
    """A text beyond what may be held is refused whatever time it has; alone, the largest comes in."""
    world = World(max_chars=2000)
    world.enter("largest", needs_s=30, within_s=1e6)
    with pytest.raises(Refusal) as refused:
        world.enter("next", needs_s=1, within_s=1e6)
    assert refused.value.metadata["limit"] == "2000"
