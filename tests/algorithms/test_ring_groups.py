import datetime as dt
from math import comb, log

import networkx as nx
import numpy as np
import polars as pl
import pytest

from algorithms.rings.conduct import log_bayes_factor
from algorithms.rings.groups import clone_groups, cycle_groups, handset_groups, star_groups
from algorithms.rings.rules import Rules, RulesError, read_rules, sentence

DAY = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def _sets(rows):
    return {
        frozenset(people) for _, people in rows.group_by("node", "part").agg("person").select("part", "person").rows()
    }


def test_evidence_is_the_bayes_factor_of_a_rate_above_the_usual_one():
    for count, known, base in [(3, 5, 0.1), (5, 5, 0.02), (1, 3, 0.01), (0, 9, 0.3)]:
        usual = comb(known, count) * base**count * (1 - base) ** (known - count)
        rates = base + (np.arange(200_000) + 0.5) / 200_000 * (1 - base)
        ring = np.mean(comb(known, count) * rates**count * (1 - rates) ** (known - count))
        expected = log(0.6 + 0.4 * ring / usual)
        assert log_bayes_factor(np.array([count]), np.array([known]), base, 0.4)[0] == pytest.approx(expected, rel=1e-4)


def test_fewer_than_usual_speak_against_a_ring_and_nobody_known_says_nothing():
    told = log_bayes_factor(np.array([0.0, 0.0]), np.array([40.0, 0.0]), 0.2, 0.9)
    assert told[0] < -1
    assert told[1] == 0


def test_a_star_is_asked_whole_and_cut_where_nobody_applied_for_a_while():
    stars = pl.DataFrame(
        {"view": "device", "node": "dev_1", "person": range(7)}, schema_overrides={"person": pl.UInt32}
    )
    hours = [0, 0.2, 0.4, 500, 500.1, 500.2, 2000]
    applied = pl.DataFrame({"person": range(7), "applied_at": [DAY + dt.timedelta(hours=h) for h in hours]},
                           schema_overrides={"person": pl.UInt32})  # fmt: skip
    found = _sets(pl.concat(star_groups(stars, applied)))
    assert found == {frozenset(range(7)), frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_persons_who_vouch_in_a_circle_are_found_and_couples_and_chains_are_not():
    draw = np.random.default_rng(5)
    edges = {(0, 1), (1, 2), (2, 0), (3, 4), (4, 3), (5, 6), (6, 7)} | {
        (int(a), int(b)) for a, b in draw.integers(8, 30, (18, 2)) if a != b
    }
    ties = pl.DataFrame(sorted(edges), schema={"src": pl.UInt32, "dst": pl.UInt32}, orient="row")
    found = _sets(cycle_groups(ties.with_columns(kind=pl.lit("emergency")), 30))
    wanted = {frozenset(c) for c in nx.strongly_connected_components(nx.DiGraph(edges)) if len(c) >= 3}
    assert found == wanted
    assert frozenset({0, 1, 2}) in found


def test_cards_that_wander_between_handsets_hang_together():
    rows = [("device", "dev_1", 0), ("device", "dev_1", 1), ("sim", "sim_1", 1), ("sim", "sim_1", 2)]
    rows += [("sim", "sim_9", 5), ("device", "dev_7", 6), ("device", "dev_7", 7)]
    stars = pl.DataFrame(rows, schema={"view": pl.String, "node": pl.String, "person": pl.UInt32}, orient="row")
    assert _sets(handset_groups(stars, 8)) == {frozenset({0, 1, 2})}


def test_near_copies_of_an_address_book_meet_and_strangers_do_not():
    draw = np.random.default_rng(1)
    hashes = draw.integers(-(2**62), 2**62, (64, 4000))

    def minhash(numbers):
        return hashes[:, sorted(numbers)].min(axis=1).tolist()

    padding = set(range(100))
    books = [padding - {i} | {3000 + i} for i in range(4)] + [
        set(draw.integers(200, 3000, 100).tolist()) for _ in range(40)
    ]
    frame = pl.DataFrame({"person": range(len(books)), "minhash": [minhash(b) for b in books]},
                         schema_overrides={"person": pl.UInt32})  # fmt: skip
    assert _sets(clone_groups(frame, len(books))) == {frozenset({0, 1, 2, 3})}


def _rules(**changes):
    rule = {"name": "many", "view": ["device"], "when": "persons >= 5", "points": "0.5 * persons", "says": "{persons}."}
    return Rules.model_validate(
        {"version": 1, "temperature": 2.0, "typologies": [rule | changes],
         "remarks": [{"name": "kin", "when": "kin_ratio > 0.5", "points": -3, "says": "{kin_ratio} are kin."}]}
    )  # fmt: skip


def test_a_rule_counts_where_it_holds_and_a_figure_that_is_not_known_fails_it():
    figures = pl.DataFrame(
        {"view": ["device", "device", "network", "device"], "persons": [6, 4, 9, 6], "kin_ratio": [0.0, 0.0, 1.0, None],
         "prior": -2.0, "conduct": [1.0, 1.0, 1.0, 0.0]}
    )  # fmt: skip
    scored = _rules().scored(figures)
    assert scored["structure"].to_list() == [3.0, None, None, 3.0]
    assert scored["rule"].to_list() == [0, None, None, 0]
    assert scored["logit"].to_list() == [2.0, -1.0, -4.0, 1.0]


@pytest.mark.parametrize("broken", ["persons >= ", "wings > 2", "DROP TABLE persons"])
def test_a_rule_that_cannot_be_read_is_refused_by_its_name(broken):
    figures = pl.DataFrame({"view": ["device"], "persons": [6], "kin_ratio": [0.0], "prior": -2.0, "conduct": 0.0})
    with pytest.raises(RulesError, match="many"):
        _rules(when=broken).scored(figures)


def test_the_shipped_rules_can_be_read_and_name_every_typology():
    names = {rule.name for rule in read_rules().typologies}
    assert {
        "device_fan_out", "application_burst", "sim_handset_rotation", "phone_farm", "packaging_agent_star", "ab_loan",
        "shell_employer", "shared_address", "address_book_clone", "circular_emergency_contacts", "identity_kit",
        "loan_stacking_bust_out", "camouflage", "insider_channel",
    } <= names  # fmt: skip


def test_a_file_that_is_no_rules_file_is_refused_by_its_key(tmp_path):
    path = tmp_path / "rings.yml"
    path.write_text("version: 1\ntemperature: 2\ntypologies: []\nremark: []\n")
    with pytest.raises(RulesError, match="remark"):
        read_rules(path)


def test_sentences_say_ratios_in_percent_and_numbers_short():
    assert (
        sentence("{a_ratio} of {n}: {x}, {y}", {"a_ratio": 0.347, "n": 12, "x": 3.14159, "y": None})
        == "35% of 12: 3.1, unknown"
    )
