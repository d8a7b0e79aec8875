"""What a node's neighbors are like, as columns for trees (XGB-Graph in GADBench, Tang et al. 2023).

Also of the labels that neighbors are known to have: a node's own label is never among what is told of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from gnn.data.store import Store

Columns = dict[str, NDArray[np.float32]]


def adjacency(store: Store, label: str) -> dict[str, csr_array]:
    """Return for each relation from a label to itself its neighbors as a 0/1 matrix; row: who is asked about."""
    n = store.nodes[label].count
    found = {}
    for rel in store.relations:
        if rel.src == rel.dst == label and len(rel):
            ones = np.ones(len(rel), np.float32)
            found[rel.name] = csr_array((ones, np.asarray(rel.neighbor), np.asarray(rel.indptr)), shape=(n, n))
    return found


def neighbor_columns(x: NDArray[np.float32], links: dict[str, csr_array]) -> Columns:
    """Return own features, degree, and of neighbors: mean, spread, mean weighted against busy ones, two steps away."""
    told: Columns = {"own": x}
    for name, links_of in links.items():
        degree = np.asarray(links_of.sum(axis=1)).ravel()
        even = (diags_array(1 / np.maximum(degree, 1)) @ links_of).astype(np.float32)
        shrunk = _shrunk(links_of, degree)
        mean = even @ x
        told[f"{name} degree"] = np.log1p(degree)[:, None].astype(np.float32)
        told[f"{name} mean"] = mean
        told[f"{name} spread"] = np.sqrt(np.maximum(even @ (x * x) - mean * mean, 0))
        told[f"{name} mean of means"] = even @ mean
        once = shrunk @ x
        told[f"{name} weighted"] = once
        told[f"{name} weighted twice"] = shrunk @ once
        told[f"{name} degree of neighbors"] = np.log1p(even @ degree)[:, None].astype(np.float32)
    return told


def label_columns(y: NDArray[np.int64], known: NDArray[np.bool_], links: dict[str, csr_array]) -> Columns:
    """Return what is known of neighbors' labels, the node's own left out: share, excess and number, and two steps away.

    Args:
        known: whose labels may be used.
    """
    base = float(y[known].mean())
    marked, excess = np.where(known, y, 0).astype(np.float32), np.where(known, y - base, 0).astype(np.float32)
    told: Columns = {}
    for name, links_of in links.items():
        degree = np.asarray(links_of.sum(axis=1)).ravel()
        shrunk = _shrunk(links_of, degree)
        rare = links_of @ diags_array((1 / np.log(np.maximum(degree, 2))).astype(np.float32))
        for kind, weights in (("labels", links_of), ("weighted labels", shrunk), ("labels by rarity", rare)):
            count, seen = weights @ marked, weights @ known.astype(np.float32)
            share = np.where(seen > 0, count / np.maximum(seen, 1e-9), base)
            told[f"{name} {kind}"] = np.stack([share, count - base * seen, seen], axis=1).astype(np.float32)
        back = np.asarray(shrunk.multiply(shrunk.T).sum(axis=1)).ravel()  # of the own label that returns in two steps
        told[f"{name} labels two steps away"] = (shrunk @ (shrunk @ excess) - back * excess)[:, None].astype(np.float32)
    return told


def _shrunk(links: csr_array, degree: NDArray[np.float32]) -> csr_array:
    less = diags_array((1 / np.sqrt(np.maximum(degree, 1))).astype(np.float32))
    return (less @ links @ less).tocsr().astype(np.float32)


def together(columns: Columns) -> NDArray[np.float32]:
    """Return all columns side by side, float32 (nodes, columns)."""
    return np.hstack([np.asarray(part, np.float32) for part in columns.values()])
