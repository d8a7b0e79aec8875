"""The collectors' work queue: the best lead that is lawful now, its number for a purpose, and how the call ended.

A number is shown only while its call is open. One call about a debtor is open at a time; until somebody says how it
ended, nobody else may call about the debtor, whatever may have been said in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from algorithms.contact.debtors import call_made, leads, lock, not_of_others, open_call, settle, standings
from algorithms.contact.gate import Decision, Outcome, Rule
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
from algorithms.contact.standing import Terms, day_begins, quiet_from, quiet_until
from algorithms.contact.store import ASSIGNMENTS, ATTEMPTS, ITEMS, PEOPLE, Store
from algorithms.contact.suppression import Reason, bar
from graph.identifiers import canonical
from graph.tokens import Keys, Kind
from graph.vault import Vault, VaultError

DIAL_WITHIN = timedelta(minutes=15)  # of opening; a number seen earlier must be asked for anew
TOLD_BY_OTHERS = timedelta(minutes=30)  # after which others may say how a collector's call ended
_PAGE = 200
_BUSY = "Another call about this person, or to this number, is open. Take the next lead."
_COPIED = (  # from the lead to the call, so that it can be learned from when the lead is gone
    "lead_id", "loan_id", "applicant_id", "phone", "as_of_date", "rank", "route", "probability", "call_to",
)  # fmt: skip
_NEVER = datetime.max.replace(tzinfo=UTC)

# What a collector is told, without a word about a debt: such sentences stand beside leads to third persons too.
_WHY: dict[Rule, str] = {
    Rule.DO_NOT_CONTACT: "the number is on the do-not-contact list",
    Rule.REFUSED: "whoever answered there refused",
    Rule.NOT_LOST: "the person was reached, or is not proven lost",
    Rule.PROVENANCE: "where the number is known from is not enough to call it",
    Rule.DEBTOR_FIRST: "the person's own numbers come first",
    Rule.ONCE_ONLY: "this third person was spoken to already",
    Rule.QUIET_HOURS: "it is night there",
    Rule.CONNECTED_PER_DAY: "enough calls were answered today",
    Rule.UNANSWERED_PER_DAY: "the number was tried often enough today",
    Rule.CALLS_PER_WEEK: "enough calls were made within a week",
    Rule.AFTER_CONVERSATION: "the last conversation is too recent",
}


class QueueError(Exception):
    """The queue cannot do what was asked; the text says why and what to do."""


class NotNowError(QueueError):
    """The call is not lawful now; `rule` is the gate's, None where another call is open, and when it may be made."""

    def __init__(self, text: str, rule: Rule | None = None, next_allowed: datetime | None = None) -> None:
        super().__init__(text)
        self.rule = rule
        self.next_allowed = next_allowed


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
        _zoned(now)
        with self._store.writing() as connection:
            item = self._item(connection, lead_id, locked=True)
            _assign(connection, item["loan_id"], self.staff(collector), self.staff(by), now)

    def offers(self, collector: str, now: datetime, limit: int = 1) -> Offer:
        """Return up to `limit` leads that the collector may call at `now`: their own first, then by probability.

        Leads of other collectors, of debtors with an open call, and numbers tried today and not answered come not at
        all, not at all, and last.

        Raises:
            QueueError: the collector has a call of which nobody has said how it ended.
        """
        me = self.staff(collector)
        _zoned(now)
        until = quiet_until(self.terms, now)
        found: list[Lead] = []
        later: dict[str, tuple[int, datetime]] = {}
        with self._store.reading() as connection:
            if waiting := open_call(connection, me):
                raise _open(waiting)
            if until is not None:
                return Offer((), until)
            ends = quiet_from(self.terms, now)
            for items in self._candidates(connection, me, now):
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
                        later[item["lead_id"]] = (item["stamp"], _NEVER if failed else decision.next_allowed or _NEVER)
                if len(found) == limit:
                    break
            soonest = None if found else self._soonest(connection, me, later)
        self._note(later)
        return Offer(tuple(found), soonest)

    def next(self, collector: str, now: datetime) -> Lead | None:
        """Return the best lead that the collector may call at `now`, or None.

        Raises:
            QueueError: the collector has a call of which nobody has said how it ended.
        """
        return next(iter(self.offers(collector, now).leads), None)

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
        _zoned(now)
        try:
            with self._store.writing() as connection:
                item = self._item(connection, lead_id, locked=True)
                call_id, at = self._reserve(connection, item, me, now)
                number = self._vault.reveal(item["phone"], collector, purpose)
                name = self._name(item["name"], collector, purpose)
        except IntegrityError:
            raise NotNowError(
                "Another call about this person, or to this number, is open. Take the next lead."
            ) from None
        quiet = quiet_from(self.terms, now)
        dial_until = min(at + DIAL_WITHIN, quiet) if quiet else at + DIAL_WITHIN
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
        _zoned(now)
        with self._store.writing() as connection:
            call = _told(connection, call_id)
            lock(connection, call["applicant_id"])
            call = _told(connection, call_id)  # as it is now that nobody else can change it
            if call["outcome"] is not None:
                if call["outcome"] == outcome:
                    return Ended(call["attempt_id"], outcome, changed=False)
                raise QueueError(f"The call {call['attempt_id']} has ended already: {call['outcome']}. It stays so.")
            if call["collector"] != me and now - call["at"] < TOLD_BY_OTHERS:
                raise QueueError(
                    f"Another collector has this call open. From {call['at'] + TOLD_BY_OTHERS:%H:%M} UTC on others may "
                    "say how it ended."
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
            raise QueueError("There is no such lead; a newer night may have replaced it. Ask for the next one.")
        return dict(item)

    def _name(self, token: str | None, collector: str, purpose: str) -> str | None:
        """Return for whom to ask; None where no name is known or it was erased."""
        try:
            return self._vault.reveal(token, collector, purpose) if token else None
        except VaultError:
            return None

    def _reserve(self, connection: Connection, item: dict[str, Any], me: str, now: datetime) -> tuple[str, datetime]:
        """Write down that a call is open, or find that it is; return its id and when it was opened."""
        mine = open_call(connection, me)
        if mine is not None:
            call = _told(connection, mine)
            if call["lead_id"] != item["lead_id"]:
                raise QueueError(
                    f"The call {mine} is still open. Say how it ended first: leads outcome {mine} OUTCOME."
                )
            if now > call["at"] + DIAL_WITHIN:
                raise QueueError(
                    f"The time to dial in the call {mine} has passed. Say how it ended, then open it anew."
                )
            return mine, call["at"]
        if item["collector"] not in (None, me):
            raise QueueError("This lead is another collector's. Ask for the next one.")
        if item["state"] == "done":
            raise QueueError("This lead is closed. Ask for the next one.")
        people = select(PEOPLE.c.applicant_id).where(PEOPLE.c.person_id == item["person_id"])
        busy = or_(ATTEMPTS.c.applicant_id.in_(people), ATTEMPTS.c.phone == item["phone"])
        if connection.execute(select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.outcome.is_(None), busy)).first():
            raise NotNowError(_BUSY)
        standing = standings(connection, [item], now)[item["person_id"]]
        decision = standing.may(item, self.terms, now)
        if not decision.allowed:
            raise _denied(decision)
        if standing.failed(item):
            raise QueueError("This number was found invalid, or another person's. Ask for the next lead.")
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

    def _candidates(self, connection: Connection, me: str, now: datetime) -> Iterable[Sequence[dict[str, Any]]]:
        """Yield leads that are not known to be unlawful now, in pages, best first."""
        other = PEOPLE.alias()
        called = select(other.c.person_id).join(ATTEMPTS, ATTEMPTS.c.applicant_id == other.c.applicant_id)
        tried = case((ITEMS.c.tried_at >= day_begins(self.terms, now), 1), else_=0)
        best = (
            leads()
            .with_only_columns(ITEMS.c.lead_id)
            .where(ITEMS.c.state == "ready", or_(ITEMS.c.not_before.is_(None), ITEMS.c.not_before <= now))
            .where(not_of_others(me), PEOPLE.c.person_id.not_in(called.where(ATTEMPTS.c.outcome.is_(None))))
            .order_by(case((ASSIGNMENTS.c.collector == me, 0), else_=1), tried, ITEMS.c.probability.desc(),
                      ITEMS.c.loan_id, ITEMS.c.rank)
        )  # fmt: skip
        # Nearly always the first page holds a lead; the order of the others is then never worked out.
        for ids in (best.limit(_PAGE), best.offset(_PAGE)):
            found = list(connection.execute(ids).scalars())
            for page in range(0, len(found), _PAGE):
                wanted = found[page : page + _PAGE]
                rows = connection.execute(leads().where(ITEMS.c.lead_id.in_(wanted))).mappings()
                by_id = {row["lead_id"]: dict(row) for row in rows}
                yield [by_id[lead_id] for lead_id in wanted if lead_id in by_id]

    def _soonest(self, connection: Connection, me: str, later: dict[str, tuple[int, datetime]]) -> datetime | None:
        """Return when the first lead that is denied for a while becomes lawful; None: none does by waiting."""
        query = select(ITEMS.c.not_before).where(
            ITEMS.c.state == "ready", ITEMS.c.not_before.is_not(None), not_of_others(me)
        )
        joined = query.join(ASSIGNMENTS, ASSIGNMENTS.c.loan_id == ITEMS.c.loan_id, isouter=True)
        first = connection.execute(joined.order_by(ITEMS.c.not_before).limit(1)).scalar()
        times = [at for at in (first, *(at for _, at in later.values())) if at is not None and at != _NEVER]
        return min(times, default=None)

    def _note(self, later: dict[str, tuple[int, datetime]]) -> None:
        """Keep until when leads need not be looked at, unless something happened to them meanwhile."""
        if not later:
            return
        with self._store.writing() as connection:
            # Whoever is just writing about a lead makes the note pointless: it is left out, and nobody waits.
            free = select(ITEMS.c.lead_id, ITEMS.c.stamp).with_for_update(skip_locked=True)
            ids = sorted(later)
            for page in range(0, len(ids), _PAGE):
                for row in connection.execute(free.where(ITEMS.c.lead_id.in_(ids[page : page + _PAGE]))).all():
                    stamp, at = later[row.lead_id]
                    if row.stamp == stamp:
                        connection.execute(update(ITEMS).where(ITEMS.c.lead_id == row.lead_id).values(not_before=at))


def _payload(item: dict[str, Any], **when: datetime | None) -> Lead:
    return (debtor_lead if item["call_to"] == "debtor" else third_person_lead)(item, **when)


def _denied(decision: Decision) -> NotNowError:
    assert decision.rule is not None
    at = decision.next_allowed
    wait = f"It may be made from {at:%Y-%m-%d %H:%M} UTC on." if at else "Waiting does not help; take the next lead."
    return NotNowError(f"This call may not be made now: {_WHY[decision.rule]}. {wait}", decision.rule, at)


def _zoned(now: datetime) -> None:
    if now.tzinfo is None:
        raise QueueError("Every time needs a zone; give UTC.")


def _open(call_id: str) -> QueueError:
    return QueueError(f"The call {call_id} is still open. Say how it ended first: leads outcome {call_id} OUTCOME.")


def _told(connection: Connection, call_id: str) -> dict[str, Any]:
    found = call_made(connection, call_id)
    if found is None:
        raise QueueError("There is no such call. `leads queue` shows the one that is open; a call begins with `open`.")
    return found


def _assign(connection: Connection, loan_id: str, collector: str, by: str, now: datetime) -> None:
    connection.execute(ASSIGNMENTS.delete().where(ASSIGNMENTS.c.loan_id == loan_id))
    connection.execute(
        insert(ASSIGNMENTS).values(loan_id=loan_id, collector=collector, assigned_by=by, assigned_at=now)
    )
