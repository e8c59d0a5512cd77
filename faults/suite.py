"""Runs the faults one after the other and says of each what the callers saw."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from faults.arena import Arena, Outcome, now
from faults.breaks import Fault
from faults.cluster import TRANSLATORS, Cluster
from faults.load import Load
from faults.reference import Reference, paragraphs
from tests.conftest import train_tokenizer
from tests.tiny_models import write_encoder_decoder

CALM_S = 1.0


@asynccontextmanager
async def arena(folder: Path, *, rate_per_s: float, broken_s: float) -> AsyncIterator[Arena]:
    """Start everything and keep the load on it."""
    train_tokenizer(folder / "tokenizer.model")
    models = (folder / "model-1", folder / "model-2")
    for seed, model in enumerate(models):
        write_encoder_decoder(model, folder / "tokenizer.model", seed=seed)
    reference = Reference()
    async with Cluster(folder, models[0]) as cluster:
        for model in reversed(models):  # ends with the first one, which the other translator has too
            await cluster.restart(TRANSLATORS[0], KHULASA_MODEL=str(model))
            await reference.learn(cluster.members[TRANSLATORS[0]].address, paragraphs())
        async with Load(cluster.gateways, reference, rate_per_s) as load:
            yield Arena(cluster, load, models, broken_s)


async def run(arena: Arena, fault: Fault) -> Outcome:
    """Break one thing under load, mend it, and wait until service is normal again."""
    await asyncio.sleep(CALM_S)
    started = now()
    found = await fault.break_(arena) or ""
    back_s = await arena.load.until_normal(since=now())
    await arena.load.settle()
    counts = arena.load.count(since=started)
    errors = counts["errors"]
    assert isinstance(errors, dict)
    kept = not found and counts["wrong"] == 0 and set(errors) <= fault.reasons and back_s != float("inf")
    return Outcome(fault.name, fault.expectation, counts, round(back_s, 1), found, kept)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    lines = [
        "| fault | expected | calls | failed | wrong answers | slowest, s | normal again after, s | as expected |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for outcome in outcomes:
        counts, errors, kept = (
            outcome.counts,
            outcome.counts["errors"],
            "yes" if outcome.kept else f"**no** {outcome.found}",
        )
        assert isinstance(errors, dict)
        why = f" ({', '.join(f'{reason} {number}' for reason, number in errors.items())})" if errors else ""
        lines.append(
            f"| {outcome.fault} | {outcome.expectation} | {counts['sent']} | {counts['failed']}{why} "
            f"| {counts['wrong']} | {counts['slowest_s']} | {outcome.back_to_normal_s} | {kept} |"
        )
    return "\n".join(lines)
