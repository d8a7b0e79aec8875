"""How SQLite files are opened that several processes may be the first to open."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

_WAIT_SECONDS = 30
_STEP_SECONDS = 0.02


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
