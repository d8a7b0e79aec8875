"""What people say of rings: one standing verdict a ring, and all that stood before it.

A verdict keeps who was in the ring and a digest of its evidence as they were read. One that is replaced or withdrawn
stays with the moment it ended; nothing is deleted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Date, Index, String, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError

from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore
from graph.rings import Ring

NOTE_LENGTH = 1000
_ID_BYTES = 12

VERDICTS = Table(
    "explorer_verdicts", METADATA,
    Column("verdict_id", String, primary_key=True),
    Column("ring_id", String, nullable=False, index=True),
    Column("as_of_date", Date, nullable=False),
    Column("verdict", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("note", Text, nullable=False),
    Column("evidence_digest", String, nullable=False),
    Column("members", JSON, nullable=False),
    Column("ended_at", Utc),
    Column("ended_by", String),
)  # fmt: skip
_STANDS = VERDICTS.c.ended_at.is_(None)
Index("explorer_verdicts_one", VERDICTS.c.ring_id, unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS)


class Verdict(StrEnum):
    """What a person says of a ring."""

    CONFIRMED = "confirmed"
    CLEARED = "cleared"
    UNSURE = "unsure"


class VerdictMetError(Exception):
    """Somebody else judged the ring, or took a verdict back, since the page was opened; nothing was written."""


@dataclass(frozen=True)
class Judged:
    """One verdict. `members` are the persons of the ring's core and its other members as they were then."""

    verdict_id: str
    ring_id: str
    as_of_date: dt.date
    verdict: Verdict
    by: str
    at: dt.datetime
    note: str
    evidence_digest: str
    members: tuple[str, ...]
    ended_at: dt.datetime | None = None
    ended_by: str | None = None


def evidence_digest(ring: Ring) -> str:
    """Return the SHA-256 of what a verdict rests on: the evidence and who is in the ring in which role, in JSON."""
    said = [[item.text, item.nodes, item.relationships] for item in ring.evidence]
    members = sorted([member.person_id, member.role or ""] for member in ring.members)
    text = json.dumps([said, members], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def judged_members(ring: Ring) -> tuple[str, ...]:
    """Return whom a verdict on the ring is about: all but a suspected agent, whom nobody has said anything of."""
    return tuple(member.person_id for member in ring.members if member.role != "suspected_agent")


class Verdicts:
    """The verdicts of a store."""

    def __init__(self, store: ExplorerStore) -> None:
        self._store = store

    def give(
        self, ring: Ring, verdict: Verdict, by: str, at: dt.datetime, note: str = "", replaces: str | None = None
    ) -> Judged:
        """Write down a verdict; the one it `replaces` ends at the same moment.

        Raises:
            VerdictMetError: the ring's standing verdict is not the one that was seen.
        """
        assert ring.as_of_date is not None, "a ring that a night found has its day"
        made = Judged(
            secrets.token_urlsafe(_ID_BYTES), ring.id, ring.as_of_date, verdict, by, at, note.strip()[:NOTE_LENGTH],
            evidence_digest(ring), judged_members(ring),
        )  # fmt: skip
        try:
            with self._store.writing() as connection:
                stands = connection.execute(
                    select(VERDICTS.c.verdict_id).where(VERDICTS.c.ring_id == ring.id, _STANDS).with_for_update()
                ).scalar()
                if stands != replaces:
                    raise VerdictMetError
                connection.execute(
                    update(VERDICTS).where(VERDICTS.c.verdict_id == stands).values(ended_at=at, ended_by=by)
                )
                connection.execute(insert(VERDICTS).values(**vars(made) | {"members": list(made.members)}))
        except IntegrityError:  # two gave the first verdict at once, on a database without SQLite's lock
            raise VerdictMetError from None
        return made

    def withdraw(self, verdict_id: str, ring_id: str, by: str, at: dt.datetime) -> None:
        """Take the standing verdict of a ring back: it has none then.

        Raises:
            VerdictMetError: it does not stand any more.
        """
        with self._store.writing() as connection:
            ended = connection.execute(
                update(VERDICTS)
                .where(VERDICTS.c.verdict_id == verdict_id, VERDICTS.c.ring_id == ring_id, _STANDS)
                .values(ended_at=at, ended_by=by)
            )
            if not ended.rowcount:
                raise VerdictMetError

    def standing(self) -> dict[str, Judged]:
        """Return the standing verdict of each ring that has one."""
        with self._store.reading() as connection:
            rows = connection.execute(select(VERDICTS).where(_STANDS)).all()
        return {row.ring_id: _judged(row._mapping) for row in rows}

    def of(self, ring_id: str) -> tuple[Judged, ...]:
        """Return all verdicts on a ring, newest first; the first stands if it has no end."""
        return self._read(VERDICTS.c.ring_id == ring_id)

    def all(self) -> tuple[Judged, ...]:
        """Return all verdicts there ever were, newest first."""
        return self._read(VERDICTS.c.ring_id.is_not(None))

    def _read(self, which: Any) -> tuple[Judged, ...]:
        with self._store.reading() as connection:
            rows = connection.execute(select(VERDICTS).where(which).order_by(VERDICTS.c.at.desc())).all()
        return tuple(_judged(row._mapping) for row in rows)


def _judged(row: Mapping[Any, Any]) -> Judged:
    return Judged(**dict(row) | {"verdict": Verdict(row["verdict"]), "members": tuple(row["members"])})
