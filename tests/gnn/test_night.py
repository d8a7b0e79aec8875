"""The champion scores what came with the night, once, and is held against verdicts as they become known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.drift.monitor import MODEL_SCORES, drift
from gnn import night as scoring
from gnn.champion.calibration import Calibrator
from gnn.champion.card import Card, Predictions, Window
from gnn.champion.gate import GateSettings
from gnn.champion.registry import Registry
from gnn.data.lake import SEEDS
from gnn.data.seeds import FACTS
from gnn.data.store import NEVER, NodeSet, Store, write_store
from gnn.night import champion, labeled, outcomes, score_and_watch
from gnn.training.models import Logistic
from gnn.training.race import CALIBRATOR
from graph.lake import version
from tests.gnn.worlds import Row, World, write_lake

DAY = timedelta(days=1)
START = datetime(2024, 6, 1, tzinfo=UTC)
EACH = 200  # applications a night
CALIBRATED = Calibrator("platt", (1.0,), (-1.0,))  # far from the raw score, so that a mix of both would be seen
MODEL = Logistic(("amount_log1p_cny",), np.array([7.0]), np.array([1.0]), np.array([1.5]), 0.0)
Told = dict[str, Any]


def amounts(count: int, seed: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(7, 1.5, count))


def raw_scores(of: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-1.5 * (np.log1p(of) - 7)))


def true_labels(of: np.ndarray, seed: int) -> np.ndarray:
    """As often fraud as the calibrated score says."""
    return (np.random.default_rng(seed).random(len(of)) < CALIBRATED.apply(raw_scores(of))).astype(int)


def card(**hyperparameters: Any) -> Card:
    windows = [Window(since=START + (n - 30) * DAY, until=START + (n - 20) * DAY) for n in (0, 10, 20)]
    return Card(
        kind="logistic", made_at=START, features=MODEL.features, schema_digest="5" * 16, data_digest="a1b2c3d4e5",
        training=windows[0], validation=windows[1], test=windows[2], hyperparameters=hyperparameters, metrics={},
        seeds=(0,), libraries={},
    )  # fmt: skip


def promoted(folder: Path) -> str:
    """Register the model, promote it on the ten days before the start, and return its version."""
    trained, count = folder / "trained", 800
    MODEL.save(trained / "model")
    CALIBRATED.save(trained / "model" / CALIBRATOR)
    asked = amounts(count, 0)
    at = [START - 10 * DAY + n * timedelta(minutes=15) for n in range(count)]
    said = {"application_id": [f"old{n:04}" for n in range(count)], "at": at, "label": true_labels(asked, 1)}
    pl.DataFrame(said | {"score": raw_scores(asked)}).write_parquet(trained / "predictions.parquet")
    models = Registry(folder / "models")
    name = models.register(trained, card())
    assert models.promote(name, budget=0.2, seed=1, rounds=100, settings=GateSettings(min_positives=10)).promoted
    return name


def on(day: float) -> date:
    return (START + day * DAY).date()


def world() -> World:
    """Applications on days 0, 1 and 30; verdicts on those of day 0, half of them delivered on day 1, half on day 2."""
    asked: list[Row] = []
    told: list[Row] = []
    for day in (0, 1, 30):
        much = amounts(EACH, 10 + day)
        for n, (amount, label) in enumerate(zip(much, true_labels(much, 20 + day), strict=True)):
            who = f"d{day:02}_{n:03}"
            at = START + day * DAY + n * timedelta(minutes=5)
            asked.append({"application_id": f"ap_{who}", "applicant_id": who, "applied_at": at, "channel": "shop",
                          "amount_cny": float(amount), "delivered_on": on(day)})  # fmt: skip
            if day == 0:
                told.append({"applicant_id": who, "label": ("normal", "fraud")[label], "confirmed_at": at + DAY / 8,
                             "delivered_on": on(1 + n % 2)})  # fmt: skip
    late = {"application_id": "ap_late", "applicant_id": "late", "amount_cny": 900.0, "applied_at": START - 9 * DAY}
    lost = late | {"application_id": "ap_lost", "applied_at": START - 60 * DAY}
    asked += [row | {"delivered_on": on(1)} for row in (late, lost)]
    return {"raw/applications": asked, "raw/labels": told}


class House:
    """A lake with all deliveries, a registry with a champion, and nights."""

    def __init__(self, root: Path, spark: SparkSession) -> None:
        self.root, self.spark = root, spark
        self.lake = write_lake(root / "lake", world())
        self.model = promoted(root)

    def night(self, day: int) -> Told:
        at = START + (day + 1) * DAY - timedelta(microseconds=1)
        return score_and_watch(self.spark, self.lake, self.root / "models", self.model, on(day), at)

    def rows(self, table: str) -> pl.DataFrame:
        return pl.DataFrame(pl.from_arrow(DeltaTable(self.lake.results(table)).to_pyarrow_table()))

    def versions(self) -> dict[str, int]:
        return {str(path): version(path) for path in self.lake.tables()}


@pytest.fixture(scope="module")
def nights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[House, list[Told]]:
    """Nights 0, 1, 1 again, 2, and 30 after a long pause."""
    house = House(tmp_path_factory.mktemp("house"), spark)
    told = [house.night(0), house.night(1)]
    before = house.versions()
    told.append(house.night(1))
    assert house.versions() == before  # run again, a night writes nothing
    return house, [*told, house.night(2), house.night(30)]


def figures(told: Told) -> dict[str, Told]:
    return {figure["metric"]: figure for figure in told["figures"]}


def test_each_night_scores_what_came_with_it_once_also_what_came_late_and_after_a_pause(
    nights: tuple[House, list[Told]],
) -> None:
    house, told = nights
    assert [night["rows_out"] for night in told] == [EACH, EACH + 1, 0, 0, EACH]
    shown = house.rows("applicant_scores")
    assert shown["application_id"].n_unique() == len(shown) == 3 * EACH + 1
    assert "ap_late" in shown["application_id"].to_list()
    assert "ap_lost" not in shown["application_id"].to_list()  # two months late
    assert set(shown["model_version"]) == {house.model}
    expected = CALIBRATED.apply(raw_scores(amounts(EACH, 10)))
    first = shown.filter(pl.col("application_id").str.starts_with("ap_d00")).sort("application_id")
    assert first["score"].to_numpy() == pytest.approx(expected, rel=1e-4)
    assert first.sort("score")["reasons"].to_list()[-1][0]["contribution"] > 1
    assert not house.lake.staging.exists() or not list(house.lake.staging.iterdir())


def test_scores_that_lie_as_at_promotion_are_no_news_for_both_sides_are_calibrated(
    nights: tuple[House, list[Told]],
) -> None:
    _, told = nights
    for night in (told[0], told[1], told[4]):
        figure = figures(night)["model_scores"]
        assert (figure["status"], figure["reference_count"]) == ("ok", 800)
    assert figures(told[2]) == figures(told[1])  # nothing was left to score; what the night said of its scores stays
    assert figures(told[3])["model_scores"]["status"] == "too_few"  # nothing came


def test_verdicts_become_outcomes_the_night_that_delivers_them_and_not_before(nights: tuple[House, list[Told]]) -> None:
    _, told = nights
    found = [figures(night)["model_calibration"] for night in told]
    assert [figure["count"] for figure in found] == [0, EACH // 2, EACH // 2, EACH, EACH]
    assert [figure["status"] for figure in found] == ["too_few", "ok", "ok", "ok", "ok"]
    expected, frauds = CALIBRATED.apply(raw_scores(amounts(EACH, 10))), true_labels(amounts(EACH, 10), 20)
    assert found[1]["ratio"] == pytest.approx(frauds[::2].sum() / expected[::2].sum(), rel=1e-4)
    assert found[3]["ratio"] == pytest.approx(frauds.sum() / expected.sum(), rel=1e-4)


def test_an_earlier_night_run_again_sees_no_later_verdict(nights: tuple[House, list[Told]]) -> None:
    house, told = nights
    again = house.night(1)
    assert again["rows_out"] == 0
    assert figures(again) == figures(told[1])


def test_the_histogram_of_the_scores_is_kept_beside_those_of_drift_which_leaves_it_alone(
    nights: tuple[House, list[Told]],
) -> None:
    house, _ = nights

    def kept() -> dict[date, tuple[str, int]]:
        mine = house.rows("drift").filter(pl.col("metric") == MODEL_SCORES)
        return {row["night"]: (row["group"], sum(row["counts"])) for row in mine.to_dicts()}

    expected = {on(0): (house.model, EACH), on(1): (house.model, EACH + 1), on(30): (house.model, EACH)}
    assert kept() == expected
    found = drift(house.spark, house.lake, on(30), START + 31 * DAY - timedelta(microseconds=1))
    assert MODEL_SCORES not in {figure.metric for figure in found}
    assert "no_reference" in {figure.status for figure in found}  # nights that were only scored are no reference
    assert kept() == expected


def test_what_the_champion_learned_from_or_was_promoted_for_is_no_outcome() -> None:
    now = pl.DataFrame({
        "application_id": ["learned", "decided", "late", "new", "open"],
        "as_of_at": [START - 20 * DAY, START - 5 * DAY, START - 4 * DAY, START, START],
        "score": [0.1, 0.2, 0.3, 0.4, 0.5],
    })  # fmt: skip
    seeds = now.select("application_id", label=pl.Series([1, 1, 0, 1, -1], dtype=pl.Int8))
    said = {"application_id": ["decided", "late"], "at": [START - 5 * DAY, START - 4 * DAY], "label": [1, -1]}
    promoted_on = Predictions.of(pl.DataFrame(said | {"score": [0.2, 0.3]}), "m")
    labels, scores = outcomes(now, seeds, card(), promoted_on)
    assert (labels.tolist(), scores.tolist()) == ([0, 1], [0.3, 0.4])


def test_a_model_of_missed_instalments_is_held_against_instalments(tmp_path: Path) -> None:
    known = np.array([[1, NEVER, NEVER, 9], [NEVER, 1, 5, NEVER], [NEVER] * 4])
    nodes = {"Application": NodeSet("Application", 3, facts=FACTS, known=known)}
    seeds = pl.DataFrame({"application_id": ["a", "b", "c"], "node": [0, 1, 2], "label": [1, 0, -1]})
    write_store(Store(nodes, ()), tmp_path / "store", beside={SEEDS: seeds.to_arrow()})
    assert labeled(tmp_path / "store", card())["label"].to_list() == [1, 0, -1]
    assert labeled(tmp_path / "store", card(label="missed"))["label"].to_list() == [0, 1, -1]


def test_nobody_promoted_is_no_champion_and_a_refused_challenger_changes_the_state(tmp_path: Path) -> None:
    assert champion(tmp_path / "nothing") is None
    assert not (tmp_path / "nothing").exists()
    name = promoted(tmp_path)
    found = champion(tmp_path / "models")
    assert found is not None
    assert found[0] == name
    Registry(tmp_path / "models").register(tmp_path / "trained", card())
    again = champion(tmp_path / "models")
    assert again is not None
    assert (again[0], again[1] == found[1]) == (name, False)


def test_packages_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "find_spec", lambda name: None if name == "torch" else object())
    assert scoring.not_installed() == ["torch"]
