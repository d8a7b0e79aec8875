"""A registry with a champion, a challenger that was refused and one that nobody tried; a night that was watched."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import write_deltalake

from gnn.champion.card import Card, Predictions, Window
from gnn.champion.measures import metrics
from gnn.champion.plots import plots
from gnn.champion.registry import Registry
from graph.lake import Lake
from jobs.nightly import REPORT

START = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = 800
NIGHT = date(2026, 6, 30)
CHAMPION, REFUSED, UNTRIED = "trees_graph-a1b2c3d4-1", "trees_own-a1b2c3d4-1", "sage_mean-a1b2c3d4-1"
WATCHED = f"{NIGHT}: scores of {CHAMPION}: PSI 0.18, KS 0.12 against the 800 at promotion."


def write_registry(folder: Path) -> Registry:
    registry = Registry(folder / "models")
    for kind, quality, seed in (("trees_graph", 2.5, 0), ("trees_own", 1.0, 1), ("sage_mean", 2.6, 2)):
        version = registry.register(*_trained(folder / kind, kind, quality, seed))
        if kind != "sage_mean":
            registry.promote(version, budget=0.1, seed=1, rounds=100)
    return registry


def _trained(folder: Path, kind: str, quality: float, seed: int) -> tuple[Path, Card]:
    random = np.random.default_rng(seed)
    labels = (np.random.default_rng(7).random(COUNT) < 0.2).astype(int)
    scores = 1 / (1 + np.exp(-random.normal(size=COUNT) - quality * labels + 2))
    windows = [Window(since=_day(30 * i), until=_day(30 * i + 30)) for i in range(3)]
    rows = pl.DataFrame({
        "application_id": [f"a{i:04}" for i in range(COUNT)],
        "at": [_day(60) + timedelta(minutes=30 * i) for i in range(COUNT)], "label": labels, "score": scores,
    })  # fmt: skip
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.bin").write_bytes(bytes([seed]) * 100)
    rows.write_parquet(folder / "predictions.parquet")
    predictions = Predictions.of(rows, kind)
    plots(predictions, folder / "plots", 0.1)
    card = Card(
        kind=kind, made_at=_day(95), features=("age_years", "device_neighbor_count"), schema_digest="5" * 16,
        data_digest="a1b2c3d4e5f6", training=windows[0], validation=windows[1], test=windows[2],
        hyperparameters={"leaves": 31}, metrics=metrics(predictions, 0.1), seeds=(1, 2),
        libraries={"numpy": np.__version__},
    )  # fmt: skip
    return folder, card


def _day(number: int) -> datetime:
    return START + timedelta(days=number)


def watched(lake: Lake) -> None:
    """A night's report in which the champion was watched, and its scores."""
    common: dict[str, Any] = {"group": "", "blame": f"model {CHAMPION}", "nights": 1, "night": str(NIGHT)}
    figures = [
        {**common, "metric": "model_scores", "status": "warn", "psi": 0.18, "ks": 0.12, "ratio": None, "count": 90,
         "reference_count": 800, "error": None, "sentence": WATCHED},
        {**common, "metric": "model_calibration", "status": "ok", "psi": None, "ks": None, "ratio": 1.1, "count": 60,
         "reference_count": 12, "error": 0.03, "sentence": f"{NIGHT}: calibration of {CHAMPION}: as before."},
    ]  # fmt: skip
    details = {"model": CHAMPION, "status": "warn", "figures": figures, "sentences": [WATCHED]}
    row = {"night": NIGHT, "run": 7, "stage": "scores", "seconds": 1.0, "details": json.dumps(details)}
    write_deltalake(lake.results("night_report"), pa.Table.from_pylist([row], schema=REPORT))
    scores = pa.table({
        "application_id": ["b1"], "as_of_at": pa.array([_day(100)], pa.timestamp("us", "UTC")), "score": [0.4],
        "model_version": [CHAMPION],
    })  # fmt: skip
    write_deltalake(lake.results("applicant_scores"), scores, mode="overwrite")
    day = pa.table({"as_of_date": pa.array([NIGHT], pa.date32()), "ring_id": ["r"]})
    write_deltalake(lake.results("rings"), day, mode="overwrite", partition_by=["as_of_date"])  # as the night does
