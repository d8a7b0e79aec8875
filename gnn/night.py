"""The champion's night: it scores the applications that came, and is held against what became known of earlier ones.

PyTorch is imported when there is something to score, and not before.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pyspark.sql import SparkSession

from algorithms.drift.figures import report
from algorithms.drift.monitor import add
from gnn.champion.calibration import Calibrator
from gnn.champion.card import Card, Floats, Labels, Predictions
from gnn.champion.registry import Registry
from gnn.champion.watch import score_histogram, watch
from gnn.data.store import open_store
from gnn.training.parts import read_seeds, with_repayment
from graph.lake import Lake

RECENT = timedelta(days=14)  # a file may come nine days late; what comes later still is scored by hand
_NEEDED = ("lightgbm", "torch")


def champion(registry: Path) -> tuple[str, str] | None:
    """Return the champion's version and the hash of the ledger's newest line; None: nobody was promoted.

    Raises:
        LedgerError: nobody can say who is champion.
    """
    models = Registry(registry)
    version = models.champion()
    return None if version is None else (version, models.verify_ledger().head)


def not_installed() -> list[str]:
    """Return the packages that scoring needs and this environment lacks; nothing is imported."""
    return [name for name in _NEEDED if find_spec(name) is None]


def score_and_watch(
    spark: SparkSession, lake: Lake, registry: Path, version: str, night: date, at: datetime
) -> dict[str, Any]:
    """Score the applications that came, watch the champion, and return what `night_report` keeps.

    Scored is what the model has not scored yet of the `RECENT` days up to `at`, and of the time since the newest
    application that it has: nights that were left out are made up for. Rows go to `LAKE/results/applicant_scores`,
    the histogram of tonight's scores to `LAKE/results/drift`. A night that is run again changes nothing.

    Args:
        version: the champion.
        at: the night's last moment (UTC, inclusive). Applications, links and labels are those known then.

    Returns:
        `rows_out`, `model`, and as of drift: `status`, `counts`, `sentences`, `figures` (both, whatever they say).

    Raises:
        NoApplicationsError: the lake holds none.
        RegistryError: the model is not as it was registered.
        ModelError, ColumnsError: it was trained on other data than the lake holds now.
    """
    from gnn.data.lake import build
    from gnn.scoring import score, shown
    from gnn.training.race import CALIBRATOR

    models = Registry(registry)
    card, promoted_on = models.card(version), models.predictions(version)
    place = lake.staging / "scores"
    try:
        build(spark, lake, at, place / "store")
        before = shown(lake, version)
        newest = before["as_of_at"].max()
        since = min(at - RECENT, newest) if isinstance(newest, datetime) else at - RECENT
        score(place / "store", registry, lake, version, since, unscored=True)
        seeds = labeled(place / "store", card)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    now = shown(lake, version)
    fresh = now.join(before, "application_id", "anti")["score"].to_numpy()
    # What the lake shows is calibrated, what the registry keeps is not.
    calibrator = Calibrator.load(registry / version / "model" / CALIBRATOR)
    reference = calibrator.apply(promoted_on.rows["score"].to_numpy())
    tonight = add(lake, night, score_histogram(fresh, reference, version))  # with those of a run before this one
    figures = watch(reference, tonight, outcomes(now, seeds, card, promoted_on), night=night, model=version)
    every = [asdict(figure) | {"night": night.isoformat()} for figure in figures]
    return {"rows_out": len(fresh), "model": version, **report(figures), "figures": every}


def labeled(store: Path, card: Card) -> pl.DataFrame:
    """Return a store's applications with labels as the model learned them: verdicts, or first instalments."""
    seeds = read_seeds(store)
    return with_repayment(seeds, open_store(store)) if card.hyperparameters.get("label") == "missed" else seeds


def outcomes(now: pl.DataFrame, seeds: pl.DataFrame, card: Card, promoted_on: Predictions) -> tuple[Labels, Floats]:
    """Return labels and scores of the applications that the champion has scored and whose label came after promotion.

    What it learned from is left out, and so is what it was promoted for: on both it looks better than it is.

    Args:
        now: what the lake shows: `application_id`, `as_of_at`, `score`.
        seeds: `application_id`, `label` as known at the night's end, −1 where it was not.
    """
    decided = promoted_on.rows.filter(pl.col("label") >= 0)
    later = now.filter(pl.col("as_of_at") >= card.learned_until).join(decided, "application_id", "anti")
    found = later.join(seeds.filter(pl.col("label") >= 0).select("application_id", "label"), "application_id")
    found = found.sort("application_id")
    return found["label"].cast(pl.Int8).to_numpy(), found["score"].to_numpy().astype(np.float64)
