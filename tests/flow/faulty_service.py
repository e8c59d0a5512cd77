"""A service that fails where a text with FAULT is met: `FAULTY_MODULE=gateway python -m tests.flow.faulty_service`.

What fails then quotes the text in its exception, as Python's own exceptions do.
"""

import os
import runpy
from collections.abc import Callable
from typing import Any

from gateway import paragraphs
from services.summarizer import summarize
from services.translator.translation import ParagraphTranslator

FAULT = "عطل"
"""Followed by the name of the service that is to fail."""


def failing(service: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work` with the fault."""

    def faulty(*args: Any, **options: Any) -> Any:
        if f"{FAULT} {service}" in str((args, options)):
            raise ValueError(f"cannot work on {args} {options}")
        return work(*args, **options)

    return faulty


if __name__ == "__main__":
    paragraphs.cut = failing("gateway", paragraphs.cut)
    summarize.summarize = failing("summarizer", summarize.summarize)
    ParagraphTranslator.translate = failing("translator", ParagraphTranslator.translate)  # type: ignore[method-assign]
    runpy.run_module(os.environ["FAULTY_MODULE"], run_name="__main__", alter_sys=True)
