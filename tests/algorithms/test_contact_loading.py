"""A night comes into the queue whole or not at all, once, and takes nothing away that happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

import algorithms.contact.loading as loading
from algorithms.contact.gate import Outcome
from algorithms.contact.loading import LoadError, load
from algorithms.contact.night import NightError, read_night
from algorithms.contact.queue import QueueError
from algorithms.contact.store import ATTEMPTS, Store
from algorithms.contact.suppression import entries, remove
from tests.algorithms.contact_world import DAY, HOUR, MINUTE, NIGHT, NOON, World, dump


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.lost("wei")
    world.lead("wei", "first", 0.9)
    world.lead("wei", "second", 0.5)
    return world


def later(world: World) -> None:
    """The rows are those of the next night."""
    world.night += DAY
    for row in (*world.leads, *world.states):
        row["as_of_date"] = world.night


def test_the_same_night_twice_changes_nothing_though_calls_were_made_meanwhile(world: World, store: Store) -> None:
    assert world.loaded(store).changed
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    queue.open(lead.lead_id, "zhang", "case 17", NOON)
    queue.outcome(lead.lead_id, Outcome.INVALID_NUMBER, "zhang", NOON)
    before = dump(store)
    again = load(store, read_night(world.lake), NOON + HOUR)
    assert (again.changed, again.leads) == (False, 2)
    assert dump(store) == before


def test_rows_in_another_order_are_the_same_night(world: World, store: Store) -> None:
    world.loaded(store)
    world.leads.reverse()
    assert not world.loaded(store, NOON + HOUR).changed


def test_a_new_night_replaces_leads_that_nobody_finished_but_no_open_one_and_no_attempt(
    world: World, store: Store
) -> None:
    world.lost("li")
    world.lead("li", "li's", 0.7)
    world.loaded(store)
    queue = world.queue(store)
    first, of_li, second = (lead.lead_id for lead in queue.offers("zhang", NOON, 9).leads)
    queue.open(first, "zhang", "case 17", NOON)
    queue.open(of_li, "wang", "case 18", NOON)
    queue.outcome(of_li, Outcome.NO_ANSWER, "wang", NOON + MINUTE)
    later(world)
    world.leads = [row | {"probability": 0.1} for row in world.leads if row["phone"] == world.tel("second")]
    world.lead("wei", "third", 0.3)
    assert world.loaded(store, NOON + 2 * HOUR).leads == 2
    with pytest.raises(QueueError, match="no such lead"):
        queue.open(of_li, "wang", "case 18", NOON + 2 * HOUR)
    assert queue.outcome(first, Outcome.NO_ANSWER, "zhang", NOON + 2 * HOUR).changed
    third, again, once_open = queue.offers("zhang", NOON + 3 * HOUR, 9).leads
    assert (again.lead_id, once_open.lead_id) == (second, first)  # the one that stayed kept its id
    assert third.lead_id not in (first, of_li, second)
    with store.reading() as connection:
        made = connection.execute(select(ATTEMPTS.c.lead_id, ATTEMPTS.c.probability).order_by(ATTEMPTS.c.lead_id))
        assert [tuple(row) for row in made] == sorted([(first, 0.9), (of_li, 0.7)])


def test_an_older_night_is_refused(world: World, store: Store) -> None:
    later(world)
    world.loaded(store)
    world.night = NIGHT
    for row in (*world.leads, *world.states):
        row["as_of_date"] = NIGHT
    before = dump(store)
    with pytest.raises(LoadError, match="newer than 2026-06-30"):
        world.loaded(store)
    assert dump(store) == before


def test_a_night_that_is_made_anew_does_not_bring_back_what_was_done(world: World, store: Store) -> None:
    world.loaded(store)
    queue = world.queue(store)
    first = queue.offers("zhang", NOON).leads[0].lead_id
    queue.open(first, "zhang", "case 17", NOON)
    queue.outcome(first, Outcome.THIRD_PERSON, "zhang", NOON)
    world.leads[0]["probability"] = 0.95
    assert world.loaded(store, NOON + HOUR).changed
    assert [lead.probability for lead in queue.offers("zhang", NOON + HOUR, 9).leads] == [0.5]


def test_a_load_that_fails_leaves_nothing(world: World, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    world.loaded(store)
    before = dump(store)
    later(world)

    def broken(*_: object) -> int:
        raise RuntimeError("power loss")

    monkeypatch.setattr(loading, "_borrowers", broken)
    with pytest.raises(RuntimeError):
        world.loaded(store, NOON + DAY)
    assert dump(store) == before


def test_what_the_lender_corrects_counts_as_corrected_and_what_it_withdraws_no_more(world: World, store: Store) -> None:
    for _ in range(3):
        world.tried("wei", "third_person", 2 * HOUR)
    world.loaded(store)
    queue = world.queue(store)
    assert queue.next("zhang", NOON) is None
    world.attempts[0]["outcome"] = "no_answer"
    world.loaded(store)
    assert queue.next("zhang", NOON) is not None
    world.attempts[0]["outcome"] = "third_person"
    world.loaded(store)
    assert queue.next("zhang", NOON) is None
    world.attempts.pop(0)
    world.loaded(store)
    assert queue.next("zhang", NOON) is not None


def test_a_call_made_here_that_comes_back_with_its_id_is_one_call(world: World, store: Store) -> None:
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    queue.outcome(call.call_id, Outcome.NO_ANSWER, "zhang", NOON)
    world.tried("wei", "no_answer", 0 * DAY, "first", call.call_id)
    world.loaded(store, NOON + HOUR)
    assert [past.made_here for past in queue.history(lead.lead_id)] == [True]


def test_a_refusal_in_the_lender_s_record_bars_the_number_until_a_person_lifts_it_for_good(
    world: World, store: Store
) -> None:
    world.tried("nobody we know", "refused", 9 * DAY, "first")
    world.loaded(store)
    queue = world.queue(store)
    assert len(queue.offers("zhang", NOON, 9).leads) == 1
    (entry,) = entries(store)
    assert (entry.phone, entry.added_by) == (world.tel("first"), "lender")
    remove(store, world.tel("first"), queue.staff("chief"), NOON)
    later(world)
    world.loaded(store, NOON + DAY)
    assert len(queue.offers("zhang", NOON + DAY, 9).leads) == 2


def test_when_two_customer_numbers_turn_out_to_be_one_human_their_calls_count_together(
    world: World, store: Store
) -> None:
    for n in range(3):
        world.tried("wei2", "third_person", (n + 1) * HOUR)
    world.loaded(store)
    assert world.queue(store).next("zhang", NOON) is not None
    world.same_human("per_one", "wei", "wei2")
    world.loaded(store)
    assert world.queue(store).next("zhang", NOON) is None


def test_no_plain_value_and_no_collector_s_name_is_in_the_store(world: World, store: Store) -> None:
    world.name("wei", "韦小宝")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("Zhang San", NOON)
    assert lead is not None
    queue.open(lead.lead_id, "Zhang San", "case 17", NOON)
    queue.outcome(lead.lead_id, Outcome.REFUSED, "Zhang San", NOON)
    told = json.dumps(dump(store), default=str, ensure_ascii=False)
    assert not [plain for plain in (*world.plain.values(), "Zhang", "case 17") if plain in told]
    assert queue.staff("Zhang San") in told


def test_a_night_without_a_lead_empties_the_queue(world: World, store: Store) -> None:
    world.loaded(store)
    later(world)
    world.leads = []
    world.written()
    assert read_night(world.lake).as_of_date == NIGHT + DAY
    assert load(store, read_night(world.lake), NOON + DAY).leads == 0
    assert world.queue(store).next("zhang", NOON + DAY) is None


def test_only_the_newest_night_of_the_lake_is_read(world: World) -> None:
    world.written()
    later(world)
    world.written(beside=True)
    night = read_night(world.lake)
    assert (night.as_of_date, len(night.leads), len(night.states)) == (NIGHT + DAY, 2, 1)


def test_a_lake_without_states_says_what_to_do(world: World) -> None:
    with pytest.raises(NightError, match="Run a night that looks for leads"):
        read_night(world.lake)
    world.leads, world.states = [], []
    world.written()
    with pytest.raises(NightError, match="nothing to load"):
        read_night(world.lake)
