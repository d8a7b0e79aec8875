"""A night's leads into the work queue, in one transaction: all of a night or nothing of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from algorithms.contact.gate import Outcome
from algorithms.contact.night import Night, Rows
from algorithms.contact.store import ASSIGNMENTS, ATTEMPTS, BORROWERS, ITEMS, LOANS, NIGHTS, PEOPLE, Store
from algorithms.contact.suppression import Reason, bar

LENDER = "lender"
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_AT_ONCE = 500  # keys in one question to the database


class LoadError(Exception):
    """The night does not belong into the queue; the text says why and what to do."""


@dataclass(frozen=True)
class Loaded:
    """What a load did: leads now in the queue, borrowers held out, and whether anything was new."""

    as_of_date: date
    leads: int
    held_out: int
    changed: bool


def load(store: Store, night: Night, now: datetime) -> Loaded:
    """Put a night into the queue; the same night again changes nothing.

    Leads that nobody has finished give way to those of the night, save one that is open; a lead that stays keeps its
    id. Attempts made here are kept for good. The lender's are those of the night. Leads of borrowers who are held out
    do not enter the queue.

    Raises:
        LoadError: a newer night is in the queue already.
    """
    with store.writing(alone=True) as connection:
        newest = connection.execute(select(NIGHTS).order_by(NIGHTS.c.as_of_date.desc()).limit(1)).mappings().first()
        if newest is not None and newest["as_of_date"] > night.as_of_date:
            raise LoadError(
                f"The queue holds the night of {newest['as_of_date']}, which is newer than {night.as_of_date}. Load "
                "the lake of the newer night."
            )
        if newest is not None and newest["digest"] == night.digest:
            return Loaded(night.as_of_date, newest["leads"], newest["held_out"], changed=False)
        same_night = newest is not None and newest["as_of_date"] == night.as_of_date
        _people(connection, night.people)
        _loans(connection, night.states)
        _attempts(connection, night)
        leads = _items(connection, night, same_night)
        held_out = _borrowers(connection, night, now)
        connection.execute(delete(NIGHTS).where(NIGHTS.c.as_of_date == night.as_of_date))
        connection.execute(
            insert(NIGHTS).values(
                as_of_date=night.as_of_date, digest=night.digest, loaded_at=now, leads=leads, held_out=held_out
            )
        )
        kept = select(ITEMS.c.loan_id)
        connection.execute(delete(ASSIGNMENTS).where(ASSIGNMENTS.c.loan_id.not_in(kept)))
    return Loaded(night.as_of_date, leads, held_out, changed=True)


def _people(connection: Connection, people: Rows) -> None:
    """Note who is who tonight; whoever left the lake stays, for attempts hang on them."""
    for part in _parts([row["applicant_id"] for row in people]):
        connection.execute(delete(PEOPLE).where(PEOPLE.c.applicant_id.in_(part)))
    if people:
        connection.execute(insert(PEOPLE), people)


def _loans(connection: Connection, states: Rows) -> None:
    """Note the states of the night in place of all others, save that of a loan about which a call is open."""
    told = [
        {name: row[name] for name in ("loan_id", "applicant_id", "state", "lost_since", "overdue_cny")}
        | {"numbers": list(row["numbers"] or ())}
        for row in states
    ]
    calls = select(ATTEMPTS.c.loan_id).where(ATTEMPTS.c.outcome.is_(None))
    connection.execute(delete(LOANS).where(LOANS.c.loan_id.not_in(calls)))
    for part in _parts([row["loan_id"] for row in told]):
        connection.execute(delete(LOANS).where(LOANS.c.loan_id.in_(part)))
    if told:
        connection.execute(insert(LOANS), told)


def _attempts(connection: Connection, night: Night) -> None:
    """Make the lender's attempts those of the night, except ones that were made here and came back with our id."""
    loans = {row.loan_id: row.applicant_id for row in connection.execute(select(LOANS.c.loan_id, LOANS.c.applicant_id))}
    columns = [ATTEMPTS.c[name] for name in ("attempt_id", "loan_id", "applicant_id", "phone", "at", "outcome",
                                            "channel", "collector", "source")]  # fmt: skip
    here = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.source == "here")
    ours = set(connection.execute(here).scalars())
    wanted = {}
    for row in night.attempts:
        if row["attempt_id"] in ours:
            continue
        wanted[row["attempt_id"]] = {
            "attempt_id": row["attempt_id"], "loan_id": row["loan_id"],
            "applicant_id": loans.get(row["loan_id"], row["applicant_id"]), "phone": row["phone"],
            "at": row["attempted_at"], "outcome": row["outcome"], "channel": row["channel"],
            "collector": row["collector"], "source": LENDER,
        }  # fmt: skip
        if row["outcome"] == Outcome.REFUSED:
            bar(connection, row["phone"], Reason.REFUSED, LENDER, row["attempted_at"], once=True)
    held = {
        row["attempt_id"]: dict(row)
        for row in connection.execute(select(*columns).where(ATTEMPTS.c.source == LENDER)).mappings()
    }
    stale = [key for key, row in held.items() if wanted.get(key) != row]
    for part in _parts(stale):
        connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.attempt_id.in_(part)))
    if fresh := [row for key, row in wanted.items() if held.get(key) != row]:
        connection.execute(insert(ATTEMPTS), fresh)


def _items(connection: Connection, night: Night, same_night: bool) -> int:
    """Bring the leads of the queue to those of the night; return how many are to be called."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in night.leads:
        if not row["holdout"]:
            best.setdefault((row["loan_id"], row["phone"]), row)
    columns = (ITEMS.c.lead_id, ITEMS.c.loan_id, ITEMS.c.phone, ITEMS.c.state)
    held = {(row.loan_id, row.phone): row for row in connection.execute(select(*columns))}
    gone = [row.lead_id for key, row in held.items() if row.state != "open" and key not in best]
    for part in _parts(gone):
        connection.execute(delete(ITEMS).where(ITEMS.c.lead_id.in_(part)))
    fresh, kept = [], []
    for key, row in best.items():
        values = {
            "as_of_date": night.as_of_date, "rank": row["rank"], "route": row["route"], "via": list(row["via"] or ()),
            "probability": row["probability"], "call_to": row["call_to"], "related": bool(row["related"]),
            "sources": sorted(row["sources"] or ()), "evidence": json.loads(row["evidence"] or "[]"),
        }  # fmt: skip
        old = held.get(key)
        if old is None:
            values |= {"loan_id": key[0], "phone": key[1], "lead_id": f"lead_{secrets.token_hex(8)}",
                       "state": "ready", "stamp": 0}  # fmt: skip
            fresh.append(values)
        elif old.state == "ready" or (old.state == "done" and not same_night):
            kept.append(values | {"b_lead": old.lead_id})
    if kept:
        again = update(ITEMS).where(ITEMS.c.lead_id == bindparam("b_lead"))
        connection.execute(again.values(state="ready", not_before=None, stamp=ITEMS.c.stamp + 1), kept)
    if fresh:
        connection.execute(insert(ITEMS), fresh)
    return len(best)


def _borrowers(connection: Connection, night: Night, now: datetime) -> int:
    """Note who was reached, and which lost loans came to have leads, anew only after another loss.

    Return how many lost loans with leads are held out.
    """
    lost = {row["loan_id"]: row["lost_since"] or _EARLIEST for row in night.states if row["state"] == "lost"}
    offered: dict[str, dict[str, Any]] = {}
    for row in night.leads:
        if row["loan_id"] in lost:
            offered.setdefault(row["loan_id"], row)
    waiting = connection.execute(select(BORROWERS).where(BORROWERS.c.reached_at.is_(None))).mappings().all()
    right = select(ATTEMPTS.c.applicant_id, ATTEMPTS.c.at).where(ATTEMPTS.c.outcome == Outcome.RIGHT_PERSON)
    spoken: dict[str, list[datetime]] = {}
    person = {row["applicant_id"]: row["person_id"] for row in night.people}
    for spoke in connection.execute(right):
        spoken.setdefault(person.get(spoke.applicant_id, spoke.applicant_id), []).append(spoke.at)
    reachable = {row["loan_id"] for row in night.states if row["state"] == "reachable"}
    for entry in waiting:
        who = person.get(entry["applicant_id"], entry["applicant_id"])
        times = [at for at in spoken.get(who, ()) if at > entry["entered_at"]]
        if entry["loan_id"] in reachable:
            times.append(now)
        if times:
            one = (BORROWERS.c.loan_id == entry["loan_id"]) & (BORROWERS.c.entered_at == entry["entered_at"])
            connection.execute(update(BORROWERS).where(one).values(reached_at=min(times)))
    last: dict[str, datetime] = {}  # until when nobody enters anew: reached since, or never yet
    for seen in connection.execute(select(BORROWERS.c.loan_id, BORROWERS.c.reached_at)):
        last[seen.loan_id] = max(last.get(seen.loan_id, _EARLIEST), seen.reached_at or _LATEST)
    fresh = [
        {"loan_id": loan, "entered_at": now, "applicant_id": row["applicant_id"], "holdout": bool(row["holdout"]),
         "reached_at": None}
        for loan, row in offered.items() if loan not in last or lost[loan] > last[loan]
    ]  # fmt: skip
    if fresh:
        connection.execute(insert(BORROWERS), fresh)
    return sum(bool(row["holdout"]) for row in offered.values())


def _parts(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE))
