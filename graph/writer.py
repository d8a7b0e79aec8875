"""Incremental load: upserts and deletes that may be repeated, in batches, through the official driver.

A row is the whole truth about a node or an edge: a column that is missing or None becomes an absent property.
Properties outside `graph.schema`, which other stages may have set, stay. Times are epoch seconds, as in the
full load. A batch is one transaction; the same batch twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from neo4j import Driver, ManagedTransaction

from graph.queries import SCHEMA_STATEMENTS
from graph.schema import EDGES, NODES, EdgeType, NodeType, Value

Row = Mapping[str, Any]
BATCH_ROWS = 10_000
# Detaching deletes every relationship of a node in the same transaction, so fewer nodes go at once.
_DETACH_ROWS = 1_000
_INDEX_SECONDS = 3600


class MissingEndpointsError(Exception):
    """Edges were sent whose nodes are not in Neo4j; nothing of their batch was written."""


class RowError(Exception):
    """A row cannot be written; the message names the table and what was wrong."""


@dataclass(frozen=True)
class Changes:
    """What a load changed in Neo4j, added up over its batches; all but `rows` are 0 when it is repeated."""

    rows: int = 0
    nodes_created: int = 0
    nodes_deleted: int = 0
    relationships_created: int = 0
    relationships_deleted: int = 0
    properties_set: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def _names(fixed: tuple[str, ...], values: tuple[Value, ...]) -> list[str]:
    return [*fixed, *(value.name for value in values)]


def _set_if_different(entity: str, names: list[str]) -> str:
    """Return the clause that writes the properties only where one differs; null equals null here."""
    different = " OR ".join(
        f"coalesce({entity}.{name} <> row.{name}, ({entity}.{name} IS NULL) <> (row.{name} IS NULL))" for name in names
    )
    row = ", ".join(f"{name}: row.{name}" for name in names)
    return f"FOREACH (_ IN CASE WHEN {different} THEN [1] ELSE [] END | SET {entity} += {{{row}}})"


# Every statement is built here, once, from the labels and types of graph.schema; values travel as $rows.
_ONE_LOAD = "CREATE CONSTRAINT load_id IF NOT EXISTS FOR (n:Load) REQUIRE n.id IS UNIQUE"
_UPSERT_NODES = {
    n.table: f"UNWIND $rows AS row MERGE (n:{n.label} {{id: row.id}}) "
    + _set_if_different("n", _names(("first_seen_at", "last_seen_at"), n.values))
    + " RETURN count(*) AS found"
    for n in NODES
}
_UPSERT_EDGES = {
    e.table: f"UNWIND $rows AS row MATCH (s:{e.src} {{id: row.src}}) MATCH (d:{e.dst} {{id: row.dst}}) "
    f"MERGE (s)-[r:{e.relationship}]->(d) "
    + _set_if_different("r", _names(("first_seen_at", "last_seen_at", "event_count"), e.properties))
    + " RETURN count(*) AS found"
    for e in EDGES
}
_DELETE_NODES = {n.table: f"UNWIND $rows AS row MATCH (n:{n.label} {{id: row.id}}) DETACH DELETE n" for n in NODES}
_DELETE_EDGES = {
    e.table: f"UNWIND $rows AS row MATCH (:{e.src} {{id: row.src}})-[r:{e.relationship}]->(:{e.dst} {{id: row.dst}}) "
    "DELETE r"
    for e in EDGES
}
_WRITE_LOAD = "MERGE (load:Load {id: 'current'}) SET load = $load, load.id = 'current'"


def ensure_schema(driver: Driver) -> None:
    """Make the unique `id` of every label and the time index of every type, and wait until they serve.

    Without them a MERGE reads every node of its label.
    """
    for statement in (*SCHEMA_STATEMENTS, _ONE_LOAD):
        driver.execute_query(statement)
    driver.execute_query("CALL db.awaitIndexes($seconds)", seconds=_INDEX_SECONDS)


def write_load(driver: Driver, load: Mapping[str, object]) -> None:
    """Replace the one `Load` node, which says what the store holds: for example night and digest."""
    driver.execute_query(_WRITE_LOAD, load=dict(load))


def upsert_nodes(driver: Driver, node_type: NodeType, rows: Iterable[Row]) -> Changes:
    """Create or correct nodes and return what changed; rows hold `id` and the columns of the node's table."""
    return _write(driver, node_type.table, _UPSERT_NODES[node_type.table], rows, BATCH_ROWS)


def upsert_edges(driver: Driver, edge_type: EdgeType, rows: Iterable[Row]) -> Changes:
    """Create or correct edges, one for each (`src`, `dst`), and return what changed.

    Raises:
        MissingEndpointsError: a row's node is not there. Its batch is undone; batches before it stay.
    """
    return _write(driver, edge_type.table, _UPSERT_EDGES[edge_type.table], rows, BATCH_ROWS)


def delete_nodes(driver: Driver, node_type: NodeType, rows: Iterable[Row]) -> Changes:
    """Delete the nodes of the rows' `id` with their relationships, and return what changed; absent ones are fine."""
    return _write(driver, node_type.table, _DELETE_NODES[node_type.table], rows, _DETACH_ROWS)


def delete_edges(driver: Driver, edge_type: EdgeType, rows: Iterable[Row]) -> Changes:
    """Delete the edges of the rows' (`src`, `dst`) and return what changed; absent ones are fine."""
    return _write(driver, edge_type.table, _DELETE_EDGES[edge_type.table], rows, BATCH_ROWS)


def rounds(buckets: int) -> list[list[tuple[int, int]]]:
    """Return all unordered pairs of buckets, (i, i) included, in rounds where no two pairs share a bucket.

    Edges between bucket i and bucket j form one task, and the tasks of one round never touch the same node. Neo4j may
    still lock a relationship beside a new one, whose other end is in another task; the driver then tries again. This
    is the circle method of tournament tables: with an odd number each bucket rests once and then meets itself; with an
    even number all meet themselves in a last round.
    """
    odd = buckets % 2 == 1
    turns = buckets if odd else buckets - 1
    # One seat stays and the others turn around it; opposite seats meet. At an odd table that seat is empty.
    table = [
        [(turn, turn if odd else turns)]
        + [((turn - step) % turns, (turn + step) % turns) for step in range(1, (turns + 1) // 2)]
        for turn in range(turns)
    ]
    if not odd:
        table.append([(bucket, bucket) for bucket in range(buckets)])
    return [[(min(pair), max(pair)) for pair in pairs] for pairs in table]


def _write(driver: Driver, table: str, statement: str, rows: Iterable[Row], batch_rows: int) -> Changes:
    changes = Changes()
    with driver.session() as session:
        for batch in _batches(table, rows, batch_rows):
            changes += session.execute_write(_write_batch, table, statement, batch)
    return changes


def _write_batch(transaction: ManagedTransaction, table: str, statement: str, batch: list[Row]) -> Changes:
    result = transaction.run(statement, rows=batch)
    record = result.single()
    if record is not None and record["found"] != len(batch):
        raise MissingEndpointsError(
            f"{table}: {len(batch):,} rows were sent and {record['found']:,} found both their nodes. Nothing of this "
            "batch was written. Load the node tables of the same night first."
        )
    counters = result.consume().counters
    return Changes(
        len(batch), counters.nodes_created, counters.nodes_deleted,
        counters.relationships_created, counters.relationships_deleted, counters.properties_set,
    )  # fmt: skip


def _batches(table: str, rows: Iterable[Row], batch_rows: int) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, batch_rows)):
        # The full load stores times as epoch seconds; the first row of a batch tells whether this load does.
        if times := [name for name, value in batch[0].items() if isinstance(value, date)]:
            raise RowError(f"{table}: epoch seconds were needed and {times} hold datetimes; convert them first.")
        yield batch
