"""Small typed graphs with times, drawn at random or by hand, and what a slow reader sees in them."""

from __future__ import annotations

import numpy as np

from gnn.data.store import ALWAYS, NEVER, NodeSet, Store, relation


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
