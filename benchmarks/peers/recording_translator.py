"""The translator that ships, which also writes down every batch that it decodes: the shapes that our queue makes.

    KHULASA_RECORD=batches.jsonl python -m benchmarks.peers.recording_translator

Each line is a batch in order of its beginning, a list of sentences as lists of tokens.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from services.harness import logs
from services.harness.settings import load
from services.translator import engine
from services.translator.__main__ import main
from services.translator.engine import Decoded, Engine
from services.translator.model import Model
from services.translator.settings import TranslatorSettings

RECORD = "KHULASA_RECORD"
RECORDING = {"translator": "benchmarks.peers.recording_translator"}


class RecordingEngine:
    """An engine before which a file lies."""

    def __init__(self, recorded: Engine, path: Path) -> None:
        self.batch_cost = recorded.batch_cost
        self.decode_safer = recorded.decode_safer
        self._decode = recorded.decode
        self._file = path.open("a", buffering=1)  # a line is one write, whichever thread makes it

    def decode(self, batch: Sequence[list[str]]) -> list[Decoded]:
        """Write the batch down, then decode it."""
        self._file.write(json.dumps(batch) + "\n")
        return self._decode(batch)


class Record:
    """The batches that were written down, part by part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def since_last(self) -> list[list[list[str]]]:
        """Return the batches that have come since this was asked before."""
        lines = self.path.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        return [json.loads(line) for line in new]


if __name__ == "__main__":
    settings = load(TranslatorSettings)
    logs.configure(settings.log_level, process="translator")
    path, plain = Path(os.environ[RECORD]), engine.load

    def load_recording(model: Model, *, workers: int, threads_per_worker: int) -> Engine:
        """Return what `engine.load` does, recorded."""
        return RecordingEngine(plain(model, workers=workers, threads_per_worker=threads_per_worker), path)

    engine.load = load_recording
    asyncio.run(main(settings))
