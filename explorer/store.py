"""The explorer's own tables, `explorer_…`, in the store of the work queue: SQLite by default, PostgreSQL by URL.

Pages add theirs to `METADATA`; they are made when the application is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, MetaData, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from graph.sql import open_engine

METADATA = MetaData()
_LOCK_SECONDS = 5
_MAKING = 0xE9  # of the lock under which two processes do not make the tables at once (PostgreSQL)


class ExplorerStoreError(Exception):
    """The store of users, scenes and cases cannot be used; the text says why and what to do."""


class ExplorerStore:
    """The tables at an SQLAlchemy URL; a SQLite file is made on first use, readable by its owner only.

    Raises:
        ExplorerStoreError: the text is no URL of a database that is known here.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ExplorerStoreError(
                "CREDIT_GRAPH_STORE needs an SQLAlchemy URL, for example postgresql://user@host/database."
            ) from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = url
        self._sqlite = parsed.get_backend_name() == "sqlite"
        try:
            self.engine: Engine = open_engine(parsed, _LOCK_SECONDS)
        except OSError as error:
            raise _unusable(error) from None

    def make(self) -> None:
        """Make the tables that are not there yet; those that are stay as they are.

        Raises:
            ExplorerStoreError: the database cannot be reached or used.
        """
        with self.writing() as connection:
            if not self._sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MAKING})"))
            METADATA.create_all(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that waits for nobody.

        Raises:
            ExplorerStoreError: the database cannot be reached or used.
        """
        with _sentences(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is kept if the block ends well.

        Raises:
            ExplorerStoreError: the database cannot be reached or used.
            sqlalchemy.exc.IntegrityError: what is written is there already.
        """
        with _sentences(), self.engine.execution_options(write=True).begin() as connection:
            yield connection


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> ExplorerStoreError:
    cause = type(getattr(error, "orig", None) or error).__name__
    return ExplorerStoreError(
        f"The store of users, scenes and cases could not be used ({cause}). Check that its server runs, that its disk "
        "has space and that you may write there, then try again."
    )
