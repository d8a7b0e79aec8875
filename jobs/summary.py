"""What an operator reads when a night has ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.table import Table


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
    if stage == "load":
        equal = "; Neo4j equals the lake" if counts.get("neo4j_equals_lake") else ""
        return f"{counts['how']}{equal}"
    return ""
