"""A graph with each group of nodes as one node; weights inside a group become its loop."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from algorithms.communities.arrays import Floats, Ids, Offsets, Weights
from algorithms.communities.csr import Csr


@njit(cache=True, nogil=True)
def compact(group: Ids) -> tuple[Ids, int]:
    """Return the groups numbered from 0 in the order of their first node, and how many there are."""
    number = np.full(len(group), 0xFFFFFFFF, np.uint32)
    out = np.empty(len(group), np.uint32)
    count = 0
    for v in range(len(group)):
        if number[group[v]] == 0xFFFFFFFF:
            number[group[v]] = count
            count += 1
        out[v] = number[group[v]]
    return out, count


@njit(cache=True, nogil=True)
def by_size(group: Ids) -> Ids:
    """Return the groups numbered from 0, larger ones first, ties by their first node."""
    first, count = compact(group)
    size = np.zeros(count, np.int64)
    for v in range(len(first)):
        size[first[v]] += 1
    rank = np.empty(count, np.uint32)
    # Mergesort is stable, and groups are numbered by their first node already.
    order = np.argsort(-size, kind="mergesort")
    for place in range(count):
        rank[order[place]] = place
    for v in range(len(first)):
        first[v] = rank[first[v]]
    return first


def contracted(graph: Csr, group: Ids, count: int) -> Csr:
    """Return the graph of the groups, which are numbered 0 … `count` - 1; sums run in the order of the nodes."""
    start = np.zeros(count + 1, np.int64)
    start[1:] = np.cumsum(np.bincount(group, minlength=count))
    members = np.argsort(group, kind="stable").astype(np.uint32)
    parts = 8
    # Parts of equal work, each with its own scratch: the cut changes no sum.
    load = np.cumsum((graph.indptr[1:] - graph.indptr[:-1])[members])
    ends = load[start[1:] - 1] if count else load
    cuts = np.searchsorted(ends, np.linspace(0, ends[-1] if count else 0, parts + 1)[1:-1])
    bounds = np.concatenate([[0], cuts, [count]]).astype(np.int64)
    degree = np.zeros(count + 1, np.int64)
    _distinct(graph.indptr, graph.indices, group, members, start, bounds, degree)
    indptr = np.cumsum(degree)
    indices, weights = np.empty(indptr[-1], np.uint32), np.empty(indptr[-1], np.float32)
    loops = np.zeros(count, np.float64)
    _fill(
        graph.indptr,
        graph.indices,
        graph.weights,
        graph.loops,
        group,
        members,
        start,
        bounds,
        indptr,
        indices,
        weights,
        loops,
    )
    return Csr(indptr, indices, weights, loops)


@njit(cache=True, nogil=True, parallel=True)
def _distinct(
    indptr: Offsets, indices: Ids, group: Ids, members: Ids, start: Offsets, bounds: Offsets, degree: Offsets
) -> None:
    for part in prange(len(bounds) - 1):
        seen = np.full(len(start) - 1, 0xFFFFFFFF, np.uint32)
        for g in range(bounds[part], bounds[part + 1]):
            seen[g] = g
            for m in range(start[g], start[g + 1]):
                v = members[m]
                for i in range(indptr[v], indptr[v + 1]):
                    other = group[indices[i]]
                    if seen[other] != g:
                        seen[other] = g
                        degree[g + 1] += 1


@njit(cache=True, nogil=True, parallel=True)
def _fill(
    indptr: Offsets,
    indices: Ids,
    weights: Weights,
    loops: Floats,
    group: Ids,
    members: Ids,
    start: Offsets,
    bounds: Offsets,
    out_indptr: Offsets,
    out_indices: Ids,
    out_weights: Weights,
    out_loops: Floats,
) -> None:
    for part in prange(len(bounds) - 1):
        total = np.zeros(len(start) - 1, np.float64)
        seen = np.full(len(start) - 1, 0xFFFFFFFF, np.uint32)
        for g in range(bounds[part], bounds[part + 1]):
            at = out_indptr[g]
            inside = 0.0
            for m in range(start[g], start[g + 1]):
                v = members[m]
                inside += loops[v]
                for i in range(indptr[v], indptr[v + 1]):
                    other = group[indices[i]]
                    if other == g:
                        inside += weights[i]
                        continue
                    if seen[other] != g:
                        seen[other] = g
                        total[other] = 0.0
                        out_indices[at] = other
                        at += 1
                    total[other] += weights[i]
            out_loops[g] = inside
            for i in range(out_indptr[g], at):
                out_weights[i] = np.float32(total[out_indices[i]])


def modularity(graph: Csr, group: Ids, resolution: float = 1.0) -> float:
    """Return the weighted modularity of the groups; 0 for a graph without weight.

    Source: Newman 2004, "Analysis of weighted networks"; with the resolution of Reichardt and Bornholdt 2006.
    """
    strength = graph.strength
    twice = float(strength.sum())
    if twice == 0:
        return 0.0
    inside = _inside(graph.indptr, graph.indices, graph.weights, group) + float(graph.loops.sum())
    sums = np.bincount(group, weights=strength)
    return inside / twice - resolution * float(np.square(sums / twice).sum())


@njit(cache=True, nogil=True, parallel=True)
def _inside(indptr: Offsets, indices: Ids, weights: Weights, group: Ids) -> float:
    n, parts = len(indptr) - 1, 64
    sums = np.zeros(parts, np.float64)  # added in one order, however many cores there are
    for part in prange(parts):
        total = 0.0
        for v in range(part * n // parts, (part + 1) * n // parts):
            for i in range(indptr[v], indptr[v + 1]):
                if group[indices[i]] == group[v]:
                    total += weights[i]
        sums[part] = total
    return float(sums.sum())
