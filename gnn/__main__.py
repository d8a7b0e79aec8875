"""`python -m gnn`: the race between models, training, scoring, the champion."""

from __future__ import annotations

import os

# Waiting threads must sleep: two that spin on busy cores make training ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Models on the graph: an honest race, training, scoring, the champion."""


@app.command()
def benchmark(
    file: Annotated[Path, typer.Argument(help="An .npz in the neutral format of node classification.")],
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one last line of JSON.")] = False,
) -> None:
    """Train every registered model on each split of FILE and print AUC, AP and Recall@K as mean ± sd."""
    from gnn.benchmark import UnknownModelError, race, summary
    from gnn.neutral import BadFileError, read_task

    console = Console(stderr=True)
    results = []
    try:
        task = read_task(file)
        with console.status("Reading") as status:
            for number, name, row in race(task, model):
                results.append((number, name, row))
                status.update(f"Split {number + 1} of {len(task.train)}: {name} done, AUC {row['auc']:.4f}")
    except (BadFileError, UnknownModelError) as error:
        console.print(f"[red]{error}[/]", highlight=False)
        raise typer.Exit(2) from None
    told = summary(results)
    table = Table(title=f"{task.name}: {len(task.train)} splits, test part")
    for column in ("model", "AUC", "AP", "Recall@K", "seconds"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in told["models"].items():
        cells = (f"{row[what]['mean']:.4f} ± {row[what]['sd']:.4f}" for what in ("auc", "ap", "recall_at_k"))
        table.add_row(name, *cells, f"{row['seconds']:.0f}")
    Console(width=None if Console().is_terminal else 100).print(table)
    if as_json:
        print(json.dumps(told))


if __name__ == "__main__":
    app()
