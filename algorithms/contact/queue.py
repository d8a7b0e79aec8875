"""The collectors' work queue: the best lead that is lawful now, its number for a purpose, and how the call ended.

A number is shown only while its call is open. One call about a debtor is open at a time; until somebody says how it
ended, nobody else may call about the debtor, whatever may have been said in it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from algorithms.contact.debtors import call_made, leads, lock, open_call, settle, standings
from algorithms.contact.gate import Outcome, Rule
from algorithms.contact.offering import NEVER, Later, candidates, note, soonest
from algorithms.contact.payload import (
    Call,
    DebtorCall,
    DebtorLead,
    Lead,
    PastCall,
    ThirdPersonCall,
    debtor_lead,
    label,
    third_person_lead,
)  # fmt: skip
from algorithms.contact.refusals import NotNowError, QueueError, Why, busy, clock, denied, still_open, zoned
from algorithms.contact.standing import Standing, Terms, quiet_from, quiet_until
from algorithms.contact.store import ASSIGNMENTS, ATTEMPTS, ITEMS, PEOPLE, Store
from algorithms.contact.suppression import Reason, bar
from graph.identifiers import canonical
from graph.tokens import Keys, Kind
from graph.vault import Vault, VaultError

__all__ = ["Ended", "NotNowError", "Offer", "Queue", "QueueError", "Seen", "Untold", "Why"]

DIAL_WITHIN = timedelta(minutes=15)  # of opening; a number seen earlier must be asked for anew
TOLD_BY_OTHERS = timedelta(minutes=30)  # after which others may say how a collector's call ended
_COPIED = (  # from the lead to the call, so that it can be learned from when the lead is gone
    "lead_id", "loan_id", "applicant_id", "phone", "as_of_date", "rank", "route", "probability", "call_to",
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """The leads that may be called now, best first; if none, from when on there may be one (UTC), if that is known."""

    leads: tuple[Lead, ...]
    not_before: datetime | None = None


@dataclass(frozen=True)
class Ended:
    """What telling an outcome did: whether it was news, and how many other leads it closed."""

    call_id: str
    outcome: Outcome
    changed: bool
    closed: int = 0


@dataclass(frozen=True)
class Untold:
    """A call that is open: since when (UTC), and the token of its collector."""

    call_id: str
    lead_id: str
    at: datetime
    collector: str


@dataclass(frozen=True)
class Seen:
    """One lead as it stands: whether it may be called now, and if not, the gate's rule against it.

    Without a rule, a lead that may not be called is open, closed, or its number failed.
    """

    lead: Lead
    allowed: bool
    rule: Rule | None
    open: bool = False


class Queue:
    """The queue of one store under the policies in force; `keys` name collectors, `vault` shows numbers."""

    def __init__(self, store: Store, terms: Terms, keys: Keys, vault: Vault) -> None:
        self._store = store
        self.terms = terms
        self._keys = keys
        self._vault = vault

    def staff(self, user: str) -> str:
        """Return the token that stands for a collector, the same as in the lender's records.

        Raises:
            QueueError: no name was given.
        """
        value = canonical(Kind.STAFF, user).value
        if value is None:
            raise QueueError("A collector is needed by name, and none was given. Say --user, for example --user zhang.")
        return self._keys.token(Kind.STAFF, value)

    def assign(self, lead_id: str, collector: str, by: str, now: datetime) -> None:
        """Give a borrower's leads to a collector; others are no longer offered them.

        Raises:
            QueueError: there is no such lead.
        """
        zoned(now)
        with self._store.writing() as connection:
            item = self._item(connection, lead_id, locked=True)
            _assign(connection, item["loan_id"], self.staff(collector), self.staff(by), now)

    def offers(self, collector: str, now: datetime, limit: int = 1) -> Offer:
        """Return up to `limit` leads that the collector may call at `now`.

        Those of their own borrowers come first, then those tried today come last, then by falling probability. Leads
        of other collectors' borrowers, and of debtors about whom a call is open, are left out.

        Raises:
            QueueError: the collector has a call of which nobody has said how it ended.
        """
        me = self.staff(collector)
        zoned(now)
        until = quiet_until(self.terms, now)
        found: list[Lead] = []
        later: Later = {}
        with self._store.reading() as connection:
            if waiting := open_call(connection, me):
                raise still_open(waiting)
            if until is not None:
                return Offer((), until)
            ends = quiet_from(self.terms, now)
            for items in candidates(connection, self.terms, me, now):
                asked = standings(connection, items, now)
                for item in items:
                    standing = asked[item["person_id"]]
                    decision = standing.may(item, self.terms, now)
                    failed = standing.failed(item)
                    if decision.allowed and not failed:
                        found.append(_payload(item, allowed_until=ends, next_allowed_at=now))
                        if len(found) == limit:
                            break
                    else:
                        later[item["lead_id"]] = (item["stamp"], NEVER if failed else decision.next_allowed or NEVER)
                if len(found) == limit:
                    break
            not_before = None if found else soonest(connection, me, now, later)
        note(self._store, later)
        return Offer(tuple(found), not_before)

    def next(self, collector: str, now: datetime) -> Lead | None:
        """Return the best lead that the collector may call at `now`, or None.

        Raises:
            QueueError: the collector has a call of which nobody has said how it ended.
        """
        return next(iter(self.offers(collector, now).leads), None)

    def look(self, lead_id: str, collector: str, now: datetime) -> Seen:
        """Return one lead as it stands at `now`.

        Raises:
            QueueError: there is no such lead, or it is another collector's.
        """
        me = self.staff(collector)
        zoned(now)
        with self._store.reading() as connection:
            item = self._item(connection, lead_id)
            _theirs(item, me)
            return self._seen(item, standings(connection, [item], now)[item["person_id"]], now)

    def waiting(self, collector: str, now: datetime, limit: int = 20) -> tuple[Seen, ...]:
        """Return leads of the collector's own borrowers that may not be called now, the soonest lawful first.

        Left out are those that no waiting makes lawful.
        """
        me = self.staff(collector)
        zoned(now)
        mine = leads().where(ASSIGNMENTS.c.collector == me, ITEMS.c.state == "ready")
        with self._store.reading() as connection:
            items = [dict(row) for row in connection.execute(mine).mappings()]
            asked = standings(connection, items, now)
            seen = [self._seen(item, asked[item["person_id"]], now) for item in items]
        later = [(one.lead.next_allowed_at, one) for one in seen if not one.allowed and one.rule is not None]
        dated = sorted(((at, one) for at, one in later if at is not None), key=lambda pair: pair[0])
        return tuple(one for _, one in dated[:limit])

    def do_not_contact(self, lead_id: str, reason: Reason, collector: str, now: datetime) -> bool:
        """Put a lead's number on the do-not-contact list, for everybody; return whether it was not on it.

        A call that is open to it stays open until somebody says how it ended.

        Raises:
            QueueError: there is no such lead, or it is another collector's.
        """
        me = self.staff(collector)
        zoned(now)
        with self._store.writing() as connection:
            item = self._item(connection, lead_id, locked=True)
            _theirs(item, me)
            return bar(connection, item["phone"], reason, me, now)

    def open(self, lead_id: str, collector: str, purpose: str, now: datetime) -> Call:
        """Reserve the call and show its plain number, after a line in the audit log.

        All in one transaction that locks the debtor: the gate is asked again, the call is written down as open, the
        audit log gets its line, the number is read. If any of it fails, nothing is shown and nothing is reserved. The
        collector who has it open may open it again, with another audit line.

        Raises:
            NotNowError: the call is not lawful now, or another one about the debtor, or to the number, is open.
            QueueError: there is no such lead, it is another collector's, or the collector has another call open.
            graph.audit.AuditUnavailableError: the audit log could not be written.
            graph.vault.VaultError: the vault does not show the number, or no purpose was given.
        """
        me = self.staff(collector)
        zoned(now)
        try:
            with self._store.writing() as connection:
                item = self._item(connection, lead_id, locked=True)
                call_id, at = self._reserve(connection, item, me, now)
                number = self._vault.reveal(item["phone"], collector, purpose)
                name = self._name(item["name"], collector, purpose)
        except IntegrityError:
            raise busy() from None
        dial_until = self._dial_until(at)
        lead = _payload(item, allowed_until=dial_until, next_allowed_at=now)
        if isinstance(lead, DebtorLead):
            return DebtorCall(call_id, lead, number, name, dial_until)
        return ThirdPersonCall(call_id, lead, number, name, dial_until)

    def outcome(self, call_id: str, outcome: Outcome, collector: str, now: datetime) -> Ended:
        """Write down how an open call ended; the same again changes nothing.

        A refusal puts the number on the do-not-contact list. When the debtor was reached, or refused, all other leads
        to them are closed. `call_id` may also be the id of the lead that is open.

        Raises:
            QueueError: there is no such call, it ended otherwise, or it is another collector's and less than
                `TOLD_BY_OTHERS` old.
        """
        me = self.staff(collector)
        zoned(now)
        with self._store.writing() as connection:
            call = _told(connection, call_id)
            lock(connection, call["applicant_id"])
            call = _told(connection, call_id)  # as it is now that nobody else can change it
            if call["outcome"] is not None:
                if call["outcome"] == outcome:
                    return Ended(call["attempt_id"], outcome, changed=False)
                text = f"The call {call['attempt_id']} has ended already: {call['outcome']}. It stays so."
                raise QueueError(text, Why.ENDED)
            if call["collector"] != me and now - call["at"] < TOLD_BY_OTHERS:
                raise QueueError(
                    "Another collector has this call open. Others may say how it ended from "
                    f"{clock(call['at'] + TOLD_BY_OTHERS, self.terms.zone)} on.",
                    Why.NOT_YET_YOURS,
                )
            told = {"outcome": outcome, "told_at": max(now, call["at"]), "told_by": me}
            connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.attempt_id == call["attempt_id"]).values(**told))
            if outcome == Outcome.REFUSED:
                bar(connection, call["phone"], Reason.REFUSED, me, now)
            again = outcome == Outcome.NO_ANSWER
            connection.execute(
                update(ITEMS)
                .where(ITEMS.c.lead_id == call["lead_id"])
                .values(state="ready" if again else "done", tried_at=call["at"])
            )
            closed = settle(connection, call, outcome)
        return Ended(call["attempt_id"], outcome, changed=True, closed=closed)

    def history(self, lead_id: str) -> list[PastCall]:
        """Return earlier calls, newest first: to the debtor all about them, to a third person those to their number.

        Raises:
            QueueError: there is no such lead.
        """
        with self._store.reading() as connection:
            item = self._item(connection, lead_id)
            mine = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id == item["person_id"])
            query = select(ATTEMPTS).where(ATTEMPTS.c.applicant_id.in_(mine)).order_by(ATTEMPTS.c.at.desc())
            if item["call_to"] != "debtor":
                query = query.where(ATTEMPTS.c.phone == item["phone"])
            rows = connection.execute(query).mappings().all()
        return [PastCall(row["at"], label(row["phone"]), row["outcome"], row["source"] == "here") for row in rows]

    def untold(self, collector: str | None = None) -> list[Untold]:
        """Return the calls of which nobody has said how they ended, oldest first; of one collector or all."""
        query = select(ATTEMPTS).where(ATTEMPTS.c.outcome.is_(None)).order_by(ATTEMPTS.c.at)
        if collector is not None:
            query = query.where(ATTEMPTS.c.collector == self.staff(collector))
        with self._store.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Untold(row["attempt_id"], row["lead_id"], row["at"], row["collector"]) for row in rows]

    def _item(self, connection: Connection, lead_id: str, locked: bool = False) -> dict[str, Any]:
        found = leads().where(ITEMS.c.lead_id == lead_id)
        item = connection.execute(found).mappings().first()
        if item is not None and locked:
            lock(connection, item["applicant_id"])
            item = connection.execute(found).mappings().first()
        if item is None:
            raise QueueError(
                "There is no such lead; a newer night may have replaced it. Ask for the next one.", Why.GONE
            )
        return dict(item)

    def _seen(self, item: dict[str, Any], standing: Standing, now: datetime) -> Seen:
        decision = standing.may(item, self.terms, now)
        ready = item["state"] == "ready" and not standing.failed(item)
        allowed = ready and decision.allowed
        until = quiet_from(self.terms, now) if allowed else None
        lead = _payload(item, allowed_until=until, next_allowed_at=decision.next_allowed if ready else None)
        return Seen(lead, allowed, decision.rule if ready else None, item["state"] == "open")

    def _dial_until(self, opened: datetime) -> datetime:
        quiet = quiet_from(self.terms, opened)
        return min(opened + DIAL_WITHIN, quiet) if quiet else opened + DIAL_WITHIN

    def _name(self, token: str | None, collector: str, purpose: str) -> str | None:
        """Return for whom to ask; None where no name is known or it was erased."""
        try:
            return self._vault.reveal(token, collector, purpose) if token else None
        except VaultError:
            return None

    def _reserve(self, connection: Connection, item: dict[str, Any], me: str, now: datetime) -> tuple[str, datetime]:
        """Write down that a call is open, or find that it is; return its id and when it was opened."""
        mine = open_call(connection, me)
        call = None if mine is None else _told(connection, mine)
        if call is not None and call["lead_id"] != item["lead_id"]:
            raise still_open(call["attempt_id"])
        if call is not None and now > self._dial_until(call["at"]):
            text = f"The time to dial in {mine} has passed. Say how it ended, then open the lead anew."
            raise QueueError(text, Why.LATE)
        _theirs(item, me)
        if item["state"] == "done":
            raise QueueError("This lead is closed. Ask for the next one.", Why.CLOSED)
        people = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id == item["person_id"])
        concerned = or_(ATTEMPTS.c.applicant_id.in_(people), ATTEMPTS.c.phone == item["phone"])
        others = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.outcome.is_(None), ATTEMPTS.c.collector != me)
        if connection.execute(others.where(concerned)).first():
            raise busy()
        standing = standings(connection, [item], now)[item["person_id"]]
        decision = standing.may(item, self.terms, now)
        if not decision.allowed:
            raise denied(decision, self.terms.zone)
        if standing.failed(item):
            text = "This number was found invalid, or another person's. Ask for the next lead."
            raise QueueError(text, Why.DEAD_NUMBER)
        if call is not None:
            return call["attempt_id"], call["at"]
        call_id = f"call_{secrets.token_hex(12)}"
        connection.execute(
            insert(ATTEMPTS).values(
                attempt_id=call_id, source="here", at=now, outcome=None, channel="call", collector=me,
                debtor=item["person_id"], **{name: item[name] for name in _COPIED},
            )
        )  # fmt: skip
        connection.execute(update(ITEMS).where(ITEMS.c.lead_id == item["lead_id"]).values(state="open"))
        if item["collector"] is None:
            _assign(connection, item["loan_id"], me, me, now)
        return call_id, now


def _payload(item: dict[str, Any], **when: datetime | None) -> Lead:
    return (debtor_lead if item["call_to"] == "debtor" else third_person_lead)(item, **when)


def _theirs(item: dict[str, Any], me: str) -> None:
    if item["collector"] not in (None, me):
        raise QueueError("This lead is another collector's. Ask for the next one.", Why.OTHERS)


def _told(connection: Connection, call_id: str) -> dict[str, Any]:
    found = call_made(connection, call_id)
    if found is None:
        text = "There is no such call. `leads queue` shows the one that is open; a call begins with `open`."
        raise QueueError(text, Why.NO_CALL)
    return found


def _assign(connection: Connection, loan_id: str, collector: str, by: str, now: datetime) -> None:
    connection.execute(ASSIGNMENTS.delete().where(ASSIGNMENTS.c.loan_id == loan_id))
    connection.execute(
        insert(ASSIGNMENTS).values(loan_id=loan_id, collector=collector, assigned_by=by, assigned_at=now)
    )
