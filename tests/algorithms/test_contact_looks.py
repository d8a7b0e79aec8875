"""What the work queue tells a screen beside its offers: a lead as it stands, what waits, a number put on the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.payload import ThirdPersonLead
from algorithms.contact.queue import QueueError, Why
from algorithms.contact.store import Store
from algorithms.contact.suppression import Reason, entries
from tests.algorithms.contact_world import HOUR, MINUTE, NOON, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_lead_is_looked_at_without_being_opened(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new", 0.8)
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.offers("zhang", NOON).leads[0]
    assert queue.look(lead.lead_id, "zhang", NOON).lead == lead
    night = queue.look(lead.lead_id, "zhang", NOON + 11 * HOUR)
    assert (night.allowed, night.rule, night.lead.allowed_until) == (False, Rule.QUIET_HOURS, None)
    assert night.lead.next_allowed_at == NOON + 20 * HOUR
    assert not queue.untold()
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    seen = queue.look(lead.lead_id, "zhang", NOON)
    assert (seen.open, seen.allowed) == (True, False)
    queue.outcome(call.call_id, Outcome.RIGHT_PERSON, "zhang", NOON)
    seen = queue.look(lead.lead_id, "zhang", NOON)
    assert (seen.open, seen.allowed, seen.rule, seen.lead.next_allowed_at) == (False, False, None, None)


def test_another_collector_s_lead_is_neither_looked_at_nor_barred(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.offers("zhang", NOON).leads[0]
    queue.assign(lead.lead_id, "wang", "chief", NOON)
    for ask in (
        lambda: queue.look(lead.lead_id, "zhang", NOON),
        lambda: queue.do_not_contact(lead.lead_id, Reason.COMPLAINT, "zhang", NOON),
    ):
        with pytest.raises(QueueError) as refused:
            ask()
        assert refused.value.why == Why.OTHERS
    assert entries(store) == []
    with pytest.raises(QueueError) as refused:
        queue.look("lead_no", "zhang", NOON)
    assert refused.value.why == Why.GONE


def test_what_waits_is_told_with_the_rule_the_soonest_first_and_without_what_waiting_does_not_help(
    world: World, store: Store
) -> None:
    for who in ("wei", "han"):
        world.lost(who)
        world.lead(who, f"{who}'s new", 0.8)
    world.lead("wei", "wei's sister", 0.4, third=True)
    world.gave_out("wei")
    world.loaded(store)
    queue = world.queue(store)
    sister = next(one for one in queue.offers("zhang", NOON, 9).leads if isinstance(one, ThirdPersonLead))
    assert queue.waiting("zhang", NOON) == ()  # they are nobody's
    queue.assign(sister.lead_id, "zhang", "chief", NOON)
    night = NOON + 11 * HOUR
    waiting = queue.waiting("zhang", night)
    assert {one.rule for one in waiting} == {Rule.QUIET_HOURS}
    assert len(waiting) == 2  # of wei, not of han
    assert queue.waiting("zhang", night, 1) == waiting[:1]
    queue.do_not_contact(sister.lead_id, Reason.ASKED, "zhang", NOON)
    assert sister.lead_id not in {one.lead.lead_id for one in queue.waiting("zhang", night)}


def test_a_number_on_the_list_is_offered_to_nobody_and_an_open_call_to_it_still_wants_an_end(
    world: World, store: Store
) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.offers("zhang", NOON).leads[0]
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    assert queue.do_not_contact(lead.lead_id, Reason.COURT, "zhang", NOON)
    assert not queue.do_not_contact(lead.lead_id, Reason.COURT, "zhang", NOON)
    (line,) = entries(store)
    assert (line.phone, line.reason) == (world.tel("new"), Reason.COURT)
    assert [one.call_id for one in queue.untold("zhang")] == [call.call_id]
    queue.outcome(call.call_id, Outcome.NO_ANSWER, "zhang", NOON + MINUTE)
    assert queue.offers("wang", NOON + HOUR).leads == ()
    assert queue.look(lead.lead_id, "zhang", NOON + HOUR).rule == Rule.DO_NOT_CONTACT
