"""Raw rows of the lake to `LAKE/features/application_graph`, for applications of the days asked.

What had been delivered is the same for all days between two deliveries. So the days are worked on in that many
passes, each with one context, and within a pass only event times are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from algorithms.features.catalogue import FEATURES, KINDS
from algorithms.features.context import Context, micros
from algorithms.features.neighbors import neighbor_features
from algorithms.features.own_phone import call_features, contact_features, counterparts, phone_age
from algorithms.features.rings import ring_features, with_ring_date
from algorithms.features.shared_nodes import node_counts, shared_node_features
from graph.lake import Lake, has_table

TABLE = "application_graph"
_STANDING_NOW = datetime(9999, 12, 31, tzinfo=UTC)
_KEY = {
    "application_id": "application_id string", "applicant_id": "applicant_id string", "person_id": "person_id string",
    "applied_at": "applied_at timestamp", "applied_on": "applied_on date", "by_delivery": "by_delivery boolean",
}  # fmt: skip


class NoApplicationsError(Exception):
    """The lake holds no applications; the text says what to run."""


class DaysRunBackwardError(ValueError):
    """The last day asked for is before the first."""


@dataclass(frozen=True)
class Pass:
    """Days (first and last inclusive) whose applications see the same deliveries."""

    first: date
    last: date


def build(spark: SparkSession, lake: Lake, first_day: date, last_day: date, by_delivery: bool = True) -> dict[str, int]:
    """Write the features of the applications submitted from `first_day` to `last_day` (UTC, both inclusive).

    `LAKE/features/application_graph`: key `application_id`, partitioned by `applied_on`; other days stay as they
    are. The same lake gives the same rows. The catalogue in `docs/features.md` tells every column.

    Args:
        by_delivery: False sets delivery dates aside and takes each row as it stands today, by its event time alone:
            only for training on a history that came in one bulk delivery. Marked in the column `by_delivery`.

    Returns:
        `application_graph`: rows written; `passes`: how often the lake was read.

    Raises:
        NoApplicationsError: no application was ever delivered.
        DaysRunBackwardError: the last day is before the first.
    """
    if last_day < first_day:
        raise DaysRunBackwardError(f"The days must run forward: from {first_day} to {last_day} is backward. Swap them.")
    if not has_table(lake.raw("applications")):
        raise NoApplicationsError(
            f"Features need applications, and the lake at {lake.root} holds none. Run a night that delivers "
            "`applications` first: python -m jobs nightly run --help."
        )
    written = 0
    passes = _passes(lake, first_day, last_day) if by_delivery else [Pass(first_day, last_day)]
    for days in passes:
        known = datetime.combine(days.last, datetime.min.time(), UTC) if by_delivery else _STANDING_NOW
        context = Context(spark, lake, known)
        own = _first_versions(spark, lake) if by_delivery else context.rows("applications")
        written += _write(_features(context, own, days, by_delivery), lake, days)
    return {TABLE: written, "passes": len(passes)}


def _passes(lake: Lake, first_day: date, last_day: date) -> list[Pass]:
    """Return the days from first to last, cut where a new delivery comes into view."""
    delivered = {
        date.fromisoformat(part["delivered_on"])
        for path in lake.raw("applications").parent.iterdir()  # any source may change who is who
        if has_table(path)
        for part in DeltaTable(path).partitions()
    }  # a version ends with a delivery too
    cuts = sorted(day for day in delivered if first_day < day <= last_day)
    return [Pass(a, b - timedelta(days=1)) for a, b in pairwise([first_day, *cuts, last_day + timedelta(days=1)])]


def _first_versions(spark: SparkSession, lake: Lake) -> DataFrame:
    """Return each application as first delivered: what was decided on, whatever was corrected or deleted later."""
    rows = spark.read.format("delta").load(str(lake.raw("applications")))
    held = rows.where((F.col("op") == "upsert") & ~F.col("ended_on").eqNullSafe(F.col("delivered_on")))
    order = Window.partitionBy("application_id").orderBy("delivered_on")
    return held.withColumn("n", F.row_number().over(order)).where("n = 1")


def _features(context: Context, own: DataFrame, days: Pass, by_delivery: bool) -> DataFrame:
    """Return the table's rows for applications of `days`, from the rows `own` and what `context` knew."""
    columns = dict.fromkeys(["application_id", "applicant_id", "applied_at", *(kind.column for kind in KINDS)])
    asked = own.select(*columns, F.to_date("applied_at").alias("applied_on"))
    asked = asked.where(F.col("applied_on").between(days.first, days.last))
    asked = context.with_person(asked).withColumn("at", micros("applied_at"))
    asked = context.keep(with_ring_date(context.spark, context.lake, asked))
    listed = context.listed(asked)
    counts = context.keep(node_counts(context, asked, listed))
    met = context.keep(counterparts(context, asked))
    families = (
        neighbor_features(context, counts, asked),
        call_features(context, met),
        contact_features(context, asked, listed, met),
        phone_age(context, asked),
        ring_features(context, asked),
    )
    narrow = asked.withColumn("by_delivery", F.lit(by_delivery)).select(*_KEY)
    for family in families:
        narrow = narrow.join(family, "application_id", "left")
    day = F.col("applied_on").alias("day")  # a name of its own: both sides come from `asked`
    counts = counts.join(asked.select("application_id", day, "at"), "application_id")
    schema = ", ".join([*_KEY.values(), *(f"{feature.name} {feature.dtype}" for feature in FEATURES)])
    return narrow.groupBy("applied_on").cogroup(counts.groupBy("day")).applyInArrow(_day, schema)


def _day(narrow: pa.Table, counts: pa.Table) -> pa.Table:
    """Return the table's rows of one day, in order of `application_id`.

    Laid side by side here: as Spark expressions, 200 columns take longer to compile than to compute.
    """
    rows, of_nodes = (pl.DataFrame(pl.from_arrow(table)) for table in (narrow, counts))
    whole = rows.join(shared_node_features(of_nodes), "application_id", "left").sort("application_id")
    types = {"long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}
    fields = [narrow.schema.field(name) for name in _KEY] + [pa.field(f.name, types[f.dtype]) for f in FEATURES]
    return whole.select(field.name for field in fields).to_arrow().cast(pa.schema(fields))


def _write(rows: DataFrame, lake: Lake, days: Pass) -> int:
    """Put `rows` in place of the days' rows; return how many they are."""
    path = str(lake.features(TABLE))
    within = f"applied_on >= DATE'{days.first}' AND applied_on <= DATE'{days.last}'"
    writer = rows.write.format("delta").mode("overwrite").partitionBy("applied_on").option("mergeSchema", True)
    writer.option("replaceWhere", within).save(path)
    files = pa.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist()
    return sum(file["num_records"] for file in files if days.first <= file["partition.applied_on"] <= days.last)
