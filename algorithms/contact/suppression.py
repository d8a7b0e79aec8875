"""The list of numbers that nobody may call: kept for good, by token, with why, who and when. No free text in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from algorithms.contact.store import DO_NOT_CONTACT, ITEMS, Store


class Reason(StrEnum):
    """Why a number is on the list, or leaves it."""

    REFUSED = "refused"  # who answered does not want to be called
    ASKED = "asked"  # by letter, at the counter, through another channel
    STRANGER = "stranger"  # does not know the person
    COMPLAINT = "complaint"
    LAWYER = "lawyer"
    COURT = "court"
    DECEASED = "deceased"
    MISTAKE = "mistake"  # of an entry that should not have been made


class SuppressionError(Exception):
    """The list was not changed; the text says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One line of the list; `added_by` and `removed_by` are tokens of staff, or `lender`."""

    phone: str
    reason: Reason
    added_by: str
    added_at: datetime
    removed_by: str | None
    removed_at: datetime | None


def bar(connection: Connection, phone: str, reason: Reason, by: str, at: datetime, *, once: bool = False) -> bool:
    """Put a number on the list in an open transaction; return whether it was not on it.

    With `once`, a number that ever was on the list for this reason by the same source stays as a person left it.
    """
    stands = DO_NOT_CONTACT.c.phone == phone
    told = (DO_NOT_CONTACT.c.reason == reason) & (DO_NOT_CONTACT.c.added_by == by)
    before = stands & (DO_NOT_CONTACT.c.removed_at.is_(None) | told if once else DO_NOT_CONTACT.c.removed_at.is_(None))
    if connection.execute(select(DO_NOT_CONTACT.c.entry).where(before).limit(1)).first() is not None:
        return False
    connection.execute(insert(DO_NOT_CONTACT).values(phone=phone, reason=reason, added_by=by, added_at=at))
    return True


def barred(connection: Connection, phones: list[str] | None = None) -> frozenset[str]:
    """Return the numbers on the list, of those asked about or all."""
    query = select(DO_NOT_CONTACT.c.phone).where(DO_NOT_CONTACT.c.removed_at.is_(None))
    if phones is not None:
        query = query.where(DO_NOT_CONTACT.c.phone.in_(phones))
    return frozenset(connection.execute(query).scalars())


def remove(store: Store, phone: str, by: str, at: datetime) -> None:
    """Take a number off the list; its line stays, with who did it. A refusal in a debtor's record goes on denying.

    Raises:
        SuppressionError: it is not on the list.
    """
    with store.writing() as connection:
        on_it = (DO_NOT_CONTACT.c.phone == phone) & DO_NOT_CONTACT.c.removed_at.is_(None)
        done = connection.execute(update(DO_NOT_CONTACT).where(on_it).values(removed_by=by, removed_at=at))
        if not done.rowcount:
            raise SuppressionError(f"{phone} is not on the list. `leads do-not-contact list` shows who is.")
        again = update(ITEMS).where(ITEMS.c.phone == phone)
        connection.execute(again.values(not_before=None, stamp=ITEMS.c.stamp + 1))


def add(store: Store, phone: str, reason: Reason, by: str, at: datetime) -> bool:
    """Put a number on the list; return whether it was not on it."""
    with store.writing() as connection:
        return bar(connection, phone, reason, by, at)


def entries(store: Store, *, removed: bool = False) -> list[Entry]:
    """Return the list, newest first; with `removed` also the lines that no longer stand."""
    query = select(DO_NOT_CONTACT).order_by(DO_NOT_CONTACT.c.added_at.desc(), DO_NOT_CONTACT.c.entry.desc())
    if not removed:
        query = query.where(DO_NOT_CONTACT.c.removed_at.is_(None))
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        Entry(row["phone"], Reason(row["reason"]), row["added_by"], row["added_at"], row["removed_by"],
              row["removed_at"])
        for row in rows
    ]  # fmt: skip
