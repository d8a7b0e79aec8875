"""`python -m algorithms`: communities of any edge file, and what the night's algorithms found."""

from __future__ import annotations

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Communities, rings, hubs and features.")
console = Console()


@app.callback()
def _group() -> None:
    """Communities, rings, hubs and features."""


if __name__ == "__main__":
    app(prog_name="python -m algorithms")
