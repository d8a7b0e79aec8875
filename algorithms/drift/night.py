"""What one night looks like: a histogram for each thing watched, from whatever tables the lake has.

Rows and nulls come from the Delta logs, edges from one pass over the events delivered since the night before, through
`graph.as_of`; features and rings are those of the night. A table that is not there gives no histogram.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from algorithms.drift.figures import AGE_BINS
from algorithms.drift.histograms import EMPTY, Histogram, half_octave
from graph import as_of
from graph.lake import Lake, has_table
from graph.schema import LANDED_EDGES

_OURS = frozenset({"delivered_on", "ended_on", "op", "source_file", "line", "row_key", "row_digest"})
FEATURES = "application_graph"
# Tables of results that put persons into groups of a day: the column that names the group, and the figure.
_GROUPS = {"components": ("component", "component_size"), "societies": ("society", "community_size")}


@dataclass(frozen=True)
class Window:
    """The days that count for tonight: after `after` (exclusive; None: the night alone), up to `night` (inclusive)."""

    night: date
    after: date | None = None

    def holds(self, column: str) -> Column:
        """Return whether a date column lies within."""
        return F.col(column) == F.lit(self.night) if self.after is None else F.col(column).between(
            F.date_add(F.lit(self.after), 1), F.lit(self.night)
        )  # fmt: skip

    def has(self, day: date) -> bool:
        """Return whether a day lies within."""
        return day == self.night if self.after is None else self.after < day <= self.night


def histograms(spark: SparkSession, lake: Lake, window: Window, at: datetime) -> list[Histogram]:
    """Return the histograms of the night; empty ones are left out."""
    found = [
        *_delivered(lake, window), *_channels(lake, window, at), *_edges(spark, lake, window, at),
        *_features(spark, lake, window), *_rings(lake, window.night), *_groups(spark, lake, window.night),
    ]  # fmt: skip
    return [histogram for histogram in found if histogram.total]


def _files(path: Path, window: Window) -> pl.DataFrame:
    """Return the log's record of the files of the window's deliveries."""
    added = pl.DataFrame(pl.from_arrow(pa.table(DeltaTable(path).get_add_actions(flatten=True))))
    if "partition.delivered_on" not in added.columns:
        return added.clear()
    days = pl.col("partition.delivered_on").cast(pl.Date)
    after = days == window.night if window.after is None else (days > window.after) & (days <= window.night)
    return added.filter(after)


def _delivered(lake: Lake, window: Window) -> list[Histogram]:
    rows, nulls = {}, []
    for path in sorted(lake.raw("any").parent.glob("*")):
        if not has_table(path):
            continue
        files = _files(path, window)
        count = int(files["num_records"].sum()) if "num_records" in files.columns else 0
        if not count:
            continue
        rows[path.name] = count
        for name in files.columns:
            kind, _, column = name.partition(".")
            if kind == "null_count" and column not in _OURS and files[name].null_count() == 0:
                empty = int(files[name].sum())
                nulls.append(Histogram("nulls", f"{path.name}.{column}", {EMPTY: empty, "filled": count - empty}))
    return [Histogram("rows", "", rows), *nulls]


def _channels(lake: Lake, window: Window, at: datetime) -> list[Histogram]:
    path = lake.raw("applications")
    if not has_table(path):
        return []
    moment = as_of.utc(at)
    rows = DeltaTable(path).to_pyarrow_dataset()
    known = (ds.field("delivered_on") <= window.night) & (ds.field("op") == "upsert")
    if window.after is not None:
        known &= ds.field("delivered_on") > window.after
    else:
        known &= ds.field("delivered_on") == window.night
    known &= ds.field("ended_on").is_null() | (ds.field("ended_on") > moment.date())
    known &= ds.field("applied_at").is_null() | (ds.field("applied_at") <= moment)
    frame = pl.DataFrame(pl.from_arrow(rows.to_table(columns=["channel"], filter=known)))
    counted = frame["channel"].fill_null(EMPTY).value_counts().rows()
    return [Histogram("channel", "", dict(counted))]


def _half_octave(column: Column) -> Column:
    """Return the signed index of a number's half-octave bin, for `half_octave`."""
    return (F.signum(column) * F.floor(2 * F.log2(1 + F.abs(column)) + 1e-9)).cast("long")


def _edges(spark: SparkSession, lake: Lake, window: Window, at: datetime) -> list[Histogram]:
    """Degrees, ages, mix and hub mass of the events delivered in the window, by one pass over them."""
    parts = []
    for edge in LANDED_EDGES:
        path = lake.graph(f"{edge.table}_events")
        if not has_table(path) or _files(path, window).is_empty():
            continue
        rows = as_of.visible(spark.read.format("delta").load(str(path)), at).where(window.holds("delivered_on"))
        day = F.coalesce(F.col("at").cast("date"), F.col("delivered_on")).cast("string")
        ends = {"src": F.col("src"), "dst": F.col("dst"), "day": day}
        keys = F.array(*(F.struct(F.lit(end).alias("end"), key.alias("key")) for end, key in ends.items()))
        parts.append(rows.select(F.lit(edge.table).alias("table"), F.explode(keys).alias("_")).select("table", "_.*"))
    if not parts:
        return []
    nodes = reduce(DataFrame.unionByName, parts).groupBy("table", "end", "key").agg(F.count("*").alias("n"))
    hubs = _hubs(spark, lake, window.night)
    nodes = nodes.withColumn("hub", F.lit(None).cast("boolean")) if hubs is None else nodes.join(
        F.broadcast(hubs.withColumn("hub", F.lit(True))), "key", "left"
    )  # fmt: skip
    is_day = F.col("end") == "day"
    name = F.when(is_day, F.col("key")).otherwise(_half_octave(F.col("n")).cast("string"))
    folded = nodes.groupBy("table", "end", name.alias("bin"), F.coalesce("hub", F.lit(False)).alias("hub")).agg(
        F.count("*").alias("nodes"), F.sum("n").alias("events")
    )
    return _edge_histograms([tuple(row) for row in folded.collect()], window.night, hubs is not None)


def _edge_histograms(rows: list[tuple[str, str, str, bool, int, int]], night: date, hubs: bool) -> list[Histogram]:
    counts: dict[tuple[str, str], dict[str, int]] = {}

    def count(metric: str, group: str, name: str, number: int) -> None:
        bins = counts.setdefault((metric, group), {})
        bins[name] = bins.get(name, 0) + number

    for table, end, name, hub, nodes, events in rows:
        if end == "day":
            age = max(0, (night - date.fromisoformat(name)).days)
            count("event_age", table, str(AGE_BINS[bisect_right(AGE_BINS, age) - 1]), events)
            count("edge_mix", "", table, events)
        else:
            count("degree", f"{table}.{end}", half_octave(int(name)), nodes)
            if hubs:
                count("hub_mass", table, "at hubs" if hub else "elsewhere", events)
    ordered = {"degree", "event_age"}
    return [Histogram(metric, group, bins, metric in ordered) for (metric, group), bins in sorted(counts.items())]


def _hubs(spark: SparkSession, lake: Lake, night: date) -> DataFrame | None:
    """Return the ids of the newest registry's hubs that join nobody (`key`); None before the first registry."""
    if not has_table(lake.results("hubs")):
        return None
    rows = spark.read.format("delta").load(str(lake.results("hubs"))).where(F.col("as_of_date") <= F.lit(night))
    newest = rows.agg(F.max("as_of_date")).first()
    if newest is None or newest[0] is None:
        return None
    return rows.where((F.col("as_of_date") == F.lit(newest[0])) & ~F.col("joins")).select(F.col("id").alias("key"))


def _features(spark: SparkSession, lake: Lake, window: Window) -> list[Histogram]:
    """Every numeric feature of the applications of the window's days, by one pass."""
    if not has_table(lake.features(FEATURES)):
        return []
    rows = spark.read.format("delta").load(str(lake.features(FEATURES))).where(window.holds("applied_on"))
    names = [field.name for field in rows.schema if isinstance(field.dataType, NumericType)]
    if not names:
        return []

    def binned(name: str) -> Column:
        value = F.col(name).cast("double")
        tenth = F.least(F.floor(value * 10 + 1e-9), F.lit(9))
        return (tenth if name.endswith(("_ratio", "_score")) else _half_octave(value)).cast("long")

    cells = F.array(*(F.struct(F.lit(name).alias("name"), binned(name).alias("bin")) for name in names))
    counted = rows.select(F.explode(cells).alias("_")).groupBy("_.name", "_.bin").count().collect()
    found: dict[str, dict[str, int]] = {}
    for name, number, count in counted:
        tenths = name.endswith(("_ratio", "_score"))
        label = EMPTY if number is None else f"{number / 10:g}" if tenths else half_octave(number)
        found.setdefault(name, {})[label] = count
    return [Histogram("feature", name, bins, ordered=True) for name, bins in sorted(found.items())]


def _rings(lake: Lake, night: date) -> list[Histogram]:
    path = lake.results("rings")
    if not has_table(path):
        return []
    rows = DeltaTable(path).to_pyarrow_dataset()
    standing = (ds.field("as_of_date") == night) & (ds.field("status") != "dissolved")
    frame = pl.DataFrame(pl.from_arrow(rows.to_table(columns=["score", "size", "typology"], filter=standing)))
    scores: dict[str, int] = {}
    sizes: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for score, size, typology in frame.rows():
        tenth = EMPTY if score is None else f"{min(9, int(score * 10 + 1e-9)) / 10:g}"
        scores[tenth] = scores.get(tenth, 0) + 1
        octave = half_octave(int(2 * math.log2(1 + (size or 0)) + 1e-9))
        sizes[octave] = sizes.get(octave, 0) + 1
        kinds[typology or EMPTY] = kinds.get(typology or EMPTY, 0) + 1
    return [
        Histogram("ring_score", "", scores, ordered=True), Histogram("ring_size", "", sizes, ordered=True),
        Histogram("ring_typology", "", kinds),
    ]  # fmt: skip


def _groups(spark: SparkSession, lake: Lake, night: date) -> list[Histogram]:
    found = []
    for table, (column, metric) in _GROUPS.items():
        if not has_table(lake.results(table)):
            continue
        rows = spark.read.format("delta").load(str(lake.results(table))).where(F.col("as_of_date") == F.lit(night))
        sizes = rows.groupBy(column).agg(F.count("*").alias("n")).groupBy(_half_octave(F.col("n")).alias("bin"))
        counts = {half_octave(number): count for number, count in sizes.count().collect()}
        found.append(Histogram(metric, "", counts, ordered=True))
    return found
