"""What trees and logistic regression see of an application: numbers by name, as known when it was made."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnn.data.store import Store

LABEL = "Application"
KEYS = ("application_id", "applicant_id", "person_id", "node", "at", "label", "label_since")
View = Literal["own", "graph"]


class ColumnsError(ValueError):
    """A model's columns cannot be had from a store; the text names them."""


def columns(store: Store, seeds: pl.DataFrame, view: View) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return names and values, float32 (seeds, columns); NaN where a value is not known.

    `own`: what the application itself states. `graph`: also the features of `LAKE/features/application_graph`, which
    are neighbors' counts and rates as known at the application's time.

    Raises:
        ColumnsError: the store has no features of applications, or a value is infinite.
    """
    nodes = store.nodes.get(LABEL)
    if nodes is None or nodes.x is None:
        raise ColumnsError(f"The store needs features of {LABEL}; it has nodes {sorted(store.nodes)}.")
    names, found = list(nodes.features), [np.asarray(nodes.x[seeds["node"].to_numpy()], np.float32)]
    beside = [name for name in seeds.columns if name not in KEYS]
    if view == "graph" and beside:
        names += beside
        found.append(seeds.select(pl.col(beside).cast(pl.Float32)).fill_null(np.nan).to_numpy())
    values = np.ascontiguousarray(np.concatenate(found, axis=1), np.float32)
    endless = np.isinf(values).any(axis=0)
    if endless.any():
        raise ColumnsError(f"Values must be finite or missing; infinite in: {np.array(names)[endless][:5].tolist()}.")
    return tuple(names), values


def chosen(names: tuple[str, ...], values: NDArray[np.float32], wanted: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the wanted columns in their order.

    Raises:
        ColumnsError: one is not there.
    """
    place = {name: i for i, name in enumerate(names)}
    absent = [name for name in wanted if name not in place]
    if absent:
        raise ColumnsError(
            f"The model needs columns the store has not: {', '.join(absent[:5])} ({len(absent)} in all)."
        )
    return values[:, [place[name] for name in wanted]]
