"""Files that may change while we run: a Secret that was rotated shows at the next look, without a restart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

Value = TypeVar("Value")
log = structlog.get_logger()


class WatchedFiles(Generic[Value]):
    """What `read` makes of one or more files, as they stand there now.

    What became unreadable or bad is logged once, and what was read before stays: a slip of an editor must not close the
    service. `read` raises OSError or ValueError; its message is logged, so it names no secret.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], Value]) -> None:
        """Read them for the first time. Raises OSError, ValueError."""
        self._paths = paths
        self._read = read
        self._seen = self._states()
        self._value = read()

    def value(self) -> Value:
        """Return the newest good value. Costs one look at the state of each file."""
        states = self._states()
        if states != self._seen:
            self._seen = states
            try:
                self._value = self._read()
                log.info("files read again", files=self._names())
            except (OSError, ValueError) as error:
                log.error("files not usable, what was read before stays", files=self._names(), why=why_unusable(error))
        return self._value

    def _states(self) -> list[tuple[int, int, int] | None]:
        return [_state(path) for path in self._paths]

    def _names(self) -> list[str]:
        return [str(path) for path in self._paths]


def why_unusable(error: OSError | ValueError) -> str:
    """Return what is wrong with a file, for people, without what stands in it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size  # Kubernetes swaps a link, so the inode tells
