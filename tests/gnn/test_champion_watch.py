"""The watch is silent while scores lie as they did and mean what they say, and says in words what changed."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from algorithms.drift.figures import DriftFigure, report
from gnn.champion.card import CardError
from gnn.champion.measures import calibration_error
from gnn.champion.watch import WatchFigure, WatchSettings, watch

NIGHT = date(2026, 7, 1)
RANDOM = np.random.default_rng(0)
REFERENCE = RANDOM.beta(1, 20, 5000)
NONE: Any = (np.zeros(0, np.int8), np.zeros(0))


def found(tonight: Any, outcomes: Any = NONE, reference: Any = REFERENCE, **settings: Any) -> list[WatchFigure]:
    return watch(reference, tonight, outcomes, night=NIGHT, model="m-1", settings=WatchSettings(**settings))


def outcomes(count: int, factor: float, seed: int = 1) -> tuple[Any, Any]:
    """Scores, and labels as often fraud as `factor` times the score says."""
    random = np.random.default_rng(seed)
    scores = random.beta(1, 20, count)
    return (random.random(count) < scores * factor).astype(np.int8), scores


def test_scores_that_lie_as_they_did_are_no_news() -> None:
    scores, calibration = found(np.random.default_rng(1).beta(1, 20, 3000), outcomes(2000, 1))
    assert (scores.status, calibration.status) == ("ok", "ok")
    assert scores.sentence.endswith("Nothing to do.")
    assert scores.psi is not None
    assert scores.psi < 0.05
    assert calibration.error == pytest.approx(calibration_error(*outcomes(2000, 1)))


def test_equal_nights_seldom_raise_a_figure() -> None:
    raised = [
        figure
        for seed in range(20)
        for figure in found(np.random.default_rng(seed).beta(1, 20, 500), outcomes(500, 1, seed))
        if figure.status != "ok"
    ]
    assert len(raised) <= 2


def test_scores_that_moved_are_told_with_the_bin_that_moved_most() -> None:
    figure, _ = found(np.random.default_rng(1).beta(2, 12, 3000))
    assert figure.status == "alarm"
    assert figure.blame == "model m-1"
    assert "2026-07-01: scores of m-1: PSI" in figure.sentence
    assert "scores from" in figure.sentence or "scores below" in figure.sentence
    assert "roll back" in figure.sentence


def test_a_shift_in_the_last_hundredth_alone_is_seen() -> None:
    tonight = np.sort(np.random.default_rng(1).beta(1, 20, 3000))
    tonight[::10] = 0.9
    figure, _ = found(tonight)
    assert figure.status in ("warn", "alarm")
    assert " up went from 1.0% to 1" in figure.sentence


def test_scores_that_are_no_numbers_are_named() -> None:
    tonight = REFERENCE.copy()
    tonight[::2] = np.nan
    figure, _ = found(tonight)
    assert figure.status == "alarm"
    assert "scores that are not numbers went from 0.0% to 50.0%" in figure.sentence


def test_a_model_that_gives_one_score_to_all_is_compared_like_any_other() -> None:
    same = np.full(500, 0.2)
    assert found(same, reference=same)[0].status == "ok"
    assert found(np.full(500, 0.1), reference=same)[0].status == "alarm"
    assert found(np.zeros(500), reference=np.zeros(500))[0].status == "ok"


def test_three_times_the_frauds_that_scores_add_up_to_are_an_alarm_also_where_frauds_are_rare() -> None:
    _, figure = found(REFERENCE, outcomes(3000, 3))
    assert figure.status == "alarm"
    assert figure.ratio is not None
    assert figure.ratio > 2
    assert "frauds among 3,000 outcomes, the scores add up to" in figure.sentence


def test_probabilities_far_from_the_truth_are_an_alarm_though_their_sum_is_right() -> None:
    scores = np.tile([0.1, 0.9], 500)
    labels = (np.random.default_rng(2).random(1000) < 0.5).astype(np.int8)
    _, figure = found(REFERENCE, (labels, scores))
    assert figure.status == "alarm"
    assert figure.error == pytest.approx(0.4, abs=0.05)
    assert figure.ratio == pytest.approx(1, abs=0.1)


def test_a_large_error_that_chance_brings_is_none() -> None:
    labels, scores = outcomes(60, 1, seed=3)
    _, figure = found(
        REFERENCE, (labels, scores), error_warn=0.001, error_alarm=0.002, ratio_warn=1.01, ratio_alarm=1.02
    )
    assert figure.error is not None
    assert figure.error > 0.01
    assert figure.status == "ok"


def test_labels_that_are_not_known_and_few_outcomes_are_not_judged() -> None:
    labels, scores = outcomes(500, 3)
    labels[40:] = -1
    _, figure = found(REFERENCE, (labels, scores))
    assert (figure.status, figure.count) == ("too_few", 40)
    assert "too few outcomes to judge (40)" in figure.sentence


def test_few_scores_or_none_at_promotion_are_not_compared() -> None:
    assert found(REFERENCE[:49])[0].status == "too_few"
    assert found(REFERENCE, reference=np.zeros(0))[0].status == "no_reference"


def test_probabilities_beyond_bounds_are_refused() -> None:
    with pytest.raises(CardError, match=r"Probabilities in \[0, 1\]"):
        found(REFERENCE, (np.array([0, 1], np.int8), np.array([0.1, 1.5])))


def test_the_same_night_says_the_same_and_fits_the_report_of_drift() -> None:
    tonight, told = np.random.default_rng(1).beta(2, 12, 3000), outcomes(3000, 3)
    assert found(tonight, told) == found(tonight, told)
    figures: list[DriftFigure] = [*found(tonight, told)]
    assert report(figures)["status"] == "alarm"
    assert len(report(figures)["sentences"]) == 2


def test_thresholds_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_PSI_ALARM", "9")
    monkeypatch.setenv("WATCH_KS_ALARM", "1")
    assert found(np.random.default_rng(1).beta(2, 12, 3000))[0].status == "warn"
