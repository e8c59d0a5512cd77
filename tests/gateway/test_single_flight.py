"""Equal work at the same moment is done once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.single_flight import SingleFlight
from services.harness import deadline


class Work:
    """Yields 0, 1, 2 when it may; counts how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.may_go_on = asyncio.Event()

    async def __call__(self) -> AsyncIterator[int]:
        self.begun += 1
        try:
            yield 0
            await self.may_go_on.wait()
            yield 1
            yield 2
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def collect(flights: SingleFlight[int], work: Work) -> list[int]:
    return [event async for event in flights.run("key", work)]


async def test_a_late_caller_gets_all_events() -> None:
    """Whoever joins in the middle hears the story from its start."""
    flights, work = SingleFlight[int](), Work()
    first = asyncio.create_task(collect(flights, work))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(collect(flights, work))
    await asyncio.sleep(0.01)
    work.may_go_on.set()
    assert await first == await second == [0, 1, 2]
    assert work.begun == 1


async def test_the_work_ends_with_its_last_caller() -> None:
    """With nobody left it is cancelled; who comes at that moment has it begun anew, for all who follow."""
    flights, work = SingleFlight[int](), Work()
    leaving = asyncio.create_task(collect(flights, work))
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    following = [asyncio.create_task(collect(flights, work)) for _ in range(2)]
    await asyncio.sleep(0.01)
    following.append(asyncio.create_task(collect(flights, work)))
    await asyncio.sleep(0.01)
    work.may_go_on.set()
    assert await asyncio.gather(*following) == [[0, 1, 2]] * 3
    assert (work.begun, work.cancelled) == (2, 1)


async def test_an_error_reaches_every_caller() -> None:
    """What went wrong went wrong for all of them, and the next caller tries anew."""

    begun = 0

    async def fail() -> AsyncIterator[int]:
        nonlocal begun
        begun += 1
        yield 0
        await asyncio.sleep(0.01)
        raise RuntimeError("broken")

    flights = SingleFlight[int]()

    async def follow() -> list[int]:
        return [item async for item in flights.run("key", fail)]

    errors = await asyncio.gather(follow(), follow(), return_exceptions=True)
    assert [str(error) for error in errors] == ["broken", "broken"]
    assert begun == 1
    with pytest.raises(RuntimeError, match="broken"):
        await follow()
    assert begun == 2


async def test_the_work_has_the_time_of_whoever_has_most() -> None:
    """The end moves out when somebody with more time joins, and back in when that one leaves; never beyond the most."""
    flights, ask, told = SingleFlight[int](), asyncio.Event(), asyncio.Queue[float]()

    async def work() -> AsyncIterator[int]:
        while True:
            await ask.wait()
            ask.clear()
            told.put_nowait(deadline.remaining_s())
            yield 0

    async def follow(time_s: float) -> None:
        deadline.start(time_s)
        async for _ in flights.run("key", work, at_most_s=100):
            pass

    async def time_of_the_work() -> float:
        ask.set()
        return round(await told.get(), -1)

    hurried = asyncio.create_task(follow(20))
    await asyncio.sleep(0.01)
    seen = [await time_of_the_work()]
    patient = asyncio.create_task(follow(1000))
    await asyncio.sleep(0.01)
    seen.append(await time_of_the_work())
    patient.cancel()
    await asyncio.sleep(0.01)
    seen.append(await time_of_the_work())
    hurried.cancel()
    assert seen == [20, 100, 20]
