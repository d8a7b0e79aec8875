"""What the queue adds, and what came of its calls: counted the same way for those offered and those held out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import insert

from algorithms.contact.feedback import attempts_made_here, outcomes
from algorithms.contact.gate import Outcome
from algorithms.contact.store import BORROWERS, Store
from algorithms.contact.uplift import uplift
from tests.algorithms.contact_world import DAY, HOUR, MINUTE, NIGHT, NOON, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def entered(store: Store, *, offered: tuple[int, int], held_out: tuple[int, int], after: timedelta = 9 * DAY) -> None:
    """So many borrowers, of whom so many reached, on either side."""
    rows = [
        {"loan_id": f"{side}{n}", "applicant_id": f"{side}{n}", "entered_at": NOON, "holdout": side == "h",
         "reached_at": NOON + after if n < reached else None}
        for side, (count, reached) in (("o", offered), ("h", held_out)) for n in range(count)
    ]  # fmt: skip
    with store.writing() as connection:
        connection.execute(insert(BORROWERS), rows)


def test_the_rates_and_their_intervals_are_those_of_the_literature(store: Store) -> None:
    entered(store, offered=(70, 56), held_out=(80, 48))
    found = uplift(store, NOON + 31 * DAY)
    assert found.enough
    # Newcombe 1998, table II: 56/70 against 48/80, method 10.
    assert (found.difference, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert (found.offered.low, found.offered.high) == pytest.approx((0.6918, 0.8769), abs=2e-3)
    assert "The queue reaches more borrowers" in found.sentence


def test_too_few_are_called_too_few_and_those_whose_time_is_not_over_wait(store: Store) -> None:
    entered(store, offered=(400, 200), held_out=(20, 3))
    found = uplift(store, NOON + 31 * DAY)
    assert (found.enough, found.difference, found.low) == (False, None, None)
    assert "Too few to say" in found.sentence
    assert "20 held out" in found.sentence
    young = uplift(store, NOON + 29 * DAY)
    assert (young.offered.borrowers, young.offered.rate, young.waiting) == (0, None, 420)


def test_an_interval_that_holds_zero_is_no_proof(store: Store) -> None:
    entered(store, offered=(100, 21), held_out=(100, 19))
    assert "no proof that the queue adds anything" in uplift(store, NOON + 31 * DAY).sentence


def test_thirty_days_are_thirty_days(store: Store) -> None:
    entered(store, offered=(60, 30), held_out=(60, 30), after=30 * DAY + MINUTE)
    found = uplift(store, NOON + 40 * DAY)
    assert (found.offered.reached, found.held_out.reached) == (0, 0)
    assert not found.enough


def test_reached_is_reached_whether_here_by_the_lender_or_by_the_night_s_word(world: World, store: Store) -> None:
    for who, holdout in (("by us", False), ("by lender", True), ("by night", True), ("by nobody", False)):
        world.lost(who)
        world.lead(who, f"{who} new", 0.9 if who == "by us" else 0.1, holdout=holdout)
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    queue.open(lead.lead_id, "zhang", "case 17", NOON + HOUR)
    queue.outcome(lead.lead_id, Outcome.RIGHT_PERSON, "zhang", NOON + HOUR)
    world.tried("by lender", "right_person", -2 * HOUR)
    world.states[2]["state"] = "reachable"
    world.loaded(store, NOON + DAY)
    found = uplift(store, NOON + 31 * DAY)
    assert (found.offered.borrowers, found.offered.reached) == (2, 1)
    assert (found.held_out.borrowers, found.held_out.reached) == (2, 2)


def test_who_is_on_both_sides_is_on_neither_and_who_was_reached_and_lost_again_enters_anew(
    world: World, store: Store
) -> None:
    world.lost("wei", "L-1", "L-2")
    world.lead("wei", "new", loan="L-1")
    world.lead("wei", "other", loan="L-2", holdout=True)
    world.lost("li")
    world.lead("li", "li's")
    world.loaded(store)
    world.tried("li", "right_person", -HOUR)
    world.loaded(store, NOON + DAY)  # the leads of the night before: no new loss
    world.states[-1]["lost_since"] = NOON + 35 * DAY
    world.loaded(store, NOON + 40 * DAY)
    found = uplift(store, NOON + 31 * DAY)
    assert (found.mixed, found.offered.borrowers, found.waiting) == (2, 1, 1)
    assert uplift(store, NOON + 71 * DAY).offered.borrowers == 2


def test_every_call_comes_back_to_the_ranking_with_what_was_known_when_it_was_made(
    world: World, store: Store, store_url: str
) -> None:
    world.lost("wei")
    world.lead("wei", "new", 0.8)
    world.loaded(store)
    queue = world.queue(store)
    for minute, outcome in ((0, Outcome.NO_ANSWER), (60, Outcome.THIRD_PERSON)):
        lead = queue.next("zhang", NOON + minute * MINUTE)
        assert lead is not None
        queue.open(lead.lead_id, "zhang", "case 17", NOON + minute * MINUTE)
        queue.outcome(lead.lead_id, outcome, "zhang", NOON + (minute + 5) * MINUTE)
    found = outcomes(store_url, NOON + DAY)
    key = {"loan_id": "L-wei", "as_of_date": NIGHT, "phone": world.tel("new"), "route": "own_new_number",
           "probability": 0.8}  # fmt: skip
    assert found.sort("at").select(*key, "outcome", "at").to_dicts() == [
        key | {"outcome": "no_answer", "at": NOON}, key | {"outcome": "third_person", "at": NOON + HOUR},
    ]  # fmt: skip
    # As of a time: inclusive, and nothing that was told later.
    counted = [len(outcomes(store_url, NOON + minute * MINUTE)) for minute in (0, 4, 5, 64, 65)]
    assert counted == [0, 0, 1, 1, 2]
    made = attempts_made_here(store_url, NOON + DAY)
    assert made["collector"].unique().to_list() == [queue.staff("zhang")]
    assert made.schema["attempted_at"] == pl.Datetime("us", "UTC")
    world.attempts = [row | {"op": "upsert"} for row in made.to_dicts()]
    world.loaded(store, NOON + DAY)  # the lender delivers them back: they are known
    assert len(queue.history(lead.lead_id)) == 2


def test_without_calls_the_feedback_is_an_empty_table_of_the_same_columns(store_url: str) -> None:
    assert outcomes(store_url, NOON).schema["as_of_date"] == pl.Date()
    assert attempts_made_here(store_url, NOON).columns[:4] == ["attempt_id", "loan_id", "applicant_id", "phone"]
