"""How a run ends other than well, and the exit status of each end."""

from khulasa.errors import KhulasaError

ALL_DONE = 0
SOME_FAILED = 1
REFUSED = 2
STOPPED = 3
INTERRUPTED = 130

GOES_ON = "All that was done is kept; the same command goes on."
"""How the words of a run that stopped end."""


class RunRefused(KhulasaError):
    """The run was not begun: wrong use, an input that cannot be read, an output that is not its own."""


class RunStopped(KhulasaError):
    """The run could not go on: no room, no gateway, no Ray. What was done is kept; the same command goes on."""


def status(*, interrupted: bool, failed: int) -> int:
    """Return the exit status of a run that came to its end, or was interrupted, with so many articles failed."""
    if interrupted:
        return INTERRUPTED
    return SOME_FAILED if failed else ALL_DONE
