"""Who saw what and why: an append-only log in SQL whose rows are chained by SHA-256.

A changed, removed or inserted row breaks the chain at its number. Rows cut from the end do not: keep the
`head` that `verify` returns somewhere else and compare.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from graph.sql import open_engine

GENESIS = "0" * 64
_LOCK_SECONDS = 30
_ATTEMPTS = 20  # of writers that meet at one number, on databases without SQLite's lock at the beginning

_METADATA = MetaData()
AUDIT = Table(
    "audit",
    _METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
_REFUSE = (
    "CREATE TRIGGER IF NOT EXISTS audit_no_{verb} BEFORE {verb} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
)


class AuditUnavailableError(Exception):
    """The audit log could not be written or read, so that nothing may be shown."""


@dataclass(frozen=True)
class AuditEntry:
    """One row; `at` is UTC in ISO 8601, `object` a token or an id, never a plain value."""

    seq: int
    at: str
    user: str
    action: str
    object: str
    purpose: str
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class Search:
    """Which rows are wanted; all that is given must hold.

    Attributes:
        user: the whole name, however it is capitalized.
        actions: any of them.
        objects: any of these ids is among the words of the object; a part of an id is not.
        since, until: inclusive and exclusive.
        head: the newest number that counts, so that pages do not move while rows are written.
    """

    user: str = ""
    actions: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    head: int | None = None


@dataclass(frozen=True)
class Chain:
    """What `verify` found: `rows` whole rows from the first, the hash of the last, and the first broken number."""

    rows: int
    head: str
    first_broken_seq: int | None


def _hash(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of all columns but `hash`."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class AuditLog:
    """The log at an SQLAlchemy URL; a SQLite file is made on first use, readable by its owner only."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._made: Engine | None = None

    def append(self, *, user: str, action: str, object: str, purpose: str) -> AuditEntry:
        """Write one row and return it once it is on disk.

        Raises:
            AuditUnavailableError: it could not be written; the caller must show nothing.
        """
        fields: dict[str, Any] = {"user": user, "action": action, "object": object, "purpose": purpose}
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    with self._engine().execution_options(write=True).begin() as connection:
                        return self._insert(connection, fields)
                except IntegrityError:  # another writer took the number between our read and our write
                    if attempt == _ATTEMPTS - 1:
                        raise
        except (SQLAlchemyError, OSError, UnicodeError) as error:
            raise self._unavailable("written", error) from None
        raise AssertionError("unreachable")

    def entries(self, limit: int = 100) -> list[AuditEntry]:
        """Return the newest rows, newest first.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        try:
            with self._engine().connect() as connection:
                rows = connection.execute(select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit))
                return [AuditEntry(**row._mapping) for row in rows]
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable("read", error) from None

    def head(self) -> int:
        """Return the newest row's number; 0 for an empty log.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        return self._one(select(func.coalesce(func.max(AUDIT.c.seq), 0)))

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of a row, or None: there is none of that number.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        rows = self.found(Search(head=seq), seq + 1, 1)
        return rows[0].hash if rows and rows[0].seq == seq else None

    def actions(self) -> list[str]:
        """Return the actions that the log has rows of.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        try:
            with self._engine().connect() as connection:
                return sorted(connection.scalars(select(AUDIT.c.action).distinct()))
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable("read", error) from None

    def count(self, search: Search) -> int:
        """Return how many rows a search finds.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        return self._one(select(func.count()).select_from(AUDIT).where(*_conditions(search)))

    def found(self, search: Search, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Return a page of a search, the newest rows first.

        Args:
            before: the last row's number of the page before this one.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        older = [] if before is None else [AUDIT.c.seq < before]
        query = select(AUDIT).where(*_conditions(search), *older).order_by(AUDIT.c.seq.desc()).limit(limit)
        try:
            with self._engine().connect() as connection:
                return [AuditEntry(**row._mapping) for row in connection.execute(query)]
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable("read", error) from None

    def pages(self, search: Search, size: int = 1000) -> Iterator[list[AuditEntry]]:
        """Yield all that a search finds, page by page, the newest rows first.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        before: int | None = None
        while page := self.found(search, before, size):
            yield page
            before = page[-1].seq

    def verify(self, known: Chain | None = None) -> Chain:
        """Walk the chain from its first row and name the first number that is missing, changed or out of place.

        Args:
            known: a whole chain found before; only what was written after it is walked.

        Raises:
            AuditUnavailableError: the log could not be read.
        """
        head, rows = (known.head, known.rows) if known else (GENESIS, 0)
        later = select(AUDIT).where(AUDIT.c.seq > rows).order_by(AUDIT.c.seq)
        try:
            with self._engine().connect() as connection:
                if rows and connection.scalar(select(AUDIT.c.hash).where(AUDIT.c.seq == rows)) != head:
                    return self.verify()  # what was known is there no more: say where it breaks
                found = connection.execution_options(yield_per=1000).execute(later)
                for row in found.mappings():
                    fields = dict(row)
                    digest = fields.pop("hash")
                    whole = fields["seq"] == rows + 1 and fields["previous_hash"] == head and digest == _hash(fields)
                    if not whole:
                        return Chain(rows, head, rows + 1)
                    head, rows = digest, rows + 1
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable("read", error) from None
        return Chain(rows, head, None)

    def _one(self, query: Any) -> int:
        try:
            with self._engine().connect() as connection:
                return int(connection.execute(query).scalar_one())
        except (SQLAlchemyError, OSError) as error:
            raise self._unavailable("read", error) from None

    def _insert(self, connection: Connection, fields: dict[str, Any]) -> AuditEntry:
        last = connection.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
        at = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
        fields = {
            **fields,
            "seq": last.seq + 1 if last else 1,
            "at": at,
            "previous_hash": last.hash if last else GENESIS,
        }
        entry = AuditEntry(hash=_hash(fields), **fields)
        connection.execute(insert(AUDIT).values(hash=entry.hash, **fields))
        return entry

    def _engine(self) -> Engine:
        if self._made is None:
            engine = open_engine(self._url, _LOCK_SECONDS)
            with engine.execution_options(write=True).begin() as connection:
                _METADATA.create_all(connection)
                for verb in ("UPDATE", "DELETE") if engine.dialect.name == "sqlite" else ():
                    connection.execute(text(_REFUSE.format(verb=verb)))
            self._made = engine
        return self._made

    def _unavailable(self, verb: str, error: Exception) -> AuditUnavailableError:
        cause = type(getattr(error, "orig", None) or error).__name__
        return AuditUnavailableError(
            f"The audit log at {self._url.render_as_string(hide_password=True)} could not be {verb} ({cause}), so "
            "nothing is shown. Check that its disk has space and that you may write there, then ask again."
        )


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.user:
        found.append(func.lower(AUDIT.c.user) == search.user.lower())
    if search.actions:
        found.append(AUDIT.c.action.in_(search.actions))
    if search.objects:
        words: Any = AUDIT.c.object
        for mark in (":", "=", ","):
            words = func.replace(words, mark, " ")
        padded = literal(" ") + words + literal(" ")
        found.append(or_(*(padded.contains(f" {id} ", autoescape=True) for id in search.objects)))
    if search.since is not None:
        found.append(AUDIT.c.at >= _written(search.since))
    if search.until is not None:
        found.append(AUDIT.c.at < _written(search.until))
    if search.head is not None:
        found.append(AUDIT.c.seq <= search.head)
    return found


def _written(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds")
