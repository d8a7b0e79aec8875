"""`python -m algorithms hubs`: the registry as it was last written, and a person's word on a node. No Spark."""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from algorithms.hubs.overrides import OverrideError
from algorithms.hubs.overrides import override as append
from algorithms.hubs.policy import HubKind
from graph.lake import Lake, has_table


class NoRegistryError(Exception):
    """There is no registry to list; the text says how one comes about."""


def listed(lake: Lake, label: str | None, limit: int) -> pl.DataFrame:
    """Return the newest day's hubs, those of most persons first, of one label if given; at most `limit` rows.

    Raises:
        NoRegistryError: no registry was written yet.
    """
    path = lake.results("hubs")
    if not has_table(path):
        raise NoRegistryError(f"{path} holds no registry of hubs. Run the night first: python -m jobs nightly run.")
    rows = pl.from_arrow(DeltaTable(path).to_pyarrow_table())
    assert isinstance(rows, pl.DataFrame)
    newest = rows.filter(pl.col("as_of_date") == pl.col("as_of_date").max())
    chosen = newest if label is None else newest.filter(pl.col("label").str.to_lowercase() == label.lower())
    return chosen.sort(["persons", "id"], descending=[True, False]).head(limit)


def show(lake: Lake, label: str | None, limit: int, console: Console) -> None:
    """Print the newest registry: id, what it is taken for, whether it joins groups, why."""
    rows = listed(lake, label, limit)
    day = rows["as_of_date"].max() if len(rows) else None
    table = Table("node", "label", "kind", "persons", "joins", "why", title=f"Hubs as of {day!s}" if day else "No hubs")
    for row in rows.iter_rows(named=True):
        joins = "yes" if row["joins"] else "no"
        kind = f"{row['kind']} (person)" if row["override"] else row["kind"]
        table.add_row(row["id"], row["label"], kind, f"{row['persons']:,}", joins, escape(row["reason"] or ""))
    console.print(table)


def run(
    lake: Lake,
    console: Console,
    *,
    label: str | None,
    limit: int,
    override: str | None,
    word: str | None,
    kind: str | None,
    user: str,
    reason: str,
) -> None:
    """List the registry, or append a person's word on the node `override`.

    Raises:
        OverrideError: half an override was given, or a word or kind there is none of.
    """
    if override is None and word is None:
        show(lake, label, limit, console)
        return
    if override is None or word not in ("hub", "not_hub"):
        raise OverrideError(
            f"An override needs a node and a word, hub or not_hub; found {override or 'no node'} and "
            f"{word or 'no word'}. Say --override ID --as hub or --as not_hub."
        )
    if kind is not None and kind not in tuple(HubKind):
        raise OverrideError(f"{kind} is no kind of hub; kinds are {', '.join(HubKind)}. Take one of them.")
    append(lake, override, "hub" if word == "hub" else "not_hub", user, reason, HubKind(kind) if kind else None)
    said = "a hub: it joins no groups" if word == "hub" else "no hub: it may join groups"
    console.print(f"{override} is {said}. This counts from the next time the registry is written.")
