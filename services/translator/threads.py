"""How many processors there are for decoding: what the container may use, not what the machine has.

CTranslate2 and OpenMP count the machine's; with a CPU limit below that, the threads take turns in their quota and a
translation takes many times as long.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_processors(cgroups: Path = CGROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """Return the smaller of the processors this process may run on and its container's quota, at least 1."""
    processors = len(os.sched_getaffinity(0))
    return max(1, min([processors, *(int(quota) for quota in _quotas(cgroups, own_groups))]))


def _quotas(cgroups: Path, own_groups: Path) -> Iterator[float]:
    """Yield the quota, in processors, of every group that this process is in: any of them may be the tightest.

    Version 2 has one tree, with "max" for no quota; version 1 one for each controller, with -1.
    """
    for folder in _own_folders(cgroups, own_groups):
        try:
            if (folder / "cpu.max").is_file():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):  # the group has no controller for processors
            continue


def _own_folders(cgroups: Path, own_groups: Path) -> Iterator[Path]:
    """Yield the folders of the groups of this process. In a container the root is its own group, whatever the path."""
    yield from (cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct")
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        group = Path(path.lstrip("/"))
        for part in (group, *group.parents):
            if ".." not in part.parts:
                yield root / part
