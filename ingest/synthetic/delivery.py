"""How rows reach the lender's landing folder: night by night, some late, twice, corrected, withdrawn or broken."""

from __future__ import annotations

import datetime as dt
import gzip
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingest.synthetic.numbering import Ints
from ingest.synthetic.population import Block
from ingest.synthetic.settings import DAY, WorldSettings

# How many leading columns make the key; other sources are keyed by the whole row.
KEYED = {
    "applications": ["application_id"],
    "loans": ["loan_id"],
    "contact_attempts": ["attempt_id"],
    "repayments": ["loan_id", "due_at"],
    "labels": ["applicant_id", "confirmed_at"],
}
_VERSIONED = ("loans", "repayments")  # their later states come as newer deliveries of the same key; none is late
_CORRECTED = {"applications": ("amount_cny", "8800.00"), "contact_attempts": ("outcome", "third_person")}
_WITHDRAWN = ("contacts", "devices", "phones")
_TIMES = (
    "applied_at", "observed_at", "event_at", "captured_at", "started_at", "disbursed_at", "due_at", "attempted_at",
    "at", "confirmed_at",
)  # fmt: skip
_CHOICES = ("relation", "direction", "outcome", "label")


@dataclass(frozen=True)
class Delivery:
    """One source's rows in order of delivery, `day` beside each, and what comes with them.

    `deletes` holds `day` and the rows withdrawn on it; `broken` holds day, line of text, and whether the line has a
    wrong number of fields.
    """

    rows: pl.DataFrame
    deletes: pl.DataFrame
    broken: list[tuple[int, str, bool]]
    redelivered: int


def _some(block: Block, rows: int, share: float, among: Ints | None = None) -> Ints:
    """Sorted indexes of a share of the rows, one at least, drawn from `among`."""
    pool = np.arange(rows, dtype=np.int64) if among is None else among
    count = min(math.ceil(share * rows), len(pool))
    return np.sort(block.rng.choice(pool, size=count, replace=False))


def deliver(block: Block, source: str, frame: pl.DataFrame) -> Delivery:
    """Return the rows known before the world ends with their delivery day; nothing comes before it happened."""
    s, rng = block.settings, block.rng
    frame = frame.filter(pl.col("available") < s.end)
    day = frame["available"].to_numpy() // DAY + 1
    if source not in _VERSIONED:
        late = rng.random(len(day)) < s.late_rows
        day = day + np.where(late, rng.integers(1, 31, len(day)), 0)
    day = np.clip(day, s.first_day, s.last_day)
    frame = frame.drop("available").with_columns(pl.Series("day", day))
    key = KEYED.get(source)
    if source in _VERSIONED and key:
        frame = frame.unique([*key, "day"], keep="last", maintain_order=True)
    rows = len(frame)
    if not rows:
        return Delivery(frame, frame, [], 0)
    days = frame["day"].to_numpy()
    again = _some(block, rows, s.redelivered_rows)
    repeated = frame[again]
    if not key:
        later = days[again] + (rng.random(len(again)) * (s.last_day - days[again] + 1)).astype(np.int64)
        repeated = repeated.with_columns(pl.Series("day", later))
    parts, deletes = [frame, repeated], frame.clear()
    earlier = np.setdiff1d(np.flatnonzero(days < s.last_day), again)
    if source in _CORRECTED and len(earlier):
        column, value = _CORRECTED[source]
        corrected = _later(block, frame[_some(block, rows, s.corrected_rows, earlier)])
        parts.append(corrected.with_columns(pl.lit(value).alias(column)))
    if source in _WITHDRAWN and len(earlier):
        deletes = _later(block, frame[_some(block, rows, s.deleted_rows, earlier)])
    whole = pl.concat(parts)
    whole = whole[np.argsort(whole["day"].to_numpy(), kind="stable")]
    return Delivery(whole, deletes, _broken(block, source, frame), len(again))


def _later(block: Block, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows once more, on a later night."""
    day = rows["day"].to_numpy()
    later = day + 1 + (block.rng.random(len(day)) * (block.settings.last_day - day)).astype(np.int64)
    return rows.with_columns(pl.Series("day", np.minimum(later, block.settings.last_day)))


def _broken(block: Block, source: str, frame: pl.DataFrame) -> list[tuple[int, str, bool]]:
    """Copies of rows as lines of text, each with one defect; a keyed copy has an own key and replaces nothing."""
    columns = [c for c in frame.columns if c != "day"]
    defects = ["short", "long", "blank"]
    defects += [f"masked:{c}" for c in columns if c in ("phone", "contact_phone")]
    defects += ["zero_imei:imei"] if "imei" in columns else []
    defects += [f"checksum:{c}" for c in columns if c in ("id_number", "holder_id_number")]
    defects += [f"time:{c}" for c in columns if c in _TIMES]
    defects += [f"choice:{c}" for c in columns if c in _CHOICES]
    picked = _some(block, len(frame), block.settings.dirty_rows)
    turn = int(block.rng.integers(len(defects)))
    lines = []
    for i, row in enumerate(frame[picked].iter_rows(named=True)):
        defect, _, column = defects[(turn + i) % len(defects)].partition(":")
        day = row.pop("day")
        cells = {name: "" if value is None else str(value) for name, value in row.items()}
        if source in KEYED:
            cells[columns[0]] += f"-D{i}"
        if defect == "blank":
            cells[columns[0]] = ""
        elif defect == "masked":
            cells[column] = "138****0000"
        elif defect == "zero_imei":
            cells[column] = "000000000000000"
        elif defect == "checksum":
            text = cells[column] or "110101199003070011"
            cells[column] = text[:-1] + ("1" if text[-1] == "0" else "0")
        elif defect == "time":
            cells[column] = "2026-02-30 25:61"
        elif defect == "choice":
            cells[column] = "?"
        values = list(cells.values())
        values = values[:-1] if defect == "short" else [*values, "?"] if defect == "long" else values
        lines.append((day, ",".join(values) + "\n", defect in ("short", "long")))
    return lines


def replace(path: Path, data: bytes) -> int:
    """Write a file whole or not at all, so that a task run twice leaves one file; returns its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    os.replace(partial, path)
    return len(data)


def landing_files(settings: WorldSettings, block: int, source: str, delivery: Delivery) -> Iterator[tuple[str, bytes]]:
    """Yield the relative path and the bytes of every landing file of a source and block."""
    days = delivery.rows["day"].to_numpy()
    rows = delivery.rows.drop("day")
    header = ",".join(rows.columns) + "\n"
    suffix = ".csv.gz" if settings.compress else ".csv"
    for day in range(settings.first_day, settings.last_day + 1):
        folder = (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()
        begin, end = np.searchsorted(days, [day, day + 1])
        broken = "".join(line for d, line, _ in delivery.broken if d == day)
        if begin < end or broken:
            text = header + rows[int(begin) : int(end)].write_csv(include_header=False) + broken
            yield f"{folder}/{source}-{block:05d}{suffix}", _packed(text, settings)
        gone = delivery.deletes.filter(pl.col("day") == day).drop("day")
        if len(gone):
            text = gone.with_columns(pl.lit("delete").alias("op")).write_csv()
            yield f"{folder}/{source}-{block:05d}-withdrawn{suffix}", _packed(text, settings)


def _packed(text: str, settings: WorldSettings) -> bytes:
    data = text.encode()
    return gzip.compress(data, compresslevel=1, mtime=0) if settings.compress else data
