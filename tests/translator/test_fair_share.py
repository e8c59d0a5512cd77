"""Fair shares: whoever has been served least is next, and nobody saves up turns by being away."""

from hypothesis import given
from hypothesis import strategies as st

from services.translator.fair_share import FairShare

HALVES = {"all": 1.0}


def serve_all(shares: FairShare[str], owners: dict[str, tuple[str, str]], count: int) -> list[str]:
    """Serve `count` items one by one; return them."""
    served = []
    for _ in range(count):
        item = next(shares.in_turn())
        shares.serve(*owners[item], item)
        served.append(item)
    return served


def filled(weights: dict[str, float], waiting: list[tuple[str, str, float]]) -> tuple[FairShare[str], dict]:
    """Return shares where an item of each (lane, caller, cost) waits, and whose each item is."""
    shares, owners = FairShare[str](weights), {}
    for number, (lane, caller, cost) in enumerate(waiting):
        item = f"{caller}{number}"
        owners[item] = (lane, caller)
        shares.add(lane, caller, item, cost)
    return shares, owners


def test_callers_take_turns() -> None:
    """However much the first has waiting, the second's turn comes next."""
    shares, owners = filled(HALVES, [("all", "a", 1)] * 5 + [("all", "b", 1)] * 2)
    assert serve_all(shares, owners, 7) == ["a0", "b5", "a1", "b6", "a2", "a3", "a4"]
    assert not shares


def test_turns_are_counted_in_cost() -> None:
    """Three short sentences are worth one that is three times as long."""
    shares, owners = filled(HALVES, [("all", "a", 3)] * 2 + [("all", "b", 1)] * 6)
    assert serve_all(shares, owners, 8) == ["a0", "b2", "b3", "b4", "a1", "b5", "b6", "b7"]


def test_a_lower_rank_goes_before_what_its_caller_has_waiting() -> None:
    """A late item of a caller's first article goes before its second, and takes no turn of another caller."""
    shares, owners = filled(HALVES, [("all", "b", 1)] * 2)
    for item, rank in (("first", 0), ("second", 1), ("first again", 0)):
        shares.add("all", "a", item, 1, rank=rank)
        owners[item] = ("all", "a")
    assert serve_all(shares, owners, 5) == ["b0", "first", "b1", "first again", "second"]


def test_who_was_away_has_saved_nothing() -> None:
    """A caller that comes after another has been served ten times gets every second turn, not the next ten."""
    shares, owners = filled(HALVES, [("all", "a", 1)] * 20)
    serve_all(shares, owners, 10)
    for number in range(10):
        shares.add("all", "b", f"b{number}", 1)
        owners[f"b{number}"] = ("all", "b")
    assert sum(item.startswith("b") for item in serve_all(shares, owners, 10)) == 5


def test_newcomers_without_end_do_not_keep_anybody_waiting() -> None:
    """A caller that has been served once has its second turn, though with each turn somebody comes who had none yet."""
    shares, owners = filled(HALVES, [("all", "a", 1)] * 2)
    served = []
    for number in range(10):
        shares.add("all", f"new{number}", f"n{number}", 1)
        owners[f"n{number}"] = ("all", f"new{number}")
        served += serve_all(shares, owners, 1)
    assert {"a0", "a1"} <= set(served[:6])


def test_a_lane_that_was_alone_owes_nothing() -> None:
    """A job that ran through the night is not held back in the morning beyond its weight."""
    weights = {"interactive": 0.8, "job": 0.2}
    shares, owners = filled(weights, [("job", "j", 1)] * 100)
    serve_all(shares, owners, 50)
    for number in range(80):
        shares.add("interactive", "i", f"i{number}", 1)
        owners[f"i{number}"] = ("interactive", "i")
    assert sum(item.startswith("j") for item in serve_all(shares, owners, 50)) == 10


costs = st.lists(st.tuples(st.sampled_from(["interactive", "job"]), st.sampled_from("abc"), st.integers(1, 20)))


@given(waiting=costs, removed=st.sets(st.integers(0, 30)))
def test_everything_has_its_turn_once(waiting: list[tuple[str, str, float]], removed: set[int]) -> None:
    """What is not taken back is served exactly once, each caller's in the order in which it came."""
    shares, owners = filled({"interactive": 0.8, "job": 0.2}, waiting)
    items = list(owners)
    for number in removed:
        if number < len(items):
            shares.remove(*owners[items[number]], items[number])
    kept = [item for number, item in enumerate(items) if number not in removed]
    foretold = list(shares.in_turn())
    served = serve_all(shares, owners, len(kept))
    assert served == foretold
    for owner in set(owners.values()):
        assert [item for item in served if owners[item] == owner] == [item for item in kept if owners[item] == owner]
    assert not shares


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), min_size=1, max_size=60))
def test_no_caller_is_ahead_by_more_than_a_sentence(waiting: list[tuple[str, float]]) -> None:
    """While two have something waiting, what they were given differs by no more than the largest cost."""
    shares, owners = filled(HALVES, [("all", caller, cost) for caller, cost in waiting])
    cost_of = {f"{caller}{number}": cost for number, (caller, cost) in enumerate(waiting)}
    given_to = dict.fromkeys("abc", 0.0)
    left = {caller: sum(each == caller for each, _ in waiting) for caller in "abc"}
    for _ in waiting:
        (item,) = serve_all(shares, owners, 1)
        given_to[owners[item][1]] += cost_of[item]
        left[owners[item][1]] -= 1
        busy = [given_to[caller] for caller in "abc" if left[caller]]
        assert not busy or max(busy) - min(busy) <= 20
