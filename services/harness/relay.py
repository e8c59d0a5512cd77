"""What travels beside a call from one Khulasa process to the next, as gRPC metadata: caller, priority and work.

Between our own processes all of it is believed; of a caller from outside only the priority, which can but put its
articles behind others.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from khulasa.channel import PRIORITY
from services.harness import caller, priority, work
from services.harness.errors import Reason, Refusal

CALLER = "khulasa-caller"
"""The caller's name, percent-encoded: metadata is ASCII."""
WORK = "khulasa-work"
WORK_CHARS = "khulasa-work-chars"
MAX_CHARS = 10**8


def metadata() -> tuple[tuple[str, str], ...]:
    """Return what the current task has to hand on."""
    pairs = [(PRIORITY, priority.name())]
    if name := caller.name():
        pairs.append((CALLER, quote(name)))
    if whole := work.current():
        pairs += [(WORK, whole.id), (WORK_CHARS, str(whole.chars))]
    return tuple(pairs)


def receive(pairs: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Give the current task what another process handed on. Raises Refusal (UNKNOWN_OPTION) for what it cannot mean."""
    given = {key: value for key, value in pairs or () if isinstance(value, str)}
    _receive_priority(given)
    chars = given.get(WORK_CHARS, "0")
    if not (chars.isascii() and chars.isdigit() and len(chars) < 10 and int(chars) <= MAX_CHARS):
        raise _unknown(WORK_CHARS, chars, f"a whole number up to {MAX_CHARS}")
    caller.start(unquote(given.get(CALLER, caller.ANONYMOUS)))
    work.resume(work.Work(given[WORK], int(chars)) if given.get(WORK) else None)


def receive_from_outside(pairs: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Give the current task what a caller from outside may say. Raises Refusal (UNKNOWN_OPTION)."""
    _receive_priority({key: value for key, value in pairs or () if isinstance(value, str)})


def _receive_priority(given: Mapping[str, str]) -> None:
    urgency = given.get(PRIORITY, priority.INTERACTIVE)
    if urgency not in priority.PRIORITIES:
        raise _unknown(PRIORITY, urgency, " or ".join(priority.PRIORITIES))
    priority.start(urgency)


def _unknown(key: str, value: str, allowed: str) -> Refusal:
    return Refusal(
        Reason.UNKNOWN_OPTION, f"The metadata {key} is {value!r}; it can be {allowed}.", field=key, value=value
    )
