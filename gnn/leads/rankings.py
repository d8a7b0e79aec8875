"""Learners of an order among a source's candidates: boosted trees, and a weighted sum of what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from algorithms.leads.contact_graph import Floats, Ints
from gnn.leads.pair_features import Pairs

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """Makes features comparable: signed logarithm, then mean 0 and spread 1; what lies beyond 4 spreads is cut."""

    unit: Matrix
    mean: Matrix
    spread: Matrix

    @classmethod
    def of(cls, x: Matrix) -> Scaling:
        """Return the scaling of the rows of x (P, F)."""
        unit = np.abs(x).mean(axis=0) / 3 + 1e-9
        logs = np.sign(x) * np.log1p(np.abs(x) / unit)
        return cls(unit, logs.mean(axis=0), logs.std(axis=0) + 1e-3)

    def __call__(self, x: Matrix) -> Matrix:
        """Return x (P, F) scaled, float32."""
        logs = np.sign(x) * np.log1p(np.abs(x) / self.unit)
        return np.asarray(np.clip((logs - self.mean) / self.spread, -4, 4), np.float32)


def log_chances(scores: Floats, starts: Ints) -> Floats:
    """Return ln of each candidate's chance among those of its source, (P,): the softmax of the scores."""
    if not len(scores):
        return scores
    counts = np.diff(starts)
    top = np.repeat(np.maximum.reduceat(scores, starts[:-1]), counts)
    total = np.add.reduceat(np.exp(scores - top), starts[:-1])
    return np.asarray(scores - top - np.repeat(np.log(total), counts))


def fitted_weights(
    x: NDArray[Any],
    gained: NDArray[np.bool_],
    starts: Ints,
    ridge: float,
    *,
    near: float = 0.0,
    least: float | None = None,
) -> Floats:
    """Return the weights (F,) under which the gained candidates had the best chance, each source counting once.

    Source: McFadden 1974, the conditional logit; as a ranking loss Cao et al. 2007, ListNet.

    Args:
        x: (P, F).
        ridge: how dear the squared distances of the weights from `near` are.
        least: no weight falls below it.
    """
    y = gained / np.maximum(np.repeat(np.add.reduceat(gained.astype(float), starts[:-1]), np.diff(starts)), 1)
    groups = len(starts) - 1

    def loss(w: Floats) -> tuple[float, Floats]:
        logs = log_chances(x @ w, starts)
        slope = x.T @ (np.exp(logs) - y) / groups + 2 * ridge * (w - near)
        return float(-(logs * y).sum() / groups + ridge * ((w - near) ** 2).sum()), np.asarray(slope, np.float64)

    bounds = None if least is None else [(least, None)] * x.shape[1]
    start = np.full(x.shape[1], near)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x)


class WeightedSum:
    """A conditional logit on scaled features."""

    def __init__(self, told: list[Pairs], columns: list[str], seed: int, *, ridge: float = 0.03):
        self.columns = columns
        x, gained, starts = together(told, columns)
        self.scaling = Scaling.of(x)
        self.weights = fitted_weights(self.scaling(x), gained, starts, ridge)

    def __call__(self, pairs: Pairs) -> Floats:
        """Return scores (P,) of pairs."""
        return np.asarray(self.scaling(pairs.matrix(self.columns)) @ self.weights, np.float64)


class Trees:
    """Trees boosted for the order within each source (LambdaMART, Burges 2010), the mean of a few."""

    def __init__(self, told: list[Pairs], columns: list[str], seed: int, *, rounds: int = 150, few: int = 3):
        import lightgbm as lgb

        self.columns = columns
        x, gained, starts = together(told, columns)
        params = {
            "objective": "lambdarank", "learning_rate": 0.03, "num_leaves": 7, "min_data_in_leaf": 60,
            "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0,
            "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
        }  # fmt: skip
        data = lgb.Dataset(x, gained.astype(np.int32), group=np.diff(starts), free_raw_data=False)
        self.boosters = [lgb.train(params | {"seed": seed * few + i}, data, rounds) for i in range(few)]

    def __call__(self, pairs: Pairs) -> Floats:
        """Return scores (P,) of pairs."""
        x = pairs.matrix(self.columns)
        return np.asarray(np.mean([b.predict(x, num_threads=2) for b in self.boosters], axis=0), np.float64)


def together(told: list[Pairs], columns: list[str]) -> tuple[Matrix, NDArray[np.bool_], Ints]:
    """Return features (P, columns), which were gained (P,), and where each source begins, of several windows."""
    sizes = np.concatenate([np.diff(pairs.starts) for pairs in told])
    x = np.concatenate([pairs.matrix(columns) for pairs in told])
    return x, np.concatenate([pairs.gained for pairs in told]), np.concatenate([[0], np.cumsum(sizes)])
