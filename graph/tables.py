"""Spark's view of the contract: one `StructType` for each node table, edge table and `_events` table."""

from __future__ import annotations

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from graph.schema import ColumnType, EdgeType, NodeType

_TYPES: dict[ColumnType, DataType] = {
    "string": StringType(), "long": LongType(), "double": DoubleType(), "boolean": BooleanType(),
    "timestamp": TimestampType(), "date": DateType(),
}  # fmt: skip


def spark_type(name: ColumnType) -> DataType:
    """Return Spark's type for a column type of `graph.schema`."""
    return _TYPES[name]


def _values(node_or_edge: NodeType | EdgeType) -> list[StructField]:
    return [StructField(value.name, spark_type(value.type)) for value in node_or_edge.values]


_SEEN = [StructField("first_seen_at", TimestampType()), StructField("last_seen_at", TimestampType())]
_KNOWN = [
    StructField("at", TimestampType()),
    StructField("delivered_on", DateType()),
    StructField("ended_on", DateType()),
]


def node_struct(node: NodeType) -> StructType:
    """Return `id` (key), `first_seen_at`, `last_seen_at` and the label's values."""
    return StructType([StructField("id", StringType()), *_SEEN, *_values(node)])


def edge_struct(edge: EdgeType) -> StructType:
    """Return `src`, `dst` (together the key), the two times, `event_count`, `weight` and the type's values."""
    ends = [StructField("src", StringType()), StructField("dst", StringType())]
    counts = [StructField("event_count", LongType()), StructField("weight", DoubleType())]
    return StructType([*ends, *_SEEN, *counts, *_values(edge)])


def edge_events_struct(edge: EdgeType) -> StructType:
    """Return the dated rows behind an edge table: `src`, `dst` (applicants where a Person stands), times, values."""
    ends = [StructField("src", StringType()), StructField("dst", StringType())]
    return StructType([*ends, *_KNOWN, *_values(edge)])


def node_events_struct(node: NodeType) -> StructType:
    """Return the dated rows about nodes themselves; `exists` says whether the row alone makes the node."""
    key = [StructField("id", StringType()), StructField("exists", BooleanType())]
    return StructType([*key, *_KNOWN, *_values(node)])
