"""Questions about debtors that are asked inside a transaction: their leads, their calls, their lock, their standing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update

from algorithms.contact.gate import Outcome
from algorithms.contact.standing import Standing
from algorithms.contact.store import ASSIGNMENTS, ATTEMPTS, BORROWERS, ITEMS, LOANS, PEOPLE
from algorithms.contact.suppression import barred


def leads() -> Any:
    """Return the question for leads with all that a call needs: the loan, who the debtor is, whose lead it is."""
    return (
        select(ITEMS, LOANS.c.applicant_id, LOANS.c.overdue_cny, PEOPLE.c.person_id, PEOPLE.c.name,
               ASSIGNMENTS.c.collector)
        .join(LOANS, LOANS.c.loan_id == ITEMS.c.loan_id)
        .join(PEOPLE, PEOPLE.c.applicant_id == LOANS.c.applicant_id)
        .join(ASSIGNMENTS, ASSIGNMENTS.c.loan_id == ITEMS.c.loan_id, isouter=True)
    )  # fmt: skip


def not_of_others(me: str) -> Any:
    """Return the condition that a lead is nobody's or the collector's own."""
    return or_(ASSIGNMENTS.c.collector.is_(None), ASSIGNMENTS.c.collector == me)


def lock(connection: Connection, applicant_id: str) -> None:
    """Wait until nobody else writes about the debtor, and keep others waiting until the transaction ends."""
    person = select(PEOPLE.c.person_id).where(PEOPLE.c.applicant_id == applicant_id).scalar_subquery()
    rows = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id == person).order_by(PEOPLE.c.applicant_id)
    connection.execute(rows.with_for_update()).all()


def open_call(connection: Connection, me: str) -> str | None:
    """Return the id of the call that a collector has open."""
    query = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.collector == me, ATTEMPTS.c.outcome.is_(None))
    return connection.execute(query).scalar()


def call_made(connection: Connection, call_id: str) -> dict[str, Any] | None:
    """Return a call made here by its id, or the newest one of a lead by the lead's."""
    key = ATTEMPTS.c.lead_id if call_id.startswith("lead_") else ATTEMPTS.c.attempt_id
    query = select(ATTEMPTS).where(key == call_id, ATTEMPTS.c.source == "here").order_by(ATTEMPTS.c.at.desc()).limit(1)
    found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


def settle(connection: Connection, call: dict[str, Any], outcome: Outcome) -> int:
    """Let the debtor's other leads know: close them if the debtor was found, else let the gate be asked anew."""
    person = select(PEOPLE.c.person_id).where(PEOPLE.c.applicant_id == call["applicant_id"]).scalar_subquery()
    theirs = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id == person)
    loans = connection.execute(select(LOANS.c.loan_id).where(LOANS.c.applicant_id.in_(theirs))).scalars().all()
    ready = update(ITEMS).where(ITEMS.c.loan_id.in_(loans), ITEMS.c.state == "ready")
    if outcome == Outcome.RIGHT_PERSON:
        lost = update(BORROWERS).where(BORROWERS.c.applicant_id.in_(theirs), BORROWERS.c.reached_at.is_(None))
        connection.execute(lost.values(reached_at=call["at"]))
    found = outcome == Outcome.RIGHT_PERSON or (outcome == Outcome.REFUSED and call["call_to"] == "debtor")
    if found:
        return connection.execute(ready.values(state="done")).rowcount
    connection.execute(ready.values(not_before=None, stamp=ITEMS.c.stamp + 1))
    return 0


def standings(connection: Connection, items: Sequence[dict[str, Any]], now: datetime) -> dict[str, Standing]:
    """Return the standing of each debtor of these leads, by person; calls that are open are not in it."""
    persons, phones = sorted({item["person_id"] for item in items}), sorted({item["phone"] for item in items})
    owner = {
        row.applicant_id: row.person_id
        for row in connection.execute(
            select(PEOPLE.c.applicant_id, PEOPLE.c.person_id).where(PEOPLE.c.person_id.in_(persons))
        )
    }
    theirs = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id.in_(persons))
    loans: dict[str, list[Any]] = {person: [] for person in persons}
    for row in connection.execute(select(LOANS).where(LOANS.c.applicant_id.in_(theirs))).mappings():
        loans[owner[row["applicant_id"]]].append(row)
    made: dict[str, list[Any]] = {person: [] for person in persons}
    ended = select(ATTEMPTS).where(ATTEMPTS.c.outcome.is_not(None))
    for row in connection.execute(ended.where(ATTEMPTS.c.applicant_id.in_(theirs))).mappings():
        made[owner[row["applicant_id"]]].append(row)
    unanswered = ended.where(
        ATTEMPTS.c.phone.in_(phones), ATTEMPTS.c.outcome.in_((Outcome.NO_ANSWER, Outcome.INVALID_NUMBER)),
        ATTEMPTS.c.at >= now - timedelta(days=2),
    )  # fmt: skip
    elsewhere = [dict(row) for row in connection.execute(unanswered).mappings()]
    stop = barred(connection, phones)
    return {
        person: Standing(
            tuple(loans[person]), tuple(made[person]),
            tuple(row for row in elsewhere if owner.get(row["applicant_id"]) != person), stop,
        )
        for person in persons
    }  # fmt: skip
