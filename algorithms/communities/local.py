"""The local engine on arrays: nodes are numbers from 0, ends uint32; the same graph gives the same labels, always."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.communities import union_find
from algorithms.communities.arrays import Ids, checked
from algorithms.communities.csr import Csr, csr
from algorithms.communities.leiden import leiden


def components(src: Any, dst: Any, n: int) -> Ids:
    """Return for each of `n` nodes the smallest node of its component; a node without edges is its own.

    Raises:
        BadEdgesError: an end is not below `n`.
    """
    a, b, _ = checked(src, dst, n)
    return union_find.components([(a, b)], n)


def graph(src: Any, dst: Any, weight: Any, n: int) -> Csr:
    """Return the undirected graph: loops dropped, duplicates merged with their weights summed, absent weights 1.

    Raises:
        BadEdgesError: an end is not below `n`, or a weight is negative or not finite.
    """
    edges = checked(src, dst, n, weight)
    return csr(lambda: [edges], n)


def communities(
    src: Any,
    dst: Any,
    weight: Any,
    n: int,
    seed: int = 0,
    initial: Any = None,
    *,
    resolution: float = 1.0,
    method: str = "leiden",
) -> Ids:
    """Return the community of each node, numbered from 0 by size, ties by the smallest member.

    Args:
        seed: orders the visits of the nodes; 0 visits them in their own order.
        initial: warm start: yesterday's label of each node, any uint32; a node that was not there takes one of its own.
            Nodes move only where a move gains, so unchanged parts keep their groups.
        resolution: above 1 finds smaller communities, below 1 larger ones.
        method: `leiden` or `louvain`.

    Raises:
        BadEdgesError: an end is not below `n`, or a weight is negative or not finite.
    """
    start = None
    if initial is not None:
        start = np.unique(np.asarray(initial), return_inverse=True)[1].astype(np.uint32)
    return leiden(
        graph(src, dst, weight, n), seed=seed, initial=start, resolution=resolution, refine=method == "leiden"
    )


def updated_components(
    known: Any, added_src: Any, added_dst: Any, n: int, removed: tuple[Any, Any] | None = None, today: Any = ()
) -> Ids:
    """Return what `components` returns for all edges of today, with work only where something changed.

    Args:
        known: yesterday's labels; its nodes are the first of today's `n`.
        added_src: ends of the edges that yesterday had not; `added_dst` the other ends.
        removed: both ends of the edges that today has not; the components they lay in start anew.
        today: batches (src, dst) of all edges of today; read only when something was removed.
    """
    labels = np.ascontiguousarray(known, np.uint32)
    src, dst, _ = checked(added_src, added_dst, n)
    gone = [] if removed is None else [checked(removed[0], removed[1], n)[:2]]
    return union_find.updated(labels, n, [(src, dst)], gone, (checked(a, b, n)[:2] for a, b in today))
