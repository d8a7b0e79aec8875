"""The cases of a store. What is noted or changed is only ever added, with who and when; nothing is deleted.

A case has a version that grows with each change of it, so that a second tab that knows an older one is told. Notes do
not meet: they are added whatever else happened.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Connection, ForeignKey, Integer, String, Table, Text, func, insert, select, update

from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore

TITLE_LENGTH = 120
NOTE_LENGTH = 4000

CASES = Table(
    "explorer_cases", METADATA,
    Column("case_id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("ring_id", String, index=True),
    Column("scene_id", String),
    Column("status", String, nullable=False),
    Column("assignee", String, index=True),
    Column("made_by", String, nullable=False, index=True),
    Column("made_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("version", Integer, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("evidence_digest", String, nullable=False),
)  # fmt: skip
ENTRIES = Table(
    "explorer_case_entries", METADATA,
    Column("case_id", String, ForeignKey(CASES.c.case_id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Utc, nullable=False),
    Column("text", Text, nullable=False),
    Column("changes", JSON, nullable=False),
)  # fmt: skip


class Status(StrEnum):
    """How far a case is."""

    OPEN = "open"
    IN_REVIEW = "in_review"
    CLOSED = "closed"


class Kind(StrEnum):
    """What an entry of a case's history is."""

    MADE = "made"
    NOTE = "note"
    CHANGE = "change"
    EVIDENCE = "evidence"
    VERDICT = "verdict"


@dataclass(frozen=True)
class Case:
    """One case. `evidence` is what was known of its ring and its scene when it was taken in, `evidence_digest` its
    SHA-256."""

    case_id: str
    title: str
    ring_id: str | None
    scene_id: str | None
    status: Status
    assignee: str | None
    made_by: str
    made_at: dt.datetime
    changed_at: dt.datetime
    version: int
    evidence: Mapping[str, Any]
    evidence_digest: str
    notes: int = 0

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose case it is: who made it, and to whom it is assigned."""
        return tuple(name for name in (self.made_by, self.assignee) if name)


@dataclass(frozen=True)
class Entry:
    """One entry of a case's history; `changes` has for each field what it was and what it became."""

    number: int
    kind: Kind
    by: str
    at: dt.datetime
    text: str
    changes: Mapping[str, tuple[str | None, str | None]]


class CaseMetError(Exception):
    """Somebody changed the case since it was read; nothing was written. `case` is as it is now."""

    def __init__(self, case: Case) -> None:
        super().__init__("The case was changed meanwhile. Read it anew and change it again.")
        self.case = case


class Cases:
    """The cases of a store; whether a user may see or change one is asked before, with the case."""

    def __init__(self, store: ExplorerStore) -> None:
        self._store = store

    def make(
        self, title: str, by: str, at: dt.datetime, evidence: Mapping[str, Any], digest: str, *,
        ring_id: str | None = None, scene_id: str | None = None, assignee: str | None = None, note: str = "",
    ) -> Case:  # fmt: skip
        """Keep a new case, open, with its first note if there is one."""
        case_id = f"case_{secrets.token_hex(8)}"
        row = {
            "case_id": case_id, "title": title.strip()[:TITLE_LENGTH], "ring_id": ring_id,
            "scene_id": scene_id, "status": Status.OPEN, "assignee": assignee, "made_by": by, "made_at": at,
            "changed_at": at, "version": 1, "evidence": dict(evidence), "evidence_digest": digest,
        }  # fmt: skip
        with self._store.writing() as connection:
            connection.execute(insert(CASES).values(**row))
            _add(connection, case_id, Kind.MADE, by, at)
            if note.strip():
                _add(connection, case_id, Kind.NOTE, by, at, note)
        return _case(row)

    def read(self, case_id: str) -> Case | None:
        """Return a case; None where there is none."""
        with self._store.reading() as connection:
            return _read(connection, case_id)

    def all(self) -> tuple[Case, ...]:
        """Return all cases with the number of their notes, last changed first."""
        notes = (
            select(ENTRIES.c.case_id, func.count().label("notes"))
            .where(ENTRIES.c.kind == Kind.NOTE)
            .group_by(ENTRIES.c.case_id)
            .subquery()
        )
        query = (
            select(CASES, func.coalesce(notes.c.notes, 0).label("notes"))
            .join(notes, notes.c.case_id == CASES.c.case_id, isouter=True)
            .order_by(CASES.c.changed_at.desc(), CASES.c.case_id)
        )
        with self._store.reading() as connection:
            return tuple(_case(row) for row in connection.execute(query).mappings())

    def history(self, case_id: str) -> tuple[Entry, ...]:
        """Return all that was noted and changed, oldest first."""
        query = select(ENTRIES).where(ENTRIES.c.case_id == case_id).order_by(ENTRIES.c.number)
        with self._store.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Entry(row["number"], Kind(row["kind"]), row["by"], row["at"], row["text"],
                  {name: (old, new) for name, (old, new) in row["changes"].items()})
            for row in rows
        )  # fmt: skip

    def note(self, case_id: str, text: str, by: str, at: dt.datetime) -> None:
        """Add a note."""
        with self._store.writing() as connection:
            _locked(connection, case_id)
            _add(connection, case_id, Kind.NOTE, by, at, text)
            connection.execute(update(CASES).where(CASES.c.case_id == case_id).values(changed_at=at))

    def judged(self, case_id: str, verdict: str | None, before: str | None, by: str, at: dt.datetime) -> None:
        """Note that a verdict was given, or taken back (None); the verdict itself lies with the verdicts."""
        with self._store.writing() as connection:
            _locked(connection, case_id)
            _add(connection, case_id, Kind.VERDICT, by, at, changes={"verdict": (before, verdict)})
            connection.execute(update(CASES).where(CASES.c.case_id == case_id).values(changed_at=at))

    def change(self, case_id: str, seen: int, by: str, at: dt.datetime, **wanted: str | None) -> Case:
        """Change title, status, assignee or scene of the version that was seen; the same again changes nothing.

        Raises:
            CaseMetError: the case has another version by now.
        """
        with self._store.writing() as connection:
            case = _locked(connection, case_id)
            changes = {name: (getattr(case, name), to) for name, to in wanted.items() if getattr(case, name) != to}
            if not changes:
                return case
            if case.version != seen:
                raise CaseMetError(case)
            values = {name: to for name, (_, to) in changes.items()}
            return _changed(connection, case, Kind.CHANGE, by, at, values, changes)

    def renew(
        self, case_id: str, seen: int, by: str, at: dt.datetime, evidence: Mapping[str, Any], digest: str
    ) -> Case:
        """Take in the evidence as it is now; the digest of the one before stays in the history.

        Raises:
            CaseMetError: the case has another version by now.
        """
        with self._store.writing() as connection:
            case = _locked(connection, case_id)
            if case.version != seen:
                raise CaseMetError(case)
            values = {"evidence": dict(evidence), "evidence_digest": digest}
            changes = {"evidence": (case.evidence_digest, digest)}
            return _changed(connection, case, Kind.EVIDENCE, by, at, values, changes)


def _read(connection: Connection, case_id: str, *, locked: bool = False) -> Case | None:
    query = select(CASES).where(CASES.c.case_id == case_id)
    row = connection.execute(query.with_for_update() if locked else query).mappings().first()
    return None if row is None else _case(row)


def _locked(connection: Connection, case_id: str) -> Case:
    case = _read(connection, case_id, locked=True)
    assert case is not None, "cases are never deleted, and whoever changes one has read it"
    return case


def _changed(
    connection: Connection, case: Case, kind: Kind, by: str, at: dt.datetime, values: Mapping[str, Any],
    changes: Mapping[str, tuple[str | None, str | None]],
) -> Case:  # fmt: skip
    row = {**values, "version": case.version + 1, "changed_at": at}
    connection.execute(update(CASES).where(CASES.c.case_id == case.case_id).values(**row))
    _add(connection, case.case_id, kind, by, at, changes=changes)
    return _case({**vars(case), **row})


def _add(
    connection: Connection, case_id: str, kind: Kind, by: str, at: dt.datetime, text: str = "",
    changes: Mapping[str, tuple[str | None, str | None]] | None = None,
) -> None:  # fmt: skip
    last = connection.execute(select(func.max(ENTRIES.c.number)).where(ENTRIES.c.case_id == case_id)).scalar()
    row = {
        "case_id": case_id, "number": (last or 0) + 1, "kind": kind, "by": by, "at": at,
        "text": text.strip()[:NOTE_LENGTH], "changes": {name: list(pair) for name, pair in (changes or {}).items()},
    }  # fmt: skip
    connection.execute(insert(ENTRIES).values(**row))


def _case(row: Mapping[Any, Any]) -> Case:
    return Case(**{**dict(row), "status": Status(row["status"])})
