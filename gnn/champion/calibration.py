"""Scores made into probabilities that keep their order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

from gnn.champion.card import CardError, Floats, Labels, Predictions
from gnn.champion.measures import usable

ISOTONIC_FROM = 1_000  # fewer rows make a step function of accidents: Niculescu-Mizil & Caruana 2005
ISOTONIC_RARER = 100  # and so do fewer of the rarer class, however many rows there are
_CLIP = 1e-6  # of a score whose logit is taken
_FLAT = 1e-3  # slope of a calibrator whose scores tell nothing


@dataclass(frozen=True)
class Calibrator:
    """A map from score to probability that never turns the order of two scores around, though it may make them equal.

    `isotonic`: straight lines between the points (`x`, `y`), level beyond them (Zadrozny & Elkan 2002). `platt`: the
    logistic function of a · logit(score) + b with x = (a,), y = (b,) (Platt 1999). Rank by the raw score, show this.
    """

    method: Literal["isotonic", "platt"]
    x: tuple[float, ...]
    y: tuple[float, ...]

    @staticmethod
    def fit(labels: NDArray[Any], scores: Floats) -> Calibrator:
        """Return the calibrator of a validation window: isotonic from 1,000 rows and 100 of the rarer class, or Platt.

        Args:
            labels: 0 or 1, both there.
            scores: in [0, 1].

        Raises:
            CardError: one class only, or scores that are not in [0, 1].
        """
        rows = pl.DataFrame({"label": labels, "score": scores}).with_row_index("application_id")
        labels, scores = usable(Predictions.of(rows.with_columns(at=pl.lit(0)), "the validation window"))
        rarer = min(int(labels.sum()), int((1 - labels).sum()))
        if len(labels) >= ISOTONIC_FROM and rarer >= ISOTONIC_RARER:
            from sklearn.isotonic import IsotonicRegression

            found = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
            points = found.X_thresholds_.astype(float).tolist(), found.y_thresholds_.astype(float).tolist()
            return Calibrator("isotonic", tuple(points[0]), tuple(points[1]))
        return Calibrator("platt", *_platt(labels, scores))

    def apply(self, scores: Floats) -> Floats:
        """Return the probability of each score; the same numbers before saving and after loading."""
        if self.method == "isotonic":
            return np.interp(scores, self.x, self.y)
        raised = self.x[0] * logit(np.clip(scores, _CLIP, 1 - _CLIP)) + self.y[0]
        return np.asarray(expit(raised), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write the calibrator as JSON: numbers as text that reads back to the same bits, and no code."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Calibrator:
        """Return the calibrator that `save` wrote.

        Raises:
            CardError: the file is not there or is another.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            x, y = (tuple(float(number) for number in told[name]) for name in ("x", "y"))
            if told["method"] not in ("isotonic", "platt") or not x or len(x) != len(y):
                raise ValueError(told["method"])
            return Calibrator(told["method"], x, y)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CardError(
                f"A calibrator was needed in {path} and cannot be read ({type(error).__name__}). Fit it anew."
            ) from None


def _platt(labels: Labels, scores: Floats) -> tuple[tuple[float], tuple[float]]:
    """Return slope and intercept with Platt's softened targets: a row counts a little for the other class as well."""
    from sklearn.linear_model import LogisticRegression

    frauds = int(labels.sum())
    target = np.where(labels == 1, (frauds + 1) / (frauds + 2), 1 / (len(labels) - frauds + 2))
    raised = logit(np.clip(scores, _CLIP, 1 - _CLIP))
    both, sides = np.concatenate([raised, raised])[:, None], np.repeat([1, 0], len(labels))
    found = LogisticRegression(C=np.inf, max_iter=1000).fit(both, sides, np.concatenate([target, 1 - target]))
    slope, intercept = float(found.coef_[0, 0]), float(found.intercept_[0])
    if slope < _FLAT:  # no better than chance: every score means nearly the base rate, and the order stays
        return (_FLAT,), (float(logit(target.mean()) - _FLAT * raised.mean()),)
    return (slope,), (intercept,)
