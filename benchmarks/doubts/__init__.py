"""How well doubts fall where they should: `python -m benchmarks.doubts` (see `__main__.py`)."""
