"""Where a fault happens: the cluster, its load and the two models, with the means to wait."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from faults.cluster import Cluster
from faults.load import Load


@dataclass(slots=True)
class Arena:
    """What a fault may touch."""

    cluster: Cluster
    load: Load
    models: tuple[Path, Path]
    """The folder that all translators start with, and another one to upgrade to."""
    broken_s: float
    """How long a fault lasts."""

    async def stay_broken(self) -> None:
        """Let the load run against what is broken."""
        await asyncio.sleep(self.broken_s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did to the callers: one row of the table."""

    fault: str
    expectation: str
    counts: dict[str, object]
    back_to_normal_s: float
    found: str
    """What was wrong beside that; empty if nothing."""
    kept: bool
    """Whether the expectation was met."""


def now() -> float:
    """Seconds of the clock that the load's record uses."""
    return time.monotonic()
