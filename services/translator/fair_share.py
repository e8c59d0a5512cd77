"""Whose turn it is: a share of the engine for every lane, and within a lane the same for every caller.

Start-time fair queueing (Goyal, Vin and Cheng 1996) in two levels: whoever has been served least, for its weight, is
next. Who comes anew begins where somebody would stand who had waited all along: nobody saves up turns by being away,
and newcomers without end do not keep others from their second turn.
"""

import heapq
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


@dataclass(slots=True)
class _Caller(Generic[Item]):
    served: float
    since: int
    waiting: dict[Item, tuple[float, float]] = field(default_factory=dict)
    """Rank and cost by item, the oldest first."""

    def in_order(self) -> list[tuple[Item, float]]:
        """Return its items and their costs, the lowest rank first, of equal ones the oldest."""
        ranked = sorted(self.waiting.items(), key=lambda item: item[1][0])
        return [(item, cost) for item, (_, cost) in ranked]


@dataclass(slots=True)
class _Lane(Generic[Item]):
    weight: float
    served: float = 0.0
    """Cost served, over the weight."""
    level: float = 0.0
    """What a caller has been served that has waited all along: the cost of each item, divided among who waited."""
    callers: dict[Hashable, _Caller[Item]] = field(default_factory=dict)

    def in_turn(self) -> Iterator[tuple[Item, float]]:
        turns = [(caller.served, caller.since, caller.in_order(), 0) for caller in self.callers.values()]
        heapq.heapify(turns)
        while turns:
            served, since, waiting, position = turns[0]
            item, cost = waiting[position]
            yield item, cost
            if position + 1 < len(waiting):
                heapq.heapreplace(turns, (served + cost, since, waiting, position + 1))
            else:
                heapq.heappop(turns)


class FairShare(Generic[Item]):
    """Items that wait, each in a lane and of a caller.

    `weights` names the lanes and what each gets of what is served while all have something waiting; between equals the
    lane named first goes first.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._lanes: dict[str, _Lane[Item]] = {name: _Lane(weight) for name, weight in weights.items()}
        self._arrivals = 0

    def add(self, lane: str, caller: Hashable, item: Item, cost: float, *, rank: float = 0.0) -> None:
        """Let `item` wait for its turn, behind what its caller has waiting of the same rank or a lower one."""
        own = self._lanes[lane]
        if not own.callers:
            own.level = 0.0
            others = [other.served for other in self._lanes.values() if other.callers]
            if others:
                own.served = max(own.served, min(others))
            else:
                for each in self._lanes.values():
                    each.served = 0.0
        if caller not in own.callers:
            self._arrivals += 1
            own.callers[caller] = _Caller(own.level, self._arrivals)
        own.callers[caller].waiting[item] = rank, cost

    def remove(self, lane: str, caller: Hashable, item: Item) -> None:
        """Forget an item that is not to be served."""
        callers = self._lanes[lane].callers
        if caller in callers:
            callers[caller].waiting.pop(item, None)
            if not callers[caller].waiting:
                del callers[caller]

    def serve(self, lane: str, caller: Hashable, item: Item) -> None:
        """Charge an item to its lane and caller, and let it wait no longer."""
        own = self._lanes[lane]
        _, cost = own.callers[caller].waiting[item]
        own.served += cost / own.weight
        own.level += cost / len(own.callers)
        own.callers[caller].served += cost
        self.remove(lane, caller, item)

    def waiting(self, lane: str, caller: Hashable) -> int:
        """Return how many items of a caller wait."""
        callers = self._lanes[lane].callers
        return len(callers[caller].waiting) if caller in callers else 0

    def in_turn(self) -> Iterator[Item]:
        """Yield what waits in the order in which it would be served one by one. Nothing is charged."""
        turns = []
        for rank, lane in enumerate(self._lanes.values()):
            items = lane.in_turn()
            if first := next(items, None):
                turns.append((lane.served, rank, lane.weight, first, items))
        heapq.heapify(turns)
        while turns:
            served, rank, weight, (item, cost), items = turns[0]
            yield item
            if following := next(items, None):
                heapq.heapreplace(turns, (served + cost / weight, rank, weight, following, items))
            else:
                heapq.heappop(turns)

    def __bool__(self) -> bool:
        return any(lane.callers for lane in self._lanes.values())
