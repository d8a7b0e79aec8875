"""What a model predicted, what that is worth, and the card that says how the model was made.

Scores are in [0, 1], the higher the more suspicious. Labels are 1 fraud, 0 normal, -1 not known. Times are UTC.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator
from scipy.special import expit, logit

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

PREDICTIONS = "predictions.parquet"
COLUMNS = ("application_id", "at", "label", "score")
BINS = 15  # of equal mass, for calibration
ISOTONIC_FROM = 1_000  # fewer rows make a step function of accidents: Niculescu-Mizil & Caruana 2005
ISOTONIC_RARER = 100  # and so do fewer of the rarer class, however many rows there are
_CLIP = 1e-6  # of a score whose logit is taken
_FLAT = 1e-3  # slope of a calibrator whose scores tell nothing
_AT = pl.Datetime("us", "UTC")


class CardError(Exception):
    """Predictions or a card cannot be used; the text says what was needed, what was found, what to do."""


class Window(BaseModel):
    """From `since` (inclusive) until `until` (exclusive), both with a zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    since: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.since >= self.until:
            raise ValueError(f"a window ends after it begins; this one is from {self.since} until {self.until}")
        return self


class Card(BaseModel):
    """How a model was made. `version` and `files` (path → SHA-256) are filled in when it is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str = ""
    kind: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    made_at: AwareDatetime
    features: tuple[str, ...]
    schema_digest: str
    data_digest: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    training: Window
    validation: Window
    test: Window
    hyperparameters: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    seeds: tuple[int, ...]
    libraries: dict[str, str]
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def learned_until(self) -> datetime:
        """Return the end (exclusive) of all the model has seen: its training and its validation window."""
        return max(self.training.until, self.validation.until)


def library_versions(names: Iterable[str] = ("numpy", "polars", "scikit-learn", "scipy", "torch")) -> dict[str, str]:
    """Return the installed version by distribution; one that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Predictions:
    """What one model said of the applications of a window.

    Attributes:
        version: the model, as sentences name it.
        rows: `application_id` (key, ascending), `at` (UTC), `label` (1, 0, -1), `score`, and `person_id` or null.
        learned_until: the end (exclusive) of what the model was trained and validated on, or None: it never learned.
    """

    version: str
    rows: pl.DataFrame
    learned_until: datetime | None = None

    @staticmethod
    def of(rows: pl.DataFrame, version: str, learned_until: datetime | None = None) -> Predictions:
        """Return the predictions in `rows`, whatever their order; further columns are dropped.

        A label of null is one not known. `at` may be whole microseconds since 1970 UTC; a time without a zone is UTC.
        A score that is not a number is kept: the gate refuses it by name.

        Raises:
            CardError: a column is missing, an id is missing or comes twice, a time is missing, or a label is another.
        """
        missing = sorted({*COLUMNS} - {*rows.columns})
        if missing:
            raise CardError(
                f"The predictions of {version} need the columns {', '.join(COLUMNS)}; {', '.join(missing)} are missing "
                f"among {', '.join(rows.columns)}. Write them with those names."
            )
        at = pl.col("at").cast(pl.Datetime("us")) if rows.schema["at"].is_integer() else pl.col("at")
        zoned = getattr(rows.schema["at"], "time_zone", None) is not None
        at = at.dt.convert_time_zone("UTC") if zoned else at.dt.replace_time_zone("UTC")
        person = pl.col("person_id") if "person_id" in rows.columns else pl.lit(None)
        whole = rows.select(
            pl.col("application_id").cast(pl.String), at.cast(_AT), pl.col("label").fill_null(-1).cast(pl.Int8),
            pl.col("score").cast(pl.Float64).fill_null(math.nan), person.cast(pl.String).alias("person_id"),
        ).sort("application_id")  # fmt: skip
        ids = whole["application_id"]
        if ids.null_count() or whole["at"].null_count():
            raise CardError(f"The predictions of {version} hold rows without an application_id or a time. Drop them.")
        if len(twice := whole.filter(ids.is_duplicated())):
            raise CardError(
                f"The predictions of {version} need one row an application; {twice['application_id'][0]} and "
                f"{twice['application_id'].n_unique() - 1:,} others come more than once. Keep the last of each."
            )
        if len(strange := whole.filter(~pl.col("label").is_in([-1, 0, 1]))):
            raise CardError(
                f"The predictions of {version} need labels 1 (fraud), 0 (normal) or -1 (not known); "
                f"{strange['application_id'][0]} has {strange['label'][0]}."
            )
        return Predictions(version, whole, learned_until)

    @staticmethod
    def read(path: Path, version: str, learned_until: datetime | None = None) -> Predictions:
        """Return the predictions in a Parquet file.

        Raises:
            CardError: there is none, or see `of`.
        """
        if not path.is_file():
            raise CardError(f"The predictions of {version} were needed at {path} and are not there. Score the window.")
        return Predictions.of(pl.read_parquet(path), version, learned_until)

    def known(self) -> tuple[Labels, Floats]:
        """Return labels (int8, 0 or 1) and scores of the applications with a known label, by application_id."""
        rows = self.rows.filter(pl.col("label") >= 0)
        return rows["label"].to_numpy(), rows["score"].to_numpy()


def trained_files(trained: Path, card: Card) -> list[Path]:
    """Return the files of a trained model, relative to its folder: predictions, `model/…`, `plots/*.png`.

    Raises:
        CardError: there is no file under `model/`, one is a link, or the predictions cannot be read or are not of the
            card's test window.
    """
    rows = Predictions.read(trained / PREDICTIONS, f"the model in {trained}").rows
    outside = rows.filter(
        ~pl.col("at").is_between(card.test.since.astimezone(UTC), card.test.until.astimezone(UTC), "left")
    )
    if len(outside) or not len(rows):
        raise CardError(
            f"{trained / PREDICTIONS} must hold applications of the test window, from {card.test.since} until "
            f"{card.test.until}; {len(outside):,} of {len(rows):,} are not. Score the window of the card."
        )
    patterns = (PREDICTIONS, "model/**/*", "plots/*.png")
    paths = [path for pattern in patterns for path in sorted(trained.glob(pattern))]
    if links := [path for path in paths if path.is_symlink()]:
        raise CardError(f"{links[0]} is a link; a registered model needs files of its own. Copy the file there.")
    found = [path.relative_to(trained) for path in paths if not path.is_dir()]
    if not any(path.parts[0] == "model" for path in found):
        raise CardError(f"At least one file was needed in {trained / 'model'} and there is none. Save the model there.")
    return found


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

    labels, scores = _usable(predictions)
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


def _usable(predictions: Predictions) -> tuple[Labels, Floats]:
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
        labels, scores = _usable(Predictions.of(rows.with_columns(at=pl.lit(0)), "the validation window"))
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


def plots(predictions: Predictions, folder: Path, budget: float = 0.01) -> list[Path]:
    """Draw `roc.png`, `pr.png`, `ks.png`, `calibration.png` into `folder`, and return their paths.

    Raises:
        CardError: as `metrics`.
    """
    labels, scores = _usable(predictions)
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
