"""Communities by modularity: Leiden, or Louvain without its refinement, on one core and always with the same result.

Source: Traag, Waltman, van Eck 2019, "From Louvain to Leiden: guaranteeing well-connected communities"; Blondel et al.
2008, "Fast unfolding of communities in large networks". The refinement takes the best merge instead of drawing one.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from algorithms.communities.arrays import Floats, Ids, Offsets, Weights
from algorithms.communities.contraction import by_size, compact, contracted, modularity
from algorithms.communities.csr import Csr

NONE = np.uint32(0xFFFFFFFF)
_ALL_VISITS = 2**62
_SMALL, _TRIES = 200_000, 5
_FIRST_VISITS = 2
_LARGE = 20_000_000  # rows from which a second round takes longer than its gain is worth


def leiden(
    graph: Csr,
    *,
    seed: int = 0,
    initial: Ids | None = None,
    resolution: float = 1.0,
    refine: bool = True,
    rounds: int = 10,
    least_gain: float = 1e-4,
) -> Ids:
    """Return the community of each node, numbered from 0 by size, ties by the smallest member.

    Started from its own result it changes nothing where a round that gained too little was the last one. Graphs above
    `_LARGE` rows get one round, and a warm start may still move some of their nodes.

    Args:
        seed: orders the visits of the nodes; 0 visits them as they are numbered, which is quickest.
        initial: where each node begins; by default alone.
        resolution: above 1 finds smaller communities, below 1 larger ones.
        refine: Leiden's refinement between levels; False is Louvain.
        rounds: at most so many times is the whole repeated from its own result.
        least_gain: modularity that a further round must gain to be kept; the first that does not is the last.
    """
    if graph.n == 0 or graph.strength.sum() == 0:
        return np.arange(graph.n, dtype=np.uint32)
    climb = partial(_climbed, graph, resolution=resolution, refine=refine, rounds=rounds, least_gain=least_gain)
    if initial is None and len(graph.indices) <= _SMALL:
        # A small graph has few levels to repair an early merge, and further tries cost nothing.
        initial = max((climb(seed + i, None) for i in range(_TRIES)), key=lambda g: modularity(graph, g, resolution))
    return by_size(climb(seed, initial))


def _climbed(
    graph: Csr, seed: int, initial: Ids | None, *, resolution: float, refine: bool, rounds: int, least_gain: float
) -> Ids:
    if initial is None:
        # Few visits gain most; what they leave undone, the moves of whole groups and the last sweeps do.
        groups, _ = _moved(graph, np.arange(graph.n, dtype=np.uint32), seed, resolution, _FIRST_VISITS * graph.n)
        best = -1.0
    else:
        groups = _settled(graph, compact(initial)[0], seed, resolution)
        best = modularity(graph, groups, resolution)
    for _ in range(rounds if len(graph.indices) < _LARGE else 1):
        after = _settled(graph, _levels(graph, groups, seed, resolution, refine), seed, resolution)
        reached = modularity(graph, after, resolution)
        if reached - best < least_gain:
            break
        groups, best = after, reached
    return groups


def _order(n: int, seed: int) -> Ids:
    order = np.arange(n, dtype=np.uint32)
    if seed:
        np.random.default_rng([seed, n]).shuffle(order)
    return order


def _moved(graph: Csr, groups: Ids, seed: int, resolution: float, visits: int = _ALL_VISITS) -> tuple[Ids, int]:
    groups = groups.copy()
    arrays = (graph.indptr, graph.indices, graph.weights, graph.strength)
    moves = _move(*arrays, groups, _order(graph.n, seed), _widest(graph), resolution, visits)
    return compact(groups)[0], moves


def _widest(graph: Csr) -> int:
    return int(np.diff(graph.indptr).max(initial=0))


def _settled(graph: Csr, groups: Ids, seed: int, resolution: float) -> Ids:
    """Return the groups after single moves, each connected: a group that fell apart gains by being two."""
    whole = False
    for _ in range(20):  # one sweep is not enough: its moves change the totals that others compared with
        groups, moves = _moved(graph, groups, seed, resolution)
        if moves == 0 and whole:
            break
        parts, count = compact(_connected(graph.indptr, graph.indices, groups))
        whole = count == int(groups.max()) + 1
        if moves == 0 and whole:
            break
        groups = parts
    return groups


def _levels(base: Csr, groups: Ids, seed: int, resolution: float, refine: bool) -> Ids:
    """Return the groups after the moves of whole groups, level by level."""
    graph, place, count = base, np.arange(base.n, dtype=np.uint32), int(groups.max()) + 1
    while count < graph.n:
        parts, parted = groups, count
        if refine:
            arrays = (graph.indptr, graph.indices, graph.weights, graph.strength)
            parts, parted = compact(_refine(*arrays, groups, _widest(graph), resolution))
        if parted == graph.n:  # nothing would merge: contract what the moves found, so that every level is smaller
            parts, parted = groups, count
        graph = contracted(graph, parts, parted)
        above = np.empty(parted, np.uint32)
        above[parts] = groups
        place = parts[place]
        groups, moves = _moved(graph, above, seed, resolution)
        count = int(groups.max()) + 1
        if moves == 0:
            break
    return groups[place]


@njit(cache=True, nogil=True)
def _connected(indptr: Offsets, indices: Ids, groups: Ids) -> Ids:
    """Return for each node the smallest node it reaches within its group."""
    parent = np.arange(len(groups)).astype(np.uint32)
    for v in range(len(groups)):
        for i in range(indptr[v], indptr[v + 1]):
            u = indices[i]
            if u < v and groups[u] == groups[v]:
                a, b = np.uint32(v), u
                while parent[a] != a:
                    parent[a] = parent[parent[a]]
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                if a < b:
                    parent[b] = a
                elif b < a:
                    parent[a] = b
    for v in range(len(groups)):
        parent[v] = parent[parent[v]]
    return parent


@njit(cache=True, nogil=True)
def gather(
    v: int, indptr: Offsets, indices: Ids, weights: Weights, groups: Ids, keys: Ids, sums: Floats, found: Ids
) -> int:
    """Sum the weights of v by the neighbors' groups in a small hash table; return how many groups there are.

    A table of the row's size stays in the cache, where an array with a place for every group would not.
    """
    begin, end = indptr[v], indptr[v + 1]
    mask = 7
    while mask < 2 * (end - begin):
        mask = 2 * mask + 1
    count = 0
    for i in range(begin, end):
        group = groups[indices[i]]
        slot = (group * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & np.uint64(mask)
        while keys[slot] != NONE and keys[slot] != group:
            slot = (slot + np.uint64(1)) & np.uint64(mask)
        if keys[slot] == NONE:
            keys[slot] = group
            sums[slot] = 0.0
            found[count] = slot
            count += 1
        sums[slot] += weights[i]
    return count


@njit(cache=True, nogil=True)
def tables(widest: int) -> tuple[Ids, Floats, Ids]:
    """Return the empty keys and sums of `gather` for rows up to `widest`, and the room for what it finds."""
    size = 8
    while size < 2 * widest + 2:
        size *= 2
    return np.full(size, NONE, np.uint32), np.zeros(size, np.float64), np.empty(widest + 1, np.uint32)


@njit(cache=True, nogil=True)
def _move(
    indptr: Offsets,
    indices: Ids,
    weights: Weights,
    strength: Floats,
    groups: Ids,
    order: Ids,
    widest: int,
    resolution: float,
    visits: int,
) -> int:
    """Move nodes to the neighbor's group with the largest gain till none gains; return the number of moves.

    It ends earlier after `visits` visits of nodes.
    """
    n = len(groups)
    total, size = np.zeros(n, np.float64), np.zeros(n, np.uint32)
    for v in range(n):
        total[groups[v]] += strength[v]
        size[groups[v]] += 1
    free = np.empty(n, np.uint32)
    frees = 0
    for g in range(n - 1, -1, -1):
        if size[g] == 0:
            free[frees] = g
            frees += 1
    scale = resolution / strength.sum()
    queue, waits = np.empty(n, np.uint32), np.zeros(n, np.bool_)
    queue[: len(order)] = order
    waits[order] = True
    head, length, moves = 0, len(order), 0
    keys, sums, found = tables(widest)
    while length and visits:
        visits -= 1
        v = queue[head]
        head = head + 1 if head + 1 < n else 0
        length -= 1
        waits[v] = False
        count = gather(v, indptr, indices, weights, groups, keys, sums, found)
        old, k = groups[v], strength[v]
        total[old] -= k
        stay = 0.0
        for f in range(count):
            if keys[found[f]] == old:
                stay = sums[found[f]]
        here = stay - scale * k * total[old]
        best, gain = old, here
        for f in range(count):
            group = keys[found[f]]
            if group != old:
                value = sums[found[f]] - scale * k * total[group]
                # The margin keeps rounding from moving a node to and fro; a tie goes to the smaller number.
                if value > gain + 1e-10 * k or (best != old and value == gain and group < best):
                    best, gain = group, value
            keys[found[f]] = NONE
        if gain < -1e-10 * k and size[old] > 1 and frees:  # alone is better than any group
            best = free[frees - 1]
        if best == old:
            total[old] += k
            continue
        if size[best] == 0:
            frees -= 1
        size[old] -= 1
        if size[old] == 0:
            free[frees] = old
            frees += 1
        size[best] += 1
        total[best] += k
        groups[v] = best
        moves += 1
        for i in range(indptr[v], indptr[v + 1]):
            u = indices[i]
            if groups[u] != best and not waits[u]:
                waits[u] = True
                tail = head + length
                queue[tail if tail < n else tail - n] = u
                length += 1
    return moves


@njit(cache=True, nogil=True)
def _refine(
    indptr: Offsets,
    indices: Ids,
    weights: Weights,
    strength: Floats,
    groups: Ids,
    widest: int,
    resolution: float,
) -> Ids:
    """Return sub-groups, each connected: single nodes merged, within their group, where the merge gains."""
    n = len(groups)
    inside = np.zeros(n, np.float64)  # each node's weight to the rest of its group, later each sub-group's
    whole = np.zeros(n, np.float64)
    for v in range(n):
        whole[groups[v]] += strength[v]
        for i in range(indptr[v], indptr[v + 1]):
            if groups[indices[i]] == groups[v]:
                inside[v] += weights[i]
    parts = np.arange(n).astype(np.uint32)
    total, single = strength.copy(), np.ones(n, np.bool_)
    scale = resolution / strength.sum()
    keys, sums, found = tables(widest)
    for v in range(n):
        k, group = strength[v], groups[v]
        if not single[v] or inside[v] < scale * k * (whole[group] - k):
            continue
        count = gather(v, indptr, indices, weights, parts, keys, sums, found)
        best, gain, link = v, 0.0, 0.0
        for f in range(count):
            part = keys[found[f]]
            if part == v or groups[part] != group:
                continue
            if inside[part] < scale * total[part] * (whole[group] - total[part]):
                continue
            value = sums[found[f]] - scale * k * total[part]
            if value > gain or (value == gain and best != v and part < best):
                best, gain, link = part, value, sums[found[f]]
        for f in range(count):
            keys[found[f]] = NONE
        if best != v:
            parts[v] = best
            total[best] += k
            inside[best] += inside[v] - 2 * link
            single[best] = False
            single[v] = False
    return parts
