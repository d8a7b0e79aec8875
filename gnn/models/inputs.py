"""A sampled batch, or a whole graph, as the tensors that a layer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

from gnn.data.store import ALWAYS, NEVER, Relation, Store
from gnn.models.bag import Bags
from gnn.sampling.temporal import NO_TIME, Batch, Edges

_DAY = 86_400e6
_UNDATED_DAYS = 3650.0  # as old as an edge without a date is taken to be
TIMES = 6  # numbers that say how old an edge is
_MARKS = tuple((1.0 + days) ** 4 for days in (1, 7, 30, 90, 365))


@dataclass
class LayerEdges:
    """The edges of one relation that one layer reads; `age` float32 (E, TIMES), None where nothing is dated.

    `scale` float32 (E,): how much of each edge there is, from 0 to 1; None: all of it. `aged` float32 (targets, TIMES):
    the mean of `age` over each target's edges where that is known already; only layers that aggregate by the mean
    may be given it in place of `age`.
    """

    relation: int
    bags: Bags
    age: Tensor | None
    scale: Tensor | None = None
    aged: Tensor | None = None

    def to(self, device: torch.device) -> LayerEdges:
        """Return the same edges on a device."""
        age, scale, aged = (None if part is None else part.to(device) for part in (self.age, self.scale, self.aged))
        return LayerEdges(self.relation, self.bags.to(device), age, scale, aged)


@dataclass
class Inputs:
    """What a model reads.

    `seeds`: how many by label. `x`: label to float32 (nodes, columns), see `node_inputs`. `layers`: for each layer its
    edges and how many nodes of each label it gives a result for; those are the first of the label.
    """

    seeds: dict[str, int]
    x: dict[str, Tensor]
    layers: list[tuple[list[LayerEdges], dict[str, int]]]

    def to(self, device: torch.device) -> Inputs:
        """Return the same on a device."""
        if device.type == "cpu":
            return self
        layers = [([of.to(device) for of in edges], counts) for edges, counts in self.layers]
        return Inputs(self.seeds, {name: x.to(device) for name, x in self.x.items()}, layers)


@njit(cache=True, parallel=True)
def _coded(days: Any, out: Any) -> None:
    for i in prange(len(days)):
        passed = 1 + max(days[i], 0.0)
        fourth = passed**4
        for j in range(TIMES - 1):
            out[i, j] = fourth / (fourth + _MARKS[j])
        out[i, TIMES - 1] = np.log(passed) / 6


def age_code(days: np.ndarray) -> Tensor:
    """Return how old an edge is, as `TIMES` numbers: a step at a day, a week, a month, a quarter, a year, and ln.

    A step at m days is the logistic function of 4 (ln(1 + days) - ln(1 + m)), here without logarithms.
    """
    out = np.empty((len(days), TIMES), np.float32)
    _coded(np.asarray(days, np.float64), out)
    return torch.from_numpy(out)


def node_inputs(store: Store, label: str, rows: np.ndarray, times: np.ndarray) -> Tensor:
    """Return features of nodes as known at their times: x, then for each fact whether it is known and for how long.

    float32 (rows, `width`): features, then facts; one known d days is (1, 1 / (1 + d / 30)), not known (0, 0). A label
    with neither has one column of ones.
    """
    nodes, parts = store.nodes[label], []
    if nodes.x is not None:
        parts.append(np.asarray(nodes.x[rows], np.float32))
    if nodes.known is not None:
        since = np.asarray(nodes.known[rows])
        told = (since <= times[:, None]) & (since != NEVER)
        days = np.where(told & (since != ALWAYS), (times[:, None] - np.where(told, since, 0)) / _DAY, 0)
        parts += [told.astype(np.float32), (told / (1 + np.maximum(days, 0) / 30)).astype(np.float32)]
    if not parts:
        return torch.ones(len(rows), 1)
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(parts, axis=1)))


def width(store: Store, label: str) -> int:
    """Return the number of columns of `node_inputs`."""
    nodes = store.nodes[label]
    return len(nodes.features) + 2 * len(nodes.facts) or 1


def edge_ages(store: Store, batch: Batch, edges: Edges) -> Tensor | None:
    """Return `age_code` of a batch's edges of one relation, None where none of them is dated."""
    rel = store.relations[edges.relation]
    since = np.asarray(rel.since[edges.position])
    if (since == ALWAYS).all():
        return None
    times = np.repeat(batch.nodes[rel.dst].times[: len(edges.offsets) - 1], np.diff(edges.offsets))
    return ages(since, times)


def ages(since: np.ndarray, times: np.ndarray) -> Tensor:
    """Return `age_code` of edges known since `since`, asked about at `times` (both microseconds)."""
    known = (since != ALWAYS) & (times != NO_TIME)
    return age_code(np.where(known, (times - np.where(known, since, times)) / _DAY, _UNDATED_DAYS))


def from_batch(store: Store, batch: Batch) -> Inputs:
    """Return the tensors of a sampled batch; layer i leaves out what only deeper hops needed."""
    x = {label: node_inputs(store, label, nodes.rows, nodes.times) for label, nodes in batch.nodes.items()}
    dated = [edge_ages(store, batch, edges) for edges in batch.edges]
    layers = []
    for layer in range(batch.hops):
        hop = batch.hops - 1 - layer
        counts = {label: nodes.by_hop[hop] for label, nodes in batch.nodes.items()}
        reads = {label: nodes.by_hop[hop + 1] for label, nodes in batch.nodes.items()}
        edges_here = []
        for edges, age in zip(batch.edges, dated, strict=True):
            rel, last = store.relations[edges.relation], edges.by_hop[hop]
            if last:
                bags = Bags(edges.source[:last], edges.offsets[: counts[rel.dst] + 1], reads[rel.src])
                edges_here.append(LayerEdges(edges.relation, bags, None if age is None else age[:last]))
        layers.append((edges_here, counts))
    return Inputs(batch.seeds, x, layers)


def standing(
    rel: Relation, time: int, first: int = 0, last: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges that stand at `time` and end in rows from `first` up to `last` (exclusive).

    Neighbors (edges,), offsets (rows + 1,) into them, and since when each is known (edges,), microseconds.
    """
    indptr = np.asarray(rel.indptr[first : (len(rel.indptr) - 1 if last is None else last) + 1])
    edges = slice(int(indptr[0]), int(indptr[-1]))
    neighbor, since, offsets = (
        np.asarray(rel.neighbor[edges], np.int64),
        np.asarray(rel.since[edges]),
        indptr - indptr[0],
    )
    stands = since <= time
    if rel.until is not None:
        stands &= np.asarray(rel.until[edges]) > time
    if not stands.all():
        neighbor, since = neighbor[stands], since[stands]
        offsets = np.concatenate([[0], np.cumsum(stands)])[offsets]
    return neighbor, np.ascontiguousarray(offsets, np.int64), since


def ages_at(since: NDArray[np.int64], time: int) -> Tensor | None:
    """Return `age_code` of edges at one time, None where none is dated."""
    return None if (since == ALWAYS).all() else ages(since, np.full(len(since), time))


def whole(store: Store, label: str, hops: int, time: int = NO_TIME) -> Inputs:
    """Return the tensors of the whole graph as known at `time`: every layer reads every edge."""
    counts = {name: nodes.count for name, nodes in store.nodes.items()}
    x = {n: node_inputs(store, n, np.arange(c), np.full(c, time)) for n, c in counts.items()}
    edges = []
    for i, rel in enumerate(store.relations):
        neighbor, offsets, since = standing(rel, time)
        if len(neighbor):
            edges.append(LayerEdges(i, Bags(neighbor, offsets, counts[rel.src]), ages_at(since, time)))
    return Inputs({label: counts[label]}, x, [(edges, counts)] * hops)
