"""The run file beside an output: which input and options it is made of, and the lock against a second run.

The lock is the kernel's on the open file, so it goes with the process however that ends.
"""

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


class RunFile:
    """Held by a run from its begin to its end."""

    def __init__(self, output: Path, source: Input, options: Options) -> None:
        """Take the lock and compare. Raises RunRefused if another run is under way or the output is of other things."""
        path = beside(output, "run.json")
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
        try:
            self._compare(path, output, source, options)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others run."""
        os.close(self._descriptor)

    def _compare(self, path: Path, output: Path, source: Input, options: Options) -> None:
        asked: dict[str, Any] = {"format": FORMAT, "input": source.identity(), "options": fingerprint(options)}
        try:
            known = json.loads(os.pread(self._descriptor, 1024 * 1024, 0) or b"null")
        except ValueError:
            known = None  # killed while it was written, so nothing was done yet
        if isinstance(known, dict):
            if known.get("format") != FORMAT:
                raise RunRefused(f"{path} is not of this version. Give another output.")
            if not source.is_same(known["input"]):
                raise RunRefused(
                    f"{output} was made of another input. Give another output, or move {output} and {path}."
                )
            if known["options"] != asked["options"]:
                names = [name for name in asked["options"] if known["options"].get(name) != asked["options"][name]]
                raise RunRefused(
                    f"{output} was made with other options ({', '.join(names)}). Give the same, or another output."
                )
            return
        if _has_content(output):
            path.unlink()
            raise RunRefused(f"{output} exists and is none of a run: nothing is overwritten. Give another output.")
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(asked, indent=1).encode() + b"\n", 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise RunStopped(f"{path} cannot be written: {error.strerror}.") from None


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
