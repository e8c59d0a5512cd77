"""What a run writes: JSON lines, or a folder of Parquet parts. What is in it is done; nothing else is remembered.

A record is there from the moment `append` returns, also if the process is killed. A last line that was cut off by a
power cut or a full disk is taken away when the next run begins. Parts are renamed into place when whole; the records
since the last part wait as JSON lines in a file of the folder.
"""

import contextlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from khulasa.jobs.failures import RunRefused, RunStopped
from khulasa.jobs.parquet import import_pyarrow

Record = dict[str, Any]

PART_RECORDS = 1000
PART_BYTES = 32 * 1024 * 1024
ROWS_READ_BACK = 100
"""Rows of a group in a Parquet part: one record that is read back costs as much as a group."""
JOURNAL = ".journal.jsonl"
LINES_SUFFIXES = (".jsonl", ".ndjson")


class Output(ABC):
    """Records, in the order in which they are done. A place is where a record can be read back."""

    @abstractmethod
    def recover(self) -> Iterator[tuple[int, Record]]:
        """Yield place and record of all that is there, after mending what a killed run left. Raises RunRefused.

        The records have at least id, duplicate_of and digest. Must be read to its end before anything is appended.
        """

    @abstractmethod
    def append(self, record: Record) -> int:
        """Write a record and return its place. Raises RunStopped where there is no room."""

    @abstractmethod
    def read(self, place: int) -> Record:
        """Return a record that was written."""

    @abstractmethod
    def sync(self) -> None:
        """Have all that was written survive a power cut."""

    @abstractmethod
    def abandon(self) -> None:
        """Give the files back as they are."""

    @abstractmethod
    def close(self) -> None:
        """Finish: what waits for a part becomes one."""


def check_output(path: Path) -> None:
    """Raise RunRefused for what cannot be an output, before anything is written."""
    if path.suffix not in LINES_SUFFIXES:
        if path.suffix:
            raise RunRefused(
                f"The output {path} is of no known kind: give a name that ends with .jsonl, or a folder for Parquet "
                f"parts."
            )
        import_pyarrow()
    if not os.access(path, os.F_OK):
        return
    if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
        raise RunRefused(f"The output {path} cannot be read and written: permission denied.")


def open_output(path: Path) -> Output:
    """Return the output of this name: a file that ends with .jsonl, or a folder of Parquet parts."""
    return JsonLines(path) if path.suffix in LINES_SUFFIXES else ParquetParts(path)


class JsonLines(Output):
    """One JSON object a line. A place is the byte at which its line begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _writing(path):
            self._file: BinaryIO = path.open("a+b", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def recover(self) -> Iterator[tuple[int, Record]]:
        number, end = 0, 0
        with self.path.open("rb") as file:
            for line in file:
                number += 1
                try:
                    record = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    record = None
                if record is None and not file.read(1):
                    break  # the last line: a write that was cut off
                yield end, _checked(record, number, self.path)
                end += len(line)
        with _writing(self.path):
            self._file.truncate(end)
        self.size = end

    def append(self, record: Record) -> int:
        place = self.size
        data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            with _writing(self.path):
                written = 0
                while written < len(data):  # a disk that fills up takes a part of it first
                    written += self._file.write(data[written:]) or 0
        except RunStopped:
            with contextlib.suppress(OSError):
                self._file.truncate(place)
            raise
        self.size += len(data)
        return place

    def read(self, place: int) -> Record:
        with self.path.open("rb") as file:
            file.seek(place)
            record: Record = json.loads(file.readline())
            return record

    def sync(self) -> None:
        with _writing(self.path):
            os.fsync(self._file.fileno())

    def clear(self) -> None:
        """Take all records away."""
        with _writing(self.path):
            self._file.truncate(0)
        self.size = 0

    def abandon(self) -> None:
        self._file.close()

    def close(self) -> None:
        self.sync()
        self._file.close()


class ParquetParts(Output):
    """`part-000001.parquet` and so on, 1,000 records or 32 MB of JSON each. A place is part and row.

    The columns are for looking and counting; `record` holds the whole record as JSON, the same as a line of JSON lines.
    """

    def __init__(self, folder: Path) -> None:
        self._arrow = import_pyarrow()
        self._folder = folder
        with _writing(folder):
            folder.mkdir(exist_ok=True)
        self._journal = JsonLines(folder / JOURNAL)
        self._waiting: list[int] = []
        self._part = 1

    def recover(self) -> Iterator[tuple[int, Record]]:
        for torn in self._folder.glob(".part-*.tmp"):
            torn.unlink()
        last: set[str] = set()
        for path in sorted(self._folder.glob("*.parquet")):
            number = path.stem.removeprefix("part-")
            if not number.isdecimal():
                raise RunRefused(f"{path} is none of a run. Move it, or give another output.")
            self._part = int(number)
            last = set()
            for row, record in enumerate(_rows(path, ["id", "duplicate_of", "digest"])):
                last.add(record["id"])
                yield _place(self._part, row), record
            self._part += 1
        packed = False
        for place, record in self._journal.recover():
            packed = (
                packed or record["id"] in last
            )  # a run was killed between the renaming of the part and the clearing
            if packed:
                continue
            self._waiting.append(place)
            yield _place(self._part, len(self._waiting) - 1), record
        if packed:
            self._journal.clear()

    def append(self, record: Record) -> int:
        place = _place(self._part, len(self._waiting))
        self._waiting.append(self._journal.append(record))
        if len(self._waiting) >= PART_RECORDS or self._journal.size >= PART_BYTES:
            self.pack()
        return place

    def pack(self) -> None:
        """Make a part of the records that wait for one."""
        if not self._waiting:
            return
        whole = self._folder / f"part-{self._part:06}.parquet"
        torn = self._folder / f".part-{self._part:06}.tmp"
        with self._journal.path.open("rb") as lines:
            rows = [_row(line.decode().rstrip("\n")) for line in lines]
        table = self._arrow.Table.from_pylist(rows, schema=self._schema())
        try:
            with _writing(whole):
                self._arrow.parquet.write_table(table, torn, compression="zstd", row_group_size=ROWS_READ_BACK)
                _sync_path(torn)
                torn.replace(whole)
                _sync_path(self._folder)
        except RunStopped:
            torn.unlink(missing_ok=True)
            raise
        self._journal.clear()
        self._waiting.clear()
        self._part += 1

    def read(self, place: int) -> Record:
        part, row = place >> 32, place & 0xFFFFFFFF
        if part == self._part:
            return self._journal.read(self._waiting[row])
        with self._arrow.parquet.ParquetFile(self._folder / f"part-{part:06}.parquet") as file:
            rows = file.read_row_group(row // ROWS_READ_BACK, columns=["record"])
        record: Record = json.loads(rows["record"][row % ROWS_READ_BACK].as_py())
        return record

    def sync(self) -> None:
        self._journal.sync()

    def abandon(self) -> None:
        self._journal.abandon()

    def close(self) -> None:
        self.pack()
        self._journal.close()
        self._journal.path.unlink(missing_ok=True)

    def _schema(self) -> Any:
        arrow = self._arrow
        kinds = {"sentences": arrow.int32(), "flagged_sentences": arrow.int32(), "summary": arrow.list_(arrow.string())}
        return arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])


COLUMNS = (
    *("id", "status", "duplicate_of", "digest", "title", "translation", "summary"),
    *("verdict", "sentences", "flagged_sentences", "model", "model_digest", "record"),
)


def recorded_ids(path: Path) -> Iterator[str]:
    """Yield the ids in an output without touching it, whole or not. Raises RunRefused."""
    lines = [path]
    if path.is_dir():
        lines = [path / JOURNAL]
        for part in sorted(path.glob("*.parquet")):
            for row in _rows(part, ["id"]):
                yield row["id"]
    for file in lines:
        if file.exists():
            with file.open("rb") as found:
                for number, line in enumerate(found, start=1):
                    with contextlib.suppress(ValueError):  # a last line that was cut off
                        yield _checked(json.loads(line), number, file)["id"]


def records_of(path: Path) -> Iterator[Record]:
    """Yield every record of a finished output, of either kind, whole."""
    if path.is_dir():
        parquet = import_pyarrow().parquet
        for part in sorted(path.glob("*.parquet")):
            with parquet.ParquetFile(part) as file:
                for batch in file.iter_batches(batch_size=ROWS_READ_BACK, columns=["record"]):
                    for row in batch.to_pylist():
                        yield json.loads(row["record"])
    else:
        with path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)


def _rows(path: Path, columns: list[str]) -> Iterator[Record]:
    try:
        with import_pyarrow().parquet.ParquetFile(path) as file:
            if not {*columns} <= {*file.schema_arrow.names}:
                raise RunRefused(f"{path} is none of a run. Move it, or give another output.")
            for batch in file.iter_batches(columns=columns):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise RunRefused(f"{path} cannot be read: {error}. Move it, or give another output.") from None


def _checked(record: Any, number: int, path: Path) -> Record:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise RunRefused(f"Line {number} of {path} is none of a run. Mend or move it, or give another output.")
    return record


def _row(line: str) -> Record:
    record = json.loads(line)
    provenance = record["provenance"]
    paragraphs = [
        " ".join(sentence["translation"] for sentence in paragraph["sentences"] if sentence["translation"])
        for paragraph in record["translation"]["paragraphs"]
    ]
    return {
        "id": record["id"],
        "status": record["status"]["code"],
        "duplicate_of": record["duplicate_of"],
        "digest": record["digest"],
        "title": record["title"],
        "translation": "\n\n".join(text for text in paragraphs if text),
        "summary": [sentence["text"] for sentence in record["summary"]],
        **{name: provenance[name] for name in ("verdict", "sentences", "flagged_sentences", "model", "model_digest")},
        "record": line,
    }


def _place(part: int, row: int) -> int:
    return part << 32 | row


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say where and why writing failed."""
    try:
        yield
    except OSError as error:
        raise RunStopped(
            f"{path} cannot be written: {error.strerror or error}. All that was done before is kept; "
            f"when this is mended, the same command goes on."
        ) from None
