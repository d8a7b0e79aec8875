"""What was known at a time: nothing later is ever used, by event time and by delivery.

Every raw and `_events` table carries `delivered_on` (the delivery that brought the row) and `ended_on` (the
delivery that superseded or deleted it, null while it stands). A row counts as of T when its event is not after T,
its delivery not after T's day, and it had not ended by T's day. T is inclusive.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from graph.lake import Lake, has_table
from graph.schema import EDGES, EdgeType, NodeType, Value
from graph.tables import edge_struct, node_struct, spark_type


def utc(at: datetime) -> datetime:
    """Return `at` in UTC; a time without a zone is taken as UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def visible(rows: DataFrame, at: datetime, event_at: str | None = "at") -> DataFrame:
    """Return the rows that were known at `at` (inclusive).

    Args:
        rows: has `delivered_on` date, `ended_on` date or null, and the event column.
        event_at: the column that dates the event; a null there is an event of the delivery day. None: rows that
            are about the future by nature (a due date) count from their delivery.
    """
    moment = utc(at)
    day = F.lit(moment.date())
    known = (F.col("delivered_on") <= day) & (F.col("ended_on").isNull() | (F.col("ended_on") > day))
    if event_at is not None:
        known &= F.col(event_at).isNull() | (F.col(event_at) <= F.lit(moment))
    return rows.where(known)


def _folded(value: Value) -> Column:
    column = F.col(value.name)
    match value.fold:
        case "sum":  # of amounts, exactly: a sum of doubles depends on the order of the rows
            folded = F.sum(column.cast("decimal(28,2)") if value.type == "double" else column)
        case "min":
            folded = F.min(column)
        case "max":
            folded = F.max(column)
        case "any":
            folded = F.max(F.coalesce(column, F.lit(False)))
        case "last":
            order = F.when(column.isNotNull(), F.struct("at", "delivered_on", column.alias("value")))
            folded = F.max(order)["value"]
    return folded.cast(spark_type(value.type)).alias(value.name)


def fold_edges(events: DataFrame, edge: EdgeType) -> DataFrame:
    """Return one edge per (`src`, `dst`): first and last time, number of events, folded values, weight.

    Undated events (`at` null) date from their delivery. `weight` is ln(1 + event_count) until the weights of
    `algorithms` take its place.
    """
    at = F.coalesce("at", F.col("delivered_on").cast("timestamp"))
    folded = events.groupBy("src", "dst").agg(
        F.min(at).alias("first_seen_at"), F.max(at).alias("last_seen_at"), F.count("*").alias("event_count"),
        *(_folded(value) for value in edge.values),
    )  # fmt: skip
    return folded.withColumn("weight", F.log1p(F.col("event_count").cast("double"))).select(
        *edge_struct(edge).fieldNames()
    )


def fold_nodes(own: DataFrame | None, endpoints: DataFrame, node: NodeType) -> DataFrame:
    """Return one node per id that an edge touches or a row of its own names, with its folded values.

    Args:
        own: `<node>_events`: `id`, `at`, `delivered_on`, the values, and `exists`: whether the row alone makes the
            node (a loan does; that a number is a landline does not).
        endpoints: `id`, `first_seen_at`, `last_seen_at`, any number of rows per id.
    """
    seen = endpoints.select("id", "first_seen_at", "last_seen_at", F.lit(True).alias("exists"))
    for value in node.values:
        seen = seen.withColumn(value.name, F.lit(None).cast(spark_type(value.type)))
    seen = seen.withColumn("at", F.lit(None).cast("timestamp")).withColumn("delivered_on", F.lit(None).cast("date"))
    if own is not None:
        at = F.coalesce("at", F.col("delivered_on").cast("timestamp"))
        mine = own.withColumn("first_seen_at", at).withColumn("last_seen_at", at)
        seen = seen.unionByName(mine.select(*seen.columns))
    made = F.col("exists")
    folded = seen.groupBy("id").agg(
        F.min(F.when(made, F.col("first_seen_at"))).alias("first_seen_at"),
        F.max(F.when(made, F.col("last_seen_at"))).alias("last_seen_at"),
        *(_folded(value) for value in node.values),
    )
    return folded.where(F.col("first_seen_at").isNotNull()).select(*node_struct(node).fieldNames())


def events(spark: SparkSession, lake: Lake, edge: EdgeType, at: datetime) -> DataFrame:
    """Return the dated rows behind an edge table that were known at `at`, persons in place of applicants."""
    rows = visible(_table(spark, lake, f"{edge.table}_events"), at)
    for end, label in (("src", edge.src), ("dst", edge.dst)):
        if label == "Person":
            persons = visible(_table(spark, lake, "applicant_person"), at).select(
                F.col("applicant_id").alias(end), F.col("person_id")
            )
            rows = rows.join(persons, end).drop(end).withColumnRenamed("person_id", end)
    return rows


def edges(spark: SparkSession, lake: Lake, edge: EdgeType, at: datetime) -> DataFrame:
    """Return the edge table as of `at`: columns of `graph.tables.edge_struct`, unique on (`src`, `dst`)."""
    return fold_edges(events(spark, lake, edge, at), edge)


def nodes(spark: SparkSession, lake: Lake, node: NodeType, at: datetime) -> DataFrame:
    """Return the node table as of `at`: columns of `graph.tables.node_struct`, unique on `id`."""
    ends = [
        edges(spark, lake, edge, at).select(F.col(end).alias("id"), "first_seen_at", "last_seen_at")
        for edge in EDGES if exists(lake, f"{edge.table}_events")
        for end, label in (("src", edge.src), ("dst", edge.dst)) if label == node.label
    ]  # fmt: skip
    return fold_nodes(own_rows(spark, lake, node, at), union(spark, ends), node)


def own_rows(spark: SparkSession, lake: Lake, node: NodeType, at: datetime) -> DataFrame | None:
    """Return the dated rows about nodes themselves known at `at`, None where the label has none."""
    if not exists(lake, f"{node.table}_events"):
        return None
    rows = visible(_table(spark, lake, f"{node.table}_events"), at)
    if node.label == "Person":
        persons = visible(_table(spark, lake, "applicant_person"), at).select(
            F.col("applicant_id").alias("id"), "person_id"
        )
        rows = rows.join(persons, "id").drop("id").withColumnRenamed("person_id", "id")
    return rows


def raw(spark: SparkSession, lake: Lake, source: str, event_at: str | None, at: datetime) -> DataFrame | None:
    """Return the rows of a landing source known at `at`, one version of each key; None if it was never delivered.

    Args:
        event_at: the column that dates a row of the source, or None for rows that count from their delivery.
    """
    if not has_table(lake.raw(source)):
        return None
    rows = spark.read.format("delta").load(str(lake.raw(source)))
    return visible(rows.where(F.col("op") == "upsert"), at, event_at)


def union(spark: SparkSession, parts: list[DataFrame]) -> DataFrame:
    """Return the rows of all `parts` (id, first_seen_at, last_seen_at); empty where there are none."""
    if not parts:
        return spark.createDataFrame([], "id string, first_seen_at timestamp, last_seen_at timestamp")
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    return whole


def exists(lake: Lake, table: str) -> bool:
    """Return whether the lake holds a graph table of that name."""
    return has_table(lake.graph(table))


def _table(spark: SparkSession, lake: Lake, table: str) -> DataFrame:
    return spark.read.format("delta").load(str(lake.graph(table)))
