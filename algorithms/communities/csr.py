"""The undirected graph as compressed rows: u32 neighbors in order, float32 weights, no loops, no duplicates.

At 10⁸ edges it takes 1.7 GB with weights, an eighteenth of an adjacency list of vectors that grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from algorithms.communities.arrays import Floats, Ids, Offsets, Weights

Batch = tuple[Ids, Ids, Weights | None]


@dataclass(frozen=True)
class Csr:
    """Both directions of every edge: the neighbors of v are `indices[indptr[v]:indptr[v + 1]]`, ascending.

    `loops` holds what lies inside a node, both directions counted; only a contracted graph has any.
    """

    indptr: Offsets
    indices: Ids
    weights: Weights
    loops: Floats

    @property
    def n(self) -> int:
        """The number of nodes."""
        return len(self.indptr) - 1

    @property
    def strength(self) -> Floats:
        """The sum of the weights at each node, what lies inside it counted twice; its total is twice the weight."""
        return _strength(self.indptr, self.weights) + self.loops


def csr(batches: Callable[[], Iterable[Batch]], n: int) -> Csr:
    """Return the graph of the edges, duplicates merged with their weights summed, loops dropped; absent weights are 1.

    The result does not depend on the order of the edges or the direction of each: rows are sorted, and so are the
    weights of duplicates before they are summed.

    Args:
        batches: returns the edges from the beginning; called twice, so that they are never in memory at once.
    """
    degree = np.zeros(n + 1, np.int64)
    weighted = False
    for src, dst, weight in batches():
        _count(src, dst, degree)
        weighted |= weight is not None
    indptr = np.cumsum(degree)
    indices = np.empty(indptr[-1], np.uint32)
    weights = np.empty(indptr[-1] if weighted else 0, np.float32)
    nothing = np.empty(0, np.float32)
    at = indptr[:-1].copy()
    for src, dst, weight in batches():
        _scatter(src, dst, nothing if weight is None else weight, at, indices, weights)
    kept = np.zeros(n + 1, np.int64)
    if not weighted:
        weights = np.empty(len(indices), np.float32)
        _merge_counts(indptr, indices, weights, kept)
    else:
        _merge_weights(indptr, indices, weights, kept)
    merged = np.cumsum(kept)
    if merged[-1] < indptr[-1]:
        _compact(indptr, merged, indices, weights)
        indices, weights = indices[: merged[-1]], weights[: merged[-1]]
    return Csr(merged, indices, weights, np.zeros(n, np.float64))


@njit(cache=True, nogil=True)
def _count(src: Ids, dst: Ids, degree: Offsets) -> None:
    for i in range(len(src)):
        if src[i] != dst[i]:
            degree[src[i] + 1] += 1
            degree[dst[i] + 1] += 1


@njit(cache=True, nogil=True)
def _scatter(src: Ids, dst: Ids, weight: Weights, at: Offsets, indices: Ids, weights: Weights) -> None:
    for i in range(len(src)):
        a, b = src[i], dst[i]
        if a == b:
            continue
        p, q = at[a], at[b]
        at[a], at[b] = p + 1, q + 1
        indices[p], indices[q] = b, a
        if len(weights):
            w = weight[i] if len(weight) else np.float32(1)
            weights[p], weights[q] = w, w


@njit(cache=True, nogil=True)
def _sort(row: Ids) -> None:
    if len(row) > 64:
        row.sort()
        return
    for i in range(1, len(row)):
        value, j = row[i], i - 1
        while j >= 0 and row[j] > value:
            row[j + 1] = row[j]
            j -= 1
        row[j + 1] = value


@njit(cache=True, nogil=True, parallel=True)
def _merge_counts(indptr: Offsets, indices: Ids, weights: Weights, kept: Offsets) -> None:
    for v in prange(len(indptr) - 1):
        begin, end = indptr[v], indptr[v + 1]
        _sort(indices[begin:end])
        last = begin - 1
        for i in range(begin, end):
            if last >= begin and indices[last] == indices[i]:
                weights[last] += np.float32(1)
            else:
                last += 1
                indices[last] = indices[i]
                weights[last] = np.float32(1)
        kept[v + 1] = last + 1 - begin


@njit(cache=True, nogil=True, parallel=True)
def _merge_weights(indptr: Offsets, indices: Ids, weights: Weights, kept: Offsets) -> None:
    for v in prange(len(indptr) - 1):
        begin, end = indptr[v], indptr[v + 1]
        # Neighbor and weight as one number: the bits of floats that are not negative sort as the floats do.
        keys = np.empty(end - begin, np.uint64)
        bits = weights[begin:end].view(np.uint32)
        for i in range(end - begin):
            keys[i] = (np.uint64(indices[begin + i]) << np.uint64(32)) | np.uint64(bits[i])
        keys.sort()
        for i in range(end - begin):
            bits[i] = np.uint32(keys[i] & np.uint64(0xFFFFFFFF))
        last, total = begin - 1, 0.0
        for i in range(begin, end):
            neighbor = np.uint32(keys[i - begin] >> np.uint64(32))
            if last >= begin and indices[last] == neighbor:
                total += weights[i]
            else:
                last += 1
                indices[last] = neighbor
                total = np.float64(weights[i])
            weights[last] = np.float32(total)
        kept[v + 1] = last + 1 - begin


@njit(cache=True, nogil=True)
def _compact(old: Offsets, new: Offsets, indices: Ids, weights: Weights) -> None:
    for v in range(len(new) - 1):
        for i in range(new[v + 1] - new[v]):
            indices[new[v] + i] = indices[old[v] + i]
            weights[new[v] + i] = weights[old[v] + i]


@njit(cache=True, nogil=True, parallel=True)
def _strength(indptr: Offsets, weights: Weights) -> Floats:
    total = np.zeros(len(indptr) - 1, np.float64)
    for v in prange(len(indptr) - 1):
        for i in range(indptr[v], indptr[v + 1]):
            total[v] += weights[i]
    return total
