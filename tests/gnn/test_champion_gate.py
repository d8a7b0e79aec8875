"""The challenger wins only where it surely finds more frauds with the same alerts, later in time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from gnn.champion.bootstrap import bootstrap, bootstrap_once, draws
from gnn.champion.card import Predictions
from gnn.champion.gate import Decision, GateError, GateSettings, Reason, decide, replayed
from gnn.champion.measures import alerts, recall_at_budget

START = datetime(2026, 6, 1, tzinfo=UTC)
FEW = GateSettings(min_positives=5)


def said(version: str, scores: Any, labels: Any, until: datetime | None = START, **columns: Any) -> Predictions:
    count = len(scores)
    rows = {
        "application_id": [f"a{i:06}" for i in range(count)],
        "at": [START + timedelta(minutes=i) for i in range(count)],
        "label": labels,
        "score": scores,
    }
    return Predictions.of(pl.DataFrame(rows | columns), version, until)


def world(seed: int, count: int = 1000, rate: float = 0.1, quality: tuple[float, float] = (1.0, 1.0)) -> list[Any]:
    """Labels, and the scores of a champion and a challenger whose noise is their own."""
    random = np.random.default_rng(seed)
    labels = (random.random(count) < rate).astype(int)
    return [labels, *(1 / (1 + np.exp(2 - random.normal(size=count) - q * labels)) for q in quality)]


def decided(seed: int, quality: tuple[float, float], rounds: int = 300, **more: Any) -> Decision:
    labels, old, new = world(seed, quality=quality, **more)
    return decide(said("old", old, labels), said("new", new, labels), budget=0.05, rounds=rounds, seed=seed)


def test_a_clearly_better_challenger_is_promoted_and_a_worse_one_is_not() -> None:
    better = decided(1, (1.0, 3.0))
    assert better.promoted
    assert better.reason is Reason.WON
    (against,) = better.comparisons
    assert 0 < against.recall_lower < against.recall_difference
    assert "new is promoted: it finds" in better.sentence
    worse = decided(1, (3.0, 1.0))
    assert not worse.promoted
    assert worse.reason is Reason.NOT_BETTER


def test_a_challenger_that_says_the_same_is_never_promoted() -> None:
    labels, old, _ = world(1)
    for seed in range(20):
        decision = decide(said("old", old, labels), said("new", old, labels), budget=0.05, rounds=200, seed=seed)
        assert not decision.promoted


def test_of_200_challengers_as_good_as_the_champion_at_most_one_in_twenty_is_promoted() -> None:
    assert sum(decided(seed, (1.5, 1.5)).promoted for seed in range(200)) <= 10


def test_most_challengers_that_are_better_are_promoted() -> None:
    assert sum(decided(seed, (1.0, 2.0)).promoted for seed in range(20)) >= 18


def test_more_alerts_found_do_not_make_up_for_a_ranking_that_is_worse() -> None:
    random = np.random.default_rng(0)
    labels = (np.arange(2000) < 200).astype(int)
    noise = random.random(2000)
    top = np.where(np.arange(2000) < 110, 0.9 + noise / 20, np.where(labels == 1, noise / 100, 0.1 + noise / 2))
    even = np.where(labels == 1, 0.55 + noise / 10, noise * 0.6)
    even[200:230] = 0.98  # thirty normal applications before all frauds
    decision = decide(said("old", even, labels), said("new", top, labels), budget=0.05, rounds=300, seed=0)
    assert decision.reason is Reason.WORSE_RANKING
    lenient = GateSettings(ap_tolerance=1)
    again = decide(
        said("old", even, labels), said("new", top, labels), budget=0.05, rounds=300, seed=0, settings=lenient
    )
    assert again.promoted


def naive(labels: NDArray[Any], scores: NDArray[Any], budget: float) -> tuple[float, float]:
    ranked = sorted(range(len(labels)), key=lambda i: (-scores[i], i))
    found = sum(labels[i] for i in ranked[: alerts(len(labels), budget)])
    return found / labels.sum(), average_precision_score(labels, scores)


def test_the_bootstrap_agrees_with_a_twin_that_draws_rows_one_by_one() -> None:
    random = np.random.default_rng(7)
    labels = (random.random(40) < 0.3).astype(np.int8)
    scores = [random.integers(0, 8, 40) / 8, random.random(40)]  # one with many ties
    clusters = np.sort(random.integers(0, 15, 40))
    clusters = np.unique(clusters, return_inverse=True)[1]
    count = clusters.max() + 1
    found = bootstrap(scores, labels, clusters, budget=0.2, rounds=100, seed=3)
    (times,) = draws(count, 100, 3, 100)
    for round_, drawn in enumerate(times):
        rows = [i for i in range(40) for _ in range(drawn[clusters[i]])]
        for model, score in enumerate(scores):
            recall, ap = naive(labels[rows], score[rows], 0.2)
            assert found.recall[model, round_] == pytest.approx(recall)
            assert found.ap[model, round_] == pytest.approx(ap)
        assert found.recall[2, round_] == pytest.approx(alerts(len(rows), 0.2) / len(rows))
        assert found.ap[2, round_] == pytest.approx(labels[rows].mean())


def test_each_round_draws_as_many_clusters_as_there_are_and_each_equally_often() -> None:
    (times,) = draws(101, 4000, 1, 4000)
    assert (times.sum(axis=1) == 101).all()
    assert np.abs(times.mean(axis=0) - 1).max() < 5 / np.sqrt(4000)
    assert times.var() == pytest.approx(100 / 101, rel=0.02)


def test_how_many_rounds_come_at_a_time_changes_nothing() -> None:
    whole = np.concatenate(list(draws(7, 50, 5, 50)))
    assert np.array_equal(whole, np.concatenate(list(draws(7, 50, 5, 3))))


def test_draws_follow_from_the_bits_alone_or_old_decisions_could_not_be_replayed() -> None:
    raw = [int(bits) for bits in np.random.PCG64(5).random_raw(4)]
    words = [bits % 2**32 for bits in raw] + [bits >> 32 for bits in raw]
    picked = [word * 7 >> 32 for word in words[:7]]
    (times,) = draws(7, 1, 5, 1)
    assert times.tolist() == [[picked.count(cluster) for cluster in range(7)]]
    assert times.tolist() == [[1, 0, 0, 2, 2, 2, 0]]


@given(
    hnp.arrays(np.int8, st.integers(2, 60), elements=st.integers(0, 1)).filter(lambda labels: labels.any()),
    st.floats(0.01, 0.99),
    st.randoms(use_true_random=False),
)
def test_recall_at_a_budget_agrees_with_a_naive_count(labels: NDArray[np.int8], budget: float, random: Any) -> None:
    scores = np.array([random.randrange(5) / 5 for _ in labels])
    expected, ap = naive(labels, scores, budget)
    assert recall_at_budget(labels, scores, budget) == pytest.approx(expected)
    once = bootstrap_once([scores], labels, np.ones((1, len(labels)), np.int32), budget)
    assert once.recall[0, 0] == pytest.approx(expected)
    assert once.ap[0, 0] == pytest.approx(ap)


def test_equal_scores_at_the_budget_go_to_the_smaller_application_id() -> None:
    rows = pl.DataFrame({"application_id": ["b", "a"], "at": [START, START], "label": [0, 1], "score": [0.5, 0.5]})
    labels, scores = Predictions.of(rows, "m").known()
    assert recall_at_budget(labels, scores, 0.5) == 1


def test_a_person_with_many_applications_is_drawn_whole_so_the_bound_is_lower() -> None:
    labels, old, new = world(3, count=100, rate=0.2, quality=(1.0, 2.0))
    labels, old, new = (np.repeat(part, 20) for part in (labels, old, new))
    persons = [f"p{i}" for i in np.repeat(np.arange(100), 20)]
    terms: dict[str, Any] = {"budget": 0.05, "rounds": 300, "seed": 1}
    alone = decide(said("old", old, labels), said("new", new, labels), **terms)
    whole = decide(said("old", old, labels), said("new", new, labels, person_id=persons), **terms)
    assert (alone.clusters, whole.clusters) == (2000, 100)
    assert whole.comparisons[0].recall_lower < alone.comparisons[0].recall_lower


def test_the_order_of_rows_changes_nothing() -> None:
    labels, old, new = world(4, quality=(1.0, 2.0))
    one, two = said("old", old, labels), said("new", new, labels)
    mixed = Predictions.of(two.rows.sample(fraction=1, shuffle=True, seed=1), "new", START)
    assert decide(one, two, budget=0.05, rounds=100, seed=1) == decide(one, mixed, budget=0.05, rounds=100, seed=1)


def test_only_applications_with_a_known_label_count() -> None:
    labels, old, new = world(5, quality=(1.0, 3.0))
    unknown = np.where(np.arange(1000) % 2 == 0, labels, -1)
    decision = decide(said("old", old, unknown), said("new", new, unknown), budget=0.05, rounds=100, seed=1)
    assert decision.applications == 500
    assert decision.positives == labels[::2].sum()


def test_a_label_that_one_side_knows_is_known() -> None:
    labels, old, new = world(5)
    early = np.where(np.arange(1000) % 2 == 0, labels, -1)
    decision = decide(said("old", old, early), said("new", new, labels), budget=0.05, rounds=100, seed=1)
    assert decision.applications == 1000


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (lambda p: p.rows.head(900), Reason.OTHER_APPLICATIONS, "new lacks 100, a000900 among them"),
        (lambda p: p.rows.with_columns(score=pl.lit(None, pl.Float64)), Reason.BAD_SCORES, "1,000 of 1,000 scores of"),
        (lambda p: p.rows.with_columns(score=pl.lit(np.inf)), Reason.BAD_SCORES, "no finite numbers"),
        (lambda p: p.rows.with_columns(label=1 - pl.col("label")), Reason.LABELS_DISAGREE, "1,000 applications, a"),
        (lambda p: p.rows.with_columns(pl.col("at").dt.offset_by("1d")), Reason.OTHER_APPLICATIONS, "date 1,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_by_name(change: Any, reason: Reason, words: str) -> None:
    labels, old, new = world(6, quality=(1.0, 3.0))
    changed = Predictions.of(change(said("new", new, labels)), "new", START)
    decision = decide(said("old", old, labels), changed, budget=0.05, rounds=100, seed=1)
    assert not decision.promoted
    assert decision.reason is reason
    assert words in decision.sentence
    assert decision.comparisons == ()


@pytest.mark.parametrize("learner", ["old", "new"])
def test_a_window_that_either_model_learned_from_is_refused(learner: str) -> None:
    labels, old, new = world(6, quality=(1.0, 3.0))
    late = (START + timedelta(minutes=2)).astimezone(timezone(timedelta(hours=8)))
    until = {name: late if name == learner else START for name in ("old", "new")}
    decision = decide(
        said("old", old, labels, until["old"]), said("new", new, labels, until["new"]), budget=0.05, rounds=100, seed=1
    )
    assert decision.reason is Reason.NOT_LATER
    expected = f"{learner} learned from applications before 2026-06-01 00:02 UTC, and 2 of the 1,000"
    assert expected in decision.sentence


def test_one_class_or_few_frauds_are_refused() -> None:
    _, old, new = world(6)
    none, few = np.zeros(1000, int), (np.arange(1000) < 49).astype(int)
    terms: dict[str, Any] = {"budget": 0.05, "rounds": 100, "seed": 1}
    assert decide(said("old", old, none), said("new", new, none), **terms).reason is Reason.ONE_CLASS
    assert decide(said("old", old, 1 - none), said("new", new, 1 - none), **terms).reason is Reason.ONE_CLASS
    decision = decide(said("old", old, few), said("new", new, few), **terms)
    assert decision.reason is Reason.FEW_POSITIVES
    assert "50 frauds are needed in the window; there are 49" in decision.sentence
    other = decide(said("old", old, few), said("new", new, few), **terms, settings=FEW)
    assert other.reason is not Reason.FEW_POSITIVES


def test_the_first_model_must_beat_chance_and_the_baseline_it_is_given() -> None:
    labels, weak, good = world(8, quality=(1.0, 3.0))
    terms: dict[str, Any] = {"budget": 0.05, "rounds": 200, "seed": 1}
    alone = decide(None, said("gnn", good, labels), **terms)
    assert alone.promoted
    assert [c.rival for c in alone.comparisons] == ["chance"]
    assert decide(None, said("gnn", good, labels), baseline=said("trees", weak, labels), **terms).promoted
    behind = decide(None, said("gnn", weak, labels), baseline=said("trees", good, labels), **terms)
    assert behind.reason is Reason.NOT_BETTER
    assert "trees" in behind.sentence
    guess = np.random.default_rng(0).random(1000)
    assert decide(None, said("gnn", guess, labels), **terms).reason is Reason.NOT_BETTER


def test_the_same_arguments_give_the_same_decision_and_a_replay_names_what_differs() -> None:
    one, two = decided(9, (1.0, 2.0), rounds=100), decided(9, (1.0, 2.0), rounds=100)
    assert one == two
    assert replayed(two, one.record()).equal
    changed = one.record() | {"recall": 0.5}
    assert [text.split(":")[0] for text in replayed(two, changed).differs] == ["recall"]


@pytest.mark.parametrize(
    "wrong", [{"budget": 0.0}, {"budget": 1.0}, {"rounds": 99}, {"seed": -1}, {"confidence": 1.0}, {"budget": np.nan}]
)
def test_arguments_out_of_bounds_are_an_error_that_names_them(wrong: dict[str, Any]) -> None:
    labels, old, new = world(1)
    terms: dict[str, Any] = {"budget": 0.05, "rounds": 100, "seed": 1} | wrong
    with pytest.raises(GateError, match=next(iter(wrong))):
        decide(said("old", old, labels), said("new", new, labels), **terms)


def test_two_thousand_rounds_on_twenty_thousand_applications_take_seconds() -> None:
    labels, old, new = world(1, count=20_000, rate=0.02)
    begun = time.process_time()
    decide(said("old", old, labels), said("new", new, labels), budget=0.01, seed=1)
    assert time.process_time() - begun < 15
