"""Break everything, one thing at a time, and print what the callers saw.

    python -m faults [--only PART_OF_A_NAME] [--broken-s 6] [--rate 8]

Ends with status 1 if something was not as expected. Everything listens on loopback. Some faults need root.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import results_file
from faults import suite
from faults.arena import Outcome
from faults.breaks import FAULTS, Fault


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--broken-s", type=float, default=6.0)
    parser.add_argument("--rate", type=float, default=8.0, help="articles a second")
    args = parser.parse_args()
    faults = []
    for fault in FAULTS:
        if args.only in fault.name:
            if missing := fault.missing():
                print(f"not run: {fault.name}: {missing}", file=sys.stderr)
            else:
                faults.append(fault)
    with tempfile.TemporaryDirectory(prefix="khulasa-faults-") as folder:
        outcomes = asyncio.run(run(faults, Path(folder), rate_per_s=args.rate, broken_s=args.broken_s))
    print(suite.table(outcomes))
    if not args.only:
        print(results_file.keep("faults", {"outcomes": [asdict(outcome) for outcome in outcomes]}))
    return 0 if all(outcome.kept for outcome in outcomes) else 1


async def run(faults: list[Fault], folder: Path, *, rate_per_s: float, broken_s: float) -> list[Outcome]:
    """Run the faults one after the other on one cluster."""
    outcomes = []
    async with suite.arena(folder, rate_per_s=rate_per_s, broken_s=broken_s) as arena:
        for fault in faults:
            outcomes.append(await suite.run(arena, fault))
            print(json.dumps(asdict(outcomes[-1]), ensure_ascii=False), file=sys.stderr, flush=True)
    return outcomes


if __name__ == "__main__":
    raise SystemExit(main())
