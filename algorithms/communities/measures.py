"""What else an undirected graph is asked: PageRank, core numbers, triangles, and how alike two neighborhoods are."""

from __future__ import annotations

import networkit as nk
import numpy as np
from numba import njit, prange

from algorithms.communities.arrays import Floats, Ids, Offsets
from algorithms.communities.csr import Csr


def networkit_graph(graph: Csr, *, weighted: bool) -> nk.Graph:
    """Return the graph as networkit's, about 94 bytes an edge."""
    rows = np.repeat(np.arange(graph.n, dtype=np.uint64), np.diff(graph.indptr))
    columns = graph.indices.astype(np.uint64)  # from uint32, networkit 11.2 reads beyond the array
    once = rows < columns
    weights = graph.weights[once].astype(np.float64) if weighted else np.ones(int(once.sum()))
    return nk.GraphFromCoo((weights, (rows[once], columns[once])), n=graph.n, weighted=weighted)


def pagerank(graph: Csr, *, weighted: bool = False, damping: float = 0.85) -> Floats:
    """Return the PageRank of each node; they sum to 1. A node without edges spreads its rank over all.

    Source: Page, Brin, Motwani, Winograd 1999, "The PageRank Citation Ranking".
    """
    if graph.n == 0:
        return np.empty(0, np.float64)
    run = nk.centrality.PageRank(networkit_graph(graph, weighted=weighted), damp=damping, tol=1e-10)
    run.run()
    scores = np.array(run.scores(), np.float64)
    # Spreading the rank of lonely nodes over all only scales the solution: the sum puts it right.
    return np.asarray(scores / scores.sum(), np.float64)


def map_equation(graph: Csr, *, seed: int = 0) -> Ids:
    """Return communities in which a random walk stays long; the result is that of one thread, so it repeats.

    Unlike modularity it finds small communities in large graphs too. Every lonely node is alone.

    Source: Rosvall, Axelsson, Bergstrom 2009, "The map equation"; Hamann, Strasser, Wagner, Zeitz 2018, "Distributed
    Graph Clustering Using Modularity and Map Equation".
    """
    if graph.n == 0 or graph.strength.sum() == 0:
        return np.arange(graph.n, dtype=np.uint32)
    threads = nk.getMaxNumberOfThreads()
    nk.setNumberOfThreads(1)
    nk.setSeed(seed, False)
    try:
        run = nk.community.LouvainMapEquation(networkit_graph(graph, weighted=True), True, 32, "none")
        run.run()
        return np.array(run.getPartition().getVector(), np.int64).astype(np.uint32)
    finally:
        nk.setNumberOfThreads(threads)


def core_numbers(graph: Csr) -> Ids:
    """Return for each node the largest k such that it lies in a part where all have at least k neighbors.

    Source: Batagelj, Zaversnik 2003, "An O(m) Algorithm for Cores Decomposition of Networks".
    """
    if graph.n == 0:
        return np.empty(0, np.uint32)
    run = nk.centrality.CoreDecomposition(networkit_graph(graph, weighted=False))
    run.run()
    return np.array(run.scores()).astype(np.uint32)


def triangles(graph: Csr) -> Offsets:
    """Return how many triangles each node is part of.

    Source: Schank, Wagner 2005, "Finding, Counting and Listing all Triangles in Large Graphs" (forward algorithm).
    """
    return _triangles(graph.indptr, graph.indices)


def neighborhoods(graph: Csr, a: Ids, b: Ids) -> tuple[Offsets, Floats, Floats]:
    """Return for each pair the number of common neighbors, their Jaccard index and their overlap coefficient.

    The pair itself counts on neither side, so that an edge between the two changes nothing. 0 where a side is empty.
    """
    common, first, second = _common(graph.indptr, graph.indices, a, b)
    union, smaller = first + second - common, np.minimum(first, second)
    return common, common / np.maximum(union, 1), common / np.maximum(smaller, 1)


@njit(cache=True, nogil=True)
def _triangles(indptr: Offsets, indices: Ids) -> Offsets:
    n = len(indptr) - 1
    # Edges run from the lower degree to the higher: hubs get short rows.
    degree = indptr[1:] - indptr[:-1]
    start, out = np.zeros(n + 1, np.int64), np.empty(len(indices) // 2, np.uint32)
    at = 0
    for v in range(n):
        for i in range(indptr[v], indptr[v + 1]):
            u = indices[i]
            if degree[u] > degree[v] or (degree[u] == degree[v] and u > v):
                out[at] = u
                at += 1
        start[v + 1] = at
    counts, mark = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    for v in range(n):
        for i in range(start[v], start[v + 1]):
            mark[out[i]] = v
        for i in range(start[v], start[v + 1]):
            u = out[i]
            for j in range(start[u], start[u + 1]):
                if mark[out[j]] == v:
                    counts[v] += 1
                    counts[u] += 1
                    counts[out[j]] += 1
    return counts


@njit(cache=True, nogil=True, parallel=True)
def _common(indptr: Offsets, indices: Ids, a: Ids, b: Ids) -> tuple[Offsets, Offsets, Offsets]:
    common, first, second = np.zeros(len(a), np.int64), np.zeros(len(a), np.int64), np.zeros(len(a), np.int64)
    for p in prange(len(a)):
        i, j, stop_i, stop_j = indptr[a[p]], indptr[b[p]], indptr[a[p] + 1], indptr[b[p] + 1]
        first[p], second[p] = stop_i - i, stop_j - j
        for x in range(i, stop_i):
            if indices[x] == b[p] and a[p] != b[p]:
                first[p] -= 1
                second[p] -= 1
        while i < stop_i and j < stop_j:
            if indices[i] == indices[j]:
                common[p] += 1
                i += 1
                j += 1
            elif indices[i] < indices[j]:
                i += 1
            else:
                j += 1
    return common, first, second
