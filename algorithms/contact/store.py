"""The tables of the work queue in SQL, and its two ways in: to read, and to write one after another.

SQLite by default (write-ahead log, full sync; a writer takes the lock before it reads), PostgreSQL by URL (rows of one
debtor are locked, so that debtors do not wait for each other). Numbers, names and collectors are tokens here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    text,
)  # fmt: skip
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from graph.sql import open_engine

SCHEMA_VERSION = "1"
_MAKING = 0x1EAD  # of the lock under which two processes do not make the tables at once (PostgreSQL)


class StoreError(Exception):
    """The store of the work queue cannot be used; the text says why and what to do."""


class Utc(TypeDecorator[datetime]):
    """A moment as text of one width, so that every database orders and returns it alike, with its zone."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        """Return the text of a moment; one without a zone is an error of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("Every time needs a zone; give UTC.")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        """Return the moment of a text, in UTC."""
        return None if value is None else datetime.fromisoformat(value)


_METADATA = MetaData()
META = Table("meta", _METADATA, Column("key", String, primary_key=True), Column("value", String, nullable=False))
NIGHTS = Table(
    "nights", _METADATA,
    Column("as_of_date", Date, primary_key=True),
    Column("digest", String, nullable=False),
    Column("loaded_at", Utc, nullable=False),
    Column("leads", Integer, nullable=False),
    Column("held_out", Integer, nullable=False),
)  # fmt: skip
PEOPLE = Table(  # its rows are what a call locks
    "people", _METADATA,
    Column("applicant_id", String, primary_key=True),
    Column("person_id", String, nullable=False, index=True),
    Column("name", String),
)  # fmt: skip
LOANS = Table(
    "loans", _METADATA,
    Column("loan_id", String, primary_key=True),
    Column("applicant_id", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("lost_since", Utc),
    Column("numbers", JSON, nullable=False),
    Column("overdue_cny", Float),
)  # fmt: skip
ITEMS = Table(
    "items", _METADATA,
    Column("lead_id", String, primary_key=True),
    Column("loan_id", String, nullable=False, index=True),
    Column("phone", String, nullable=False, index=True),
    Column("as_of_date", Date, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("route", String, nullable=False),
    Column("via", JSON, nullable=False),
    Column("probability", Float, nullable=False),
    Column("call_to", String, nullable=False),  # debtor, third_person
    Column("related", Boolean, nullable=False),
    Column("sources", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("state", String, nullable=False),  # ready, open, done
    Column("tried_at", Utc),
    Column("not_before", Utc),  # no sooner than this, as the gate said when it was last asked
    Column("stamp", Integer, nullable=False),  # counts what may make `not_before` wrong
    Index("items_once", "loan_id", "phone", unique=True),
    Index("items_in_order", "state", "probability"),
)  # fmt: skip
ATTEMPTS = Table(
    "attempts", _METADATA,
    Column("attempt_id", String, primary_key=True),
    Column("source", String, nullable=False),  # here, lender
    Column("loan_id", String, nullable=False, index=True),
    Column("applicant_id", String, nullable=False, index=True),
    Column("phone", String, nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("outcome", String),  # none: the call is open
    Column("channel", String),
    Column("collector", String),
    # Of calls made here: what was known of the lead when it was opened, whom it locks, who said how it ended.
    Column("lead_id", String, index=True),
    Column("as_of_date", Date),
    Column("rank", Integer),
    Column("route", String),
    Column("probability", Float),
    Column("call_to", String),
    Column("debtor", String),
    Column("told_at", Utc),
    Column("told_by", String),
)  # fmt: skip
# Even a mistake in our code cannot open two calls about a debtor, to a number, or of a collector at a time.
for _name in ("debtor", "phone", "collector"):
    _open = ATTEMPTS.c.outcome.is_(None)
    Index(f"one_open_{_name}", ATTEMPTS.c[_name], unique=True, sqlite_where=_open, postgresql_where=_open)
DO_NOT_CONTACT = Table(
    "do_not_contact", _METADATA,
    Column("entry", Integer, primary_key=True),
    Column("phone", String, nullable=False, index=True),
    Column("reason", String, nullable=False),
    Column("added_by", String, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("removed_by", String),
    Column("removed_at", Utc),
)  # fmt: skip
ASSIGNMENTS = Table(
    "assignments", _METADATA,
    Column("loan_id", String, primary_key=True),
    Column("collector", String, nullable=False, index=True),
    Column("assigned_by", String, nullable=False),
    Column("assigned_at", Utc, nullable=False),
)  # fmt: skip
BORROWERS = Table(  # who is compared by `uplift`: each time a loan comes to have leads
    "borrowers", _METADATA,
    Column("loan_id", String, primary_key=True),
    Column("entered_at", Utc, primary_key=True),
    Column("applicant_id", String, nullable=False, index=True),
    Column("holdout", Boolean, nullable=False),
    Column("reached_at", Utc),
)  # fmt: skip


class Store:
    """The store at an SQLAlchemy URL; a SQLite file is made on first use, readable by its owner only.

    Raises:
        StoreError: the text is no URL of a database that is known here.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise StoreError(
                "CREDIT_GRAPH_STORE needs an SQLAlchemy URL, for example postgresql://user@host/database, and holds "
                "something else."
            ) from None
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise StoreError(f"The work queue lives in SQLite or PostgreSQL; not in {parsed.get_backend_name()}.")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._url = parsed
        self._made: Engine | None = None
        self._making = Lock()

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees what was written and waits for nobody.

        Raises:
            StoreError: the database cannot be reached or used.
        """
        with self._sentences(), self._engine().connect() as connection:
            yield connection

    @contextmanager
    def writing(self, alone: bool = False) -> Iterator[Connection]:
        """Open a transaction that is kept if the block ends well; `alone`: while no other writes.

        Raises:
            StoreError: the database cannot be reached or used.
            sqlalchemy.exc.IntegrityError: what is written is there already.
        """
        with self._sentences(), self._engine().execution_options(write=True).begin() as connection:
            version = select(META.c.value).where(META.c.key == "schema_version")
            connection.execute(version.with_for_update(read=not alone))
            yield connection

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise self._unusable(error) from error

    def _engine(self) -> Engine:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Engine:
        try:
            engine = open_engine(self._url)
        except OSError as error:
            raise self._unusable(error) from None
        with engine.execution_options(write=True).begin() as connection:
            if engine.dialect.name != "sqlite":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MAKING})"))
            _METADATA.create_all(connection)
            found = connection.execute(select(META.c.value).where(META.c.key == "schema_version")).scalar()
            if found is None:
                connection.execute(insert(META).values(key="schema_version", value=SCHEMA_VERSION))
        if found not in (None, SCHEMA_VERSION):
            raise StoreError(
                f"The work queue at {self.name} has tables of version {found}; this program needs version "
                f"{SCHEMA_VERSION}. Use the program that made it, or another CREDIT_GRAPH_STORE."
            )
        return engine

    def _unusable(self, error: Exception) -> StoreError:
        cause = type(getattr(error, "orig", None) or error).__name__
        return StoreError(
            f"The work queue at {self.name} could not be used ({cause}). Check that its server runs, that its disk "
            "has space and that you may write there, then try again."
        )
