"""Draw the loss and the scores of training runs over time.

    python -m training.plot --run ../lab/training/run --out training/results/interim.svg
    python -m training.plot --run A --run B --label with-encoder --label without --out training/results/kinds.svg

`--run` is a folder that `train.py` wrote, or a log. Beside the drawing go copies of the logs, named as the drawing and
the run; a copy can be drawn again.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SERIES = {"loss": "training loss, mean of 100 steps", "chrf": "chrF", "bleu": "BLEU"}


@dataclass(frozen=True, slots=True)
class Curves:
    """A run's log."""

    label: str
    lines: list[dict]

    def series(self, key: str) -> tuple[list[float], list[float]]:
        """Return the minutes and the values of one of `_SERIES`; both are empty if the log has none."""
        points = [(line["minutes"], line[key]) for line in self.lines if key in line]
        return [minutes for minutes, _ in points], [value for _, value in points]


def read_log(run: Path, label: str) -> Curves:
    """Return a run's log. Translations are left out: the sentences are not ours to pass on."""
    path = run / "log.jsonl" if run.is_dir() else run
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return Curves(label, [{key: value for key, value in line.items() if key != "sample"} for line in lines])


def draw(runs: list[Curves], out: Path, *, threads: int) -> None:
    """Write an SVG with the loss above and the scores below; time also in core-hours, which are what a run costs."""
    # The same log gives the same bytes; text stays text, so that the file is small and can be searched.
    matplotlib.rcParams |= {"svg.hashsalt": "khulasa", "svg.fonttype": "none", "font.family": "sans-serif"}
    figure = Figure(figsize=(8, 6), layout="constrained")
    loss, scores = figure.subplots(2, 1, sharex=True)
    for number, run in enumerate(runs):
        _draw_run(run, loss, scores, f"C{number}")
    loss.set_ylabel(_SERIES["loss"])
    loss.legend()
    scores.set_ylabel("100 sentences of flores_dev, int8")
    scores.set_xlabel("minutes")
    scores.legend()
    for axes in (loss, scores):
        axes.grid(alpha=0.3)
    hours = loss.secondary_xaxis(
        "top", functions=(lambda minutes: minutes * threads / 60, lambda hours: hours * 60 / threads)
    )
    hours.set_xlabel(f"core-hours ({threads} cores)")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, format="svg", metadata={"Date": None})


def _draw_run(run: Curves, loss: Axes, scores: Axes, colour: str) -> None:
    minutes, values = run.series("loss")
    if not values:
        raise ValueError(f"The log of {run.label} has no loss yet; train.py writes one every ten steps.")
    loss.plot(minutes, values, color=colour, label=run.label)
    for key, style in (("chrf", "o-"), ("bleu", "s--")):
        minutes, values = run.series(key)
        scores.plot(minutes, values, style, color=colour, label=f"{run.label}, {_SERIES[key]}")


def main(runs: list[Path], labels: list[str], out: Path, threads: int) -> None:
    curves = [read_log(run, label) for run, label in zip(runs, labels, strict=True)]
    draw(curves, out, threads=threads)
    for run in curves:
        copy = out.with_name(f"{out.stem}-{run.label.replace(' ', '-')}.jsonl")
        copy.write_text("".join(json.dumps(line) + "\n" for line in run.lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", required=True)
    parser.add_argument("--label", action="append", help="one for each run; the names of the folders unless given")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2, help="`threads` of the config, for the core-hours")
    arguments = parser.parse_args()
    names = arguments.label or [run.stem for run in arguments.run]
    if len(names) != len(arguments.run):
        parser.error(f"{len(arguments.run)} runs have {len(names)} labels; give one for each, or none.")
    main(arguments.run, names, arguments.out, arguments.threads)
