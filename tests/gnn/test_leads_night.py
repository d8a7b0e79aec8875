"""What the link model says of the candidates of silent borrowers: against the definition, and without a future."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from algorithms.leads.links import LinkQuestion
from gnn.leads import link_model, night
from gnn.leads.around import Around, around, events_of
from gnn.leads.circles import MOST, Circle, Partner, circles

DAY = 86_400.0
FROM = 1_700_000_000.0
SILENT, NIGHT = FROM + 90 * DAY, FROM + 120 * DAY
_ROW = {"src": pl.String, "dst": pl.String, "kind": pl.Int8, "at": pl.Float64, "duration_s": pl.Float64}
CALL, CONTACT = 0, 2


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The weighted sum stands for all parts; the others have their own tests."""
    monkeypatch.setattr(link_model, "PARTS", {"weighted_sum": link_model.PARTS["weighted_sum"]})


def _town(later: bool = False) -> Around:
    """Twelve groups of six who list each other and call sooner or later; the borrower is in the first of them.

    `new` is called since the silence by all whom the borrower knew, `lone` by one from elsewhere; `listed` stands in
    the books of the borrower and the group, `unknown` in the borrower's alone.
    """
    rng = np.random.default_rng(3)
    rows: list[tuple[str, str, int, float, float]] = []
    for group in range(12):
        people = [f"tel_{group:02d}_{k}" for k in range(6)]
        for a in people:
            for b in people:
                if a < b:
                    rows.append((a, b, CONTACT, FROM, 0.0))
                    met = rng.uniform(1, 110)
                    rows += [(a, b, CALL, FROM + d * DAY, 60.0) for d in met + rng.exponential(5, 3) if d < 119]
        for a in people:
            rows.append(
                (a, f"tel_{rng.integers(12):02d}_{rng.integers(6)}", CALL, FROM + rng.uniform(1, 119) * DAY, 9.0)
            )
    group = [f"tel_00_{k}" for k in range(5)]
    for k, friend in enumerate(group):
        rows += [("tel_old", friend, CALL, FROM + (20 + 9 * k + d) * DAY, 90.0) for d in range(4)]
        rows += [(friend, "tel_new", CALL, SILENT + (2 + k) * DAY, 90.0), (friend, "tel_listed", CONTACT, FROM, 0.0)]
        rows += [(friend, "tel_listed", CALL, FROM + (30 + d) * DAY, 90.0) for d in range(3)]
    rows += [("tel_old", "tel_listed", CONTACT, FROM, 0.0), ("tel_old", "tel_unknown", CONTACT, FROM, 0.0)]
    rows += [("tel_11_0", name, CALL, FROM + 95 * DAY, 5.0) for name in ("tel_lone", "tel_unknown")]
    if later:
        rows += [("tel_old", "tel_unknown", CALL, NIGHT, 600.0)]
        rows += [(p, "tel_lone", CALL, NIGHT + k * DAY, 600.0) for k, p in enumerate(group)]
    old = pl.DataFrame(
        {"person_id": ["per"], "phone": ["tel_old"], "silent_from": [SILENT], "failing_since": [SILENT + DAY]}
    )
    found = [("per", "tel_listed", False), ("per", "tel_lone", True), ("per", "tel_new", True),
             ("per", "tel_unknown", False)]  # fmt: skip
    candidates = pl.DataFrame(found, schema=["person_id", "phone", "own"], orient="row")
    return Around(events_of(pl.DataFrame(rows, _ROW, orient="row")), old, candidates, {"borrowers": 1})


def _links(near: Around, **more: int) -> dict[str, float]:
    return {phone: link for _, phone, link in night.answer(near, NIGHT, **more).rows.iter_rows()}


def test_the_number_whom_all_of_the_circle_meets_stands_above_one_whom_nobody_knows():
    told = _links(_town())
    assert told["tel_new"] == pytest.approx(math.log(4))  # of four candidates, all partners met this one
    assert told["tel_new"] > 0 > told["tel_lone"]
    assert told["tel_listed"] > 0 > told["tel_unknown"]
    assert max(map(abs, told.values())) <= MOST


def test_nothing_at_or_after_the_nights_moment_changes_what_is_said_and_equal_seeds_say_the_same():
    then = _links(_town())
    assert _links(_town(later=True)) == then


def test_a_link_is_ln_of_the_chance_times_the_number_of_candidates():
    circle = Circle(
        "per", old=[0, 1], candidates=[5, 6, 7, 8], own=[5], strangers=[6, 7],
        partners=[Partner(2, [5, 6], [7, 8]), Partner(3, [], [5, 6, 8]), Partner(4, [], [7])],
    )  # fmt: skip
    assert list(circle.guesses()) == [(0, [6, 7]), (1, [6, 7]), (3, [5, 6, 8]), (4, [7])]
    chances = {0: {6: math.log(0.2), 7: math.log(0.6)}, 3: {5: math.log(0.1), 6: math.log(0.1), 8: math.log(0.3)}}
    said = dict(circle.links(chances))
    assert said[6] == pytest.approx(math.log(2 * 0.25))
    assert said[7] == pytest.approx(math.log(2 * 0.75))
    assert said[5] == pytest.approx(math.log(4 * (1 / 2 + 1 / 5) / 2))  # two partners told; the third was not asked
    assert set(said) == {5, 6, 7}
    assert not dict(replace(circle, strangers=[6], partners=[]).links(chances))  # one number alone is the average


def test_of_whom_the_old_number_talked_with_nothing_is_foretold_and_partners_are_by_calls_before_it_failed():
    near = _town()
    events = near.events.before(NIGHT)
    (circle,) = circles(near, events)
    names = events.names.tolist()
    assert {names[p.node] for p in circle.partners} == {f"tel_00_{k}" for k in range(5)}
    assert all([names[c] for c in p.met] == ["tel_new"] for p in circle.partners)
    friend = pl.DataFrame([("per", "tel_00_0", False)], schema=near.candidates.schema, orient="row")
    (circle,) = circles(replace(near, candidates=pl.concat([near.candidates, friend])), events)
    assert "tel_00_0" in {names[c] for c in circle.candidates}
    assert "tel_00_0" not in {names[c] for c in circle.strangers}


def test_what_was_left_out_and_why_nothing_is_said_are_told(monkeypatch):
    near = _town()
    none = night.answer(near, FROM)
    assert (len(none.rows), none.counts["how"]) == (0, "nothing to be foretold")
    lone = near.candidates.with_columns(own=pl.lit(False))
    monkeypatch.setattr(link_model, "FEWEST", 10**6)
    monkeypatch.setattr(night, "FEWEST", 10**6)
    few = night.answer(replace(near, candidates=lone), NIGHT)
    assert (len(few.rows), few.counts["how"]) == (0, "too few first contacts to learn from")
    assert few.counts["sources"] == 1
    assert night.answer(near, NIGHT, sources=0).counts["sources_left_out"] == 1
    monkeypatch.setattr(night, "around", lambda _: 1 / 0)
    assert night.links(None).counts == {"how": "failed: ZeroDivisionError"}
    monkeypatch.setattr(night, "not_installed", lambda: ["torch"])
    assert night.links(None).counts == {"how": "torch are not installed: run make models"}


def test_the_newest_events_around_the_most_recently_lost_borrowers_are_kept(spark):
    def when(days: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(FROM + days * DAY, dt.UTC)

    calls = [("tel_old_a", "tel_p", when(1), 60), ("tel_p", "tel_t", when(1.5), 60), ("tel_p", "tel_q", when(2), 60),
             ("tel_q", "tel_r", when(3), 60), ("tel_r", "tel_s", when(4), 60), ("tel_old_b", "tel_r", when(5), 60),
             ]  # fmt: skip
    books = [("tel_p", "tel_c", when(0)), ("tel_p", "tel_nobody", when(0))]
    old = [("per_a", "tel_old_a", when(6), when(7)), ("per_b", "tel_old_b", when(6), when(6))]
    asked = LinkQuestion(
        when(120),
        spark.createDataFrame(calls, "src string, dst string, at timestamp, duration_s bigint"),
        spark.createDataFrame(books, "src string, dst string, at timestamp"),
        spark.createDataFrame(old, "person_id string, phone string, silent_from timestamp, failing_since timestamp"),
        spark.createDataFrame([("per_a", "tel_c", False)], "person_id string, phone string, own boolean"),
    )
    near = around(asked, borrowers=1, calls=2)
    assert near.old.rows() == [("per_a", "tel_old_a", FROM + 6 * DAY, FROM + 7 * DAY)]
    assert near.events.names.tolist() == ["tel_c", "tel_old_a", "tel_p", "tel_q"]
    assert near.events.kind.tolist() == [CONTACT, CALL, CALL]
    assert near.events.at.tolist() == [FROM, FROM + DAY, FROM + 2 * DAY]  # the old number's call, and the newest
    assert near.counts == {"borrowers": 1, "borrowers_left_out": 1, "calls": 2, "calls_left_out": 1, "contacts": 1,
                           "contacts_left_out": 0}  # fmt: skip
