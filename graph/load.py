"""The lake's graph into Neo4j: a full load into a new store, or the difference to what Neo4j already holds.

Neo4j's one `Load` node tells which version of each Delta table it serves. The difference between those versions and
today's is what an incremental load writes, so that it can be cut off and repeated anywhere: the node moves last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from neo4j import Driver
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from graph import as_of, writer
from graph.bulk import StoreCounts, build_store, publish
from graph.lake import Lake, has_table, row_count, version
from graph.schema import EDGES, TABLES, EdgeType, NodeType, Value
from graph.server import LocalServer
from graph.tables import spark_type

Connect = Callable[[], AbstractContextManager[Driver]]


def versions(lake: Lake) -> dict[str, int]:
    """Return the Delta version of each node and edge table that the lake holds, and of tables that conclude on edges.

    The latter are named `results/<table>`.
    """
    tables = {t.table: version(lake.graph(t.table)) for t in TABLES if as_of.exists(lake, t.table)}
    concluded = {_concluded(t): lake.results(t.concluded_in) for t in EDGES if t.concluded and t.table in tables}
    return tables | {name: version(path) for name, path in concluded.items() if has_table(path)}


def _concluded(table: NodeType | EdgeType) -> str:
    return f"results/{table.concluded_in}" if isinstance(table, EdgeType) and table.concluded else ""


def _held(table: NodeType | EdgeType, tables: Mapping[str, int]) -> tuple[int | None, int | None]:
    """Return the versions that make a table as Neo4j holds it."""
    return tables.get(table.table), tables.get(_concluded(table))


def moved(table: NodeType | EdgeType, old: Mapping[str, int], new: Mapping[str, int]) -> bool:
    """Whether a table of the lake, or what was concluded about its edges, is of another version."""
    return table.table in new and _held(table, old) != _held(table, new)


def loaded_versions(driver: Driver, lake: Lake) -> dict[str, int] | None:
    """Return the versions that Neo4j holds of this lake's tables; None if it holds nothing or another lake."""
    record = driver.execute_query("MATCH (load:Load {id: 'current'}) RETURN properties(load) AS load").records
    if not record or record[0]["load"].get("lake") != _name(lake):
        return None
    return dict(json.loads(record[0]["load"]["versions"]))


def load_properties(lake: Lake, night: str, tables: dict[str, int]) -> dict[str, object]:
    """Return what the `Load` node says of a whole load."""
    return {"night": night, "lake": _name(lake), "versions": json.dumps(tables)}


def _name(lake: Lake) -> str:
    """Return the lake's place and the id of its first table: a lake made anew in the same place is another one."""
    first = lake.graph("applicant_person")
    made = DeltaTable(first).metadata().id if has_table(first) else ""
    return f"{lake.root.absolute()} {made}".rstrip()


def _table(spark: SparkSession, lake: Lake, table: str, at_version: int) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", at_version).load(str(lake.graph(table)))


def _rows(spark: SparkSession, lake: Lake, table: NodeType | EdgeType, tables: Mapping[str, int]) -> DataFrame:
    """Return a table, its edges with what was concluded about them, at the versions of `tables`."""
    rows = _table(spark, lake, table.table, tables[table.table])
    at_version = tables.get(_concluded(table))
    if at_version is None or not isinstance(table, EdgeType):
        return rows
    read = spark.read.format("delta").option("versionAsOf", at_version)
    said = read.load(str(lake.results(table.concluded_in)))
    newest = said.join(said.agg(F.max("as_of_date").alias("as_of_date")), "as_of_date")
    ends = [F.col(name).alias(end) for name, end in zip(table.concluded_ends, ("src", "dst"), strict=True)]
    return rows.join(newest.select(*ends, *(v.name for v in table.concluded)), ["src", "dst"], "left")


def _stored(value: Value) -> Column:
    column = F.col(value.name)
    if value.type == "timestamp":
        return F.unix_seconds(column).alias(value.name)
    if value.type == "date":
        return F.unix_seconds(column.cast("timestamp")).alias(value.name)
    return column


def stored(rows: DataFrame, table: NodeType | EdgeType) -> DataFrame:
    """Return a graph table as Neo4j holds it: times in epoch seconds, no weight."""
    key = ["src", "dst"] if isinstance(table, EdgeType) else ["id"]
    seen = [F.unix_seconds(name).alias(name) for name in ("first_seen_at", "last_seen_at")]
    count = ["event_count"] if isinstance(table, EdgeType) else []
    there = set(rows.columns)  # a version from before a column was added lacks it
    properties = table.properties if isinstance(table, EdgeType) else table.values
    none = {v.name: F.lit(None).cast(spark_type(v.type)) for v in properties if v.name not in there}
    values = [_stored(value) for value in properties]
    return rows.withColumns(none).select(*key, *seen, *count, *values)


def export(spark: SparkSession, lake: Lake, tables: dict[str, int], folder: Path) -> dict[str, int]:
    """Write the import files of `graph.bulk` and return the rows of each table."""
    shutil.rmtree(folder, ignore_errors=True)
    for table in TABLES:
        if table.table not in tables:
            continue
        rows = stored(_rows(spark, lake, table, tables), table)
        if isinstance(table, EdgeType):
            rows = rows.withColumn("src", F.xxhash64("src")).withColumn("dst", F.xxhash64("dst"))
        else:
            rows = rows.select(F.xxhash64("id").alias("key"), *rows.columns)
        kind = "edges" if isinstance(table, EdgeType) else "nodes"
        flat = [
            F.regexp_replace(name, r"[\r\n]+", " ").alias(name) if dtype == "string" else F.col(name)
            for name, dtype in rows.dtypes
        ]
        rows.select(*flat).write.option("escape", '"').option("emptyValue", '""').csv(str(folder / kind / table.table))
    return {t.table: row_count(lake.graph(t.table), tables[t.table]) for t in TABLES if t.table in tables}


def full_load(spark: SparkSession, lake: Lake, server: LocalServer, night: str, folder: Path) -> StoreCounts:
    """Build a new store from the whole graph, check its counts, and let `server` serve it."""
    tables, folder = versions(lake), folder.absolute()
    expected = export(spark, lake, tables, folder)
    try:
        name = f"night-{night}-{max(tables.values(), default=0)}"
        while name in (server.linked_store(), server.linked_store("previous")):
            name += "a"
        counts = build_store(server, folder, name, expected, load_properties(lake, night, tables))
        publish(server, name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return counts


def changes(
    spark: SparkSession, lake: Lake, table: NodeType | EdgeType, old: Mapping[str, int], new: Mapping[str, int]
) -> DataFrame:
    """Return the rows of a table to write and to delete between two `versions`, with `gone` for the latter."""
    now = stored(_rows(spark, lake, table, new), table)
    if table.table not in old:
        return now.withColumn("gone", F.lit(False))
    key = ["src", "dst"] if isinstance(table, EdgeType) else ["id"]
    before = stored(_rows(spark, lake, table, old), table)
    whole = F.struct(*now.columns)
    pair = before.select(*key, whole.alias("before")).join(now.select(*key, whole.alias("now")), key, "full_outer")
    differ = pair.where(~F.col("before").eqNullSafe(F.col("now")))
    row = F.coalesce("now", "before")
    return differ.select(*(row[name].alias(name) for name in now.columns), F.col("now").isNull().alias("gone"))


def incremental_load(spark: SparkSession, lake: Lake, connect: Connect, night: str, buckets: int = 4) -> writer.Changes:
    """Write to Neo4j what changed since the versions it holds; a second time changes nothing.

    Edges go in rounds of node buckets (`graph.writer.rounds`), so that no two tasks of a round touch one node.
    """
    tables = versions(lake)
    with connect() as driver:
        writer.ensure_schema(driver)
        old = loaded_versions(driver, lake) or {}
    total = writer.Changes()
    differ = [t for t in TABLES if moved(t, old, tables)]
    found = {t.table: changes(spark, lake, t, old, tables).persist() for t in differ}
    for table in differ:
        if isinstance(table, NodeType):
            rows = found[table.table].where("NOT gone").drop("gone")
            total += _send(rows, connect, table, "upsert")
    for table in differ:
        if isinstance(table, EdgeType):
            for gone, how in ((False, "upsert"), (True, "delete")):
                rows = found[table.table].where(F.col("gone") == gone).drop("gone")
                total += _send_edges(rows, connect, table, how, buckets)
    for table in differ:
        if isinstance(table, NodeType):
            total += _send(found[table.table].where("gone").select("id"), connect, table, "delete")
    with connect() as driver:
        writer.write_load(driver, load_properties(lake, night, tables))
    for rows in found.values():
        rows.unpersist()
    return total


def _send_edges(rows: DataFrame, connect: Connect, table: EdgeType, how: str, buckets: int) -> writer.Changes:
    if rows.limit(1).count() == 0:
        return writer.Changes()
    a, b = (F.pmod(F.xxhash64(end), F.lit(buckets)) for end in ("src", "dst"))
    paired = rows.withColumn("low", F.least(a, b)).withColumn("high", F.greatest(a, b)).persist()
    total = writer.Changes()
    for pairs in writer.rounds(buckets):
        tasks = [
            paired.where((F.col("low") == i) & (F.col("high") == j)).drop("low", "high").coalesce(1) for i, j in pairs
        ]
        whole = tasks[0]
        for task in tasks[1:]:
            whole = whole.union(task)
        total += _send(whole, connect, table, how)
    paired.unpersist()
    return total


def _send(rows: DataFrame, connect: Connect, table: NodeType | EdgeType, how: str) -> writer.Changes:
    """Write one partition a task with the official driver; return what changed."""

    def send(partition: Iterable[Row]) -> Iterable[writer.Changes]:
        plain: Iterator[dict[str, Any]] = (row.asDict() for row in partition)
        with connect() as driver:
            if isinstance(table, EdgeType):
                done = (writer.upsert_edges if how == "upsert" else writer.delete_edges)(driver, table, plain)
            else:
                done = (writer.upsert_nodes if how == "upsert" else writer.delete_nodes)(driver, table, plain)
        yield done

    total = writer.Changes()
    key = "src" if "src" in rows.columns else "id"  # neighbors in the store are written together
    for done in rows.sortWithinPartitions(key).rdd.mapPartitions(send).collect():
        total += done
    return total
