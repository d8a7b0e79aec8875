"""The catalog: each table of features and results with its newest date, its rows and when it was written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from explorer.model.models import learned_until
from explorer.parts import Color
from graph.lake import Lake, has_table

# The column that says as of when a row is, by the names that tables of this lake have; the first one there counts.
_AS_OF = ("as_of_date", "as_of_at", "applied_on", "night")


@dataclass(frozen=True)
class Entry:
    """One table; dates and counts are those of the Delta log, no row is read.

    Attributes:
        as_of: the column that dates its rows; `newest` and `oldest` are its ends.
    """

    area: str
    name: str
    rows: int
    version: int
    written_at: dt.datetime | None
    as_of: str | None = None
    oldest: dt.date | None = None
    newest: dt.date | None = None


def catalog(lake: Lake) -> list[Entry]:
    """Return the tables of features, then those of results, by name."""
    found = []
    for area in ("features", "results"):
        folder = lake.root / area
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if has_table(path):
                found.append(_entry(area, path.name, DeltaTable(path)))
    return found


def _entry(area: str, name: str, table: DeltaTable) -> Entry:
    columns = {field.name for field in table.schema().fields}
    as_of = next((column for column in _AS_OF if column in columns), None)
    files = pa.table(table.get_add_actions(flatten=True))
    ends = [_end(files, which, as_of, pick) for which, pick in (("min", min), ("max", max))]
    written = next((dt.datetime.fromtimestamp(commit["timestamp"] / 1000, dt.UTC) for commit in table.history(1)), None)
    return Entry(area, name, int(table.count()), int(table.version()), written, as_of, *ends)


def _end(files: pa.Table, which: str, column: str | None, pick: Any) -> dt.date | None:
    there = [name for name in (f"{which}.{column}", f"partition.{column}") if name in files.column_names]
    values = [value for name in there for value in files[name].to_pylist() if value is not None]
    if not values:
        return None
    value = pick(values)
    return value.date() if isinstance(value, dt.datetime) else value if isinstance(value, dt.date) else None


@dataclass(frozen=True)
class Check:
    """One thing that must hold so that no figure is better than it can be; `told` is a key of the words."""

    color: Color
    told: str
    values: Mapping[str, Any]


def leaks(lake: Lake, entries: Iterable[Entry], night: dt.date | None, card: Mapping[str, Any] | None) -> list[Check]:
    """Return what was looked at for leaks of the future into the past.

    Args:
        night: the newest night; None where none has run.
        card: the champion's.
    """
    found = []
    if night is not None:
        late = [e for e in entries if e.newest is not None and e.newest > night]
        named = ", ".join(entry.name for entry in late)
        key = "model.leak_late" if late else "model.leak_dates"
        found.append(Check("red" if late else "green", key, {"night": night, "tables": named}))
    if card is None:
        return found
    until = learned_until(card)
    begins = dt.datetime.fromisoformat(card["test"]["since"])
    key, color = ("model.leak_window", "green") if begins >= until else ("model.leak_window_overlaps", "red")
    found.append(Check(color, key, {"until": until, "since": begins}))  # type: ignore[arg-type]
    seen = _scored_before(lake, str(card["version"]), until)
    if seen is not None:
        color, key = ("amber", "model.leak_seen") if seen else ("green", "model.leak_unseen")
        found.append(Check(color, key, {"count": seen, "until": until}))  # type: ignore[arg-type]
    return found


def _scored_before(lake: Lake, version: str, until: dt.datetime) -> int | None:
    """Return how many scores that the lake shows are of applications the model has learned from; None: no scores."""
    path = lake.results("applicant_scores")
    if not has_table(path):
        return None
    mine = (ds.field("model_version") == version) & (ds.field("as_of_at") < pa.scalar(until, pa.timestamp("us", "UTC")))
    return int(DeltaTable(path).to_pyarrow_dataset().count_rows(filter=mine))
