"""The work queue: from the night's leads to a call and its outcome, and what is refused on the way."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.payload import DebtorCall, DebtorLead, ThirdPersonCall, ThirdPersonLead
from algorithms.contact.policy import read_policy
from algorithms.contact.queue import NotNowError, Queue, QueueError
from algorithms.contact.standing import Terms
from algorithms.contact.store import Store
from algorithms.contact.suppression import Reason, add, entries, remove
from graph.audit import AuditLog, AuditUnavailableError
from graph.vault import Vault, VaultError
from tests.algorithms.contact_world import DAY, HOUR, MINUTE, NOON, World, dump


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


def test_a_third_person_comes_after_the_debtor_s_own_number_failed_and_is_told_nothing(
    world: World, store: Store
) -> None:
    world.lost("wei")
    world.lead("wei", "sister", third=True)
    world.name("wei", "韦小宝")
    world.tried("wei", "no_answer", 2 * DAY)
    world.loaded(store)
    queue = world.queue(store)
    assert queue.next("zhang", NOON) is None
    for days in (4, 3):
        world.tried("wei", "no_answer", days * DAY)
    world.loaded(store)
    lead = queue.next("zhang", NOON)
    assert isinstance(lead, ThirdPersonLead)
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    assert isinstance(call, ThirdPersonCall)
    assert (call.phone_number, call.ask_for) == (world.plain[world.tel("sister")], "韦小宝")
    assert [line.object[:4] for line in world.audit.entries()] == ["nam_", "tel_"]


def test_at_night_nothing_is_offered_and_nothing_opened(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    (lead,) = queue.offers("zhang", NOON).leads
    night, morning = NOON + 11 * HOUR, NOON + 20 * HOUR
    assert queue.offers("zhang", night).leads == ()
    assert queue.offers("zhang", night).not_before == morning
    with pytest.raises(NotNowError, match="it is night there") as refused:
        queue.open(lead.lead_id, "zhang", "case 17", night)
    assert refused.value.next_allowed == morning
    late = queue.open(lead.lead_id, "zhang", "case 17", NOON + 10 * HOUR - 5 * MINUTE)
    assert late.dial_until == NOON + 10 * HOUR  # not 15 minutes: the quiet hours begin


def test_who_is_held_out_is_never_offered(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new", 0.99, holdout=True)
    done = world.loaded(store)
    assert (done.leads, done.held_out) == (0, 1)
    assert world.queue(store).next("zhang", NOON) is None


def test_an_address_book_alone_leads_to_no_call_and_neither_does_a_debtor_who_is_not_lost(
    world: World, store: Store
) -> None:
    world.lost("wei")
    world.gave_out("wei")
    world.lead("wei", "friend", third=True, related=False, sources=("address_book",))
    world.lost("li", state="doubtful")
    world.lead("li", "new")
    world.loaded(store)
    assert world.queue(store).offers("zhang", NOON).leads == ()


def test_calls_of_the_lender_and_of_all_collectors_are_counted_together(world: World, store: Store) -> None:
    world.lost("wei")
    world.gave_out("wei")
    world.lead("wei", "new", 0.9)
    world.lead("wei", "sister", 0.8, third=True)
    world.lead("wei", "brother", 0.7, third=True)
    world.tried("wei", "third_person", 2 * HOUR)
    world.loaded(store)
    queue = world.queue(store)
    for collector, minute in (("zhang", 0), ("zhang", 10)):
        lead = queue.next(collector, NOON + minute * MINUTE)
        assert lead is not None
        queue.open(lead.lead_id, collector, "case 17", NOON + minute * MINUTE)
        queue.outcome(lead.lead_id, Outcome.THIRD_PERSON, collector, NOON + (minute + 2) * MINUTE)
    offer = queue.offers("zhang", NOON + HOUR)
    assert offer.leads == ()
    assert offer.not_before == NOON + 20 * HOUR  # the next day begins in the quiet hours, which end at 8


def test_six_unanswered_tries_of_a_number_are_six_whomever_they_were_about(world: World, store: Store) -> None:
    for who in ("wei", "li"):
        world.lost(who)
        world.lead(who, "shared")
    for n in range(5):
        world.tried("li", "no_answer", (n + 1) * 10 * MINUTE, "shared")
    world.loaded(store)
    queue = world.queue(store)
    wei = next(lead for lead in queue.offers("zhang", NOON, 9).leads if lead.loan_id == "L-wei")
    queue.open(wei.lead_id, "zhang", "case 17", NOON)
    queue.outcome(wei.lead_id, Outcome.NO_ANSWER, "zhang", NOON + MINUTE)
    with pytest.raises(NotNowError, match="tried often enough") as refused:
        queue.open(wei.lead_id, "zhang", "case 17", NOON + 2 * MINUTE)
    assert refused.value.rule == Rule.UNANSWERED_PER_DAY


def test_a_number_that_refused_is_called_about_nobody_and_a_person_may_only_lift_the_list(
    world: World, store: Store
) -> None:
    for who in ("wei", "li"):
        world.lost(who)
        world.gave_out(who)
        world.lead(who, "shared", third=True)
    world.loaded(store)
    queue = world.queue(store)
    first, second = (lead.lead_id for lead in queue.offers("zhang", NOON, 9).leads)
    queue.open(first, "zhang", "case 17", NOON)
    queue.outcome(first, Outcome.REFUSED, "zhang", NOON + MINUTE)
    assert queue.next("zhang", NOON + HOUR) is None
    (entry,) = entries(store)
    assert (entry.phone, entry.reason, entry.added_by) == (world.tel("shared"), Reason.REFUSED, queue.staff("zhang"))
    remove(store, world.tel("shared"), queue.staff("li"), NOON + HOUR)
    assert [lead.lead_id for lead in queue.offers("zhang", NOON + 2 * HOUR, 9).leads] == [second]  # not the refused one
    assert entries(store) == []
    assert len(entries(store, removed=True)) == 1


def test_when_the_debtor_is_reached_all_their_leads_are_closed_for_all_their_loans(world: World, store: Store) -> None:
    world.lost("wei", "L-wei", "L-2")
    world.lost("wei2")
    world.lead("wei", "new")
    world.lead("wei", "other", loan="L-2")
    world.lead("wei2", "third")
    world.same_human("per_one", "wei", "wei2")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.offers("zhang", NOON).leads[0]
    queue.open(lead.lead_id, "zhang", "case 17", NOON)
    assert queue.outcome(lead.lead_id, Outcome.RIGHT_PERSON, "zhang", NOON).closed == 2
    assert queue.next("li", NOON + DAY) is None


def test_where_the_audit_log_cannot_be_written_nothing_is_shown_and_nothing_is_reserved(
    world: World, store: Store
) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    (world.folder / "file").write_text("in the way")
    blind = AuditLog(f"sqlite:///{world.folder / 'file' / 'audit.db'}")
    queue = Queue(store, Terms((read_policy("cn"),)), world.keys, Vault(world.lake.vault, world.keys, blind))
    lead = queue.next("zhang", NOON)
    assert lead is not None
    with pytest.raises(AuditUnavailableError):
        queue.open(lead.lead_id, "zhang", "case 17", NOON)
    assert queue.untold() == []
    assert queue.history(lead.lead_id) == []
    with pytest.raises(VaultError, match="stated purpose"):
        world.queue(store).open(lead.lead_id, "zhang", " ", NOON)
    assert world.queue(store).next("li", NOON) == lead


def test_an_outcome_told_twice_changes_nothing_and_another_is_refused(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    assert queue.outcome(call.call_id, Outcome.NO_ANSWER, "zhang", NOON + MINUTE).changed
    before = dump(store)
    assert not queue.outcome(call.call_id, Outcome.NO_ANSWER, "zhang", NOON + HOUR).changed
    with pytest.raises(QueueError, match="ended already: no_answer"):
        queue.outcome(call.call_id, Outcome.REFUSED, "zhang", NOON + HOUR)
    assert dump(store) == before
    with pytest.raises(QueueError, match="no such call"):
        queue.outcome("call_none", Outcome.REFUSED, "zhang", NOON)


def test_while_nobody_says_how_a_call_ended_nobody_calls_about_the_debtor(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new", 0.9)
    world.lead("wei", "other", 0.8)
    world.lost("li")
    world.lead("li", "li's new", 0.1)
    world.loaded(store)
    queue = world.queue(store)
    first, second, third = (lead.lead_id for lead in queue.offers("zhang", NOON, 9).leads)
    call = queue.open(first, "zhang", "case 17", NOON)
    assert [lead.lead_id for lead in queue.offers("li", NOON + 30 * DAY, 9).leads] == [third]
    with pytest.raises(QueueError, match="another collector's"):
        queue.open(second, "li", "case 17", NOON)
    queue.assign(second, "li", "wang", NOON)
    with pytest.raises(NotNowError, match="Another call about this person"):
        queue.open(second, "li", "case 17", NOON + 30 * DAY)
    with pytest.raises(QueueError, match="still open"):
        queue.next("zhang", NOON + DAY)
    with pytest.raises(QueueError, match="still open"):
        queue.open(third, "zhang", "case 18", NOON)
    with pytest.raises(QueueError, match=r"from 2026-07-01 12:30 \(Asia/Shanghai\) on"):
        queue.outcome(call.call_id, Outcome.NO_ANSWER, "wang", NOON + 29 * MINUTE)
    assert queue.outcome(call.call_id, Outcome.NO_ANSWER, "wang", NOON + 30 * MINUTE).changed
    assert queue.offers("li", NOON + 31 * MINUTE, 9).leads[0].lead_id == second


def test_a_call_may_be_opened_again_by_its_collector_while_there_is_time_to_dial(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    call = queue.open(lead.lead_id, "zhang", "case 17", NOON)
    again = queue.open(lead.lead_id, "zhang", "case 17", NOON + 10 * MINUTE)
    assert (again.call_id, again.dial_until) == (call.call_id, NOON + 15 * MINUTE)
    assert len(world.audit.entries()) == 2
    assert len(queue.history(lead.lead_id)) == 1
    with pytest.raises(QueueError, match="time to dial"):
        queue.open(lead.lead_id, "zhang", "case 17", NOON + 16 * MINUTE)
    add(store, world.tel("new"), Reason.COMPLAINT, queue.staff("chief"), NOON)
    with pytest.raises(NotNowError, match="do-not-contact"):
        queue.open(lead.lead_id, "zhang", "case 17", NOON + 11 * MINUTE)


def test_a_number_is_not_shown_again_when_the_quiet_hours_have_begun(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "new")
    world.loaded(store)
    queue = world.queue(store)
    lead = queue.next("zhang", NOON)
    assert lead is not None
    queue.open(lead.lead_id, "zhang", "case 17", NOON + 10 * HOUR - MINUTE)
    with pytest.raises(QueueError, match="time to dial"):
        queue.open(lead.lead_id, "zhang", "case 17", NOON + 10 * HOUR + MINUTE)


def test_a_call_that_stands_in_both_records_is_not_two_failed_tries(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "wei's own", 0.9)
    world.lead("wei", "sister", 0.1, third=True)
    world.tried("wei", "no_answer", 2 * DAY)
    world.loaded(store)
    queue = world.queue(store)
    own = called(queue, Outcome.NO_ANSWER, NOON)
    world.tried("wei", "no_answer", -MINUTE)  # the lender's telephone noted the same call
    world.loaded(store, NOON + HOUR)
    assert [lead.lead_id for lead in queue.offers("zhang", NOON + HOUR, 9).leads] == [own]
    assert called(queue, Outcome.NO_ANSWER, NOON + HOUR) == own
    sister = queue.next("zhang", NOON + 2 * HOUR)
    assert isinstance(sister, ThirdPersonLead)  # the third failed try, told here, opened the way at once


def test_a_stranger_s_number_and_an_invalid_one_are_not_offered_as_the_debtor_s_again(
    world: World, store: Store
) -> None:
    world.lost("wei")
    for phone in ("first", "second"):
        world.lead("wei", phone)
    world.loaded(store)
    queue = world.queue(store)
    called(queue, Outcome.THIRD_PERSON, NOON)
    called(queue, Outcome.INVALID_NUMBER, NOON + MINUTE)
    world.night += DAY
    for row in (*world.leads, *world.states):
        row["as_of_date"] = world.night
    assert world.loaded(store, NOON + DAY).leads == 2
    assert queue.offers("zhang", NOON + DAY, 9).leads == ()


def test_a_borrower_once_begun_or_assigned_is_one_collector_s(world: World, store: Store) -> None:
    world.lost("wei")
    world.lead("wei", "first")
    world.lost("li")
    world.lead("li", "li's")
    world.loaded(store)
    queue = world.queue(store)
    mine = called(queue, Outcome.NO_ANSWER, NOON)
    (other,) = (lead.lead_id for lead in queue.offers("wang", NOON, 9).leads)
    assert other != mine
    queue.assign(mine, "wang", "chief", NOON)
    assert mine in {lead.lead_id for lead in queue.offers("wang", NOON, 9).leads}
    assert mine not in {lead.lead_id for lead in queue.offers("zhang", NOON, 9).leads}
    with pytest.raises(QueueError, match="by name"):
        queue.next("  ", NOON)
    with pytest.raises(QueueError, match="needs a zone"):
        queue.next("zhang", NOON.replace(tzinfo=None))


def called(queue: Queue, outcome: Outcome, at: datetime) -> str:
    """Call the best lead; return its id."""
    lead = queue.next("zhang", at)
    assert lead is not None
    queue.open(lead.lead_id, "zhang", "case 17", at)
    queue.outcome(lead.lead_id, outcome, "zhang", at)
    return lead.lead_id
