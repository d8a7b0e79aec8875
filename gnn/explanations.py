"""Why an application has its score: contributions that sum to it, and the strongest of them in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from algorithms.features.catalogue import FEATURES
from gnn.data.store import Store
from gnn.training.columns import chosen, columns
from gnn.training.models import Logistic, Model, Trees

MOST = 5  # reasons told of one application
_LEAST = 0.05  # ln(odds): less is not worth a sentence
_MEANING = {feature.name: feature.meaning for feature in FEATURES}


@dataclass(frozen=True)
class Reason:
    """One reason: a sentence, and what it adds to ln(odds) of the score before calibration."""

    text: str
    contribution: float

    def record(self) -> dict[str, str | float]:
        """Return it as the column `reasons` of applicant_scores holds it."""
        return {"text": self.text, "contribution": self.contribution}


def contributions(model: Model, store: Store, seeds: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return what each feature adds to ln(odds), (seeds, features + 1), the last column what all start from; and the
    values (seeds, features). A row sums to ln(odds) of the model's score, to 1e-6 for trees and logistic regression.

    TreeSHAP, Lundberg et al. 2020; of a linear model weight times distance from the mean.

    Raises:
        NotExplainedError: the kind of model has no additive contributions.
    """
    if isinstance(model, Trees):
        values = model.values(store, seeds)
        return np.asarray(model.booster.predict(values, pred_contrib=True), np.float64), values
    if isinstance(model, Logistic):
        values = chosen(*columns(store, seeds, "own"), model.features)
        parts = np.nan_to_num((values - model.mean) / model.scale) * model.weights
        return np.hstack([parts, np.full((len(parts), 1), model.bias)]), values
    raise NotExplainedError(f"A {type(model).__name__} has no additive contributions yet; trees and logistic have.")


class NotExplainedError(Exception):
    """A kind of model cannot be explained; the text says which can."""


def reasons(model: Model, store: Store, seeds: pl.DataFrame) -> list[list[Reason]]:
    """Return the strongest reasons of each application, most first; none for kinds that are not additive."""
    try:
        parts, values = contributions(model, store, seeds)
    except NotExplainedError:
        return [[] for _ in range(len(seeds))]
    told = []
    strongest = np.argsort(-np.abs(parts[:, :-1]), axis=1, kind="stable")[:, :MOST]
    for row, best in enumerate(strongest):
        kept = [int(i) for i in best if abs(parts[row, i]) >= _LEAST]
        told.append([Reason(_words(model.features[i], values[row, i]), float(parts[row, i])) for i in kept])
    return told


def _words(name: str, value: float) -> str:
    meaning = _MEANING.get(name, name.replace("_", " "))
    if np.isnan(value):
        return f"{meaning}: not known"
    return f"{meaning}: {value:.0%}" if name.endswith("_ratio") else f"{meaning}: {value:,.4g}"
