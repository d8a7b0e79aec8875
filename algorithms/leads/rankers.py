"""Who may reach whom: the classic rankers of link prediction on a weighted, timed contact graph.

None looks further than the two ends' neighborhoods, except personalized PageRank, which walks on until what is left
is small; no table of all pairs is made. What each says, and its paper, stands in docs/contact-events.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from algorithms.leads.contact_events import ContactEventsError
from algorithms.leads.contact_graph import ContactGraph, Floats, Ints

_SHARED = (
    "common_neighbors", "adamic_adar", "resource_allocation", "common_neighbors_recent", "adamic_adar_recent",
    "resource_allocation_recent", "fingerprint_dice", "fingerprint_hellinger",
)  # fmt: skip
RANKERS = (
    *_SHARED, "personalized_pagerank", "direct_evidence", "preferential_attachment", "popularity", "recency",
)  # fmt: skip
RESTART = 0.15
LEFT = 1e-7  # what may stay unwalked at a node for each of its links


def pair_scores(graph: ContactGraph, sources: Any, candidates: Any, *, left: float = LEFT) -> dict[str, Floats]:
    """Return what every ranker says of pairs, float64 (P,) by the names in `RANKERS`; higher is likelier, 0 is nothing.

    Costs the two neighborhoods of each pair, and one walk of personalized PageRank for each different source.

    Args:
        sources: ints (P,), nodes of the graph; so are `candidates`.
        left: of `personalized_pagerank`; on a graph of 10⁶ links a walk takes 0.2 s at 1e-7, 10 ms at 1e-6.

    Raises:
        ContactEventsError: lengths differ or a node does not exist.
    """
    u, v = np.atleast_1d(np.asarray(sources, np.int64)), np.atleast_1d(np.asarray(candidates, np.int64))
    if u.shape != v.shape:
        raise ContactEventsError(f"A candidate for each source was needed; found {u.shape} and {v.shape}.")
    _check_nodes(graph, u)
    _check_nodes(graph, v)
    shared, direct = _pairs(graph.indptr, graph.indices, graph.weight, graph.strength, graph.fingerprint, u, v)
    found = dict(zip(_SHARED, shared, strict=True))
    found["personalized_pagerank"] = np.zeros(len(u))
    order = np.argsort(u, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(u[order])) + 1):
        if len(group):
            found["personalized_pagerank"][group] = personalized_pagerank(graph, int(u[group[0]]), left=left)[v[group]]
    return found | {"direct_evidence": direct} | _of_candidates(graph, graph.degree[u], v)


def all_scores(graph: ContactGraph, source: int) -> dict[str, Floats]:
    """Return what every ranker says of a source and every node, float64 (N,) by the names in `RANKERS`.

    The source's own place means nothing. Costs the neighborhoods of its neighbors, and one walk.

    Raises:
        ContactEventsError: the source is no node.
    """
    _check_nodes(graph, np.array([source]))
    shared = np.zeros((len(_SHARED), graph.n))
    _around(graph.indptr, graph.indices, graph.weight, graph.strength, graph.fingerprint, graph.reverse, source, shared)
    direct = np.zeros(graph.n)
    own = slice(graph.indptr[source], graph.indptr[source + 1])
    direct[graph.indices[own]] = graph.weight[own]
    found = dict(zip(_SHARED, shared, strict=True))
    found |= {"personalized_pagerank": personalized_pagerank(graph, source), "direct_evidence": direct}
    return found | _of_candidates(graph, graph.degree[source], np.arange(graph.n))


def personalized_pagerank(graph: ContactGraph, source: int, *, restart: float = RESTART, left: float = LEFT) -> Floats:
    """Return how often a walk that returns to the source with probability `restart` is at each node, float64 (N,).

    Source: Andersen, Chung and Lang 2006, "Local Graph Partitioning using PageRank Vectors": what is left to walk is
    pushed on while a node holds more than `left` for each of its links, so at most 1 / (`left` · `restart`) links are
    walked, however large the graph; no value is more than `left` · degree · (strength ratio) too low.
    """
    walked = np.zeros(graph.n)
    _push(graph.indptr, graph.indices, graph.weight, graph.strength, source, restart, left, walked)
    return walked


def _check_nodes(graph: ContactGraph, nodes: Ints) -> None:
    if len(nodes) and not 0 <= nodes.min() <= nodes.max() < graph.n:
        raise ContactEventsError(f"Nodes are 0 to {graph.n - 1:,}; found {nodes.min():,} to {nodes.max():,}.")


def _of_candidates(graph: ContactGraph, degree: Any, v: Ints) -> dict[str, Floats]:
    return {
        "preferential_attachment": (degree * graph.degree[v]).astype(np.float64),
        "popularity": graph.strength[v],
        "recency": graph.latest[v],
    }


@njit(cache=True, nogil=True)
def _said(z: int, wu: float, wv: float, fu: float, fv: float, degree: int, strength: float, out: Floats) -> None:
    """Add what one shared neighbor says."""
    both = np.sqrt(wu * wv)
    out[0] += 1.0
    out[1] += 1.0 / np.log(degree)
    out[2] += 1.0 / degree
    out[3] += both
    out[4] += both / np.log(2.0 + strength)
    out[5] += wu * wv / strength
    if fu > 0 and fv > 0:
        out[6] += 0.5 * (fu + fv)
        out[7] += np.sqrt(fu * fv)


@njit(cache=True, nogil=True)
def _pairs(
    indptr: Ints, indices: Ints, weight: Floats, strength: Floats, fingerprint: Floats, us: Ints, vs: Ints
) -> tuple[Floats, Floats]:
    found, direct = np.zeros((8, len(us))), np.zeros(len(us))
    said = np.zeros(8)
    for i in range(len(us)):
        u, v = us[i], vs[i]
        p, q, said[:] = indptr[u], indptr[v], 0.0
        while p < indptr[u + 1] and indices[p] <= v:
            if indices[p] == v:
                direct[i] = weight[p]
            p += 1
        p = indptr[u]
        while p < indptr[u + 1] and q < indptr[v + 1]:
            if indices[p] < indices[q]:
                p += 1
            elif indices[p] > indices[q]:
                q += 1
            else:
                z = indices[p]
                if u != v:
                    degree = indptr[z + 1] - indptr[z]
                    _said(z, weight[p], weight[q], fingerprint[p], fingerprint[q], degree, strength[z], said)
                p += 1
                q += 1
        found[:, i] = said
    return found, direct


@njit(cache=True, nogil=True)
def _around(
    indptr: Ints, indices: Ints, weight: Floats, strength: Floats, fingerprint: Floats, reverse: Ints, u: int,
    found: Floats,
) -> None:  # fmt: skip
    for p in range(indptr[u], indptr[u + 1]):
        z = indices[p]
        degree = indptr[z + 1] - indptr[z]
        for q in range(indptr[z], indptr[z + 1]):
            v = indices[q]
            if v != u:
                _said(
                    z, weight[p], weight[q], fingerprint[p], fingerprint[reverse[q]], degree, strength[z], found[:, v]
                )


@njit(cache=True, nogil=True)
def _push(
    indptr: Ints, indices: Ints, weight: Floats, strength: Floats, source: int, restart: float, left: float,
    walked: Floats,
) -> None:  # fmt: skip
    if strength[source] <= 0:
        walked[source] = 1.0
        return
    rest = np.zeros(len(walked))
    waiting = np.zeros(len(walked), np.bool_)
    queue = [source]
    rest[source], waiting[source] = 1.0, True
    head = 0
    while head < len(queue):
        u = queue[head]
        head += 1
        waiting[u] = False
        mass = rest[u]
        rest[u] = 0.0
        walked[u] += restart * mass
        share = (1.0 - restart) * mass / strength[u]
        for p in range(indptr[u], indptr[u + 1]):
            v = indices[p]
            rest[v] += share * weight[p]
            if not waiting[v] and rest[v] > left * (indptr[v + 1] - indptr[v]):
                waiting[v] = True
                queue.append(v)
        if head > 1_000_000:  # what was walked through is forgotten
            queue = queue[head:]
            head = 0
