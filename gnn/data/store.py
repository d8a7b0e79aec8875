"""A typed graph with times, as memory-mapped arrays in a folder: larger than memory, read without Spark.

    FOLDER/store.json                      types, counts, feature names, digest, moment
    FOLDER/nodes/<label>/x.npy             float32 (nodes, features), where the label has features
    FOLDER/nodes/<label>/known.npy         int64 (nodes, facts): when each fact became known, `NEVER` if it has not
    FOLDER/nodes/<label>/ids.parquet       id (key), ascending: row n is node n
    FOLDER/relations/<n>/indptr.npy        int64 (nodes of dst + 1): rows of the edges that end in each node
    FOLDER/relations/<n>/neighbor.npy      uint32 (edges): the other end
    FOLDER/relations/<n>/since.npy         int64 (edges): from when the edge was known, inclusive
    FOLDER/relations/<n>/until.npy         int64 (edges): until when, exclusive; absent where no edge ever ended

Times are microseconds since 1970, UTC. The edges of a node are in order of `since`, then `neighbor`, so that what was
known at a time is a prefix of them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

ALWAYS = np.iinfo(np.int64).min  # an edge without a time
NEVER = np.iinfo(np.int64).max
_LAYOUT = 1
_CHECKED = 1_000_000  # rows looked at together
_EMPTY = 128  # bytes: a file of no elements, which cannot be mapped


class StoreError(Exception):
    """A graph store cannot be read or made; the text says what was needed, what was found, what to do."""


@dataclass(frozen=True)
class NodeSet:
    """The nodes of one label.

    Attributes:
        x: float32 (count, len(features)), or None without features.
        known: int64 (count, len(facts)): when each fact became known, or None without facts.
    """

    label: str
    count: int
    features: tuple[str, ...] = ()
    x: NDArray[np.float32] | None = field(default=None, repr=False)
    facts: tuple[str, ...] = ()
    known: NDArray[np.int64] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Relation:
    """Edges of one type, by the node they end in: messages go from `src` to `dst`."""

    name: str
    src: str
    dst: str
    indptr: NDArray[np.int64] = field(repr=False)
    neighbor: NDArray[np.uint32] = field(repr=False)
    since: NDArray[np.int64] = field(repr=False)
    until: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """Return (src, name, dst), as PyTorch Geometric names an edge type."""
        return self.src, self.name, self.dst

    def __len__(self) -> int:
        return len(self.neighbor)


@dataclass(frozen=True)
class Store:
    """A whole graph. `about`: further facts that the writer keeps (the moment, the lake's versions)."""

    nodes: dict[str, NodeSet]
    relations: tuple[Relation, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def edges(self) -> int:
        """Number of edges, each direction counted."""
        return sum(len(relation) for relation in self.relations)

    def __repr__(self) -> str:
        nodes = sum(n.count for n in self.nodes.values())
        return (
            f"Store of {nodes:,} nodes with {len(self.nodes)} labels and {self.edges:,} edges of "
            f"{len(self.relations)} relations"
        )

    def schema(self) -> dict[str, Any]:
        """Return the types and features, without counts: what a model is made for."""
        return {
            "nodes": {label: [list(n.features), list(n.facts)] for label, n in sorted(self.nodes.items())},
            "relations": [list(relation.key) for relation in self.relations],
        }

    def schema_digest(self) -> str:
        """Return a name for the schema: a model's checkpoint fits a store with the same one."""
        return hashlib.sha256(json.dumps(self.schema(), sort_keys=True).encode()).hexdigest()[:16]


def relation(
    name: str,
    src: str,
    dst: str,
    ends: tuple[NDArray[Any], NDArray[Any]],
    count: int,
    since: NDArray[np.int64] | None = None,
    until: NDArray[np.int64] | None = None,
) -> Relation:
    """Return the relation of edges given by both ends (src, dst), in any order; `count` nodes of label `dst`.

    Raises:
        StoreError: an end is negative, or a `dst` end is not below `count`.
    """
    source, target = (np.asarray(end) for end in ends)
    if len(target) and (target.min() < 0 or source.min() < 0 or target.max() >= count):
        raise StoreError(f"{name}: an edge ends at a node that does not exist; {dst} has {count:,} nodes.")
    known = np.full(len(target), ALWAYS, np.int64) if since is None else np.asarray(since, np.int64)
    order = np.lexsort((source, known, target))
    indptr = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(target, minlength=count), out=indptr[1:])
    ended = None if until is None or not (until != NEVER).any() else np.asarray(until, np.int64)[order]
    return Relation(name, src, dst, indptr, source[order].astype(np.uint32), known[order], ended)


def write_store(
    store: Store, folder: Path, ids: dict[str, Any] | None = None, beside: dict[str, Any] | None = None
) -> str:
    """Write a store into `folder`, replacing what was there, and return its digest.

    Args:
        ids: an Arrow table with the column `id` by label.
        beside: further Arrow tables by file name.
    """
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    said = hashlib.sha256()

    def save(path: Path, array: NDArray[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
        said.update(np.ascontiguousarray(array).view(np.uint8).data)

    fresh.mkdir(parents=True)
    told: dict[str, Any] = {"layout": _LAYOUT, "about": store.about, "nodes": [], "relations": []}
    for label, nodes in store.nodes.items():
        told["nodes"].append({"label": label, "count": nodes.count, "features": nodes.features, "facts": nodes.facts})
        for name, array in (("x", nodes.x), ("known", nodes.known)):
            if array is not None:
                save(fresh / "nodes" / label / f"{name}.npy", array)
        if ids is not None and label in ids:
            (fresh / "nodes" / label).mkdir(parents=True, exist_ok=True)
            pq.write_table(ids[label], fresh / "nodes" / label / "ids.parquet")
    for i, rel in enumerate(store.relations):
        told["relations"].append({"name": rel.name, "src": rel.src, "dst": rel.dst, "count": len(rel)})
        for name, part in (
            ("indptr", rel.indptr), ("neighbor", rel.neighbor), ("since", rel.since), ("until", rel.until)
        ):  # fmt: skip
            if part is not None:
                save(fresh / "relations" / str(i) / f"{name}.npy", part)
    for name, table in (beside or {}).items():
        pq.write_table(table, fresh / name)
        said.update((fresh / name).read_bytes())
    told["digest"] = said.hexdigest()[:16]
    (fresh / "store.json").write_text(json.dumps(told, indent=1, default=str) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return str(told["digest"])


def open_store(folder: Path) -> Store:
    """Return the store in a folder, its arrays memory-mapped and read-only. `about` gains `digest`.

    Raises:
        StoreError: there is none, or of another layout.
    """
    path = folder / "store.json"
    if not path.is_file():
        raise StoreError(f"A graph store was needed in {folder} and there is none. Make one: python -m gnn data --help")
    try:
        told = json.loads(path.read_text())
    except ValueError:
        raise StoreError(
            f"{path} cannot be read: it is no whole JSON. Make the store anew: python -m gnn data"
        ) from None
    if told.get("layout") != _LAYOUT:
        raise StoreError(
            f"{folder} has layout {told.get('layout')}, needed is {_LAYOUT}. Make it anew: python -m gnn data"
        )

    def load(path: Path) -> Any:
        if not path.is_file():
            return None
        array = np.load(path, mmap_mode="r") if path.stat().st_size > _EMPTY else np.load(path)
        array.flags.writeable = False
        return array

    nodes = {
        n["label"]: NodeSet(
            n["label"], n["count"], tuple(n["features"]), load(folder / "nodes" / n["label"] / "x.npy"),
            tuple(n["facts"]), load(folder / "nodes" / n["label"] / "known.npy"),
        )
        for n in told["nodes"]
    }  # fmt: skip
    relations = []
    for i, r in enumerate(told["relations"]):
        part = folder / "relations" / str(i)
        arrays = [load(part / f"{name}.npy") for name in ("indptr", "neighbor", "since", "until")]
        relations.append(Relation(r["name"], r["src"], r["dst"], *arrays))
    return Store(nodes, tuple(relations), told["about"] | {"digest": told["digest"]})


def node_id(folder: Path, label: str, row: int) -> str:
    """Return the id of a node of the store in a folder.

    Raises:
        StoreError: the store was written without ids of that label.
    """
    path = folder / "nodes" / label / "ids.parquet"
    if not path.is_file():
        raise StoreError(f"Ids of {label} were needed in {folder} and there are none. Make it anew: python -m gnn data")
    return str(pl.scan_parquet(path).slice(row, 1).collect().item(0, "id"))


def check_numbers(store: Store) -> None:
    """Look at every feature once, chunk by chunk.

    Raises:
        StoreError: one is NaN or infinite; the text names label, column and the first row.
    """
    for label, nodes in store.nodes.items():
        for start in range(0, nodes.count if nodes.x is not None else 0, _CHECKED):
            assert nodes.x is not None
            bad = np.argwhere(~np.isfinite(nodes.x[start : start + _CHECKED]))
            if len(bad):
                row, column = start + int(bad[0, 0]), nodes.features[int(bad[0, 1])]
                raise StoreError(
                    f"Features must be finite numbers; {column} of {label} is not at row {row:,}. Tell what is not "
                    "known by a column of its own and make the store anew."
                )
