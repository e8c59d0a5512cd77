"""Steady load for hours, and what each process holds of memory, descriptors and threads meanwhile.

    python -m faults.soak [--minutes 120] [--rate 4]

Writes the samples and a drawing of them (which needs the `train` extra's matplotlib) to `benchmarks/results`.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import drawing, results_file
from faults import suite
from faults.arena import now

SAMPLES = 120
MEASURES = {"rss_mb": "resident MB", "descriptors": "descriptors", "threads": "threads"}

Sample = dict[str, dict[str, float]]


def main() -> None:
    """Run, print, keep, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=4.0, help="articles a second")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="khulasa-soak-") as folder:
        samples, counts = asyncio.run(soak(Path(folder), minutes=args.minutes, rate_per_s=args.rate))
    growth = {
        name: {
            measure: round(samples[-1][name][measure] / samples[len(samples) // 4][name][measure], 3)
            for measure in MEASURES
        }
        for name in samples[0]
    }
    print(counts, growth)
    path = results_file.keep(
        "soak", {"minutes": args.minutes, "counts": counts, "last_to_first_quarter": growth, "samples": samples}
    )
    draw(samples, args.minutes, path.with_suffix(".svg"))
    print(path)


async def soak(folder: Path, *, minutes: float, rate_per_s: float) -> tuple[list[Sample], dict[str, object]]:
    """Return evenly spaced samples of each process, and what the callers saw."""
    async with suite.arena(folder, rate_per_s=rate_per_s, broken_s=0) as arena:
        started, samples = now(), []
        for number in range(SAMPLES):
            await asyncio.sleep(max(0.0, started + (number + 1) * minutes * 60 / SAMPLES - now()))
            samples.append(arena.cluster.use())
        await arena.load.settle()
        return samples, arena.load.count(since=started)


def draw(samples: list[Sample], minutes: float, out: Path) -> None:
    """Write an SVG with a panel for each measure and a line for each process."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    times = [(number + 1) * minutes / len(samples) for number in range(len(samples))]
    for axes, (measure, label) in zip(figure.subplots(len(MEASURES), 1, sharex=True), MEASURES.items(), strict=True):
        for name in samples[0]:
            axes.plot(times, [sample[name][measure] for sample in samples], label=name)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.set_xlabel("minutes")
    figure.legend(loc="outside upper center", ncols=3)
    drawing.save(figure, out)


if __name__ == "__main__":
    main()
