"""What a run reads: JSON lines, CSV, Parquet, folders of text and HTML, standard input. One article at a time.

Every line, row or file becomes exactly one `Entry`: an article, or the reason why it is none. A bad one ends no run.
A line, one object, other fields ignored so that an export can be used as it is:

    {"id": "a-17", "text": "…", "title": "…"}      "html" in the place of "text" for a page; all but these are optional
"""

import csv
import gzip
import hashlib
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Self, TypeAlias

from khulasa.errors import BadRequest, KhulasaError, UnreadableFile
from khulasa.jobs.failures import RunRefused
from khulasa.jobs.parquet import damage, open_parquet
from khulasa.reading import decode, looks_like_html
from khulasa.types import Article

MAX_ID_CHARS = 200
"""As the gateway has it."""
MAX_LINE_BYTES = 8 * 1024 * 1024
"""The longest article, 1,000,000 bytes, takes three times as much in JSON that escapes every letter; twice that, and
other fields, still fit. A longer line is passed over without being held."""
HEAD_BYTES = 64 * 1024
Lines: TypeAlias = IO[bytes] | gzip.GzipFile | io.BufferedReader

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PAGE_SUFFIXES = (".txt", ".html", ".htm")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, row or file: its number from 1 (0 for a file), its id, and the article or what is wrong with it."""

    number: int
    id: str
    article: Article | None = None
    error: KhulasaError | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """What the fields or columns of an input are called. A page comes in `html`, in the place of the text."""

    id: str = "id"
    text: str = "text"
    title: str = "title"

    @property
    def all(self) -> tuple[str, ...]:
        return (self.id, self.text, self.title, "html")

    def check(self, columns: Sequence[str], name: object) -> None:
        """Raise RunRefused if a table has neither text nor html."""
        if self.text not in columns and "html" not in columns:
            raise RunRefused(
                f"The input {name} has the columns {', '.join(columns) or '(none)'}; none is {self.text} or html. "
                f"Say which has the text: --text-field NAME."
            )


class Input(ABC):
    """Articles in a fixed order. `share` is how much of them `entries` has read, 0 to 1, or None where nobody knows."""

    share: float | None = None

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield every entry from the first one on, holding one at a time."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what tells this input from another one. A file that only grew stays the same input."""

    def is_same(self, known: Mapping[str, Any]) -> bool:
        """Tell whether `known` is the identity of this input, perhaps of when it was shorter."""
        return self.identity() == known


def open_input(name: str, fields: Fields) -> Input:
    """Return the input of this name, `-` being JSON lines on standard input. Raises RunRefused."""
    if name == "-":
        return StandardInput(fields)
    path = Path(name).absolute()  # a worker of Ray reads it too, and works in another folder
    if not path.exists():
        raise RunRefused(f"The input {name} is not there.")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise RunRefused(f"The input {name} cannot be read: permission denied.")
    if path.is_dir():
        parts = sorted(path.glob("*.parquet"))
        return ParquetRows(path, parts, fields) if parts else Folder(path)
    bare = Path(path.stem) if path.suffix in (".gz", ".zst") else path
    if bare.suffix in JSON_SUFFIXES:
        return JsonLines(path, fields)
    if bare.suffix in (".csv", ".tsv"):
        return CsvRows(path, fields, delimiter="\t" if bare.suffix == ".tsv" else ",")
    if path.suffix == ".parquet":
        return ParquetRows(path, [path], fields)
    raise RunRefused(
        f"The input {name} is of no known kind. Known are .jsonl, .csv and .tsv (also with .gz or .zst), .parquet, "
        f"a folder of .txt and .html, and - for JSON lines on standard input."
    )


class _File(Input):
    """A file read from its start; the share is that of its bytes, compressed or not."""

    def __init__(self, path: Path, fields: Fields) -> None:
        self.path = path
        self.fields = fields

    def identity(self) -> dict[str, Any]:
        return self._identity(HEAD_BYTES)

    def is_same(self, known: Mapping[str, Any]) -> bool:
        length = known.get("head_bytes")
        return isinstance(length, int) and 0 <= length <= HEAD_BYTES and self._identity(length) == known

    def _identity(self, length: int) -> dict[str, Any]:
        with self.path.open("rb") as file:
            head = file.read(length)
        return {
            "kind": type(self).__name__,
            "head_bytes": len(head),
            "head_sha256": hashlib.sha256(head).hexdigest(),
        } | _names(self.fields)

    def _open(self, raw: BinaryIO) -> Lines:
        if self.path.suffix == ".gz":
            return gzip.open(raw)
        if self.path.suffix == ".zst":
            try:
                import zstandard
            except ImportError:
                raise RunRefused(
                    f"{self.path} needs the package zstandard: pip install zstandard, or unpack the file."
                ) from None
            return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
        return raw

    def _rows(self, number_and_fields: Iterator[Entry], raw: BinaryIO) -> Iterator[Entry]:
        """Yield entries, keeping the share; a stream that breaks off is the last entry."""
        size = os.fstat(raw.fileno()).st_size
        number = 0
        try:
            for entry in number_and_fields:
                number = entry.number
                self.share = raw.tell() / size if size else 1.0
                yield entry
        except RunRefused:
            raise
        except Exception as error:
            if not _is_damage(error):
                raise
            why = f"The input is damaged after line {number}: {error}. What follows cannot be read; mend the file."
            yield Entry(number + 1, f"line-{number + 1}", error=BadRequest(why, reason="INPUT_DAMAGED"))
        self.share = 1.0


class JsonLines(_File):
    """A JSON object a line, UTF-8, perhaps compressed."""

    def entries(self) -> Iterator[Entry]:
        with self.path.open("rb") as raw, self._open(raw) as lines:
            yield from self._rows(json_entries(lines, self.fields), raw)


class StandardInput(Input):
    """JSON lines from a pipe. It cannot be looked at before it is read, so only the ids tell what was done of it."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def entries(self) -> Iterator[Entry]:
        if sys.stdin is None:
            raise RunRefused("Standard input is closed. Give a file, or send JSON lines to it.")
        # Not sys.stdin: Python closes that when it ends, and dies if a thread still waits there for the next line.
        with open(0, "rb", closefd=False) as lines:
            yield from json_entries(lines, self._fields)

    def identity(self) -> dict[str, Any]:
        return {"kind": type(self).__name__} | _names(self._fields)


class CsvRows(_File):
    """Rows under a header, in UTF-8. The number of a row is that of its first line."""

    def __init__(self, path: Path, fields: Fields, *, delimiter: str) -> None:
        super().__init__(path, fields)
        self._delimiter = delimiter

    def entries(self) -> Iterator[Entry]:
        with self.path.open("rb") as raw, self._open(raw) as data:
            yield from self._rows(self._read(data), raw)

    def _read(self, data: Lines) -> Iterator[Entry]:
        csv.field_size_limit(MAX_LINE_BYTES)
        # What is no UTF-8 becomes surrogates, so that the row that has it can be named and the others be read.
        with io.TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            lines = _CsvLines(text)
            rows = csv.reader(lines, delimiter=self._delimiter, strict=True)
            try:
                header = next(rows, [])
            except (csv.Error, BadRequest) as error:
                why = lines.why_no_csv(error) if isinstance(error, csv.Error) else error
                raise RunRefused(f"The input {self.path} has no header. {why}") from None
            self.fields.check(header, self.path)
            while True:
                number = lines.begin_row()
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except BadRequest as error:
                    yield Entry(number, f"line-{number}", error=error)
                    continue
                except csv.Error as error:
                    yield Entry(number, f"line-{number}", error=_malformed(lines.why_no_csv(error)))
                    continue
                if row and (len(row) < len(header) or any(row[len(header) :])):
                    counts = f"The header has {len(header)} fields, the row in {lines.place} has {len(row)}."
                    advice = "Put quotes around a text that has the delimiter or a line break in it."
                    yield Entry(number, f"line-{number}", error=_malformed(f"{counts} {advice}"))
                elif row:
                    fields = {name: value for name, value in zip(header, row, strict=False) if value}
                    yield entry_of(fields, number, self.fields)


class _CsvLines:
    """The lines that csv makes rows of. Raises BadRequest at a line or row that is longer than may be held.

    No generator: csv goes on with the next line after an error, and a generator would have ended.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._number = 0
        self._row_began = 1
        self._row_chars = 0
        self._ended = False

    def begin_row(self) -> int:
        """Count what is read from here on to a new row, and return the number of its first line."""
        self._row_began = self._number + 1
        self._row_chars = 0
        return self._row_began

    @property
    def place(self) -> str:
        """Where the row is, in words."""
        if self._row_began == self._number:
            return f"line {self._number}"
        return f"lines {self._row_began} to {self._number}"

    def why_no_csv(self, error: csv.Error) -> str:
        """Say what is wrong with a row, and what is not read for it."""
        if self._ended:
            return (
                f"The row that begins in line {self._row_began} has a quote that is never closed. What follows, up to "
                f"line {self._number}, is not read; mend the file."
            )
        return (
            f"The row in {self.place} is no CSV ({error}) and not read. Close its quotes, and write those within a "
            f"text twice."
        )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE_BYTES + 1)
        if not line:
            self._ended = True
            raise StopIteration
        self._number += 1
        # A character takes 4 bytes at most, so most lines need not be counted.
        length = len(line) if len(line) * 4 <= MAX_LINE_BYTES else _utf8_length(line)
        if length > MAX_LINE_BYTES:
            while not line.endswith(("\n", "\r")) and (line := self._text.readline(1024 * 1024)):
                length += _utf8_length(line)
            raise _line_too_long(self._number, length)
        self._row_chars += len(line)
        if self._row_chars > MAX_LINE_BYTES:
            raise _malformed(
                f"The row in {self.place} has more than {MAX_LINE_BYTES} characters and is not read. "
                f"Close its quotes, or split its article."
            )
        return line


class ParquetRows(Input):
    """The rows of one Parquet file, or of all in a folder by name."""

    def __init__(self, path: Path, parts: list[Path], fields: Fields) -> None:
        self._path = path
        self._parts = parts
        self._fields = fields

    def entries(self) -> Iterator[Entry]:
        counts = [self._check(part) for part in self._parts]  # all of them before the first row is given out
        total, number = sum(counts), 0
        for part, count in zip(self._parts, counts, strict=True):
            for entry in self._read(part, number, count):
                self.share = min(1.0, entry.number / max(total, 1))
                yield entry
            number += count
        self.share = 1.0

    def _check(self, part: Path) -> int:
        """Return the number of rows. Raises RunRefused for what is no Parquet, or has no column for the text."""
        try:
            with open_parquet(part) as file:
                self._fields.check(file.schema_arrow.names, part)
                return int(file.metadata.num_rows)
        except damage() as error:
            raise RunRefused(f"The input {part} is no Parquet: {_first_line(error)}.") from None

    def _read(self, part: Path, before: int, count: int) -> Iterator[Entry]:
        """Yield the rows of a part, of which there are `count`, numbered after those `before`.

        What cannot be read of a damaged group of rows is one entry; the next group is read.
        """
        try:
            file = open_parquet(part)
        except damage() as error:  # it could be opened when it was checked
            yield _damaged(part, before + 1, before + count, error)
            return
        number = before
        with file:
            columns = [name for name in file.schema_arrow.names if name in self._fields.all]
            for group in range(file.metadata.num_row_groups):
                end = number + file.metadata.row_group(group).num_rows
                try:
                    for batch in file.iter_batches(batch_size=64, row_groups=[group], columns=columns):
                        for row in batch.to_pylist():
                            number += 1
                            yield entry_of(row, number, self._fields)
                except damage() as error:
                    yield _damaged(part, number + 1, end, error)
                number = end

    def identity(self) -> dict[str, Any]:
        # The schema and the numbers of a file stand at its end, so a file that grew is another one.
        digest = hashlib.sha256()
        for part in self._parts:
            with part.open("rb") as file:
                file.seek(max(0, part.stat().st_size - HEAD_BYTES))
                digest.update(part.name.encode() + file.read())
        return {"kind": type(self).__name__, "ends_sha256": digest.hexdigest()} | _names(self._fields)


class Folder(Input):
    """The .txt and .html files in a folder and below; an article's id is its path within."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[Entry]:
        total = sum(isinstance(found, Path) for found in self._walk(self._path))
        for number, found in enumerate(self._walk(self._path), start=1):
            self.share = min(1.0, number / max(total, 1))
            yield self._read(found)
        self.share = 1.0

    def identity(self) -> dict[str, Any]:
        return {"kind": type(self).__name__, "path": str(self._path.resolve())}

    def _walk(self, folder: Path) -> Iterator[Path | OSError]:
        names: list[str] = []  # not what scandir gives, of which each has its whole path: there may be millions
        folders: set[str] = set()
        try:
            with os.scandir(folder) as found:
                for item in found:
                    if item.is_dir(follow_symlinks=False):
                        folders.add(item.name)
                        names.append(item.name)
                    elif item.name.lower().endswith(PAGE_SUFFIXES):
                        names.append(item.name)
        except OSError as error:
            yield error
            return
        names.sort()
        for name in names:
            if name in folders:
                yield from self._walk(folder / name)
            else:
                yield folder / name

    def _read(self, found: Path | OSError) -> Entry:
        path = Path(found.filename) if isinstance(found, OSError) else found
        article_id = path.relative_to(self._path).as_posix().encode("utf-8", "backslashreplace").decode()
        try:
            if isinstance(found, OSError):
                raise found
            if (size := found.stat().st_size) > MAX_LINE_BYTES:
                raise UnreadableFile(f"has {size} bytes, the limit is {MAX_LINE_BYTES}. Split it.")
            text = decode(found.read_bytes())
        except OSError as error:
            why = f"{article_id} cannot be read: {error.strerror}."
            return Entry(0, article_id, error=UnreadableFile(why, reason="UNREADABLE_FILE"))
        except UnreadableFile as error:
            return Entry(0, article_id, error=UnreadableFile(f"{article_id} {error}", reason="UNREADABLE_FILE"))
        return _checked(0, article_id, Article(html=text) if looks_like_html(text) else Article(text=text))


def json_entries(lines: Lines, fields: Fields) -> Iterator[Entry]:
    """Yield an entry for each line that is not blank."""
    number = 0
    while line := lines.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            length = len(line)
            while not line.endswith(b"\n") and (line := lines.readline(1024 * 1024)):
                length += len(line)
            yield Entry(number, f"line-{number}", error=_line_too_long(number, length))
            continue
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise RunRefused("The input is UTF-16. Convert it to UTF-8, as in: iconv -f UTF-16 -t UTF-8 OLD > NEW")
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield _json_entry(line, number, fields)


def _json_entry(line: bytes, number: int, fields: Fields) -> Entry:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        why = f"Line {number} is not UTF-8 (byte {error.start}). Convert the input."
        return Entry(number, f"line-{number}", error=BadRequest(why, reason="WRONG_ENCODING"))
    except json.JSONDecodeError as error:
        why = f"Line {number} is no JSON: {error.msg} at character {error.pos}. Mend it."
        return Entry(number, f"line-{number}", error=_malformed(why))
    except (ValueError, RecursionError) as error:  # a ValueError of its own is what Python has for thousands of digits
        what = "is nested too deep" if isinstance(error, RecursionError) else "has a number of too many digits"
        return Entry(number, f"line-{number}", error=_malformed(f"Line {number} {what}. Mend it."))
    if not isinstance(row, dict):
        why = f'Line {number} is no JSON object. A line is as {{"id": …, "text": …}}.'
        return Entry(number, f"line-{number}", error=_malformed(why))
    return entry_of(row, number, fields)


def entry_of(row: Mapping[str, Any], number: int, fields: Fields) -> Entry:
    """Return the entry of a row. Without an id it is called line-NUMBER."""
    given = row.get(fields.id)
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int)):
        why = f"id is of the kind {type(given).__name__}. Make it a string."
        return Entry(number, f"line-{number}", error=_malformed(why))
    article_id = str(given) if given not in (None, "") else f"line-{number}"
    try:
        article_id.encode()
    except UnicodeEncodeError:
        why = f"The id in line {number} is not valid Unicode. Convert the input to UTF-8."
        return Entry(number, f"line-{number}", error=BadRequest(why, reason="WRONG_ENCODING"))
    if len(article_id) > MAX_ID_CHARS:
        why = f"id has {len(article_id)} characters, the limit is {MAX_ID_CHARS}. Shorten it."
        return Entry(number, article_id[:MAX_ID_CHARS], error=BadRequest(why, reason="ID_TOO_LONG"))
    try:
        title, text, html = (_text(row, name) for name in (fields.title, fields.text, "html"))
    except BadRequest as error:
        return Entry(number, article_id, error=error)
    if text and html:
        why = f"There is {fields.text} and html. Leave one out."
        return Entry(number, article_id, error=BadRequest(why, reason="UNREADABLE_RECORD"))
    if not text.strip() and not html.strip():
        why = f"There is neither {fields.text} nor html."
        return Entry(number, article_id, error=BadRequest(why, reason="ARTICLE_EMPTY"))
    return _checked(number, article_id, Article(text=text, html=html, title=title))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} is of the kind {type(value).__name__}. Make it a string.", reason="UNREADABLE_RECORD")
    return value or ""


def _checked(number: int, article_id: str, article: Article) -> Entry:
    try:
        (article.title + article.text + article.html).encode()
    except UnicodeEncodeError as error:
        why = f"The article is not UTF-8 (character {error.start}). Convert the input."
        return Entry(number, article_id, error=BadRequest(why, reason="WRONG_ENCODING"))
    return Entry(number, article_id, article)


def _names(fields: Fields) -> dict[str, Any]:
    return {"fields": [fields.id, fields.text, fields.title]}


def _line_too_long(number: int, length: int) -> BadRequest:
    why = f"Line {number} has {length} bytes, the limit is {MAX_LINE_BYTES}. Split its article."
    return BadRequest(why, reason="LINE_TOO_LONG")


def _damaged(part: Path, first: int, last: int, error: Exception) -> Entry:
    why = f"Rows {first} to {last}, in {part.name}, cannot be read: {_first_line(error)}. Mend the file."
    return Entry(first, f"line-{first}", error=BadRequest(why, reason="INPUT_DAMAGED"))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _malformed(why: str) -> BadRequest:
    return BadRequest(why, reason="MALFORMED_LINE")


def _is_damage(error: Exception) -> bool:
    """Tell whether a compressed stream broke: each library has an error of its own."""
    return isinstance(error, EOFError | OSError) or type(error).__module__.startswith(("zlib", "zstandard"))
