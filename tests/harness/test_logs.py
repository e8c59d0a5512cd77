"""Logs say where something failed, and nothing of what it was about."""

import json
import subprocess
import sys

SCRIPT = """
import asyncio, logging
import structlog
from services.harness import logs

SECRET = "marker-" + "5d1f"
logs.configure("DEBUG", process="test")

def fail():
    try:
        {SECRET: 1}[SECRET + "x"]
    except KeyError as error:
        raise ValueError("about " + SECRET) from error

def log_it():
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("internal error")

async def group():
    async def failing():
        fail()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(failing())
    except BaseException:
        logs.log_internal_error()

async def forgotten():
    async def failing():
        raise OSError(28, SECRET)
    asyncio.create_task(failing())
    await asyncio.sleep(0.01)

log_it()
asyncio.run(group())
asyncio.run(forgotten())
logging.getLogger("library").error("cannot read %s", SECRET)
try:
    SECRET.encode("ascii") + (SECRET + "\\ud800").encode()
except UnicodeEncodeError:
    logging.getLogger("library").exception("cannot encode")
"""


def test_exceptions_are_logged_without_what_they_quote() -> None:
    """Of an exception, its causes, a group, a forgotten task and a library's log, types and lines are told alone."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert "marker-" + "5d1f" not in done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines if line["event"] != "Using selector: EpollSelector"]
    assert events == [
        "internal error",
        "internal error",
        "Task exception was never retrieved",
        "cannot read %s",
        "cannot encode",
    ]
    exceptions = [line.get("exception", "") for line in lines]
    assert any("in fail" in text and "ValueError" in text and "KeyError" in text for text in exceptions)
    assert any("ExceptionGroup" in text and "KeyError" in text for text in exceptions)
    assert any("OSError 28" in text for text in exceptions)
