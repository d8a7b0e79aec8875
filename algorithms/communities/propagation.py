"""Label propagation that ends and repeats: half of the nodes look around at a time, ties go to the smallest label.

Source: Raghavan, Albert, Kumara 2007, "Near linear time algorithm to detect community structures in large-scale
networks"; in turns after Cordasco, Gargano 2010, "Community detection via semi-synchronous label propagation
algorithms": when all move at once, labels swap for ever.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from algorithms.communities.arrays import Flags, Ids, Offsets, Weights
from algorithms.communities.csr import Csr
from algorithms.communities.leiden import NONE, gather, tables

STEPS = 60


def propagated(graph: Csr, turn: Flags, steps: int = STEPS) -> Ids:
    """Return the label of each node: the smallest node whose label spread to it.

    A node takes the label with the largest weight among its neighbors; it keeps its own where that is one of them.

    Args:
        turn: whether a node looks in the odd steps; the others look in the even ones.
        steps: the most there are; it ends earlier after two in which nothing changed.
    """
    labels = np.arange(graph.n, dtype=np.uint32)
    widest = int(np.diff(graph.indptr).max(initial=0))
    still = 0
    for step in range(steps):
        after = labels.copy()
        _step(graph.indptr, graph.indices, graph.weights, labels, after, turn, step % 2 == 0, widest)
        still = still + 1 if np.array_equal(labels, after) else 0
        labels = after
        if still == 2:
            break
    return labels


@njit(cache=True, nogil=True, parallel=True)
def _step(
    indptr: Offsets, indices: Ids, weights: Weights, labels: Ids, after: Ids, turn: Flags, odd: bool, widest: int
) -> None:
    n, parts = len(labels), 8
    for part in prange(parts):
        keys, sums, found = tables(widest)
        for v in range(part * n // parts, (part + 1) * n // parts):
            if turn[v] != odd:
                continue
            count = gather(v, indptr, indices, weights, labels, keys, sums, found)
            most, own, best = 0.0, 0.0, labels[v]
            for f in range(count):
                label, total = keys[found[f]], sums[found[f]]
                if label == labels[v]:
                    own = total
                if total > most or (total == most and label < best):
                    most, best = total, label
                keys[found[f]] = NONE
            if own < most:
                after[v] = best
