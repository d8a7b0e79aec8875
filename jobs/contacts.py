"""The stage that says whom to call next about borrowers who fell silent, and fills the collectors' work queue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
import structlog
from pyspark.sql import SparkSession

from algorithms.contact.feedback import attempts_made_here
from algorithms.contact.loading import LENDER, LoadError, load
from algorithms.contact.night import NightError, read_night
from algorithms.contact.settings import QueueSettings
from algorithms.contact.store import Store, StoreError
from algorithms.contact.suppression import Entry, Reason, entries
from algorithms.leads.leads import Law
from algorithms.leads.night import find_leads
from graph.lake import has_table
from graph.ledger import Ledger
from jobs.conclusions import unless_same
from jobs.night import Night

log = structlog.get_logger()

_SOURCES = (
    "applications", "phones", "devices", "contacts", "calls", "loans", "repayments", "contact_attempts", "labels",
)  # fmt: skip


@dataclass
class _Queue:
    """What the work queue knows: calls made through it, numbers that nobody may call; or why it cannot be asked."""

    attempts: pl.DataFrame | None = None
    do_not_contact: frozenset[str] = frozenset()
    sentences: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        rows = "" if self.attempts is None else self.attempts.sort("attempt_id").write_csv()
        return hashlib.sha256((rows + "".join(sorted(self.do_not_contact))).encode()).hexdigest()


def leads(spark: Callable[[], SparkSession], night: Night, ledger: Ledger) -> dict[str, Any]:
    """Find the leads as of the night and put them into the work queue.

    A queue that cannot be reached is an alarm and stops no night: the leads are in the lake, and the next night, or
    `python -m algorithms leads load`, puts them into the queue.
    """
    if night.graph_only:
        return {"how": "left out"}
    settings = QueueSettings()
    url, policies = settings.url(night.lake.root), settings.in_force()
    here = _known(url, night.at)

    def work() -> dict[str, Any]:
        from gnn.leads.night import links

        law = Law(policies, settings.zone, here.do_not_contact)
        return find_leads(spark(), night.lake, night.day, night.at, law, here.attempts, links)

    read = [night.lake.raw(source) for source in _SOURCES]
    read += [night.lake.results(table) for table in ("hubs", "rings", "ring_members")]
    terms = json.dumps([policy.model_dump(mode="json") for policy in policies]) + settings.zone + here.digest
    said = hashlib.sha256(terms.encode()).hexdigest()[:16]
    told = unless_same("leads", night, ledger, work, read, said)
    if has_table(night.lake.results("contact_states")) and not here.sentences:
        try:
            done = load(Store(url), read_night(night.lake), datetime.now(UTC))
            told |= {"queued": done.leads, "held_out": done.held_out}
        except (StoreError, LoadError, NightError) as error:
            here.sentences.append(str(error))
    if here.sentences:
        log.warning("the work queue was not filled")
        return told | {"status": "alarm", "sentences": here.sentences}
    return told


def _told(entry: Entry) -> bool:
    """Whether a line of the list says what the lender's own record says, which the night reads itself."""
    return entry.added_by == LENDER and entry.reason == Reason.REFUSED


def _known(url: str, at: datetime) -> _Queue:
    """Return what the queue knew at the night's moment."""
    try:
        closed = frozenset(entry.phone for entry in entries(Store(url)) if entry.added_at <= at and not _told(entry))
        return _Queue(attempts_made_here(url, at), closed)
    except StoreError as error:
        return _Queue(sentences=[str(error)])
