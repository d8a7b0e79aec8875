"""Refused rows given back as they were delivered: sealed in the lake, opened for a named purpose only."""

from __future__ import annotations

import pyarrow.dataset as ds
from deltalake import DeltaTable

from graph.audit import AuditLog
from graph.lake import Lake, has_table
from graph.tokens import Keys
from graph.vault import unseal
from ingest.lines import Reject
from ingest.sources import SOURCES


class QuarantineError(Exception):
    """There is nothing to open; the text says why."""


def open_rows(
    lake: Lake, source: str, keys: Keys, audit: AuditLog, user: str, purpose: str, reason: str | None = None
) -> list[Reject]:
    """Return the quarantined rows of a source with their own bytes, after a line in the audit log.

    Rows that were kept with a value set aside (notes) are not among them.

    Raises:
        QuarantineError: no such source, nothing quarantined, or no user or purpose.
        graph.audit.AuditUnavailableError: the line could not be written, so nothing was opened.
    """
    if source not in SOURCES:
        raise QuarantineError(f"There is no source {source!r}; there are {', '.join(SOURCES)}.")
    if not user.strip() or not purpose.strip():
        raise QuarantineError("Opening quarantined rows needs a user and a purpose; both go to the audit log.")
    path = lake.quarantine(source)
    if not has_table(path):
        raise QuarantineError(f"No row of {source} was ever refused.")
    wanted = ~ds.field("row_kept")
    if reason is not None:
        wanted &= ds.field("reason") == reason
    audit.append(user=user, action="open_quarantine", object=f"{source}:{reason or 'all'}", purpose=purpose)
    rows = DeltaTable(path).to_pyarrow_dataset().to_table(filter=wanted).to_pylist()
    return [
        Reject(
            row["line"],
            row["reason"],
            unseal(keys, f"quarantine:{row['source_file']}:{row['line']}", row["original"]),
            row["column"],
        )
        for row in sorted(rows, key=lambda row: (row["source_file"], row["line"]))
    ]
