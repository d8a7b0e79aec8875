"""The paired bootstrap: the same figures of several models on the same drawn applications, again and again.

The same arguments give the same figures, on any machine and with any version of numpy (the raw bits of PCG64 do not
change: NEP 19).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.champion.card import Floats, Labels

_CELLS = 2_000_000  # of a matrix of rounds by applications, held at once


@dataclass(frozen=True)
class Bootstrap:
    """Recall at the budget and average precision, float64 (models + 1, rounds); the last row is that of chance.

    A round that drew no fraud says nothing: 0 for all.
    """

    recall: Floats
    ap: Floats


def bootstrap(
    scores: Sequence[Floats], labels: Labels, clusters: NDArray[np.int64], *, budget: float, rounds: int, seed: int
) -> Bootstrap:
    """Return the figures of each model in each round; in a round all models see the same applications.

    Args:
        scores: of each model, rows in order of application_id, which breaks ties at the budget.
        labels: 0 or 1.
        clusters: number of each row's cluster, from 0 without gaps.
    """
    count = int(clusters.max()) + 1
    many = max(1, _CELLS // len(labels))
    parts = [bootstrap_once(scores, labels, drawn[:, clusters], budget) for drawn in draws(count, rounds, seed, many)]
    return Bootstrap(np.concatenate([p.recall for p in parts], 1), np.concatenate([p.ap for p in parts], 1))


def draws(clusters: int, rounds: int, seed: int, many: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each cluster was drawn, `many` rounds at a time: int32 (rounds, clusters).

    A cluster is 32 bits of PCG64 times their number, divided by 2³²: chances differ by less than clusters / 2³².
    How many rounds come at a time changes nothing.
    """
    bits = np.random.PCG64(seed)
    half = (clusters + 1) // 2
    for start in range(0, rounds, many):
        some = min(many, rounds - start)
        raw = np.asarray(bits.random_raw(some * half)).reshape(some, half)
        words = np.concatenate([raw & np.uint64(0xFFFFFFFF), raw >> np.uint64(32)], axis=1)[:, :clusters]
        picked = ((words * np.uint64(clusters)) >> np.uint64(32)).astype(np.int64)
        picked += np.arange(some)[:, None] * clusters
        yield np.bincount(picked.ravel(), minlength=some * clusters).astype(np.int32).reshape(some, clusters)


def bootstrap_once(scores: Sequence[Floats], labels: Labels, weights: NDArray[np.int32], budget: float) -> Bootstrap:
    """Return the figures where row i counts `weights[:, i]` times, int32 (rounds, rows): as if it stood there so often.

    Average precision takes equal scores as one step, as scikit-learn does.
    """
    total = weights.sum(axis=1, dtype=np.int64)
    frauds = weights[:, labels == 1].sum(axis=1, dtype=np.int64)
    least = np.maximum(frauds, 1)
    alerted = np.maximum(1, np.floor(budget * total + 1e-9).astype(np.int64))
    recall, ap = [], []
    for score in scores:
        order = np.argsort(-score, kind="stable")
        mine = np.flatnonzero(labels[order] == 1)  # only where frauds stand does anything change
        ends = np.searchsorted(-score[order], -score[order][mine], "right") - 1  # the last row of an equal score
        weight = weights[:, order]
        reached = np.cumsum(weight, axis=1, dtype=np.int32)
        drawn = weight[:, mine]
        before = reached[:, mine] - drawn
        recall.append(np.clip(alerted[:, None] - before, 0, drawn).sum(axis=1) / least)
        hits = np.cumsum(drawn, axis=1)[:, np.searchsorted(mine, ends, "right") - 1]
        ap.append((drawn * (hits / np.maximum(reached[:, ends], 1))).sum(axis=1) / least)
    some = frauds > 0
    recall.append(np.where(some, np.minimum(alerted / np.maximum(total, 1), 1), 0))
    ap.append(frauds / np.maximum(total, 1))
    return Bootstrap(np.array(recall), np.array(ap))
