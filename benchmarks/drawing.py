"""How drawings beside results are kept: as SVG, which can be read in a browser and compared by git."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure


def save(figure: Figure, path: Path) -> None:
    """Write a drawing. The same figures give the same bytes; text stays text, so it is small and can be searched."""
    with matplotlib.rc_context({"svg.hashsalt": "khulasa", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
