"""`python -m gnn promote` and `ledger`, told in words."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.console import Console
from rich.table import Table

from gnn.champion.card import Card, CardError
from gnn.champion.registry import Registry
from gnn.scoring import window_scores


def read_card(trained: Path) -> Card:
    """Return the card that training left.

    Raises:
        CardError: there is none.
    """
    path = trained / "card.json"
    if not path.is_file():
        raise CardError(
            f"A trained model was needed in {trained}; there is no card.json. See python -m gnn train --help"
        )
    try:
        return Card.model_validate_json(path.read_text())
    except ValueError:
        raise CardError(f"{path} is no card, or not a whole one. Train the model anew: python -m gnn train") from None


def promote(
    trained: Path,
    registry: Path,
    console: Console,
    *,
    budget: float,
    store: Path | None = None,
    baseline: str | None = None,
    seed: int = 0,
) -> bool:
    """Register a trained model, decide, print the decision and return whether it is champion now.

    Args:
        store: the challenger's store; on it the champion and the baseline score the challenger's window, if they have
            not scored just that one.
        baseline: a registered model to beat as well.
    """
    models = Registry(registry)
    card, rivals = read_card(trained), {models.champion(), baseline} - {None}
    for rival in rivals:  # before anything is registered
        models.card(str(rival))
    version = models.register(trained, card)
    with TemporaryDirectory() as scratch:
        scores = {}
        for rival in sorted(str(r) for r in rivals):
            of = models.card(rival)
            if (of.data_digest, of.test) == (card.data_digest, card.test):
                continue
            if store is None:
                raise CardError(f"{rival} has not scored this window. Name the challenger's store: --store DIR.")
            window = pl.read_parquet(trained / "predictions.parquet")
            scores[rival] = window_scores(registry / rival / "model", store, window, Path(scratch) / f"{rival}.parquet")
        decision = models.promote(version, budget=budget, seed=seed, baseline=baseline, scores=scores)
    mark = "[bold green]✓[/]" if decision.promoted else "[bold yellow]–[/]"
    console.print(f"{mark} {decision.sentence}", highlight=False)
    return decision.promoted


def show_ledger(registry: Path, console: Console, replay: int | None) -> bool:
    """Print the ledger, or one decision made again; return whether all is as it was written."""
    models = Registry(registry)
    if replay is not None:
        again = models.replay(replay)
        console.print(again.sentence, highlight=False)
        console.print("The same decision." if again.equal else "Another decision than the ledger holds.")
        return again.equal
    chain = models.verify_ledger()
    table = Table(title=f"{registry}: champion {models.champion() or 'none'}")
    for column in ("line", "what", "model", "why"):
        table.add_column(column)
    for line in models.ledger():
        why = line.get("reason") or line.get("decision", {}).get("sentence", "")
        table.add_row(str(line["seq"]), line["what"], line["version"], why)
    console.print(table)
    return chain.first_broken_seq is None
