"""`drift`: look at the night, compare it with the nights before, keep its histograms for the nights to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from algorithms.drift.figures import DriftFigure, figures
from algorithms.drift.histograms import Histogram, added
from algorithms.drift.night import Window, histograms
from algorithms.drift.settings import DriftSettings
from graph.lake import Lake, has_table

# `LAKE/results/drift`: one row a night, metric and group (together the key); no nulls. `bins` and `counts` belong
# together; the bins of an `ordered` histogram are lower bounds.
SCHEMA = pa.schema([
    ("night", pa.date32()), ("metric", pa.string()), ("group", pa.string()), ("ordered", pa.bool_()),
    ("bins", pa.list_(pa.string())), ("counts", pa.list_(pa.int64())),
])  # fmt: skip
MODEL_SCORES = "model_scores"  # kept by whoever scores, after the night has been compared


def drift(
    spark: SparkSession, lake: Lake, night: date, at: datetime, settings: DriftSettings | None = None
) -> list[DriftFigure]:
    """Return how far the night lies from the nights before, the worst first, and keep its histograms.

    Run again, a night is compared with the same nights and its histograms are replaced.

    Args:
        night: the night's day; what was delivered after the last night watched, up to this day, is its own.
        at: nothing that happened after it counts (UTC, inclusive).
    """
    settings = settings or DriftSettings()
    past = _kept(lake, night, settings.nights)
    today = histograms(spark, lake, Window(night, max(past, default=None)), at)
    found = figures(night, today, past, settings)
    _keep(lake, night, today, f"metric <> '{MODEL_SCORES}'")
    return found


def _kept(lake: Lake, night: date, nights: int) -> dict[date, list[Histogram]]:
    """Return the histograms of the last `nights` nights before this one."""
    path = lake.results("drift")
    if not has_table(path):
        return {}
    rows = DeltaTable(path).to_pyarrow_dataset()
    before = (ds.field("night") < night) & (ds.field("metric") != MODEL_SCORES)
    days = rows.to_table(columns=["night"], filter=before)["night"].unique().to_pylist()
    wanted = sorted(days)[-nights:]
    found: dict[date, list[Histogram]] = {day: [] for day in wanted}
    for row in rows.to_table(filter=before & ds.field("night").isin(wanted)).to_pylist() if wanted else []:
        found[row["night"]].append(_histogram(row))
    return found


def _histogram(row: dict[str, Any]) -> Histogram:
    counts = dict(zip(row["bins"], row["counts"], strict=True))
    return Histogram(row["metric"], row["group"], counts, row["ordered"])


def add(lake: Lake, night: date, scores: Histogram) -> Histogram:
    """Add a model's scores to those that are kept of the night, and return all of them.

    A night that is run again scores the rest only; where there is none, nothing is written.

    Args:
        scores: metric `MODEL_SCORES`, which `drift` leaves alone; the group is the model's version.
    """
    path = lake.results("drift")
    kept = []
    if has_table(path):
        same = (ds.field("night") == night) & (ds.field("metric") == MODEL_SCORES) & (ds.field("group") == scores.group)
        kept = [_histogram(row) for row in DeltaTable(path).to_pyarrow_dataset().to_table(filter=same).to_pylist()]
    whole = replace(scores, counts=added([*kept, scores]))
    if scores.total:
        _keep(lake, night, [whole], f"metric = '{MODEL_SCORES}' AND \"group\" = '{scores.group}'")
    return whole


def _keep(lake: Lake, night: date, today: list[Histogram], instead_of: str) -> None:
    """Write histograms of the night in place of those of it that a condition (SQL) names."""
    path = lake.results("drift")
    rows = [
        {
            "night": night, "metric": h.metric, "group": h.group, "ordered": h.ordered,
            "bins": list(h.counts), "counts": list(h.counts.values()),
        }
        for h in today
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    if not has_table(path):
        write_deltalake(path, table)
        return
    following = night + timedelta(days=1)
    predicate = f"night >= CAST('{night}' AS DATE) AND night < CAST('{following}' AS DATE) AND {instead_of}"
    write_deltalake(path, table, mode="overwrite", predicate=predicate)
