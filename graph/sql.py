"""How stores in SQLite or PostgreSQL are opened: by their owner only, whole after a power cut, many at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

_WAIT_SECONDS = 30
_STEP_SECONDS = 0.02


def open_engine(url: URL, lock_seconds: float = _WAIT_SECONDS) -> Engine:
    """Return the engine of a database; a SQLite file is made if it is not there, readable by its owner only.

    In SQLite a transaction of a connection with the execution option `write` waits for its turn before it reads, so
    that what it reads, decides and writes is one step; a reader waits for nobody. PostgreSQL needs no such option.

    Args:
        lock_seconds: how long a writer waits for others (SQLite).

    Raises:
        OSError: the file cannot be made.
    """
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database and url.database != ":memory:":
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    engine = create_engine(url, connect_args={"timeout": lock_seconds})
    event.listen(engine, "connect", _connected)
    event.listen(engine, "begin", _begin)
    return engine


def write_ahead(connection: Any) -> None:
    """Let a file be read while it is written, and lose nothing that was written when the power fails.

    The change to a write-ahead log does not wait for others' locks as statements do, so it is tried again.

    Args:
        connection: of `sqlite3`, outside of a transaction.

    Raises:
        sqlite3.OperationalError: the file is still locked after half a minute, or cannot be used.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_STEP_SECONDS)
    connection.execute("PRAGMA synchronous=FULL")


def _connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the begin event opens transactions, not the driver
    write_ahead(connection)
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")
