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
from itertools import groupby
from threading import Event, Thread
from typing import Any, Literal

import psutil
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, create_engine, event, insert, select, update
from sqlalchemy.engine import Engine, RowMapping

from graph.sql import write_ahead

LEASE_SECONDS = 60.0
LAST_STAGE = "report"  # of a night; a run whose newest stage is another one did not end

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
    """One stage of one run as the ledger holds it; `error` is the class of what ended it, `cause` what that said."""

    run: int
    stage: str
    night: str
    state: str
    inputs_digest: str | None
    counts: dict[str, Any]
    seconds: float | None
    error: str | None = None
    command: str = ""
    started_at: datetime | None = None

    @property
    def cause(self) -> str | None:
        """Why it failed, in the words of an expected failure; None for any other."""
        return self.counts.get("cause")


@dataclass(frozen=True)
class Holder:
    """The process that runs a night: its lease lasts until then (UTC)."""

    host: str
    pid: int
    until: datetime


@dataclass(frozen=True)
class Run:
    """One run of a night: its stages in order, and the process that is at it, if one is."""

    number: int
    stages: tuple[StageRecord, ...]
    holder: Holder | None = None

    @property
    def night(self) -> str:
        """The night's day."""
        return self.stages[0].night

    @property
    def command(self) -> str:
        """What runs and resumes it."""
        return self.stages[-1].command

    @property
    def state(self) -> Literal["running", "done", "failed", "cut_off"]:
        """How it stands: `cut_off` is a run that nobody is at and that did not end."""
        if self.holder is not None:
            return "running"
        newest = self.stages[-1]
        if newest.state == "failed":
            return "failed"
        return "done" if (newest.stage, newest.state) == (LAST_STAGE, "done") else "cut_off"


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
            if found := _living(row["holder"], row["expires_at"]):
                raise NightRunningError(
                    f"A night runs already (process {found.pid} on {found.host}, lease until "
                    f"{found.until:%H:%M:%S} UTC). Wait for it to end, or end that process and start again."
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
        return [_record(row) for row in rows]

    def runs(self, limit: int = 10) -> list[Run]:
        """Return the newest runs first, by one question to the database."""
        newest = select(STAGES.c.run).distinct().order_by(STAGES.c.run.desc()).limit(limit).subquery()
        query = (
            select(STAGES, LOCK.c.holder, LOCK.c.expires_at)
            .join(newest, newest.c.run == STAGES.c.run)
            .outerjoin(LOCK, LOCK.c.fence == STAGES.c.run)
            .order_by(STAGES.c.run.desc(), STAGES.c.position)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        found = []
        for number, group in groupby(rows, key=lambda row: int(row["run"])):
            stages = list(group)
            holder = _living(stages[0]["holder"], stages[0]["expires_at"])
            found.append(Run(number, tuple(_record(row) for row in stages), holder))
        return found

    def last_done(self, stage: str) -> StageRecord | None:
        """Return the newest record of a stage that ended well."""
        return next((r for r in self.records(10_000) if r.stage == stage and r.state == "done"), None)

    def touched_since(self, run: int) -> set[str]:
        """Return the sources with new rows in the ingests that ended well after `run` (exclusive)."""
        done = [r for r in self.records(10_000) if r.stage == "ingest" and r.state == "done" and r.run > run]
        return {source for record in done for source in record.counts.get("touched", ())}


def _durable(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")
    write_ahead(connection)


def _started(pid: int) -> float | None:
    try:
        return round(psutil.Process(pid).create_time(), 1)
    except psutil.NoSuchProcess:
        return None


def _living(holder: str | None, expires_at: float | None) -> Holder | None:
    """Return who holds a lock, unless their lease is over or their process is gone from this machine."""
    if not holder or not expires_at or expires_at <= time.time():
        return None
    found = json.loads(holder)
    if found["host"] == socket.gethostname() and _started(found["pid"]) != found["started"]:
        return None
    return Holder(found["host"], found["pid"], datetime.fromtimestamp(expires_at, UTC))


def _record(row: RowMapping) -> StageRecord:
    begun = row["started_at"]
    return StageRecord(
        row["run"], row["stage"], row["night"], row["state"], row["inputs_digest"], json.loads(row["counts"] or "{}"),
        row["seconds"], row["error"], row["command"] or "", datetime.fromisoformat(begun) if begun else None,
    )  # fmt: skip
