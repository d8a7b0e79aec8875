"""What predictions are worth: at a budget of alerts, over all thresholds, and as probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import JsonValue

from gnn.champion.card import CardError, Floats, Labels, Predictions

BINS = 15  # of equal mass, for calibration


def alerts(count: int, budget: float) -> int:
    """Return how many of `count` applications are alerted: the whole number below the share, and at least one."""
    return max(1, math.floor(budget * count + 1e-9))  # 0.07 · 100 is a little more than 7, 0.29 · 100 a little less


def recall_at_budget(labels: Labels, scores: Floats, budget: float) -> float:
    """Return the share of the frauds that are among the `alerts` highest scores; the earlier row wins a tie.

    Rows in order of application_id therefore break ties by it.

    Args:
        labels: 0 or 1, at least one 1.
        budget: share of applications alerted, in (0, 1].
    """
    first = np.argsort(-scores, kind="stable")[: alerts(len(scores), budget)]
    return float(labels[first].sum() / labels.sum())


def mass_bins(scores: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Return where each bin of ascending `scores` begins: about equal counts, equal scores never apart."""
    cuts = np.arange(bins) * len(scores) // bins
    return np.unique(np.searchsorted(scores, scores[cuts], "left"))


def calibration_error(labels: NDArray[Any], scores: Floats, bins: int = BINS) -> float:
    """Return the expected calibration error, in [0, 1]: mean distance of mean score and share of frauds in a bin.

    Bins hold about equal counts (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning";
    equal mass: Nixon et al. 2019, "Measuring Calibration in Deep Learning"). In small numbers it is never 0.
    """
    order = np.argsort(scores, kind="stable")
    starts = mass_bins(scores[order], bins)
    gaps = np.add.reduceat((scores - labels)[order], starts)
    return float(np.abs(gaps).sum() / len(scores))


def metrics(predictions: Predictions, budget: float) -> dict[str, JsonValue]:
    """Return what the predictions are worth on applications whose label is known.

    `auc`, `ap` (area under precision and recall, a step at each score), `ks` (largest true minus false alarm rate),
    `recall_at_budget`, `precision_at_budget`, `brier`, `ece`, each in [0, 1]; `n`, `positives`, `alerts` counts;
    `budget`; `since` and `until`, the first and the last application's time (ISO 8601, both inclusive).

    Raises:
        CardError: labels of one class only, or scores that are not in [0, 1].
    """
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    labels, scores = usable(predictions)
    if not 0 < budget <= 1:
        raise CardError(f"The alert budget must be a share in (0, 1]; it is {budget}.")
    at = predictions.rows.filter(pl.col("label") >= 0)["at"].dt.to_string("iso:strict")
    positives, alerted = int(labels.sum()), alerts(len(labels), budget)
    recall = recall_at_budget(labels, scores, budget)
    false, true, _ = roc_curve(labels, scores)
    return {
        "auc": float(roc_auc_score(labels, scores)), "ap": float(average_precision_score(labels, scores)),
        "ks": float((true - false).max()), "recall_at_budget": recall,
        "precision_at_budget": recall * positives / alerted, "brier": float(np.mean((scores - labels) ** 2)),
        "ece": calibration_error(labels, scores), "n": len(labels), "positives": positives, "alerts": alerted,
        "budget": budget, "since": str(at.min()), "until": str(at.max()),
    }  # fmt: skip


def usable(predictions: Predictions) -> tuple[Labels, Floats]:
    """Return labels and scores of the applications whose label is known.

    Raises:
        CardError: labels of one class only, or scores that are not in [0, 1].
    """
    labels, scores = predictions.known()
    name = predictions.version
    if not 0 < labels.sum() < len(labels):
        raise CardError(
            f"The predictions of {name} need known labels of both classes; there are {labels.sum():,} frauds among "
            f"{len(labels):,}. Take a longer window, or wait for verdicts."
        )
    if not ((scores >= 0) & (scores <= 1)).all():  # also where one is NaN
        raise CardError(f"The scores of {name} must be numbers in [0, 1]. Bring them there, for example by a sigmoid.")
    return labels, scores
