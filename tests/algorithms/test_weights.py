"""Edge weights: the formula by hand, links by brute force, bases learned from labels known on the day alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from algorithms.weight_fitting import fit, fitted, write_weights, written_weights
from algorithms.weights import (
    DIRECT,
    MOST,
    SHARED,
    Evidence,
    WeightsFileError,
    combined,
    defaults,
    evidence,
    person_links,
    weights,
)
from graph.lake import Lake
from tests.algorithms.small_lake import AT, SmallLake, before

KNOWN = defaults()
HUBS = "id string, kind string, joins boolean"
Links = dict[tuple[str, str], Any]


def weighed(persons: int, days: float, relation: str, factor: float = 1.0) -> float:
    """The formula by hand."""
    known = KNOWN.relations[relation]
    rarity = math.log(2) / math.log(max(persons, 2))
    return min(known.base * rarity * 2 ** (-days / known.half_life_days) * factor, MOST)


def links(frame: DataFrame) -> Links:
    return {(row["src"][4:], row["dst"][4:]): row for row in frame.collect()}


@pytest.fixture(scope="module")
def no_hubs(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], HUBS)


def test_the_weight_of_an_edge_is_the_formula(spark: SparkSession) -> None:
    edges = spark.createDataFrame(
        [("p1", "d1", before(0), 1.0), ("p2", "d1", before(180), 1.0), ("p3", "d1", before(0), 1.0),
         ("p1", "shop", before(0), 1.0), ("p1", "fleet", before(0), 1.0), ("p4", "lone", before(360), 1.0)],
        "src string, dst string, last_seen_at timestamp, weight double",
    )  # fmt: skip
    hubs = spark.createDataFrame([("shop", "shop_device", False), ("fleet", "unexplained", True)], HUBS)
    found = weights(edges, "uses_device", AT, hubs)
    assert found.columns == edges.columns
    got = {(row["src"], row["dst"]): row["weight"] for row in found.collect()}
    assert got == {
        ("p1", "d1"): pytest.approx(weighed(3, 0, "uses_device")),
        ("p2", "d1"): pytest.approx(weighed(3, 180, "uses_device")),
        ("p3", "d1"): pytest.approx(weighed(3, 0, "uses_device")),
        ("p1", "shop"): 0.0, ("p1", "fleet"): pytest.approx(0.9), ("p4", "lone"): pytest.approx(0.9 / 4),
    }  # fmt: skip


def test_calls_both_ways_say_more(spark: SparkSession, no_hubs: DataFrame) -> None:
    calls = spark.createDataFrame(
        [("t1", "t2", before(0)), ("t2", "t1", before(0)), ("t1", "t3", before(0))],
        "src string, dst string, last_seen_at timestamp",
    )
    got = {(row["src"], row["dst"]): row["weight"] for row in weights(calls, "called", AT, no_hubs).collect()}
    one_way = weighed(2, 0, "called")
    assert got == {
        ("t1", "t2"): pytest.approx(one_way * 1.25), ("t2", "t1"): pytest.approx(one_way * 1.25),
        ("t1", "t3"): pytest.approx(one_way),
    }  # fmt: skip


def test_a_relation_without_a_weight_is_refused_by_name(spark: SparkSession, no_hubs: DataFrame) -> None:
    edges = spark.createDataFrame([], "src string, dst string, last_seen_at timestamp")
    with pytest.raises(ValueError, match="sings_with has no weight"):
        weights(edges, "sings_with", AT, no_hubs)


def test_a_file_that_lacks_a_relation_is_refused(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "algorithms/rules/weights.yml").read_text()
    (tmp_path / "weights.yml").write_text(text.replace("  called:", "  sang:"))
    with pytest.raises(WeightsFileError, match=r"lacks \['called'\] and names \['sang'\]"):
        defaults(tmp_path / "weights.yml")
    assert set(KNOWN.relations) == {*SHARED, *DIRECT}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One link of every kind, each between people of its own; and what must not link."""
    world = SmallLake(Lake(tmp_path_factory.mktemp("links")))
    now, today = before(0), AT.date()
    for who in ("a1", "a2"):
        world.edge("uses_device", who, "dev_a", before(90))
        world.edge("paid_with", who, "crd_a", before(0))
    for who in ("b1", "b2", "b3"):
        world.edge("lists_contact", who, "tel_friend", now)
    world.edge("uses_phone", "c1", "tel_c1", before(50), held_from=before(500), held_to=None)
    world.edge("uses_phone", "c2", "tel_c2", before(50), held_from=before(500), held_to=before(100))
    world.edge("uses_phone", "c3", "tel_c2", before(50), held_from=before(60), held_to=None)  # recycled to a stranger
    world.edge("called", "tel_c1", "tel_c2", before(120), duration_s=5)
    world.edge("called", "tel_c2", "tel_c1", before(120), duration_s=5)
    world.edge("lists_contact", "d1", "tel_c1", now)
    world.edge("same_person", "e1", "e2", now, score=0.5)
    world.edge("person_guarantees", "e2", "e1", now, amount_cny=5.0)
    for who, account in (("f1", "acc_1"), ("f2", "acc_2")):
        world.edge("person_owns_account", who, account, now)
    world.edge("transferred", "acc_2", "acc_1", now, amount_cny=5.0)
    for i in range(KNOWN.pair_cap + 1):
        world.edge("seen_on", f"g{i}", "net_crowd", now)
    for who in ("h1", "h2"):
        world.edge("uses_device", who, "dev_shop", now)
        world.raw["applications"].append(
            {
                "applicant_id": who,
                "applied_at": now,
                "delivered_on": today,
                "iccid": "sim_h",
                "employer_phone": "tel_desk",
            }
        )
    # Unknown at AT: later by event, later by delivery.
    world.edge("uses_device", "a3", "dev_a", AT + timedelta(seconds=1), today)
    world.edge("uses_device", "a4", "dev_a", before(90), today + timedelta(days=1))
    return world.write()


@pytest.fixture(scope="module")
def told(spark: SparkSession, world: Lake) -> Evidence:
    return evidence(spark, world, AT, spark.createDataFrame([("dev_shop", "shop_device", False)], HUBS))


@pytest.fixture(scope="module")
def found(told: Evidence) -> Links:
    return links(combined(told.links, KNOWN))


def test_each_kind_of_link_is_found_with_its_nodes(found: Links) -> None:
    told = {pair: (row["relations"], row["nodes"]) for pair, row in found.items()}
    assert told == {
        ("a1", "a2"): (["paid_with", "uses_device"], ["crd_a", "dev_a"]),
        ("b1", "b2"): (["lists_contact"], ["tel_friend"]),
        ("b1", "b3"): (["lists_contact"], ["tel_friend"]),
        ("b2", "b3"): (["lists_contact"], ["tel_friend"]),
        ("c1", "c2"): (["called"], ["tel_c1", "tel_c2"]),
        ("c2", "c3"): (["uses_phone"], ["tel_c2"]),
        ("c1", "d1"): (["direct_contact"], ["tel_c1"]),
        ("e1", "e2"): (["guarantees", "same_person"], []),
        ("f1", "f2"): (["transferred"], ["acc_1", "acc_2"]),
        ("h1", "h2"): (["has_phone", "holds_sim"], ["sim_h", "tel_desk"]),
    }


def test_evidence_adds_up_and_never_to_certainty(found: Links) -> None:
    device, card = weighed(2, 90, "uses_device"), weighed(2, 0, "paid_with")
    assert found["a1", "a2"]["weight"] == pytest.approx(1 - (1 - device) * (1 - card))
    assert found["b1", "b2"]["weight"] == pytest.approx(weighed(3, 0, "lists_contact"))
    assert found["c1", "c2"]["weight"] == pytest.approx(weighed(2, 120, "called", 1.25))
    same, guarantee = weighed(2, 0, "same_person", 0.5), weighed(2, 0, "guarantees")
    assert found["e1", "e2"]["weight"] == pytest.approx(1 - (1 - same) * (1 - guarantee))
    assert all(0 < row["weight"] < 1 for row in found.values())


def test_a_node_beyond_the_cap_is_left_to_the_view_of_stars(told: Evidence) -> None:
    stars = [tuple(row) for row in told.stars.collect()]
    assert stars == [("seen_on", "net_crowd", KNOWN.pair_cap + 1)]


def test_links_at_shared_nodes_agree_with_brute_force(spark: SparkSession, no_hubs: DataFrame, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    world = SmallLake(Lake(tmp_path))
    seen: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for relation, prefix in (("uses_device", "dev"), ("seen_on", "net")):
        for person, node, days in zip(
            rng.integers(0, 25, 90), rng.integers(0, 12, 90), rng.integers(0, 300, 90), strict=True
        ):
            world.edge(relation, f"p{person:02}", f"{prefix}_{node}", before(int(days)))
            at_node = seen[relation, f"{prefix}_{node}"]
            at_node[f"p{person:02}"] = min(at_node.get(f"p{person:02}", 999), float(days))
    apart: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    for (relation, _), people in seen.items():
        for one, two in combinations(sorted(people), 2):
            apart[one, two] *= 1 - weighed(len(people), max(people[one], people[two]), relation)
    got = {pair: row["weight"] for pair, row in links(person_links(spark, world.write(), AT, no_hubs)).items()}
    assert got == {pair: pytest.approx(1 - rest, abs=1e-9) for pair, rest in apart.items()}


def test_the_order_of_the_evidence_does_not_change_a_digit(spark: SparkSession) -> None:
    rng = np.random.default_rng(7)
    rows = [("a", "b", "called", [f"t{i}"], float(x)) for i, x in enumerate(rng.random(200) / 50)]
    shape = "src string, dst string, relation string, nodes array<string>, strength double"
    one = combined(spark.createDataFrame(rows, shape).repartition(4), KNOWN).collect()
    two = combined(spark.createDataFrame(rows[::-1], shape).repartition(3), KNOWN).collect()
    assert one == two


@given(st.integers(30, 3_000), st.floats(0.05, 0.95))
def test_bases_lie_between_the_default_and_what_labels_say(pairs: int, share: float) -> None:
    both = np.arange(pairs) < round(pairs * share)
    got = fitted(KNOWN, ["works_at"], np.ones((pairs, 1)), both, 0.02).relations["works_at"]
    default = KNOWN.relations["works_at"].base
    seen = max(0.01, (both.mean() - 0.02) / 0.98)
    # The regression's own shrinkage moves what it sees towards the middle, by little at so many pairs.
    low, high = min(default, seen), max(default, seen)
    assert low - 0.06 <= got.base <= high + 0.06
    assert (got.source, got.pairs, got.positive_pairs) == ("fitted", pairs, int(both.sum()))


def test_few_labeled_pairs_leave_the_default_and_are_counted() -> None:
    got = fitted(KNOWN, ["works_at"], np.ones((29, 1)), np.ones(29, bool), 0.02)
    assert got.relations["works_at"] == KNOWN.relations["works_at"].model_copy(
        update={"pairs": 29, "positive_pairs": 29}
    )


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Lake]:
    """Forty pairs on one handset who are all fraud, and forty at one employer of whom one is."""

    def make(later: bool) -> Lake:
        world = SmallLake(Lake(tmp_path_factory.mktemp("labels")))
        for i in range(40):
            for who in (f"d{i}", f"e{i}"):
                world.edge("uses_device", who, f"dev_{i}", before(0))
                world.label(who, "fraud", before(10))
            for who in (f"w{i}", f"x{i}"):
                world.edge("works_at", who, f"com_{i}", before(0))
            world.label(f"w{i}", "fraud", before(10))
            world.label(f"x{i}", "normal", before(10))
            for j in range(12):
                world.edge("works_at", f"n{i}-{j}", f"com_n{i}-{j}", before(0))
                world.label(f"n{i}-{j}", "normal", before(10))
            if later:
                world.label(f"x{i}", "fraud", AT + timedelta(seconds=1), AT.date())
                world.label(f"d{i}", "normal", before(5), AT.date() + timedelta(days=1))
        return world.write()

    return make


def test_bases_are_learned_and_blind_to_labels_after_the_day(
    spark: SparkSession, no_hubs: DataFrame, labeled: Callable[[bool], Lake]
) -> None:
    then = fit(spark, labeled(False), AT, no_hubs)
    device, employer = then.relations["uses_device"], then.relations["works_at"]
    assert (device.source, device.pairs, device.positive_pairs) == ("fitted", 40, 40)
    assert (employer.source, employer.pairs, employer.positive_pairs) == ("fitted", 40, 0)
    assert employer.base < KNOWN.relations["works_at"].base < KNOWN.relations["uses_device"].base
    assert device.base == pytest.approx(0.9, abs=0.1)
    assert then.relations["called"] == KNOWN.relations["called"]
    assert fit(spark, labeled(True), AT, no_hubs) == then


def test_without_labels_the_defaults_stand(spark: SparkSession, no_hubs: DataFrame, world: Lake) -> None:
    assert fit(spark, world, AT, no_hubs) == KNOWN


def test_written_weights_of_a_day_are_read_back_and_never_those_of_a_later_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert written_weights(lake, date(2024, 1, 1)) == KNOWN
    one = fitted(KNOWN, ["called"], np.ones((50, 1)), np.ones(50, bool), 0.02)
    two = fitted(KNOWN, ["called"], np.ones((50, 1)), np.zeros(50, bool), 0.02)
    for day, parameters in ((2, two), (2, one), (4, two)):
        assert write_weights(lake, date(2024, 1, day), parameters) == len(KNOWN.relations)
    assert written_weights(lake, date(2024, 1, 1)) == KNOWN
    assert written_weights(lake, date(2024, 1, 3)) == one
    assert written_weights(lake, date(2024, 1, 4)) == two
