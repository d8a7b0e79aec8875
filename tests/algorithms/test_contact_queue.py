"""The work queue: from the night's leads to a call and its outcome, and what is refused on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from algorithms.contact.gate import Outcome
from algorithms.contact.payload import DebtorCall, DebtorLead
from algorithms.contact.store import Store
from tests.algorithms.contact_world import HOUR, MINUTE, NOON, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_from_the_night_to_a_call_and_its_outcome(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new", 0.8)
    world.lead("wei", "second", 0.4)
    assert world.loaded(store).leads == 2
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert isinstance(lead, DebtorLead)
    assert (lead.loan_id, lead.probability, lead.allowed_until) == ("L-wei", 0.8, NOON + 10 * HOUR)
    call = queue.open(lead.lead_id, "zhang", "case 17: call back", NOON)
    assert isinstance(call, DebtorCall)
    assert call.phone_number == world.plain[world.tel("new")]
    (line,) = world.audit.entries()
    assert (line.user, line.object, line.purpose) == ("zhang", world.tel("new"), "case 17: call back")
    ended = queue.outcome(call.call_id, Outcome.RIGHT_PERSON, "zhang", NOON + MINUTE)
    assert (ended.changed, ended.closed) == (True, 1)
    assert queue.next("zhang", NOON + HOUR) is None
