"""What a run must remember of every article, in an SQLite file of its own in the temporary folder: memory stays flat.

The file has no name and ends with the process. Nothing depends on it: it is filled from the output when a run begins.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from khulasa.jobs.failures import RunStopped

CACHE_KIB = 16 * 1024


class Index:
    """Ids that are done or were read, first copies of stories, and lines that failed.

    A line is known by its number, for what is mended in it may be its id; a file of a folder by its id. With
    `lines_move` another input may have another line of that number, and only with the same id is it the same.
    """

    def __init__(self, *, lines_move: bool = False) -> None:
        self._lines_move = lines_move
        # Synchronous or journalled writes would protect what is thrown away anyway.
        self._data = sqlite3.connect("", isolation_level=None)
        self._data.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -{CACHE_KIB};
            CREATE TABLE done (id BLOB PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE read (id BLOB PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE first (digest BLOB PRIMARY KEY, id TEXT, place INTEGER) WITHOUT ROWID;
            CREATE TABLE text (digest BLOB PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE failed (line BLOB PRIMARY KEY, place INTEGER) WITHOUT ROWID;
            BEGIN;
            """
        )

    def add_done(self, article_id: str) -> bool:
        """Note that the output has this article; False if that was known."""
        return self._added("INSERT OR IGNORE INTO done VALUES (?)", _key(article_id))

    def is_done(self, article_id: str) -> bool:
        """Tell whether the output has this article."""
        return self._row("SELECT 1 FROM done WHERE id = ?", _key(article_id)) is not None

    def add_read(self, article_id: str) -> bool:
        """Note that the input has this id; False if it came before."""
        return self._added("INSERT OR IGNORE INTO read VALUES (?)", _key(article_id))

    def add_text(self, digest: str) -> bool:
        """Note that the input has this text; False if it came before."""
        return self._added("INSERT OR IGNORE INTO text VALUES (?)", bytes.fromhex(digest))

    def add_first(self, digest: str, article_id: str, place: int) -> None:
        """Note which article was the first with this text, and where the output has it."""
        self._added("INSERT OR IGNORE INTO first VALUES (?, ?, ?)", bytes.fromhex(digest), article_id, place)

    def first(self, digest: str) -> tuple[str, int] | None:
        """Return id and place of the first article with this text."""
        row = self._row("SELECT id, place FROM first WHERE digest = ?", bytes.fromhex(digest))
        return (str(row[0]), int(str(row[1]))) if row else None

    def add_failed(self, number: int, article_id: str, place: int) -> None:
        """Note that this line of the input failed, and where the error file says so."""
        self._added("INSERT OR REPLACE INTO failed VALUES (?, ?)", self._line(number, article_id), place)

    def failed(self, number: int, article_id: str) -> int | None:
        """Return where the error file has this line of the input, None if it has not."""
        row = self._row("SELECT place FROM failed WHERE line = ?", self._line(number, article_id))
        return int(str(row[0])) if row else None

    def drop_failed(self, number: int, article_id: str) -> None:
        """Forget that a line failed."""
        self._added("DELETE FROM failed WHERE line = ?", self._line(number, article_id))

    def close(self) -> None:
        """Give the file back."""
        self._data.close()

    def _line(self, number: int, article_id: str) -> bytes:
        return _key(str(number) if number and not self._lines_move else f"{number} {article_id}")

    def _added(self, statement: str, *values: object) -> bool:
        with _room():
            return self._data.execute(statement, values).rowcount == 1

    def _row(self, statement: str, *values: object) -> tuple[object, ...] | None:
        with _room():
            row: tuple[object, ...] | None = self._data.execute(statement, values).fetchone()
            return row


def _key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        folder = Path("/var/tmp")
        raise RunStopped(
            f"The list of ids cannot be kept: {error}. Make room in {folder}, or name another folder in SQLITE_TMPDIR."
        ) from None
