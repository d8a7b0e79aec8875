"""Who is learned from, chosen by and judged on: three windows of time, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnn.data.store import NEVER, Store, StoreError

LEAST = 10  # of each class in each part: below it nothing is learned or measured


class PartsError(ValueError):
    """The windows cannot be used; the text says what was needed and what was found."""


def micros(at: datetime) -> int:
    """Return microseconds since 1970, UTC; a time without a zone is taken as UTC."""
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return round(at.timestamp() * 1_000_000)


def read_seeds(folder: Path) -> pl.DataFrame:
    """Return the seeds of a store, in order of time (see `gnn.data.seeds`).

    Raises:
        StoreError: the folder has none.
    """
    path = folder / "seeds.parquet"
    if not path.is_file():
        raise StoreError(
            f"Seeds were needed in {path} and there are none. Make the store anew: python -m gnn data --help"
        )
    return pl.read_parquet(path)


def with_repayment(seeds: pl.DataFrame, store: Store) -> pl.DataFrame:
    """Return the seeds with another label: 1 where the first instalment was missed, 0 where it was paid, −1 unknown.

    Of an application with both, the earlier counts: what was missed and paid later was missed.

    Raises:
        StoreError: the store does not know how applications were repaid.
    """
    nodes = store.nodes.get("Application")
    if nodes is None or nodes.known is None or not {"missed", "paid"} <= set(nodes.facts):
        raise StoreError("The store knows of no repayments. Learn from verdicts: --label fraud.")
    known = np.asarray(nodes.known[seeds["node"].to_numpy()])
    missed, paid = (known[:, nodes.facts.index(fact)] for fact in ("missed", "paid"))
    label = np.where(missed <= paid, 1, 0)
    label[(missed == NEVER) & (paid == NEVER)] = -1
    return seeds.with_columns(label=pl.Series(label.astype(np.int8)), label_since=pl.Series(np.minimum(missed, paid)))


@dataclass(frozen=True)
class Parts:
    """Three windows of applications with a known label, as masks over the seeds.

    `train` up to `train_until`, `validation` after it up to `validation_until` (both inclusive), with labels known by
    `known_by`: the day the model could have been made. `test` is later than that day, with labels known now; `later`
    is the same window with those whose label is not known.
    """

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]
    later: NDArray[np.bool_]
    train_until: datetime
    validation_until: datetime
    known_by: datetime


def parts(
    seeds: pl.DataFrame, train_until: datetime, validation_until: datetime, known_by: datetime | None = None
) -> Parts:
    """Return the three windows.

    Args:
        known_by: the day of training, when labels of the validation window come late; its end where none is given.

    Raises:
        PartsError: they do not follow each other, a label is neither 1, 0 nor −1, or a part lacks a class.
    """
    known_by = known_by or validation_until
    first, second, third = (micros(at) for at in (train_until, validation_until, known_by))
    if not first < second <= third:
        raise PartsError(
            f"Training must end before validation ends, and validation no later than the day labels are taken. Found: "
            f"training until {train_until:%Y-%m-%d}, validation until {validation_until:%Y-%m-%d}, labels known by "
            f"{known_by:%Y-%m-%d}. Move the dates."
        )
    at, label, since = (seeds[name].to_numpy() for name in ("at", "label", "label_since"))
    strange = ~np.isin(label, (-1, 0, 1))
    if strange.any():
        raise PartsError(f"Labels must be 1, 0, or -1 where unknown; {int(strange.sum()):,} seeds have another.")
    then = (label >= 0) & (since <= third)
    found = Parts(
        then & (at <= first), then & (at > first) & (at <= second), (label >= 0) & (at > third), at > third,
        train_until, validation_until, known_by,
    )  # fmt: skip
    for name in ("train", "validation", "test"):
        counts = np.bincount(label[getattr(found, name)], minlength=2)
        if counts.min() < LEAST:
            raise PartsError(
                f"The {name} part has {counts[1]:,} fraud and {counts[0]:,} normal; {LEAST} of each are needed. "
                f"Labels are known of {int((label >= 0).sum()):,} of {len(label):,} applications: move the dates."
            )
    return found
