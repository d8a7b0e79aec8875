"""`python -m gnn train`: the race on a store, told as it goes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gnn.data.store import open_store
from gnn.training.contenders import CONTENDERS, Work
from gnn.training.parts import parts, read_seeds, with_repayment
from gnn.training.race import Result, run
from gnn.training.sage import SageSettings


def train(
    folder: Path,
    out: Path,
    kinds: list[str],
    until: tuple[datetime, datetime, datetime | None],
    console: Console,
    *,
    label: str = "fraud",
    budget: float = 0.01,
    settings: SageSettings | None = None,
    resume: bool = False,
) -> list[Result]:
    """Train contenders on a store and print what each reached on the later window, by average precision.

    Args:
        until: ends (inclusive) of the training and the validation window, and the day labels are taken (or None).
        label: `fraud` (verdicts) or `missed` (first instalments).
    """
    store, seeds = open_store(folder), read_seeds(folder)
    if label == "missed":
        seeds = with_repayment(seeds, store)
    settings = settings or SageSettings.model_validate({})
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console)
    kinds = kinds or list(CONTENDERS)
    results = []
    with bar as progress:
        all_of_it = progress.add_task("Reading", total=len(kinds))
        epochs = progress.add_task("", total=settings.epochs, visible=False)

        def told(epoch: int, loss: float, auc: float) -> None:
            said = f"epoch {epoch + 1}: loss {loss:.4f}, validation AUC {auc:.4f}"
            progress.update(epochs, completed=epoch + 1, description=said, visible=True)

        windows = parts(seeds, *until)
        work = Work(store, seeds, windows, out, settings, resume, told, label)
        progress.update(all_of_it, description="Training")
        for result in run(work, kinds, budget):
            results.append(result)
            progress.update(all_of_it, advance=1, description=f"{result.kind} is done")
    counts = {name: int(getattr(windows, name).sum()) for name in ("train", "validation", "test")}
    frauds = int(work.labels[windows.test].sum())
    title = (
        f"{counts['test']:,} later applications with a known label, {frauds:,} of them {label}; "
        f"learned from {counts['train']:,}, chosen by {counts['validation']:,}"
    )
    table = Table(title=title)
    columns = {"auc": "AUC", "ap": "AP", "recall_at_budget": f"Recall at {budget:.1%}", "ece": "Calibration error"}
    for column in ("model", *columns.values()):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in sorted(results, key=lambda r: -r.metrics["ap"]):
        table.add_row(result.kind, *(f"{result.metrics[name]:.4f}" for name in columns))
    console.print(table)
    console.print(f"Each is in {out}/<model>. Register and promote one: python -m gnn promote --help")
    return results
