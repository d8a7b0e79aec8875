"""Small typed graphs with times and what a slow reader sees in them; small lakes, written row by row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import write_deltalake

from gnn.data.store import ALWAYS, NEVER, NodeSet, Store, relation
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE

Row = dict[str, Any]
World = dict[str, list[Row]]
DAY = 86_400_000_000
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FIRST = int(_START.timestamp() * 1_000_000)


def random_store(seed: int, people: int = 12, things: int = 7, edges: int = 60, ended: bool = True) -> Store:
    """People use things and know each other, at times from 0 to 99 (microseconds); some edges end, some are undated."""
    rng = np.random.default_rng(seed)
    found = []
    for name, src, dst, n_src, n_dst in (
        ("USES", "person", "thing", people, things),
        ("rev_USES", "thing", "person", things, people),
        ("KNOWS", "person", "person", people, people),
    ):
        since = rng.integers(0, 100, edges)
        until = np.where(rng.random(edges) < 0.3, since + rng.integers(1, 50, edges), NEVER) if ended else None
        since = np.where(rng.random(edges) < 0.1, ALWAYS, since)
        ends = rng.integers(0, n_src, edges), rng.integers(0, n_dst, edges)
        found.append(relation(name, src, dst, ends, n_dst, since, until))
    x = rng.normal(size=(people, 3)).astype(np.float32)
    known = np.where(rng.random((people, 2)) < 0.5, rng.integers(0, 100, (people, 2)), NEVER)
    nodes = {
        "person": NodeSet("person", people, ("a", "b", "c"), x, ("fraud", "normal"), known),
        "thing": NodeSet("thing", things),
    }
    return Store(nodes, tuple(found))


def standing(store: Store, i: int, row: int, time: int) -> list[int]:
    """Positions of the edges of relation `i` that end in `row` and stand at `time`, one by one."""
    rel = store.relations[i]
    return [
        k for k in range(rel.indptr[row], rel.indptr[row + 1])
        if rel.since[k] <= time and (rel.until is None or rel.until[k] > time)
    ]  # fmt: skip


def _type(name: str) -> pa.DataType:
    kinds = {"at": pa.timestamp("us", "UTC"), "on": pa.date32(), "cny": pa.float64(), "score": pa.float64()}
    kinds |= {"year": pa.int64(), "s": pa.int64(), "count": pa.int64(), "emergency": pa.bool_()}
    return {"held_from": kinds["at"], "held_to": kinds["at"]}.get(name) or kinds.get(name.split("_")[-1], pa.string())


def write_lake(root: Path, world: World) -> Lake:
    """Write tables by their path in the lake. `_events` tables take the columns of the schema, null where not given."""
    for name, rows in world.items():
        folder, table = name.split("/")
        delivered = {"delivered_on", "ended_on"} if folder != "features" else set()
        columns = {*delivered, *(key for row in rows for key in row)}
        told = rows
        if table.endswith("_events"):
            edge = EDGE_BY_TABLE[table.removesuffix("_events")]
            columns |= {"src", "dst", "at", *(value.name for value in edge.values)}
        if folder == "raw":
            columns |= {"op"}
            told = [{"op": "upsert", **row} for row in rows]
        schema = pa.schema([(column, _type(column)) for column in sorted(columns)])
        parts = ["delivered_on"] if delivered else None
        write_deltalake(root / name, pa.Table.from_pylist(told, schema), partition_by=parts)
    return Lake(root)


def after(days: float) -> dt.datetime:
    """A moment of `labeled_world`, by days after its first."""
    return _START + dt.timedelta(days=days)


def labeled_world(n: int = 600, seed: int = 0) -> tuple[Store, pl.DataFrame]:
    """One application an hour; fraud comes in sixes on one handset. Verdicts come five days later."""
    rng = np.random.default_rng(seed)
    at = FIRST + np.sort(rng.integers(0, 60 * DAY, n))
    ring = rng.random(n) < 0.3
    handset = np.where(ring, np.arange(n) // 12, 1000 + np.arange(n))
    handset = np.unique(handset, return_inverse=True)[1]
    x = rng.normal(size=(n, 3)).astype(np.float32)
    label, since = ring.astype(np.int8), at + 5 * DAY
    known = np.full((n, 2), NEVER)
    known[np.arange(n), 1 - label] = since
    things = int(handset.max()) + 1
    nodes = {
        "Application": NodeSet("Application", n, ("amount", "age", "hour"), x, ("fraud", "normal"), known),
        "Device": NodeSet("Device", things),
    }
    store = Store(nodes, (
        relation("STATES_device", "Device", "Application", (handset, np.arange(n)), n, at),
        relation("rev_STATES_device", "Application", "Device", (np.arange(n), handset), things, at),
    ), {"digest": "ab12cd34ef567890"})  # fmt: skip
    earlier = np.array([(handset[:i] == handset[i]).sum() for i in range(n)], np.float64)
    seeds = pl.DataFrame({
        "application_id": [f"L{i:04}" for i in range(n)], "applicant_id": [f"A{i:04}" for i in range(n)],
        "person_id": [f"per_{i:04}" for i in range(n)], "node": np.arange(n, dtype=np.uint32), "at": at,
        "label": label, "label_since": since, "device_neighbor_count": earlier,
    })  # fmt: skip
    return store, seeds
