"""Pictures of what predictions are worth: ROC, precision and recall, KS, calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gnn.champion.card import Floats, Labels, Predictions
from gnn.champion.measures import mass_bins, metrics, usable


def plots(predictions: Predictions, folder: Path, budget: float = 0.01) -> list[Path]:
    """Draw `roc.png`, `pr.png`, `ks.png`, `calibration.png` into `folder`, and return their paths.

    Raises:
        CardError: as `metrics`.
    """
    labels, scores = usable(predictions)
    told: dict[str, Any] = metrics(predictions, budget)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _roc(labels, scores, told, folder / "roc.png"), _pr(labels, scores, told, folder / "pr.png"),
        _ks(labels, scores, told, folder / "ks.png"), _calibration(labels, scores, told, folder / "calibration.png"),
    ]  # fmt: skip


def _roc(labels: Labels, scores: Floats, told: dict[str, Any], path: Path) -> Path:
    from sklearn.metrics import roc_curve

    figure, axes = _axes(f"A fraud scores above a normal application in {told['auc']:.1%} of pairs")
    false, true, _ = roc_curve(labels, scores)
    axes.plot(false, true, label="model")
    axes.plot([0, 1], [0, 1], "--", color="gray", label="chance")
    return _saved(figure, axes, "False alarms (share of normal applications)", "Found (share of frauds)", path)


def _pr(labels: Labels, scores: Floats, told: dict[str, Any], path: Path) -> Path:
    from sklearn.metrics import precision_recall_curve

    figure, axes = _axes(
        f"Alerts on {told['budget']:.2%} of applications find {told['recall_at_budget']:.1%} of the frauds"
    )
    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.step(recall, precision, where="post", label=f"model, AP {told['ap']:.3f}")
    rate = told["positives"] / told["n"]
    axes.axhline(rate, linestyle="--", color="gray", label=f"chance, {rate:.2%}")
    axes.plot(told["recall_at_budget"], told["precision_at_budget"], "o", color="tab:red", label="at the budget")
    axes.set_ylim(0, 1.02)
    return _saved(figure, axes, "Recall (share of frauds found)", "Precision (share of alerts that are frauds)", path)


def _ks(labels: Labels, scores: Floats, told: dict[str, Any], path: Path) -> Path:
    figure, axes = _axes(f"Frauds and normal applications lie at most {told['ks']:.1%} apart (KS)")
    order = np.sort(scores)
    last = np.append(order[1:] != order[:-1], True)
    at = order[last]
    below = [np.searchsorted(np.sort(scores[labels == kind]), at, "right") / (labels == kind).sum() for kind in (0, 1)]
    widest = int((below[0] - below[1]).argmax())
    axes.step(at, below[0], where="post", label="normal")
    axes.step(at, below[1], where="post", label="fraud", color="tab:red")
    axes.vlines(at[widest], below[1][widest], below[0][widest], "black", ":", label=f"KS at score {at[widest]:.3g}")
    return _saved(figure, axes, "Score (0 to 1)", "At or below the score (share of the class)", path)


def _calibration(labels: Labels, scores: Floats, told: dict[str, Any], path: Path) -> Path:
    figure, axes = _axes(f"Scores and shares of frauds lie {told['ece']:.2%} apart on average")
    order = np.argsort(scores, kind="stable")
    starts = mass_bins(scores[order])
    counts = np.diff(np.append(starts, len(scores)))
    mean, share = (np.add.reduceat(part[order].astype(float), starts) / counts for part in (scores, labels))
    end = min(1.0, 1.1 * float(max(mean.max(), share.max())))
    axes.plot([0, end], [0, end], "--", color="gray", label="perfect")
    bars = 1.96 * np.sqrt(share * (1 - share) / counts)
    axes.errorbar(mean, share, bars, fmt="o", capsize=2, label=f"{len(starts)} bins of equal mass, 95 %")
    return _saved(figure, axes, "Mean score of the bin (0 to 1)", "Frauds in the bin (share of applications)", path)


def _axes(title: str) -> tuple[Any, Any]:
    """Return a figure of its own and its axes: no global state, no window, so that threads may draw at once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    return figure, axes


def _saved(figure: Any, axes: Any, x: str, y: str, path: Path) -> Path:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})  # the same picture, whatever the library's version says
    return path
