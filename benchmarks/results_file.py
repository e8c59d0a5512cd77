"""Where measurements are kept: one JSON file a run, with what is needed to repeat it."""

import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import ctranslate2
import grpc

RESULTS = Path(__file__).parent / "results"


def keep(name: str, result: dict[str, object]) -> Path:
    """Write `result` with command, commit, versions, machine and time; return the file."""
    now = datetime.now(UTC)
    about = {
        "benchmark": name,
        "command": shlex.join(["python", *map(_of_any_machine, sys.orig_argv[1:])]),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
        "time": now.isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {_processor()}",
        "python": platform.python_version(),
        "ctranslate2": ctranslate2.__version__,
        "grpc": grpc.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d-%H%M}-{name}.json"
    path.write_text(json.dumps(about | result, indent=1, ensure_ascii=False) + "\n")
    return path


def _of_any_machine(argument: str) -> str:
    """Return a path that means something on one machine only by its last part."""
    return Path(argument).name if argument.startswith("/") else argument


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"
