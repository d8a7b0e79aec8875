"""The nightly watch over the champion: do its scores still lie as they did, and do they still mean what they say?

The figures are those of `algorithms.drift`, so that the night's report can tell them beside the others.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from algorithms.drift.figures import DriftFigure, Status, figures
from algorithms.drift.histograms import EMPTY, Histogram, shift
from algorithms.drift.settings import DriftSettings
from gnn.champion.card import CardError, Floats, Labels
from gnn.champion.measures import calibration_error, mass_bins

# Tenths of the reference, as of a scorecard, and its last hundredths: alerts are made there.
_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_ROUNDS = 999  # worlds in which the scores are right
_CELLS = 2_000_000  # of worlds by outcomes, held at once
_LOWEST = "-inf"


class WatchSettings(BaseSettings):
    """`WATCH_PSI_WARN`, `_PSI_ALARM`, `_KS_WARN`, `_KS_ALARM`, `_ERROR_WARN`, `_ERROR_ALARM`, and so on.

    A figure counts when it is both large and no accident: its p-value is below `p_value`. 0.1 and 0.25 are the
    customary limits of PSI: Siddiqi 2006, "Credit Risk Scorecards".
    """

    model_config = SettingsConfigDict(env_prefix="WATCH_")
    psi_warn: float = Field(default=0.1, ge=0)
    psi_alarm: float = Field(default=0.25, ge=0)
    ks_warn: float = Field(default=0.1, ge=0, le=1)
    ks_alarm: float = Field(default=0.25, ge=0, le=1)
    error_warn: float = Field(default=0.05, gt=0, le=1)  # expected calibration error
    error_alarm: float = Field(default=0.1, gt=0, le=1)
    ratio_warn: float = Field(default=1.5, gt=1)  # times more or fewer frauds than the scores add up to
    ratio_alarm: float = Field(default=2.0, gt=1)
    p_value: float = Field(default=0.01, gt=1 / (_ROUNDS + 1), lt=1)
    min_count: int = Field(default=50, ge=1)  # fewer scores, or outcomes, are not judged


@dataclass(frozen=True)
class WatchFigure(DriftFigure):
    """A figure of drift; beside `model_calibration` also the expected calibration error, in [0, 1].

    There `ratio` is the frauds found by the frauds the scores add up to, `count` the outcomes, `reference_count` the
    frauds expected, rounded.
    """

    error: float | None = None


def watch(
    reference: Floats,
    tonight: Floats | Histogram,
    outcomes: tuple[Labels, Floats],
    *,
    night: date,
    model: str,
    settings: WatchSettings | None = None,
) -> list[WatchFigure]:
    """Return `model_scores` (PSI and KS) and `model_calibration`, each with a status and a sentence.

    Args:
        reference: the champion's scores of the window on which it was promoted.
        tonight: its scores of tonight's applications; one that is NaN counts as empty. Of a night that was scored in
            parts, their `score_histogram`s added up.
        outcomes: labels (1, 0; -1 is not known and left out) and probabilities as they were shown, of applications
            that the champion scored and whose label has become known since its promotion.
        night: names the figures.
        model: the champion's version.

    Raises:
        CardError: a probability among the outcomes is not in [0, 1].
    """
    settings = settings or WatchSettings()
    return [_scores(reference, tonight, night, model, settings), _calibration(*outcomes, night, model, settings)]


def _scores(
    reference: Floats, tonight: Floats | Histogram, night: date, model: str, settings: WatchSettings
) -> WatchFigure:
    edges = _edges(reference)
    then = _histogram(reference, edges)
    now = replace(tonight, group="") if isinstance(tonight, Histogram) else _histogram(tonight, edges)
    judged = DriftSettings(
        psi_warn=settings.psi_warn, psi_alarm=settings.psi_alarm, ks_warn=settings.ks_warn, ks_alarm=settings.ks_alarm,
        p_value=settings.p_value, min_count=settings.min_count, bulk=math.inf,
    )  # fmt: skip
    found = figures(night, [now], {night - timedelta(days=1): [then]}, judged)[0]
    if found.status in ("no_reference", "too_few"):
        said = f"too few to compare ({now.total:,} tonight, {then.total:,} at promotion)."
    else:
        moved = shift(now.counts, then.counts, ordered=True)
        said = (
            f"PSI {moved.psi:.2f}, KS {moved.ks or 0:.2f} against the {then.total:,} at promotion; "
            f"{_bin(moved.bin, edges)} went from {moved.then:.1%} to {moved.now:.1%}. {_advice(found.status)}"
        )
    named = {"blame": f"model {model}", "sentence": f"{night}: scores of {model}: {said}"}
    return WatchFigure(**asdict(found) | named)


def score_histogram(scores: Floats, reference: Floats, model: str) -> Histogram:
    """Return how scores fall into the bins of the reference, as drift keeps its histograms; the model is the group."""
    return replace(_histogram(scores, _edges(reference)), group=model)


def _edges(reference: Floats) -> Floats:
    finite = reference[np.isfinite(reference)]
    return np.unique(np.quantile(finite, _QUANTILES)) if len(finite) else finite


def _histogram(scores: Floats, edges: Floats) -> Histogram:
    finite = scores[np.isfinite(scores)]
    names = [_LOWEST, *map(repr, edges.tolist())]  # a bin is named by its lower bound, as all histograms of drift are
    counts = np.bincount(np.searchsorted(edges, finite, "right"), minlength=len(names)).tolist()
    whole = dict(zip(names, counts, strict=True)) | {EMPTY: len(scores) - len(finite)}
    return Histogram("model_scores", "", {name: count for name, count in whole.items() if count}, ordered=True)


def _bin(name: str, edges: Floats) -> str:
    if name == EMPTY:
        return "scores that are not numbers"
    if name == _LOWEST:
        return f"scores below {edges[0]:.3g}"
    above = edges[edges > float(name)]
    return f"scores from {float(name):.3g}" + (f" to {above[0]:.3g}" if len(above) else " up")


def _calibration(labels: Labels, scores: Floats, night: date, model: str, settings: WatchSettings) -> WatchFigure:
    known = labels >= 0
    truth, probability = labels[known], scores[known]
    if not ((probability >= 0) & (probability <= 1)).all():  # also where one is NaN
        raise CardError(f"Probabilities in [0, 1] were needed of {model} and others found. Watch what was shown.")
    count, expected = len(truth), float(probability.sum())
    common = (night, "model_calibration", "")
    if count < settings.min_count:
        said = f"{night}: calibration of {model}: too few outcomes to judge ({count:,})."
        return WatchFigure(*common, "too_few", None, None, None, count, round(expected), 1, f"model {model}", said)
    error, ratio = calibration_error(truth, probability), float(truth.sum()) / max(expected, 1e-9)
    error_p, ratio_p = _accident(truth, probability, error)
    size = max(ratio, 1 / max(ratio, 1e-9))
    status = _worse(
        _status(error if error_p < settings.p_value else 0, settings.error_warn, settings.error_alarm),
        _status(size if ratio_p < settings.p_value else 0, settings.ratio_warn, settings.ratio_alarm),
    )
    said = (
        f"{night}: calibration of {model}: {truth.sum():,} frauds among {count:,} outcomes, the scores add up to "
        f"{expected:,.1f}; on average they lie {error:.1%} off. {_advice(status)}"
    )
    return WatchFigure(
        *common, status, None, None, ratio, count, round(expected), 1, f"model {model}", said, error
    )  # fmt: skip


def _accident(labels: NDArray[np.int8], scores: Floats, error: float) -> tuple[float, float]:
    """Return how likely so large a calibration error, and so odd a number of frauds, is where the scores are right.

    Labels are drawn from the scores themselves (consistency resampling: Bröcker & Smith 2007, "Increasing the
    Reliability of Reliability Diagrams"), with a fixed seed: the same night says the same.
    """
    ordered = np.sort(scores)
    starts = mass_bins(ordered)
    random = np.random.default_rng(0)
    many = max(1, _CELLS // len(scores))
    errors, totals = [], []
    for start in range(0, _ROUNDS, many):
        drawn = random.random((min(many, _ROUNDS - start), len(ordered))) < ordered
        gaps = np.add.reduceat(ordered - drawn, starts, axis=1)
        errors.append(np.abs(gaps).sum(axis=1) / len(ordered))
        totals.append(drawn.sum(axis=1))
    expected = scores.sum()
    further = np.abs(np.concatenate(totals) - expected) >= abs(labels.sum() - expected) - 1e-9
    larger = np.concatenate(errors) >= error - 1e-12
    return (1 + int(larger.sum())) / (_ROUNDS + 1), (1 + int(further.sum())) / (_ROUNDS + 1)


def _status(size: float, warn: float, alarm: float) -> Status:
    return "alarm" if size >= alarm else "warn" if size >= warn else "ok"


def _worse(a: Status, b: Status) -> Status:
    return next((status for status in ("alarm", "warn") if status in (a, b)), "ok")


def _advice(status: Status) -> str:
    match status:
        case "alarm":
            return "Train a challenger, or roll back if it began with the promotion."
        case "warn":
            return "Look at the drift of its features."
        case _:
            return "Nothing to do."
