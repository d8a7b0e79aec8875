"""Connected components without a graph: union-find over edges as they stream by, 4 bytes a node.

Source: Tarjan 1975, "Efficiency of a Good But Not Linear Set Union Algorithm"; the root is always the smaller node, so
the label is the smallest member whatever the order of the edges, and path halving keeps the trees low.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from algorithms.communities.arrays import Ids


@njit(cache=True, nogil=True)
def _join(parent: Ids, src: Ids, dst: Ids) -> None:
    for i in range(len(src)):
        a, b = src[i], dst[i]
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


@njit(cache=True, nogil=True)
def _flatten(parent: Ids) -> None:
    # A parent is never above its node, so one pass from below meets only finished parents.
    for v in range(len(parent)):
        parent[v] = parent[parent[v]]


@njit(cache=True, nogil=True)
def _join_touched(parent: Ids, touched: np.ndarray[tuple[int], np.dtype[np.bool_]], src: Ids, dst: Ids) -> None:
    for i in range(len(src)):
        if touched[src[i]]:
            _join(parent, src[i : i + 1], dst[i : i + 1])


def components(batches: Iterable[tuple[Ids, Ids]], n: int, known: Ids | None = None) -> Ids:
    """Return for each of `n` nodes the smallest node of its component; a node without edges is its own.

    Args:
        batches: ends of edges, each uint32 and below `n`.
        known: labels of an earlier run over edges that still hold; its nodes are the first of the `n`.
    """
    parent = np.arange(n, dtype=np.uint32)
    if known is not None:
        parent[: len(known)] = known
    for src, dst in batches:
        _join(parent, src, dst)
    _flatten(parent)
    return parent


def updated(
    known: Ids,
    n: int,
    added: Iterable[tuple[Ids, Ids]],
    removed: Iterable[tuple[Ids, Ids]],
    today: Iterable[tuple[Ids, Ids]],
) -> Ids:
    """Return the labels of `components(today, n)`, with work only where something changed.

    Without removals `today` is not read at all. A removed edge may split its component, so the members of the touched
    components start anew from the edges of today that lie in them.

    Args:
        known: yesterday's labels, each the smallest member of its component.
        added: edges of today that yesterday had not.
        removed: edges of yesterday that today has not.
        today: all edges of today.
    """
    parent = np.arange(n, dtype=np.uint32)
    parent[: len(known)] = known
    split = np.zeros(n, dtype=np.bool_)
    for src, dst in removed:
        split[parent[src]] = True
        split[parent[dst]] = True
    if split.any():
        touched = split[parent]
        anew = np.flatnonzero(touched)
        parent[anew] = anew
        for src, dst in today:
            _join_touched(parent, touched, src, dst)
    return components(added, n, parent)
