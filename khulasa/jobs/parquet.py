"""Parquet, where pyarrow is installed: it is large, and JSON lines do without."""

import importlib
from typing import Any

from khulasa.jobs.failures import RunRefused


def import_pyarrow() -> Any:
    """Return the module pyarrow with `pyarrow.parquet` loaded. Raises RunRefused where it is not installed."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise RunRefused(
            "Parquet needs the package pyarrow: pip install 'khulasa[parquet]'. Or use .jsonl for input and output."
        ) from None
    return importlib.import_module("pyarrow")
