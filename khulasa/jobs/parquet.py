"""Parquet, where pyarrow is installed: it is large, and JSON lines do without."""

import importlib
from pathlib import Path
from typing import Any

from khulasa.jobs.failures import RunRefused

BUFFER_BYTES = 1024 * 1024
"""Read at once of each column, a page or a few."""


def import_pyarrow() -> Any:
    """Return the module pyarrow with `pyarrow.parquet` loaded. Raises RunRefused where it is not installed."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise RunRefused(
            "Parquet needs the package pyarrow: pip install 'khulasa[parquet]'. Or use .jsonl for input and output."
        ) from None
    return importlib.import_module("pyarrow")


def open_parquet(path: Path) -> Any:
    """Return a pyarrow ParquetFile, to be closed, that reads page by page. Raises what `damage` names."""
    # Without a buffer, or with one that is filled ahead, all that a group of rows has of a column is held.
    return import_pyarrow().parquet.ParquetFile(
        path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
    )


def damage() -> tuple[type[Exception], ...]:
    """Return what pyarrow raises for a file that cannot be read: errors of its own, of the system and of decoding."""
    return (OSError, ValueError, import_pyarrow().ArrowException)
