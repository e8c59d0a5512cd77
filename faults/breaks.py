"""The faults, one function each: break it, stay so for a while, mend it. The suite counts what the callers saw.

A function returns when the thing is mended; the time to normal service counts from there.
"""

import asyncio
import contextlib
import os
import resource
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from faults import hostile
from faults.arena import Arena
from faults.cluster import CACHE, GATEWAYS, JOBS, SERVICES, TRANSLATORS
from faults.proxy import Proxy
from khulasa.up import free_port

Break = Callable[[Arena], Awaitable[str | None]]
"""Returns what was wrong beside what the load saw."""

NOBODY_NOTICES = "no call fails"
"""With a replica beside it, or where the answer does not need it."""
TYPED_WHILE_AWAY = "typed reasons while it is away"
TOLD_TO_COME_BACK = "at worst told to come back while it lasts"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, what the callers may see of it, and how it is done."""

    name: str
    expectation: str
    break_: Break
    reasons: frozenset[str] = frozenset()
    """The typed reasons that calls may fail with while it lasts; empty: none may fail."""
    missing: Callable[[], str] = lambda: ""
    """Say what the machine lacks for it; an empty string where nothing is."""


def killed(name: str) -> Break:
    """Kill a member, and start it again after a while."""

    async def run(arena: Arena) -> None:
        await arena.cluster.kill(name)
        await arena.stay_broken()
        await arena.cluster.start(name)

    return run


def frozen(name: str) -> Break:
    """Stop a member where it is, and let it go on after a while."""

    async def run(arena: Arena) -> None:
        arena.cluster.freeze(name)
        try:
            await arena.stay_broken()
        finally:
            arena.cluster.thaw(name)

    return run


def redis_config(**settings: str) -> Break:
    """Change settings of the running cache for a while."""

    async def run(arena: Arena) -> None:
        port = arena.cluster.members[CACHE].port
        before = {key: await redis_command(port, "CONFIG", "GET", key) for key in settings}
        for key, value in settings.items():
            await redis_command(port, "CONFIG", "SET", key, value)
        await arena.stay_broken()
        for key, value in before.items():
            await redis_command(port, "CONFIG", "SET", key, value)

    return run


async def rolling_restart(arena: Arena) -> None:
    """Restart every service one after the other, as a cluster does at an upgrade."""
    for name in SERVICES:
        await arena.cluster.restart(name)
        await asyncio.sleep(0.5)


async def upgraded(arena: Arena) -> None:
    """Give the translators another model, one after the other, and then the first one again."""
    for model in reversed(arena.models):
        for name in TRANSLATORS:
            await arena.cluster.restart(name, KHULASA_MODEL=str(model))
            await arena.stay_broken()


async def cache_lost_its_data(arena: Arena) -> None:
    """Kill the cache and start it empty at once."""
    await arena.cluster.kill(CACHE)
    await arena.cluster.start(CACHE)


def behind(name: str, *, delay_s: float = 0.0, rubbish: bool = False) -> Break:
    """Put a proxy where a member was; the member itself goes elsewhere and comes back."""

    async def run(arena: Arena) -> None:
        cluster, home, elsewhere = arena.cluster, arena.cluster.members[name].port, free_port()
        await cluster.kill(name)
        cluster.members[name].move(elsewhere)
        await cluster.start(name)
        async with Proxy(home, elsewhere, delay_s=delay_s, rubbish=rubbish):
            await arena.stay_broken()
        await cluster.kill(name)
        cluster.members[name].move(home)
        await cluster.start(name)

    return run


async def values_spoilt(arena: Arena) -> None:
    """Overwrite every value of the cache with rubbish, and again while articles are asked for."""
    port = arena.cluster.members[CACHE].port
    for _ in range(5):
        await redis_command(
            port,
            "EVAL",
            "for _, key in ipairs(redis.call('KEYS', '*')) do if redis.call('TYPE', key).ok == 'string' then "
            "redis.call('SET', key, 'rubbish' .. key) end end return 1",
            "0",
        )
        await asyncio.sleep(arena.broken_s / 5)


async def out_of_descriptors(arena: Arena) -> None:
    """Let one gateway open no more files or connections than it has open now."""
    pid = arena.cluster.members[GATEWAYS[0]].pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))  # noqa: PTH208
    try:
        await arena.stay_broken()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def packets_dropped(percent: int) -> Break:
    """Drop packets to and from both translators at random, in the kernel."""

    async def run(arena: Arena) -> None:
        ports = ", ".join(str(arena.cluster.members[name].port) for name in TRANSLATORS)
        rules = "\n".join(
            f"add rule inet khulasa_faults lossy tcp {side} {{ {ports} }} numgen random mod 100 < {percent} drop"
            for side in ("dport", "sport")
        )
        await _nft(
            "add table inet khulasa_faults\n"
            "add chain inet khulasa_faults lossy { type filter hook input priority 0; }\n" + rules
        )
        try:
            await arena.stay_broken()
        finally:
            await _nft("delete table inet khulasa_faults")

    return run


def no_packet_filter() -> str:
    """Say why packets cannot be dropped here; an empty string if they can."""
    if shutil.which("nft") is None:
        return "nft is not installed"
    return "" if os.geteuid() == 0 else "dropping packets needs root"


async def clock_jumps(arena: Arena) -> None:
    """Restart one gateway with a clock that is an hour ahead, and then one that is an hour behind."""
    library = await _output_of("faketime", "-m", "now", "printenv", "LD_PRELOAD")
    for jump in ("+3600", "-3600"):
        await arena.cluster.restart(GATEWAYS[0], LD_PRELOAD=library, FAKETIME=jump, FAKETIME_DONT_FAKE_MONOTONIC="1")
        await arena.stay_broken()
    for name in ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"):
        arena.cluster.members[GATEWAYS[0]].environment.pop(name)
    await arena.cluster.restart(GATEWAYS[0])


def no_faketime() -> str:
    """Say what is missing for another clock; an empty string if nothing is."""
    return "" if shutil.which("faketime") else "faketime is not installed"


async def redis_command(port: int, *words: str) -> str:
    """Send one command, return the last bulk of the answer as text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        data = [word.encode() for word in words]
        writer.write(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in data))
        await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.read(65536)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if answer.startswith(b"-"):
        raise RuntimeError(answer.decode())
    return answer.decode().rstrip("\r\n").rpartition("\r\n")[2]


async def _nft(commands: str) -> None:
    process = await asyncio.create_subprocess_exec("nft", "-f", "-", stdin=asyncio.subprocess.PIPE)
    await process.communicate(commands.encode())
    if process.returncode:
        raise RuntimeError("nft refused the rules")


async def _output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode().strip()


FAULTS = [
    Fault("translator killed", NOBODY_NOTICES, killed(TRANSLATORS[0])),
    Fault("gateway killed", NOBODY_NOTICES, killed(GATEWAYS[0])),
    Fault("summarizer killed", TYPED_WHILE_AWAY, killed("summarizer"), frozenset({"SUMMARIZER_UNAVAILABLE"})),
    Fault("translator frozen", NOBODY_NOTICES, frozen(TRANSLATORS[0])),
    Fault("gateway frozen", NOBODY_NOTICES, frozen(GATEWAYS[0])),
    Fault(
        "summarizer frozen",
        TYPED_WHILE_AWAY,
        frozen("summarizer"),
        frozenset({"SUMMARIZER_UNAVAILABLE", "DEADLINE_EXCEEDED"}),
    ),
    Fault("rolling restart", NOBODY_NOTICES, rolling_restart),
    Fault("model upgraded", NOBODY_NOTICES, upgraded),
    Fault("cache killed", NOBODY_NOTICES, killed(CACHE)),
    Fault("cache frozen", NOBODY_NOTICES, frozen(CACHE)),
    Fault("cache lost its data", NOBODY_NOTICES, cache_lost_its_data),
    Fault("cache full", NOBODY_NOTICES, redis_config(maxmemory="1mb", **{"maxmemory-policy": "noeviction"})),
    Fault("cache evicting", NOBODY_NOTICES, redis_config(maxmemory="2mb", **{"maxmemory-policy": "allkeys-random"})),
    Fault("cache slow", NOBODY_NOTICES, behind(CACHE, delay_s=0.4)),
    Fault("cache answers rubbish", NOBODY_NOTICES, behind(CACHE, rubbish=True)),
    Fault("values in the cache spoilt", NOBODY_NOTICES, values_spoilt),
    Fault("jobs' Redis killed", NOBODY_NOTICES, killed(JOBS)),
    Fault("jobs' Redis frozen", NOBODY_NOTICES, frozen(JOBS)),
    Fault("way to a translator 0.3 s longer", NOBODY_NOTICES, behind(TRANSLATORS[0], delay_s=0.3)),
    Fault("gateway out of descriptors", NOBODY_NOTICES, out_of_descriptors),
    Fault("5 % of packets lost", NOBODY_NOTICES, packets_dropped(5), missing=no_packet_filter),
    Fault("clock an hour off", NOBODY_NOTICES, clock_jumps, missing=no_faketime),
    Fault("10,000 broken requests", NOBODY_NOTICES, lambda arena: hostile.mutated_requests(arena, 10_000)),
    Fault("broken connections", NOBODY_NOTICES, hostile.broken_connections),
    Fault("readers that stop reading", NOBODY_NOTICES, hostile.readers_that_stop),
    Fault("flood of one gateway", TOLD_TO_COME_BACK, hostile.flood, frozenset({"OVERLOADED", "Overloaded"})),
    Fault("compressed and nested bombs", NOBODY_NOTICES, hostile.bombs),
]
