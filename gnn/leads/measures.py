"""Hits@k and MRR of a ranking, exact over the random order of what ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HITS = (1, 5, 20)


@dataclass(frozen=True)
class Figures:
    """What a ranker reached over sources: each the mean over those that gained at least one node.

    Hits@k: whether at least one gained node stands among the first k. MRR: 1 / the place of the first gained node.
    Only the first gained node counts, so that leaving the other gained nodes out ("filtered") changes nothing. Nodes
    of equal score stand in random order: both figures are their expected values over that order.
    """

    hits: dict[int, float]
    mrr: float

    def told(self) -> dict[str, float]:
        """Return hits_at_1, hits_at_5, hits_at_20 and mrr."""
        return {f"hits_at_{k}": v for k, v in self.hits.items()} | {"mrr": self.mrr}


def of_source(scores: NDArray[np.float64], gained: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the expected hits of one source by `HITS`, then its expected reciprocal rank, float64 (4,).

    Args:
        scores: float64 (C,) of its candidates, higher first.
        gained: bool (C,), at least one.
    """
    best = scores[gained].max()
    above = int((scores > best).sum())
    tied = scores == best
    t, g = int(tied.sum()), int((tied & gained).sum())
    # later[m]: the chance that none of the g stands among the first m of the t that tie, m = 0 … t - g + 1.
    m = np.arange(t - g + 1)
    later = np.append(np.cumprod(np.concatenate([[1.0], (t - g - m[:-1]) / (t - m[:-1])])), 0.0)
    hits = [1 - later[min(max(k - above, 0), len(later) - 1)] for k in HITS]
    first = later[:-1] - later[1:]
    return np.array([*hits, float((first / (above + 1 + np.arange(len(first)))).sum())])


def figures(rows: NDArray[np.float64]) -> Figures:
    """Return the means of the rows (S, 4) of `of_source`."""
    mean = rows.mean(axis=0)
    return Figures(dict(zip(HITS, map(float, mean), strict=False)), float(mean[-1]))
