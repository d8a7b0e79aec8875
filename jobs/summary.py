"""What an operator reads when a night has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from graph.ledger import StageRecord


def summary(day: datetime, told: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one row a stage: rows in, out, repeated, quarantined, seconds, and how it went."""
    table = Table(
        "stage", "rows in", "rows out", "duplicate", "quarantined", "seconds", "", title=f"Night of {day:%Y-%m-%d}"
    )
    for stage, counts in told.items():
        numbers = [counts.get(name) for name in ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")]
        shown = (f"{n:,}" if isinstance(n, int) else "" for n in numbers)
        table.add_row(stage, *shown, f"{counts['seconds']:.1f}", _remark(stage, counts))
    return table


def _remark(stage: str, counts: Mapping[str, Any]) -> str:
    if stage == "ingest":
        most = ", ".join(f"{reason} {count:,}" for reason, count in list(counts["reasons"].items())[:3])
        unknown = f"; no source takes {len(counts['unknown_files'])} files" if counts["unknown_files"] else ""
        return f"{counts['files']:,} files" + (f"; {most}" if most else "") + unknown
    if counts.get("how") in ("unchanged", "left out") and stage != "load":
        return str(counts["how"])
    if stage == "rings":
        return ", ".join(f"{count:,} {status}" for status, count in counts.get("status", {}).items())
    if stage == "scores" and "how" in counts:
        return ": ".join([counts["how"], *counts.get("sentences", ())])
    if stage == "leads" and "loans_looked_for" in counts:
        alarm = "".join(f"; {text}" for text in counts.get("sentences", ()))
        return (
            f"{counts['loans_looked_for']:,} borrowers looked for, {counts['loans_with_lead']:,} with a lead, "
            f"{counts['loans_allowed']:,} may be called{alarm}"
        )
    if stage in ("drift", "scores"):
        return str(counts.get("status", ""))
    if stage == "load":
        equal = "; Neo4j equals the lake" if counts.get("neo4j_equals_lake") else ""
        return f"{counts['how']}{equal}"
    return ""


def state(records: Sequence[StageRecord]) -> Iterator[Table | str]:
    """Yield the table of the given stages, newest first, and the resume command if the newest did not end well."""
    table = Table("run", "night", "stage", "state", "rows out", "seconds", "why")
    for record in records:
        rows = record.counts.get("rows_out")
        seconds = "" if record.seconds is None else f"{record.seconds:.1f}"
        shown = "" if rows is None else f"{rows:,}"
        table.add_row(str(record.run), record.night, record.stage, record.state, shown, seconds, record.error or "")
    yield table
    if records and records[0].state != "done":
        if records[0].cause:
            yield records[0].cause
        yield f"The newest stage did not end. Resume with:\n  {records[0].command}"
