"""How many processors there are for decoding: what the container may use, not what the machine has.

CTranslate2 and OpenMP count the machine's; with a CPU limit below that, the threads take turns in their quota and a
translation takes many times as long.
"""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(quota_file: Path = CGROUP_QUOTA) -> int:
    """Return the smaller of the processors this process may run on and its container's quota, at least 1."""
    processors = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return processors
    if quota == "max":
        return processors
    return max(1, min(processors, int(quota) // int(period)))
