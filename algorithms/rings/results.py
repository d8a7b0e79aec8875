"""The tables of rings: what is written for a night, and how it is put in place of what was there."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from graph.lake import Lake, has_table

_ITEM = pa.struct(
    [
        ("text", pa.string()),
        ("nodes", pa.list_(pa.string())),
        ("relationships", pa.list_(pa.struct([(n, pa.string()) for n in ("relationship", "src", "dst")]))),
    ]
)
_AT = pa.timestamp("us", "UTC")
_DAY = ("as_of_date", pa.date32())
RINGS = pa.schema(
    [("ring_id", pa.string()), _DAY, ("status", pa.string()), ("parent_ids", pa.list_(pa.string())),
     ("score", pa.float64()), ("size", pa.int64()), ("typology", pa.string()), ("first_seen_at", _AT),
     ("exposure_cny", pa.float64()), ("evidence", pa.list_(_ITEM)), ("born_on", pa.date32()), ("last_seen_at", _AT),
     ("rules_version", pa.int64())]
)  # fmt: skip
MEMBERS = pa.schema(
    [("ring_id", pa.string()), _DAY, ("person_id", pa.string()), ("role", pa.string()),
     ("score", pa.float64()), ("evidence", pa.list_(_ITEM)), ("first_seen_at", _AT)]
)  # fmt: skip
HITS = pa.schema(
    [_DAY, ("rules_version", pa.int64()), ("rule", pa.string()), ("groups", pa.int64()),
     ("rings", pa.int64()), ("persons_with_verdict", pa.int64()), ("fraud_ratio", pa.float64())]
)  # fmt: skip
SOCIETIES = pa.schema([_DAY, ("person_id", pa.string()), ("society", pa.int64())])
WITHOUT = pa.schema([_DAY, ("digest", pa.string()), ("without", pa.string())])
_RING_NODE = pa.schema(
    [("id", pa.string()), ("first_seen_at", _AT), ("last_seen_at", _AT), ("status", pa.string()),
     ("score", pa.float64()), ("size", pa.int64()), ("typology", pa.string()), ("exposure_cny", pa.float64()), _DAY,
     ("born_on", pa.date32()), ("parent_ids", pa.string()), ("evidence", pa.string()), ("lineage", pa.string())]
)  # fmt: skip
_MEMBER_OF = pa.schema(
    [("src", pa.string()), ("dst", pa.string()), ("first_seen_at", _AT), ("last_seen_at", _AT),
     ("event_count", pa.int64()),
     ("weight", pa.float64()), ("role", pa.string()), ("score", pa.float64()), ("evidence", pa.string())]
)  # fmt: skip


def rows_before(path: Path, day: date, columns: list[str], since: date | None = None) -> pl.DataFrame:
    """Return the rows of nights before `day` (exclusive) and not before `since` (inclusive)."""
    if not has_table(path):
        return pl.DataFrame()
    filters: list[tuple[str, str, Any]] = [("as_of_date", "<", day)]
    if since is not None:
        filters.append(("as_of_date", ">=", since))
    return pl.DataFrame(pl.from_arrow(DeltaTable(path).to_pyarrow_table(columns=columns, filters=filters)))


def write_day(path: Path, day: date, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Put the rows of a day in place of what the table held for that day."""
    table = pa.Table.from_pylist(rows, schema=schema)
    if not has_table(path):
        write_deltalake(path, table, partition_by=["as_of_date"])
    else:
        write_deltalake(path, table, mode="overwrite", predicate=f"as_of_date = '{day}'")


def known_counterfactuals(path: Path, day: date) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what was left of rings without their nodes as found on the newest night before `day`, by digest."""
    rows = rows_before(path, day, WITHOUT.names)
    if not len(rows):
        return {}
    last = rows.filter(pl.col("as_of_date") == pl.col("as_of_date").max())
    told = last.select("digest", "without").iter_rows()
    return {digest: {tuple(nodes): score for nodes, score in json.loads(text)} for digest, text in told}


def write_counterfactuals(path: Path, day: date, found: dict[str, dict[tuple[str, ...], float]]) -> None:
    """Write what `known_counterfactuals` reads on the next night."""
    rows = [
        {"as_of_date": day, "digest": digest, "without": json.dumps(list(rest.items()))}
        for digest, rest in sorted(found.items())
    ]
    write_day(path, day, rows, WITHOUT)


def write_graph(
    lake: Lake, rings: list[dict[str, Any]], members: list[dict[str, Any]], history: pl.DataFrame, day: date
) -> None:
    """Write the day's rings as nodes and memberships as edges, unless the tables say the same already."""
    past: dict[str, list[dict[str, Any]]] = {}
    if len(history):
        for row in history.sort("as_of_date").iter_rows(named=True):
            if row["status"] != "same":
                step = {"date": str(row["as_of_date"]), "status": row["status"], "from": row["parent_ids"]}
                past.setdefault(row["ring_id"], []).append(step)
    nodes = []
    for row in rings:
        today = {"date": str(day), "status": row["status"], "from": row["parent_ids"]}
        nodes.append(
            {
                **{name: row[name] for name in _RING_NODE.names if name in row}, "id": row["ring_id"],
                "parent_ids": json.dumps(row["parent_ids"]), "evidence": json.dumps(row["evidence"]),
                "lineage": json.dumps([*past.get(row["ring_id"], []), today]),
            }
        )  # fmt: skip
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    seen = {row["ring_id"]: row["last_seen_at"] for row in rings}
    edges = [
        {
            "src": m["person_id"], "dst": m["ring_id"], "first_seen_at": m["first_seen_at"] or midnight,
            "last_seen_at": seen[m["ring_id"]], "event_count": 1, "weight": m["score"], "role": m["role"],
            "score": m["score"], "evidence": json.dumps(m["evidence"]),
        }
        for m in members
    ]  # fmt: skip
    for table, rows, schema in (("ring", nodes, _RING_NODE), ("member_of", edges, _MEMBER_OF)):
        new = pa.Table.from_pylist(rows, schema=schema)
        path = lake.graph(table)
        if has_table(path) and DeltaTable(path).to_pyarrow_table().select(schema.names).cast(schema).equals(new):
            continue
        write_deltalake(path, new, mode="overwrite")
