"""Expected failures end as one sentence for a person; anything else keeps its traceback for us."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_OURS = ("graph.", "ingest.", "algorithms.", "gnn.", "explorer.", "jobs.")


@contextmanager
def spoken() -> Iterator[None]:
    """Print the text of an error class of ours and exit with 1; its text says what to do next."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(_OURS):
            raise
        Console(stderr=True).print(f"[bold red]✗[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
