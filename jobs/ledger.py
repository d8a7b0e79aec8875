"""The run ledger: which stage of which night ran, on what, with which counts; and the lock against a second night.

SQLite by default (write-ahead log, full sync); any SQLAlchemy URL works. The lock is a lease with a fencing number:
a night whose number is no longer the newest must not publish.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import psutil
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, create_engine, event, insert, select, update
from sqlalchemy.engine import Engine

LEASE_SECONDS = 60.0

_METADATA = MetaData()
STAGES = Table(
    "stages",
    _METADATA,
    Column("run", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stage", String, nullable=False),
    Column("night", String, nullable=False),
    Column("state", String, nullable=False),  # running, done, failed
    Column("inputs_digest", String),
    Column("counts", String),
    Column("seconds", Float),
    Column("started_at", String),
    Column("error", String),
    Column("command", String),  # runs and resumes the night
)
LOCK = Table(
    "night_lock",
    _METADATA,
    Column("name", String, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("holder", String),
    Column("expires_at", Float, nullable=False),
)


class NightRunningError(Exception):
    """Another night holds the lock; the text says which process and until when."""


class LostLeaseError(Exception):
    """This night's lease was taken over; it must not publish."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of one run as the ledger holds it."""

    run: int
    stage: str
    night: str
    state: str
    inputs_digest: str | None
    counts: dict[str, Any]
    seconds: float | None
    error: str | None = None
    command: str = ""


class Ledger:
    """The nights of one lake."""

    def __init__(self, url: str):
        self._engine: Engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _durable)
        _METADATA.create_all(self._engine)

    @contextmanager
    def lease(self, seconds: float = LEASE_SECONDS) -> Iterator[int]:
        """Hold the night's lock and yield the fencing number, also the run's number; renewed in the background.

        A lock whose process is gone from this machine is taken over at once, from another machine after its lease.

        Raises:
            NightRunningError: another night is running.
        """
        fence = self._take(seconds)
        stop = Event()

        def renew() -> None:
            while not stop.wait(seconds / 4):
                with self._engine.begin() as connection:
                    connection.execute(
                        update(LOCK).where(LOCK.c.fence == fence).values(expires_at=time.time() + seconds)
                    )

        thread = Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield fence
        finally:
            stop.set()
            thread.join()
            with self._engine.begin() as connection:
                connection.execute(update(LOCK).where(LOCK.c.fence == fence).values(holder=None, expires_at=0.0))

    def _take(self, seconds: float) -> int:
        holder = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())})
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            row = connection.execute(select(LOCK).where(LOCK.c.name == "night").with_for_update()).mappings().first()
            if row is None:
                connection.execute(
                    insert(LOCK).values(name="night", fence=1, holder=holder, expires_at=time.time() + seconds)
                )
                return 1
            if row["holder"] and row["expires_at"] > time.time() and not _gone(row["holder"]):
                found = json.loads(row["holder"])
                until = datetime.fromtimestamp(row["expires_at"], UTC)
                raise NightRunningError(
                    f"A night runs already (process {found['pid']} on {found['host']}, lease until "
                    f"{until:%H:%M:%S} UTC). Wait for it to end, or end that process and start again."
                )
            fence = int(row["fence"]) + 1
            connection.execute(update(LOCK).values(fence=fence, holder=holder, expires_at=time.time() + seconds))
            return fence

    def check_fence(self, fence: int) -> None:
        """Return if `fence` is still the newest.

        Raises:
            LostLeaseError: another night has begun since.
        """
        with self._engine.connect() as connection:
            newest = connection.execute(select(LOCK.c.fence)).scalar_one()
        if newest != fence:
            raise LostLeaseError(f"Night run {fence} lost its lease to run {newest} and does not publish.")

    def begin(
        self,
        run: int,
        position: int,
        stage: str,
        night: str,
        inputs_digest: str | None,
        counts: dict[str, Any],
        command: str = "",
    ) -> None:
        """Write that a stage starts; `counts` may hold what a resume needs."""
        values = {
            "run": run,
            "position": position,
            "stage": stage,
            "night": night,
            "state": "running",
            "inputs_digest": inputs_digest,
            "counts": json.dumps(counts),
            "command": command,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(STAGES).values(**values))

    def end(self, run: int, stage: str, seconds: float, counts: dict[str, Any], error: str | None = None) -> None:
        """Write how a stage ended."""
        values = {
            "state": "failed" if error else "done",
            "seconds": seconds,
            "counts": json.dumps(counts),
            "error": error,
        }
        with self._engine.begin() as connection:
            connection.execute(update(STAGES).where(STAGES.c.run == run, STAGES.c.stage == stage).values(**values))

    def records(self, limit: int = 100) -> list[StageRecord]:
        """Return the newest stages first."""
        query = select(STAGES).order_by(STAGES.c.run.desc(), STAGES.c.position.desc()).limit(limit)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            StageRecord(
                row["run"],
                row["stage"],
                row["night"],
                row["state"],
                row["inputs_digest"],
                json.loads(row["counts"] or "{}"),
                row["seconds"],
                row["error"],
                row["command"] or "",
            )
            for row in rows
        ]

    def last_done(self, stage: str) -> StageRecord | None:
        """Return the newest record of a stage that ended well."""
        return next((r for r in self.records(10_000) if r.stage == stage and r.state == "done"), None)

    def touched_since(self, run: int) -> set[str]:
        """Return the sources with new rows in the ingests that ended well after `run` (exclusive)."""
        done = [r for r in self.records(10_000) if r.stage == "ingest" and r.state == "done" and r.run > run]
        return {source for record in done for source in record.counts.get("touched", ())}


def _durable(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _started(pid: int) -> float | None:
    try:
        return round(psutil.Process(pid).create_time(), 1)
    except psutil.NoSuchProcess:
        return None


def _gone(holder: str) -> bool:
    found = json.loads(holder)
    return bool(found["host"] == socket.gethostname() and _started(found["pid"]) != found["started"])
