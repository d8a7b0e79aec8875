"""When each user looked last, and at which night's graph: so that the next look can show what has changed since."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Column, Date, String, Table, insert, select, update

from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore

_SAME_VISIT = dt.timedelta(minutes=30)

LOOKS = Table(
    "explorer_looks", METADATA,
    Column("user", String, primary_key=True),
    Column("looked_at", Utc, nullable=False),
    Column("night", Date),
    Column("before_at", Utc),
    Column("before_night", Date),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """A visit before this one: when it ended, and the night whose graph was there then."""

    at: dt.datetime
    night: dt.date | None


def look(store: ExplorerStore, user: str, night: dt.date | None, now: dt.datetime | None = None) -> Look | None:
    """Note that a user looks now at the graph of a night; return the visit before this one, None at the first.

    Looks less than half an hour apart are one visit.
    """
    now = now or dt.datetime.now(dt.UTC)
    with store.writing() as connection:
        row = connection.execute(select(LOOKS).where(LOOKS.c.user == user).with_for_update()).first()
        if row is None:
            connection.execute(insert(LOOKS).values(user=user, looked_at=now, night=night))
            return None
        new = {"looked_at": now, "night": night}
        before = (row.before_at, row.before_night)
        if now - row.looked_at > _SAME_VISIT:
            before = (row.looked_at, row.night)
        new |= {"before_at": before[0], "before_night": before[1]}
        connection.execute(update(LOOKS).where(LOOKS.c.user == user).values(**new))
    return None if before[0] is None else Look(*before)
