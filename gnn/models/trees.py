"""Gradient-boosted trees and logistic regression on columns, stopped early on the validation part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def boosted_trees(
    x: NDArray[np.float32], y: NDArray[np.int64], train: NDArray[np.bool_], validation: NDArray[np.bool_], seed: int
) -> Scores:
    """Return the score in [0, 1] of every row of `x`, by LightGBM (Ke et al. 2017)."""
    import lightgbm

    data = lightgbm.Dataset(x[train], y[train].astype(np.float64), free_raw_data=False)
    held = data.create_valid(x[validation], y[validation].astype(np.float64))
    settings = {
        "objective": "binary", "metric": "auc", "learning_rate": 0.03, "num_leaves": 31, "min_data_in_leaf": 20,
        "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.4, "lambda_l2": 1.0, "verbose": -1,
        "seed": seed, "num_threads": 2, "deterministic": True,
    }  # fmt: skip
    model = lightgbm.train(
        settings, data, 2000, valid_sets=[held], callbacks=[lightgbm.early_stopping(80, verbose=False)]
    )
    return np.asarray(model.predict(x), np.float64)


def logistic_regression(
    x: NDArray[np.float32], y: NDArray[np.int64], train: NDArray[np.bool_], validation: NDArray[np.bool_], seed: int
) -> Scores:
    """Return the score in [0, 1] of every row of `x`; its strength of shrinkage is chosen on the validation part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    best: tuple[float, Scores] | None = None
    for strength in (0.01, 0.1, 1.0):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500, random_state=seed))
        scores = model.fit(x[train], y[train]).predict_proba(x)[:, 1]
        ap = float(average_precision_score(y[validation], scores[validation]))
        if best is None or ap > best[0]:
            best = ap, scores
    assert best is not None
    return best[1]
