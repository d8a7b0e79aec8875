"""What the card says of a model agrees with scikit-learn, and a calibrator is the same after it was saved."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import ks_2samp
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, brier_score_loss, precision_score, roc_auc_score

from gnn.champion.calibration import Calibrator
from gnn.champion.card import Card, CardError, Predictions, Window, library_versions
from gnn.champion.measures import calibration_error, mass_bins, metrics
from gnn.champion.plots import plots

START = datetime(2026, 6, 1, tzinfo=UTC)


def world(count: int = 3000, seed: int = 0, rate: float = 0.1) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = (random.random(count) < rate).astype(np.int8)
    return labels, 1 / (1 + np.exp(2 - random.normal(size=count) - 2 * labels))


def said(labels: Any, scores: Any) -> Predictions:
    ids = [f"a{i:05}" for i in range(len(labels))]
    return Predictions.of(pl.DataFrame({"application_id": ids, "at": START, "label": labels, "score": scores}), "m-1")


def test_metrics_agree_with_scikit_learn_and_scipy() -> None:
    labels, scores = world()
    found = metrics(said(labels, scores), 0.05)
    alerted = np.argsort(-scores)[:150]
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["ap"] == pytest.approx(average_precision_score(labels, scores))
    assert found["ks"] == pytest.approx(ks_2samp(scores[labels == 1], scores[labels == 0]).statistic)
    assert found["brier"] == pytest.approx(brier_score_loss(labels, scores))
    assert found["recall_at_budget"] == pytest.approx(labels[alerted].sum() / labels.sum())
    chosen = np.isin(np.arange(3000), alerted)
    assert found["precision_at_budget"] == pytest.approx(precision_score(labels, chosen))
    assert (found["n"], found["positives"], found["alerts"]) == (3000, labels.sum(), 150)
    assert str(found["since"]).startswith("2026-06-01T00:00:00")
    json.dumps(found, allow_nan=False)


def test_labels_that_are_not_known_are_left_out() -> None:
    labels, scores = world()
    unknown = np.where(np.arange(3000) < 1000, -1, labels)
    assert metrics(said(unknown, scores), 0.05) == metrics(
        Predictions.of(said(labels, scores).rows.tail(2000), "m-1"), 0.05
    )


def test_calibration_error_by_hand() -> None:
    labels, scores = np.array([0, 1, 1, 1]), np.array([0.1, 0.3, 0.6, 0.8])
    assert calibration_error(labels, scores, bins=2) == pytest.approx((abs(0.2 - 0.5) + abs(0.7 - 1)) / 2)
    assert calibration_error(labels, labels.astype(float)) == 0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80))
def test_bins_of_equal_mass_never_part_equal_scores(values: list[int]) -> None:
    scores = np.sort(np.array(values) / 6)
    starts = mass_bins(scores)
    assert starts[0] == 0
    assert len(starts) <= 15
    assert all(scores[start] > scores[start - 1] for start in starts[1:])


def test_scores_that_mean_what_they_say_have_a_small_error_and_others_a_large_one() -> None:
    random = np.random.default_rng(0)
    scores = random.random(20_000)
    labels = (random.random(20_000) < scores).astype(int)
    assert calibration_error(labels, scores) < 0.015
    assert calibration_error(labels, scores**3) > 0.1


@pytest.mark.parametrize(
    ("count", "rate", "method"), [(3000, 0.1, "isotonic"), (3000, 0.01, "platt"), (900, 0.3, "platt")]
)
def test_the_calibrator_is_chosen_by_how_much_there_is_to_learn_from(count: int, rate: float, method: str) -> None:
    assert Calibrator.fit(*world(count, rate=rate)).method == method


@pytest.mark.parametrize("count", [800, 5000])
def test_a_calibrator_lowers_the_error_keeps_the_order_and_is_the_same_after_loading(
    count: int, tmp_path: Path
) -> None:
    labels, scores = world(count)
    fitted = Calibrator.fit(labels, scores)
    fitted.save(tmp_path / "calibrator.json")
    loaded = Calibrator.load(tmp_path / "calibrator.json")
    later_labels, later = world(count, seed=1)
    assert loaded == fitted
    assert np.array_equal(loaded.apply(later), fitted.apply(later))
    assert calibration_error(later_labels, fitted.apply(later)) < calibration_error(later_labels, later) / 1.5
    assert (np.diff(fitted.apply(np.linspace(0, 1, 500))) >= 0).all()


def test_isotonic_agrees_with_scikit_learn() -> None:
    labels, scores = world()
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(0, 1, 1000)
    assert np.allclose(Calibrator.fit(labels, scores).apply(asked), theirs.predict(asked))


def test_platt_solves_what_platt_asks_for() -> None:
    labels, scores = world(500)
    fitted = Calibrator.fit(labels, scores)
    frauds = labels.sum()
    target = np.where(labels == 1, (frauds + 1) / (frauds + 2), 1 / (500 - frauds + 2))
    gap = fitted.apply(scores) - target  # the gradient of the likelihood is 0 in both parameters
    assert abs(gap.sum()) < 0.05
    assert abs((gap * np.log(scores / (1 - scores))).sum()) < 0.05


def test_scores_that_run_against_the_labels_keep_their_order_and_mean_the_base_rate() -> None:
    labels, scores = world(500)
    told = Calibrator.fit(labels, 1 - scores).apply(1 - scores)
    assert np.abs(told - labels.mean()).max() < 0.01
    assert (np.argsort(told, kind="stable") == np.argsort(1 - scores, kind="stable")).all()


@pytest.mark.parametrize("text", ["", "[]", '{"method": "magic", "x": [1], "y": [1]}', '{"method": "platt", "x": []}'])
def test_a_file_that_is_no_calibrator_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "calibrator.json"
    path.write_text(text)
    with pytest.raises(CardError, match=r"calibrator\.json"):
        Calibrator.load(path)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 0], [0.1, 0.2], "both classes"),
        ([0, 1], [0.1, np.nan], r"numbers in \[0, 1\]"),
        ([0, 1], [0.1, 1.2], r"numbers in \[0, 1\]"),
    ],
)
def test_metrics_name_what_they_cannot_use(labels: list[int], scores: list[float], words: str) -> None:
    with pytest.raises(CardError, match=words):
        metrics(said(labels, scores), 0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop("score"), "score are missing"),
        (lambda rows: pl.concat([rows, rows]), "a1 and 1 others come more than once"),
        (lambda rows: rows.with_columns(label=pl.lit(2)), "a1 has 2"),
        (lambda rows: rows.with_columns(at=pl.lit(None, pl.Datetime("us"))), "without an application_id or a time"),
    ],
)
def test_predictions_that_cannot_be_read_say_why(change: Any, words: str) -> None:
    rows = pl.DataFrame({"application_id": ["a1", "a2"], "at": [0, 1], "label": [0, None], "score": [0.1, 0.2]})
    assert Predictions.of(rows, "m").rows["label"].to_list() == [0, -1]
    with pytest.raises(CardError, match=words):
        Predictions.of(change(rows), "m")


def test_times_may_be_microseconds_or_of_any_zone() -> None:
    moment = int(START.timestamp()) * 1_000_000
    zoned = pl.Series([START]).dt.convert_time_zone("Asia/Shanghai")
    for at in (pl.Series([moment]), pl.Series([START.replace(tzinfo=None)]), zoned):
        rows = pl.DataFrame({"application_id": ["a1"], "at": at, "label": [0], "score": [0.1]})
        assert Predictions.of(rows, "m").rows["at"].to_list() == [START]


def test_plots_are_four_pictures_and_the_same_each_time(tmp_path: Path) -> None:
    labels, scores = world(300)
    paths = plots(said(labels, scores), tmp_path / "one")
    assert [path.name for path in paths] == ["roc.png", "pr.png", "ks.png", "calibration.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    again = plots(said(labels, scores), tmp_path / "two")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_a_card_survives_being_written_and_refuses_a_window_that_ends_before_it_begins() -> None:
    window = Window(since=START, until=datetime(2026, 7, 1, tzinfo=UTC))
    card = Card(
        kind="graphsage", made_at=START, features=("age_years",), schema_digest="0" * 16, data_digest="a1b2c3d4",
        training=window, validation=window, test=window, hyperparameters={"layers": 2, "rates": [0.1, 0.01]},
        metrics={"auc": 0.9}, seeds=(1, 2), libraries=library_versions(),
    )  # fmt: skip
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert "numpy" in card.libraries
    assert card.learned_until == window.until
    with pytest.raises(ValidationError, match="ends after it begins"):
        Window(since=START, until=START)
    with pytest.raises(ValidationError):
        Card(**card.model_dump() | {"kind": "../elsewhere"})
