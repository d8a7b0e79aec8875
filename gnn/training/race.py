"""One race on a store: contenders trained, judged on the later window, each left as a folder ready to register."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import JsonValue

from gnn.champion.calibration import Calibrator
from gnn.champion.card import Card, Predictions, Window, library_versions
from gnn.champion.measures import metrics
from gnn.champion.plots import plots
from gnn.data.store import check_numbers
from gnn.training.contenders import CONTENDERS, Work, trained

CALIBRATOR = "calibrator.json"
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownContenderError(ValueError):
    """A contender that does not exist was asked for; the text lists those that do."""


@dataclass(frozen=True)
class Result:
    """What one contender reached on the later window. `folder` holds its card, model, predictions and plots."""

    kind: str
    folder: Path
    metrics: dict[str, float]


def run(work: Work, kinds: list[str], budget: float) -> Iterator[Result]:
    """Train contenders one after another and yield each as it is done.

    Writes `work.folder/<kind>/`: `card.json`, `model/` with its calibrator, `predictions.parquet` of the later window
    (all of it: what the champion says later is held against these) and `plots/`. Models are compared by their raw
    scores; Brier score, calibration error and plots are of calibrated ones (fitted on the validation window), which are
    what an application is given.

    Args:
        budget: share of applications that may be alerted, for the metrics.

    Raises:
        UnknownContenderError: before any training.
        StoreError: a feature is not a finite number; also before.
    """
    unknown = [kind for kind in kinds if kind not in CONTENDERS]
    if unknown:
        raise UnknownContenderError(f"There is no {', '.join(unknown)}. There are: {', '.join(CONTENDERS)}.")
    check_numbers(work.store)
    for kind in sorted(kinds, key=list(CONTENDERS).index):
        model = trained(work, kind)
        folder = work.folder / kind
        for part in ("model", "plots"):
            shutil.rmtree(folder / part, ignore_errors=True)
        model.save(folder / "model")
        check, later = work.parts.validation, work.parts.later
        calibrator = Calibrator.fit(work.labels[check], work.scores[kind][check])
        calibrator.save(folder / "model" / CALIBRATOR)
        raw, even = work.scores[kind], calibrator.apply(work.scores[kind])
        said, meant = (predictions(work.seeds, scores).filter(pl.Series(later)) for scores in (raw, even))
        said.write_parquet(folder / "predictions.parquet")
        probabilities = Predictions.of(meant, kind)
        told = metrics(Predictions.of(said, kind), budget)
        told |= {name: metrics(probabilities, budget)[name] for name in ("brier", "ece")}
        (folder / "plots").mkdir(parents=True)
        plots(probabilities, folder / "plots", budget)
        card = _card(work, kind, model.features, told)
        (folder / "card.json").write_text(card.model_dump_json(indent=1) + "\n")
        yield Result(kind, folder, {name: value for name, value in told.items() if isinstance(value, float)})


def predictions(seeds: pl.DataFrame, scores: NDArray[np.float64]) -> pl.DataFrame:
    """Return application_id, person_id, at (microseconds), label, score."""
    return seeds.select("application_id", "person_id", "at", "label").with_columns(score=pl.Series(scores))


def _card(work: Work, kind: str, features: tuple[str, ...], told: dict[str, JsonValue]) -> Card:
    tick = timedelta(microseconds=1)  # windows end exclusive, ours include their last moment
    first, second, known = (
        at.replace(tzinfo=UTC) if at.tzinfo is None else at
        for at in (work.parts.train_until, work.parts.validation_until, work.parts.known_by)
    )
    last = _FIRST + timedelta(microseconds=int(work.seeds["at"].to_numpy()[work.parts.later].max()))
    begun = _FIRST + timedelta(microseconds=int(work.seeds["at"].to_numpy()[work.parts.train].min()))
    return Card(
        kind=kind, made_at=datetime.now(UTC), features=features, schema_digest=work.store.schema_digest(),
        data_digest=str(work.store.about["digest"]), training=Window(since=begun, until=first + tick),
        validation=Window(since=first + tick, until=known + tick), test=Window(since=known + tick, until=last + tick),
        hyperparameters=work.settings.model_dump(mode="json")
        | {"validation_until": second.isoformat(), "label": work.label},
        metrics=told, seeds=(work.settings.seed,), libraries=library_versions(),
    )  # fmt: skip
