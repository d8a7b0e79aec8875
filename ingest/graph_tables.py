"""Raw tables to the lake's graph: `_events` tables rebuilt where their sources changed, then folded as of the night."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from graph import as_of
from graph.lake import Lake, has_table, row_count
from graph.schema import LANDED_EDGES, LANDED_NODES, TABLES, EdgeType, NodeType
from ingest.events import Raw, applicants, edge_events, edge_sources, node_events, node_sources
from ingest.raw import raw_schema
from ingest.sources import SOURCES

WRITERS = 4


def raw_reader(spark: SparkSession, lake: Lake) -> Raw:
    """Return the function from a source's name to its raw rows; a source never delivered has none."""

    def raw(source: str) -> DataFrame:
        path = lake.raw(source)
        if not has_table(path):
            return spark.createDataFrame([], raw_schema(SOURCES[source]))
        return spark.read.format("delta").load(str(path))

    return raw


def build(spark: SparkSession, lake: Lake, at: datetime, touched: set[str]) -> dict[str, int]:
    """Bring every landed graph table to what was known at `at`; return the rows of each table of the graph.

    Derived tables stay as they are, and make no nodes: a person is there for what was delivered, not for a ring.

    Args:
        touched: sources with new rows; tables that none of them feeds are left as they are.
    """
    raw = raw_reader(spark, lake)
    delivered = {source for source in SOURCES if has_table(lake.raw(source))}
    related = _related(raw) if "relations" in delivered else set()
    if touched or not as_of.exists(lake, "applicant_person"):
        _write(applicants(raw), lake, "applicant_person")

    def fed(edge: EdgeType) -> bool:
        own = set(edge_sources(edge)) - {"relations"}
        is_related = (edge.relationship, edge.src, edge.dst) in related
        return bool(own & delivered and own & touched) or ("relations" in touched and is_related)

    def make_edges(edge: EdgeType) -> None:
        _write(edge_events(raw, edge), lake, f"{edge.table}_events", partitioned=True)
        _write(as_of.edges(spark, lake, edge, at), lake, edge.table)

    def make_nodes(node: NodeType) -> None:
        own_rows = node_events(raw, node) if set(node_sources(node)) & touched else None
        if own_rows is not None:
            _write(own_rows, lake, f"{node.table}_events", partitioned=True)
        ends = [
            _edge_table(spark, lake, edge).select(F.col(end).alias("id"), "first_seen_at", "last_seen_at")
            for edge in LANDED_EDGES
            if as_of.exists(lake, edge.table)
            for end, label in (("src", edge.src), ("dst", edge.dst))
            if label == node.label
        ]
        own = as_of.own_rows(spark, lake, node, at)
        _write(as_of.fold_nodes(own, as_of.union(spark, ends), node), lake, node.table)

    edges = [edge for edge in LANDED_EDGES if fed(edge)]
    labels = {label for edge in edges for label in (edge.src, edge.dst)}
    nodes = [node for node in LANDED_NODES if node.label in labels or set(node_sources(node)) & touched]
    # Small tables wait more for Delta's commits than for work: several at a time, one Spark job each.
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(make_edges, edges))
        list(pool.map(make_nodes, nodes))
    return counts(lake)


def counts(lake: Lake) -> dict[str, int]:
    """Return the rows of every node and edge table the lake holds."""
    return {t.table: row_count(lake.graph(t.table)) for t in TABLES if as_of.exists(lake, t.table)}


def _related(raw: Raw) -> set[tuple[str, str, str]]:
    ends = raw("relations").select(F.upper("relation"), "from_kind", "to_kind").distinct().collect()
    return {(row[0], row[1], row[2]) for row in ends}


def _edge_table(spark: SparkSession, lake: Lake, edge: EdgeType) -> DataFrame:
    return spark.read.format("delta").load(str(lake.graph(edge.table)))


def _write(rows: DataFrame, lake: Lake, table: str, partitioned: bool = False) -> None:
    # A newer version of this program may add a column: the table is written whole, so its schema is too.
    writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    if partitioned:
        writer = writer.partitionBy("delivered_on")
    writer.save(str(lake.graph(table)))
