"""Whether the audit log is whole, and still the log that was seen before: its last head is kept in another database."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from sqlalchemy import Column, Integer, String, Table, delete, insert, select

from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore
from graph.audit import AuditLog, Chain

HEADS = Table(
    "explorer_audit_heads", METADATA,
    Column("rows", Integer, primary_key=True, autoincrement=False),
    Column("head", String(64), nullable=False),
    Column("seen_at", Utc, nullable=False),
)  # fmt: skip
State = Literal["whole", "broken", "cut", "rewritten"]


@dataclass(frozen=True)
class Verdict:
    """What was found: `cut` and `rewritten` are against the log as it was `seen` before.

    Attributes:
        row: the first broken number.
        walked_at: when the whole log was walked last; what came since is walked each time.
    """

    state: State
    chain: Chain
    walked_at: dt.datetime
    row: int | None = None
    seen: Chain | None = None
    seen_at: dt.datetime | None = None


class ChainWatch:
    """The chain of one log; the first look of a process walks it all, later ones what was written since."""

    def __init__(self, audit: AuditLog, store: ExplorerStore) -> None:
        self._audit = audit
        self._store = store
        self._known: tuple[Chain, dt.datetime] | None = None
        self._lock = Lock()

    def look(self, now: dt.datetime, whole: bool = False) -> Verdict:
        """Return how the log stands; a whole one is remembered in the store.

        Args:
            whole: walk it all, whatever is known.

        Raises:
            graph.audit.AuditUnavailableError: the log could not be read.
            explorer.store.ExplorerStoreError: what was seen before could not be read.
        """
        with self._lock:
            known = None if whole or self._known is None else self._known
            chain = self._audit.verify(known[0] if known else None)
            walked = known[1] if known else now
            seen, seen_at = self._seen()
            if chain.first_broken_seq is not None:
                return Verdict("broken", chain, walked, chain.first_broken_seq, seen, seen_at)
            if seen is not None and chain.rows < seen.rows:
                return Verdict("cut", chain, walked, None, seen, seen_at)
            if seen is not None and self._audit.hash_at(seen.rows) != seen.head:
                return Verdict("rewritten", chain, walked, None, seen, seen_at)
            self._known = (chain, walked)
            self._remember(chain, now)
            return Verdict("whole", chain, walked, None, seen, seen_at)

    def _seen(self) -> tuple[Chain | None, dt.datetime | None]:
        with self._store.reading() as connection:
            row = connection.execute(select(HEADS).order_by(HEADS.c.rows.desc()).limit(1)).first()
        return (None, None) if row is None else (Chain(row.rows, row.head, None), row.seen_at)

    def _remember(self, chain: Chain, now: dt.datetime) -> None:
        if chain.rows == 0:
            return
        with self._store.writing() as connection:
            there = connection.execute(select(HEADS.c.rows).where(HEADS.c.rows >= chain.rows)).first()
            if there is None:  # of two processes the later one may have seen more
                connection.execute(delete(HEADS))
                connection.execute(insert(HEADS).values(rows=chain.rows, head=chain.head, seen_at=now))
