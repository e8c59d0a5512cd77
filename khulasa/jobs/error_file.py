"""The error file beside an output: the lines of the input that have no record, and why. It quotes nothing but ids. The
files of a folder have line 0.

    {"line": 17, "id": "a-17", "code": "INVALID_ARGUMENT", "reason": "ARTICLE_TOO_LONG", "message": "…"}

While a run goes on it only grows. Before and after a run it is cleared of what was done since, so that at the end of a
run it has one line for each article that failed.
"""

import json
from pathlib import Path

from khulasa.errors import KhulasaError, code_of
from khulasa.jobs.failures import RunRefused
from khulasa.jobs.index import Index
from khulasa.jobs.inputs import Entry
from khulasa.jobs.output import JsonLines

NOT_THE_ARTICLE = ("REPEATED_ID",)
"""Reasons for which a line stays in the file though the output has its id: it has the id of another line."""
OF_NO_LINE = ("INPUT_DAMAGED",)
"""Reasons that are forgotten when a run begins: in the mended input there may be no such line. A run that meets the
damage again tells it again."""
FORGOTTEN = -1


class ErrorFile:
    """Opened with what the index knows is done; `index.failed` then says which lines it has."""

    def __init__(self, path: Path, index: Index) -> None:
        self._path = path
        self._index = index
        self._lines = JsonLines(path)
        try:
            self._recover()
            self._clear()
        except BaseException:
            self._lines.abandon()
            raise

    def add(self, entry: Entry, error: KhulasaError) -> None:
        """Write why an entry failed, in the place of what was known of it."""
        code, reason, message = code_of(error), error.reason or code_of(error), str(error)
        record = {"line": entry.number, "id": entry.id, "code": code, "reason": reason, "message": message}
        self._index.add_failed(entry.number, entry.id, self._lines.append(record))

    def finish(self) -> None:
        """Clear the file of what was done; without a failure there is no file."""
        self._clear()
        self._lines.close()
        if not self._lines.size:
            self._path.unlink()

    def abandon(self) -> None:
        """Give the file back as it is."""
        self._lines.abandon()

    def _recover(self) -> None:
        for number, (place, record) in enumerate(self._lines.recover(), start=1):
            line, reason = record.get("line"), record.get("reason")
            if not isinstance(line, int) or not isinstance(reason, str):
                raise RunRefused(f"Line {number} of {self._path} is none of a run. Move the file.")
            if reason in OF_NO_LINE:
                self._index.add_failed(line, record["id"], FORGOTTEN)
            elif reason in NOT_THE_ARTICLE or not self._index.is_done(record["id"]):
                self._index.add_failed(line, record["id"], place)

    def _clear(self) -> None:
        """Keep the newest line of each failure, by a new file that takes the old one's place."""
        new_path = self._path.with_name(f".{self._path.name}.tmp")
        new_path.unlink(missing_ok=True)
        new = JsonLines(new_path)
        with self._path.open("rb") as lines:
            place = 0
            for line in lines:
                record = json.loads(line)
                number, article_id = record["line"], record["id"]
                if self._index.failed(number, article_id) == place:
                    self._index.add_failed(number, article_id, new.append(record))
                place += len(line)
        new.close()
        self._lines.close()
        new_path.replace(self._path)
        self._lines = JsonLines(self._path)
