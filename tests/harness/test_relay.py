"""Caller, priority and work go from process to process as metadata."""

import asyncio

import pytest

from khulasa.channel import PRIORITY
from services.harness import caller, priority, relay, work
from services.harness.errors import Reason, Refusal


async def sent(name: str, urgency: str, chars: int) -> tuple[tuple[str, str], ...]:
    """Return what a task with these hands on."""
    caller.start(name)
    priority.start(urgency)
    work.start(chars)
    return relay.metadata()


async def received(pairs: tuple[tuple[str, str], ...]) -> tuple[str, str, work.Work | None]:
    """Return what a task that is given `pairs` knows."""
    relay.receive(pairs)
    return caller.name(), priority.name(), work.current()


async def test_what_is_sent_arrives() -> None:
    """A name in Arabic too; the work keeps its identity and its size."""
    pairs = await asyncio.create_task(sent("صحيفة النهار", priority.JOB, 5_000))
    assert all(value.isascii() for _, value in pairs)
    name, urgency, whole = await asyncio.create_task(received(pairs))
    assert (name, urgency) == ("صحيفة النهار", priority.JOB)
    assert whole is not None
    assert (whole.chars, dict(pairs)[relay.WORK]) == (5_000, whole.id)


async def test_without_metadata_a_call_is_interactive_and_stands_alone() -> None:
    """Who calls the translator directly has nothing to set."""
    assert await asyncio.create_task(received(())) == (caller.ANONYMOUS, priority.INTERACTIVE, None)


@pytest.mark.parametrize(
    "pair",
    [(PRIORITY, "urgent"), (relay.WORK_CHARS, "-1"), (relay.WORK_CHARS, "٣"), (relay.WORK_CHARS, "9" * 30)],
)
async def test_what_it_cannot_mean_is_refused(pair: tuple[str, str]) -> None:
    """The refusal names the key and what it can be."""
    with pytest.raises(Refusal, match="it can be") as refused:
        await asyncio.create_task(received((pair,)))
    assert (refused.value.reason, refused.value.field) == (Reason.UNKNOWN_OPTION, pair[0])
