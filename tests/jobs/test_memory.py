"""A run holds what is under way, not what it has read or written; the whole size is benchmarks/job_lines.py."""

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from benchmarks.job_lines import generate, made_up
from khulasa.jobs.answer import Answerer
from khulasa.jobs.concurrency import AdaptiveLimit
from khulasa.jobs.inputs import MAX_LINE_BYTES, Entry, Fields, Input, open_input
from khulasa.jobs.plan import Plan
from khulasa.jobs.progress import RunProgress
from khulasa.jobs.run import Ledger, Run
from khulasa.types import Options

LINES = 6000
FIRST = 2000
GROWTH_BYTES = 150_000
"""Less than 40 bytes for each line in between: a set of ids would take three times as much."""


class Weighed(Input):
    """Looks at the memory that Python has given out after `FIRST` lines and after the last."""

    def __init__(self, source: Input) -> None:
        self._source = source
        self.weights: list[int] = []

    def identity(self) -> dict[str, Any]:
        return self._source.identity()

    def entries(self) -> Iterator[Entry]:
        for number, entry in enumerate(self._source.entries(), start=1):
            yield entry
            if number in (FIRST, LINES):
                gc.collect()
                self.weights.append(tracemalloc.get_traced_memory()[0])


@pytest.mark.parametrize("name", ["out.jsonl", "out"])
async def test_memory_does_not_grow_with_the_lines(tmp_path: Path, name: str) -> None:
    """Three times as many lines take the same memory, and the counts add up."""
    expected = generate(tmp_path / "in.jsonl", LINES)
    console = Console(stderr=True)
    console.print("job run:", markup=False, highlight=False)  # what it loads for its first line is no growth
    tracemalloc.start()
    try:
        source = Weighed(open_input(str(tmp_path / "in.jsonl"), Fields()))
        ledger = Ledger.open(tmp_path / name, source, Options())
        progress = RunProgress(ledger.counts, source, console)
        with progress:
            answerer = Answerer(made_up, AdaptiveLimit(64), 60)
            await Run(source, ledger, Plan(ledger.index, ledger.counts), answerer, progress).run()
        ledger.close()
    finally:
        tracemalloc.stop()
    counts = ledger.counts.as_json()
    assert {field: counts[field] for field in expected} == expected
    first, last = source.weights
    assert last - first < GROWTH_BYTES


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_long_line_is_passed_over_without_being_held(tmp_path: Path, name: str) -> None:
    """A line of many times the limit takes a few times the limit, and is named; what follows is read."""
    begin, long, end = {
        "a.csv": (b"id,text\n1,", b"x", b"\n2,b\n"),
        "a.jsonl": (b'{"id": "1", "text": "', b"x", b'"}\n{"id": "2", "text": "b"}\n'),
    }[name]
    (tmp_path / name).write_bytes(begin + long * (12 * MAX_LINE_BYTES) + end)
    tracemalloc.start()
    try:
        bad, good = open_input(str(tmp_path / name), Fields()).entries()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (bad.error and bad.error.reason, good.id) == ("LINE_TOO_LONG", "2")
    assert peak < 6 * MAX_LINE_BYTES


def test_a_large_group_of_parquet_is_read_page_by_page(tmp_path: Path) -> None:
    """Of one group with all rows, a few pages are held."""
    path = tmp_path / "a.parquet"
    rows = pyarrow.table({"text": [os.urandom(10_000).hex() for _ in range(1500)]})
    pyarrow.parquet.write_table(rows, path, use_dictionary=False, write_batch_size=16)  # or a page has 1,024 rows
    before = pyarrow.total_allocated_bytes()
    held = [pyarrow.total_allocated_bytes() - before for _ in open_input(str(path), Fields()).entries()]
    assert len(held) == 1500
    assert max(held) < rows.nbytes / 3


def test_of_a_large_folder_only_names_are_held(tmp_path: Path) -> None:
    """Not what the system gives with each, which has its whole path."""
    folder, count = tmp_path / ("x" * 200), 5000
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.txt").touch()
    source = open_input(str(folder), Fields())
    assert sum(1 for _ in source.entries()) == count  # also brings up what Python itself keeps, such as parts of paths
    tracemalloc.start()
    try:
        reading = source.entries()
        next(reading)
        held = tracemalloc.get_traced_memory()[0]
        reading.close()  # type: ignore[attr-defined]  # a generator
    finally:
        tracemalloc.stop()
    assert held < 150 * count
