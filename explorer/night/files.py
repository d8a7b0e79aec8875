"""The files that a night read, from `LAKE/results/landing_files`."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow.dataset as ds
from deltalake import DeltaTable

from explorer.words import has, say
from graph.lake import Lake, has_table

_COLUMNS = ("name", "source", "delivered_on", "rows_in", "rows_accepted", "rows_duplicate", "rows_quarantined", "bytes",
            "reasons")  # fmt: skip
_KINDS = ("masked", "placeholder", "zero")  # reasons of values that name nobody end in the kind of value


def files(lake: Lake, night: dt.date) -> list[dict[str, Any]]:
    """Return one row a file and entry, those with most rows refused first; `reasons` as a sentence."""
    path = lake.results("landing_files")
    if not has_table(path):
        return []
    rows = DeltaTable(path).to_pyarrow_dataset()
    there = [name for name in _COLUMNS if name in rows.schema.names]
    found = rows.to_table(columns=there, filter=ds.field("night") == night).to_pylist()
    for row in found:
        row["delivered_on"] = str(row["delivered_on"])
        counts = json.loads(row.get("reasons") or "{}")
        row["reasons"] = "; ".join(
            say("night.reason_count", reason=reason(code), count=counts[code]) for code in counts
        )
    return sorted(found, key=lambda row: (-(row.get("rows_quarantined") or 0), row["name"]))


def reason(code: str) -> str:
    """Return a reason code of the quarantine in words, with the column before it where one is to blame."""
    column, colon, name = code.rpartition(": ")
    kind = next((kind for kind in _KINDS if name.startswith(f"{kind}_")), None)
    key = f"night.reason_{kind or name}"
    return f"{column}{colon}{say(key)}" if has(key) else code
