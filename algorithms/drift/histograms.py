"""Histograms with fixed bins, so that nights add up, and how far two of them lie apart.

Counts have half-octave bins (0, 1, 2, 3, 4–5, …), ratios and scores tenths; a bin is named by its lower bound. Edges
never move with the data: a reference is the sum of the nights before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

EMPTY = "empty"  # the bin of nulls, below all numbers


@dataclass(frozen=True)
class Histogram:
    """How often each bin came on a night. Ordered bins are numbers as text, or `EMPTY`; others are names."""

    metric: str
    group: str
    counts: Mapping[str, int]
    ordered: bool = False

    @property
    def total(self) -> int:
        """All that were counted."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Shift:
    """How far one night lies from its reference; `bin` moved most, from a share `then` to a share `now`.

    `ks` is None for names, which have no order. p-values: how likely such a shift is among equals.
    """

    psi: float
    psi_p: float
    ks: float | None
    ks_p: float
    bin: str
    then: float
    now: float


def half_octave(number: int) -> str:
    """Return the lower bound of the half-octave bin with this signed index."""
    bound = math.copysign(2 ** (abs(number) / 2) - 1, number)
    return f"{bound:.4g}"


def added(histograms: Iterable[Histogram]) -> dict[str, int]:
    """Return the sum of histograms, bin by bin."""
    total: dict[str, int] = {}
    for histogram in histograms:
        for name, count in histogram.counts.items():
            total[name] = total.get(name, 0) + count
    return total


def _place(name: str) -> float:
    return -math.inf if name == EMPTY else float(name)


def shift(now: Mapping[str, int], then: Mapping[str, int], ordered: bool) -> Shift:
    """Return how far `now` lies from `then`; both have at least one count.

    PSI is the sum of (p - q) ln(p / q) over bins; a bin that is empty on one side counts half a row there. Times
    1 / (1/n + 1/m) it is about chi-square with one degree of freedom less than bins, which gives the p-value
    (Yurdakul 2018, "Statistical Properties of Population Stability Index"). KS is the largest distance of the two
    distribution functions, at bin bounds, with Kolmogorov's asymptotic p-value: on bins it errs on the careful side.
    """
    names = sorted({name for side in (now, then) for name, count in side.items() if count})
    if ordered:
        names.sort(key=_place)
    p, q = (np.array([side.get(name, 0) for name in names], dtype=float) for side in (now, then))
    n, m = p.sum(), q.sum()
    parts = _parts(p, q)
    psi = float(parts.sum())
    evidence = 1 / (1 / n + 1 / m)
    psi_p = float(stats.chi2.sf(psi * evidence, max(1, len(names) - 1)))
    most = int(parts.argmax())
    ks, ks_p = None, 1.0
    if ordered:
        ks = float(np.abs(np.cumsum(p / n) - np.cumsum(q / m)).max())
        ks_p = float(special.kolmogorov(ks * math.sqrt(evidence)))
    return Shift(psi, psi_p, ks, ks_p, names[most], float(q[most] / m), float(p[most] / n))


def _parts(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = np.maximum(p, 0.5) / p.sum(), np.maximum(q, 0.5) / q.sum()
    whole: NDArray[np.float64] = (a - b) * np.log(a / b)
    return whole
