"""The run file beside an output: which input and options it is made of, and the lock against a second run.

The lock is the kernel's on the open file, so it goes with the process however that ends.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from khulasa.jobs.failures import RunRefused, RunStopped
from khulasa.jobs.inputs import Input
from khulasa.show import to_json
from khulasa.types import Options

FORMAT = 1
MAX_BYTES = 1024 * 1024


class RunFile:
    """Held by a run from its begin to its end."""

    def __init__(self, output: Path) -> None:
        """Take the lock. Raises RunRefused if another run is under way."""
        self._output = output
        self._path = path = beside(output, "run.json")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunRefused(
                f"{path} cannot be written: {error.strerror}. Give an output in a folder that you may write."
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise RunRefused(f"Another run writes {output} now. Wait for its end, or give another output.") from None

    def close(self) -> None:
        """Let others run."""
        os.close(self._descriptor)

    def compare(self, source: Input, options: Options) -> None:
        """Raise RunRefused if the output is of another input, of other options, or of no run."""
        path, output = self._path, self._output
        asked: dict[str, Any] = {"format": FORMAT, "input": source.identity(), "options": fingerprint(options)}
        known = self._known()
        if known:
            if not source.is_same(known["input"]):
                raise RunRefused(
                    f"{output} was made of another input. If it is the same one and was mended, say --mended; else "
                    f"give another output, or move {output} and {path}."
                )
            if known["options"] != asked["options"]:
                names = [name for name in asked["options"] if known["options"].get(name) != asked["options"][name]]
                raise RunRefused(
                    f"{output} was made with other options ({', '.join(names)}). Give the same, or another output."
                )
            if known["input"] != asked["input"]:  # it grew, and more of it can be compared the next time
                self._write(asked)
            return
        if _has_content(output):
            path.unlink()
            raise RunRefused(f"{output} exists and is none of a run: nothing is overwritten. Give another output.")
        self._write(asked)

    def accept(self, source: Input) -> None:
        """Take an input for the one that the output was made of. Raises RunRefused or RunStopped."""
        if known := self._known():
            self._write(known | {"input": source.identity()})

    def _known(self) -> dict[str, Any] | None:
        try:
            known = json.loads(os.pread(self._descriptor, MAX_BYTES, 0) or b"null")
        except ValueError:
            return None  # killed while it was written, so nothing was done yet
        if not isinstance(known, dict):
            return None
        if known.get("format") != FORMAT:
            raise RunRefused(f"{self._path} is not of this version. Give another output.")
        return known

    def _write(self, known: dict[str, Any]) -> None:
        data = json.dumps(known, indent=1).encode() + b"\n"
        try:
            # Over what is there in one write, so that a run that is killed leaves the one or the other.
            os.pwrite(self._descriptor, data.ljust(os.fstat(self._descriptor).st_size), 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise RunStopped(f"{self._path} cannot be written: {error.strerror}.") from None


def accept_mended(output: Path, source: Input) -> None:
    """Take a mended input for the one that an output was made of, if there is one. Raises RunRefused or RunStopped."""
    if beside(output, "run.json").exists():
        with contextlib.closing(RunFile(output)) as run_file:
            run_file.accept(source)


def beside(output: Path, ending: str) -> Path:
    """Return the file that goes with an output, e.g. `out.jsonl.errors.jsonl`."""
    return output.with_name(f"{output.name}.{ending}")


def fingerprint(options: Options) -> dict[str, Any]:
    """Return what the answers depend on. A cache that is passed by gives the same ones."""
    glossary = options.glossary
    if isinstance(glossary, Mapping):
        glossary = hashlib.sha256(json.dumps(sorted(glossary.items())).encode()).hexdigest()
    return {
        "summary_budget": to_json(options.summary_budget),
        "translate_boilerplate": options.translate_boilerplate,
        "summary_first": options.summary_first,
        "glossary": glossary,
    }


def _has_content(output: Path) -> bool:
    if output.is_dir():
        return any(output.iterdir())
    return output.exists() and output.stat().st_size > 0
