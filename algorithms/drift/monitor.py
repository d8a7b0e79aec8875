"""`drift`: look at the night, compare it with the nights before, keep its histograms for the nights to come."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from algorithms.drift.figures import DriftFigure, figures
from algorithms.drift.histograms import Histogram
from algorithms.drift.night import Window, histograms
from algorithms.drift.settings import DriftSettings
from graph.lake import Lake, has_table

# `LAKE/results/drift`: one row a night, metric and group (together the key); no nulls. `bins` and `counts` belong
# together; the bins of an `ordered` histogram are lower bounds.
SCHEMA = pa.schema([
    ("night", pa.date32()), ("metric", pa.string()), ("group", pa.string()), ("ordered", pa.bool_()),
    ("bins", pa.list_(pa.string())), ("counts", pa.list_(pa.int64())),
])  # fmt: skip


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
    _keep(lake, night, today)
    return found


def _kept(lake: Lake, night: date, nights: int) -> dict[date, list[Histogram]]:
    """Return the histograms of the last `nights` nights before this one."""
    path = lake.results("drift")
    if not has_table(path):
        return {}
    rows = DeltaTable(path).to_pyarrow_dataset()
    days = rows.to_table(columns=["night"], filter=ds.field("night") < night)["night"].unique().to_pylist()
    wanted = sorted(days)[-nights:]
    found: dict[date, list[Histogram]] = {day: [] for day in wanted}
    for row in rows.to_table(filter=ds.field("night").isin(wanted)).to_pylist() if wanted else []:
        counts = dict(zip(row["bins"], row["counts"], strict=True))
        found[row["night"]].append(Histogram(row["metric"], row["group"], counts, row["ordered"]))
    return found


def _keep(lake: Lake, night: date, today: list[Histogram]) -> None:
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
    predicate = f"night >= CAST('{night}' AS DATE) AND night < CAST('{following}' AS DATE)"
    write_deltalake(path, table, mode="overwrite", predicate=predicate)
