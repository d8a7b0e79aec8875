"""What the store knows of one debtor, as the gate wants to be told it. Pure: rows in, a decision out.

Where two readings of the record are possible the call must be lawful under both, so that the stricter one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from algorithms.contact.gate import Attempt, Call, Decision, History, Outcome, may_contact
from algorithms.contact.policy import Policy

SAME_CALL = timedelta(minutes=30)  # within which a call of the lender's record is taken for one made here
_FOUND = frozenset({"reachable", "refused", "deceased"})

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Terms:
    """The policies in force, and the zone in which debtors and those who know them are taken to be."""

    policies: tuple[Policy, ...]
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True)
class Standing:
    """One human's side of the store: the rows of `loans` and of ended `attempts`, and which of the numbers are barred.

    `elsewhere` are unanswered attempts at the same numbers about other debtors: a number's tries are counted together.
    """

    loans: tuple[Row, ...]
    attempts: tuple[Row, ...]
    elsewhere: tuple[Row, ...] = ()
    barred: frozenset[str] = frozenset()

    def history(self, loan_id: str, phone: str, terms: Terms, now: datetime, *, twice: bool = True) -> History:
        """Return what the gate looks at before a call about a loan.

        Without `twice`, a call that the lender's record and ours may both hold counts once: failed tries of the
        debtor's own numbers are then not doubled. An attempt dated after `now`, by another clock, counts as of now.
        """
        numbers = frozenset(number for loan in self.loans for number in loan["numbers"])
        rows = self.attempts if twice else _once(self.attempts)
        here = [
            Attempt(
                min(row["at"], now), row["phone"], row["loan_id"],
                row["outcome"] == Outcome.RIGHT_PERSON
                or (row["phone"] in numbers if row["source"] == "lender" else row["call_to"] == "debtor"),
                Outcome(row["outcome"]),
            )
            for row in sorted(rows, key=lambda row: (row["at"], row["attempt_id"]))
        ]  # fmt: skip
        others = [
            Attempt(min(row["at"], now), row["phone"], row["loan_id"], False, Outcome(row["outcome"]))
            for row in self.elsewhere
            if row["phone"] == phone
        ]
        return History((*here, *others), numbers, self._lost_since(loan_id), self.barred, terms.zone)

    def may(self, item: Row, terms: Terms, now: datetime) -> Decision:
        """Return whether the lead of a row of `items` may be called at `now`."""
        call = Call(
            item["phone"], item["loan_id"], "debtor" if item["call_to"] == "debtor" else "third_person", (terms.zone,),
            bool(item["related"]), frozenset(item["sources"]),
        )  # fmt: skip
        told = (self.history(item["loan_id"], item["phone"], terms, now, twice=twice) for twice in (True, False))
        asked = (may_contact(history, call, terms.policies, now) for history in dict.fromkeys(told))
        denied = [decision for decision in asked if not decision.allowed]
        if not denied:
            return Decision(True, None, None, now)
        when = [d.next_allowed for d in denied if d.next_allowed is not None]
        return replace(denied[0], next_allowed=max(when) if len(when) == len(denied) else None)

    def failed(self, item: Row) -> bool:
        """Return whether the number was invalid when last tried, or a stranger's where it was thought the debtor's."""
        tried = [row for row in self.attempts if row["phone"] == item["phone"]]
        last = max(tried, key=lambda row: (row["at"], row["attempt_id"]), default=None)
        stranger = item["call_to"] == "debtor" and last is not None and last["outcome"] == Outcome.THIRD_PERSON
        return stranger or (last is not None and last["outcome"] == Outcome.INVALID_NUMBER)

    def _lost_since(self, loan_id: str) -> datetime | None:
        """Return since when the debtor is lost; None where one of their loans says that they were found."""
        if any(loan["state"] in _FOUND for loan in self.loans):
            return None
        lost = [loan for loan in self.loans if loan["state"] == "lost" and loan["lost_since"] is not None]
        return min(loan["lost_since"] for loan in lost) if any(loan["loan_id"] == loan_id for loan in lost) else None


def _once(rows: Sequence[Row]) -> tuple[Row, ...]:
    made = [row for row in rows if row["source"] == "here"]
    return tuple(
        row
        for row in rows
        if row["source"] == "here"
        or not any(own["phone"] == row["phone"] and abs(own["at"] - row["at"]) <= SAME_CALL for own in made)
    )


def quiet_from(terms: Terms, now: datetime) -> datetime | None:
    """Return when the next quiet hours begin, `now` itself if they hold; None if there are none within a day."""
    if not _awake(terms, now):
        return now
    minute = now.replace(second=0, microsecond=0)
    for quarter in range(1, 97):
        end = minute + quarter * timedelta(minutes=15)
        if not _awake(terms, end):
            return next(at for m in range(14, -1, -1) if not _awake(terms, at := end - timedelta(minutes=m)))
    return None


def quiet_until(terms: Terms, now: datetime) -> datetime | None:
    """Return when the quiet hours that hold at `now` end; None if they do not hold."""
    found = _nobody(terms, now)
    return None if found.allowed else found.next_allowed


def day_begins(terms: Terms, now: datetime) -> datetime:
    """Return the midnight, in UTC, with which the local day of `now` began."""
    local = now.astimezone(ZoneInfo(terms.zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


def _awake(terms: Terms, at: datetime) -> bool:
    return _nobody(terms, at).allowed


def _nobody(terms: Terms, at: datetime) -> Decision:
    """Ask the gate about a debtor without a past: only the hour can stand against the call."""
    blank = History((), frozenset(), at, debtor_zone=terms.zone)
    return may_contact(blank, Call("tel_", "", "debtor", (terms.zone,)), terms.policies, at)
