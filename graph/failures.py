"""Expected failures end as one sentence for a person; anything else keeps its traceback for us."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_OURS = ("graph", "ingest", "algorithms", "gnn", "explorer", "jobs")
# How a failure inside a Spark task comes back: the worker's traceback as text, its last line naming the class.
_IN_A_TASK = re.compile(rf"^(?:{'|'.join(_OURS)})\.[\w.]+Error: (?P<text>.+)$", re.MULTILINE)


def sentence(error: BaseException) -> str | None:
    """Return the text of an error class of ours, also when it was raised in a Spark task; None for any other."""
    if type(error).__module__.split(".")[0] in _OURS:
        return str(error)
    if type(error).__name__ in ("Py4JJavaError", "PythonException") and (found := _IN_A_TASK.search(str(error))):
        return found["text"]
    return None


@contextmanager
def spoken() -> Iterator[None]:
    """Print the sentence of an expected failure and exit with 1; its text says what to do next."""
    try:
        yield
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        Console(stderr=True).print(f"[bold red]✗[/] {text}", highlight=False, soft_wrap=True)
        sys.exit(1)
