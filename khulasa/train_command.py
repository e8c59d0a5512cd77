"""`khulasa train`: adapt a model folder to a user's own pairs of Arabic and English.

The work is done by `training/adapt.py`, which needs a checkout of the repository and PyTorch; it is imported only when
the command is given.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

MISSING = (
    "khulasa train needs a checkout of the repository and its packages for training; {missing} is missing. "
    "In the checkout: pip install -e '.[train,translator]'"
)

console = Console(soft_wrap=True, highlight=False)
complaints = Console(stderr=True, soft_wrap=True)


def train(
    pairs: Annotated[Path, typer.Option(help="Your text: Arabic, a tab, English, a pair a line, UTF-8.")],
    init: Annotated[Path, typer.Option(help="The model folder to start from.")],
    out: Annotated[Path, typer.Option(help="The new model folder; while it works, OUT.run holds its checkpoint.")],
    epochs: Annotated[int, typer.Option(min=1, help="How often every pair is seen.")] = 3,
    learning_rate: Annotated[float, typer.Option(min=0, help="Smaller forgets less of what the model knows.")] = 5e-5,
    threads: Annotated[int | None, typer.Option(min=1, help="Processors to train on; all unless given.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Faster after a minute; needs a C++ compiler. Worth it for long runs.")
    ] = False,
) -> None:
    """Adapt a model to your own pairs. Stop it with Ctrl-C; the same command goes on.

    Exit status: 0 done, 1 stopped before the end, 2 something cannot be used.
    """
    adapt, loop, processors = (
        _load(name) for name in ("training.adapt", "training.train", "services.translator.threads")
    )
    try:
        with loop.stop_requests() as asked:
            report = adapt.adapt(
                pairs,
                init,
                out,
                epochs=epochs,
                learning_rate=learning_rate,
                threads=threads or processors.usable_processors(),
                compiled=compiled,
                tell=lambda line: console.print(line, markup=False),
                stopping=asked.is_set,
            )
    except adapt.REFUSALS as error:
        complaints.print(f"khulasa: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    if report is None:
        raise typer.Exit(1)
    _show(report)


def _load(name: str) -> Any:
    # Not an import statement: the wheel has neither `training` nor `services`, and a type check would follow them.
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        complaints.print(f"khulasa: {MISSING.format(missing=error.name)}", style="red", markup=False)
        raise typer.Exit(2) from None


def _show(report: Any) -> None:
    before, after = report.before, report.after
    console.print(f"on the {report.held_out} held-out pairs   before   after", markup=False)
    for name in ("chrf", "bleu", "loss"):
        console.print(f"  {name:26}{getattr(before, name):>8g}{getattr(after, name):>8g}", markup=False)
    if after.chrf < before.chrf:
        console.print("chrF fell on them: stay with the old model, or try more pairs, fewer epochs or a smaller rate.")
    console.print(f"{report.name} is in {report.folder}. Serve it with KHULASA_MODEL={report.folder}", markup=False)
