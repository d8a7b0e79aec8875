"""Tables of the lake as files for other systems: the columns promised, as of a day, without Spark.

A file is written beside its place and renamed, so that a reader never finds half of one. In CSV an array is JSON text,
and a text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, "CSV Injection").
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from graph.audit import AuditLog
from graph.lake import Lake, has_table
from graph.vault import Vault, VaultError
from jobs.choices import ExportFormat, ExportTable

_FORMULA = r"^[=+\-@\t\r]"


class ExportError(Exception):
    """The export asked for cannot be written; the text says why and what to do."""


@dataclass(frozen=True)
class _Plan:
    """One table: its promised columns in order (none: all it has), which rows count as of a day, how they are sorted.

    `arrays` may lie in the lake as JSON text. `phone` is the column that holds tokens of numbers. `nights` is a table
    of results with rows of every night that looked, also of one that found nothing.
    """

    rows: Callable[[DeltaTable, date], pl.DataFrame]
    columns: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    descending: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    phone: str | None = None
    made_by: str = "A night makes it"
    nights: str = ""


@dataclass(frozen=True)
class Numbers:
    """Who may see the plain numbers behind tokens, and why."""

    vault: Vault
    audit: AuditLog
    user: str
    purpose: str


@dataclass(frozen=True)
class Exported:
    """What was written; `sentence` is for the person who asked."""

    rows: int
    sentence: str


def write_table(
    lake: Lake, table: ExportTable, day: date | None, written: ExportFormat, out: Path, numbers: Numbers | None = None
) -> Exported:
    """Write what was known of a table at the end of `day` (UTC, inclusive; None: the newest) to the file `out`.

    Args:
        numbers: adds the column `phone_number`; the audit log has a line for the export and one for each number
            before anything is shown. The number of a lead that is not allowed stays closed.

    Raises:
        ExportError: the table was never made, lacks a promised column, or the file's folder is not there.
        graph.vault.VaultError: the numbers cannot be shown.
        graph.audit.AuditUnavailableError: the log could not be written, so nothing was.
    """
    plan = _PLANS[table]
    if numbers is not None:
        checked_reveal(table, numbers.user, numbers.purpose)
    frame = _read(lake, table, plan, day or date.max)
    said = [f"{len(frame):,} rows of {table} as of {day or 'the newest day'} are in {out}."]
    if numbers is not None:
        frame, missing = _revealed(frame, table, plan, day, numbers)
        shown = len(frame) - frame["phone_number"].null_count()
        said.append(f"{shown:,} of them show a number; the audit log has a line for each number asked for.")
        if missing:
            said.append(f"The vault holds no value for {missing:,} numbers: they were erased.")
    _write(frame, plan, written, out, private=numbers is not None)
    return Exported(len(frame), " ".join(said))


def checked_reveal(table: ExportTable, user: str, purpose: str) -> None:
    """Refuse to reveal where there is nothing to reveal, nobody who asks, or no purpose.

    Raises:
        ExportError: with what to give instead.
    """
    if _PLANS[table].phone is None:
        have = " and ".join(name for name, plan in _PLANS.items() if plan.phone)
        raise ExportError(f"{table} holds no phone numbers to reveal; {have} do. Leave out --reveal.")
    if not user.strip() or not purpose.strip():
        raise ExportError(
            "Plain numbers are shown only to a named user for a stated purpose. Give --purpose, for example "
            '--purpose "case 17: call back", and --user.'
        )


def _read(lake: Lake, table: ExportTable, plan: _Plan, day: date) -> pl.DataFrame:
    path = lake.graph(table) if table == ExportTable.APPLICANT_PERSON else lake.results(table)
    if not has_table(path):
        raise ExportError(f"The lake at {lake.root} has no table {table} yet. {plan.made_by}; run one, then export.")
    frame = plan.rows(DeltaTable(path), day)
    if plan.nights and has_table(lake.results(plan.nights)):  # a night that found nothing has no rows of its own
        night = _newest(DeltaTable(lake.results(plan.nights)), day)
        frame = frame.filter(pl.col("as_of_date") == night)
    columns = plan.columns or tuple(frame.columns)
    if missing := [name for name in columns if name not in frame.columns]:
        raise ExportError(
            f"{table} was needed with {', '.join(columns)}; it lacks {', '.join(missing)} and has "
            f"{', '.join(frame.columns)}. It was made by another version: run the night again."
        )
    order = [name for name in plan.sort if name in frame.columns]
    falling = [name in plan.descending for name in order]
    if order:
        frame = frame.sort(order, descending=falling, nulls_last=True, maintain_order=True)
    return frame.select(columns)


def _newest_day(table: DeltaTable, day: date) -> pl.DataFrame:
    """Return the rows of the newest `as_of_date` up to `day`; a table without that column counts whole."""
    rows = table.to_pyarrow_dataset()
    if "as_of_date" not in rows.schema.names:
        return _frame(rows.to_table())
    newest = _newest(table, day)
    if newest is None:
        return _frame(rows.schema.empty_table())
    return _frame(rows.to_table(filter=ds.field("as_of_date") == newest))


def _newest(table: DeltaTable, day: date) -> date | None:
    """Return the newest `as_of_date` up to `day`."""
    found = table.to_pyarrow_dataset().to_table(columns=["as_of_date"], filter=ds.field("as_of_date") <= day)
    newest: date | None = pc.max(found["as_of_date"]).as_py()
    return newest


def _newest_score(table: DeltaTable, day: date) -> pl.DataFrame:
    """Return the newest score of each application up to the end of `day`.

    Where two models scored it, that of the model which scored the newest application: the champion of the two.
    """
    rows = _frame(table.to_pyarrow_dataset().to_table(filter=ds.field("as_of_at") <= _end(day)))
    in_force = pl.col("as_of_at").max().over("model_version")
    order = rows.sort("as_of_at", in_force, "model_version")
    return order.unique("application_id", keep="last", maintain_order=True)


def _visible(table: DeltaTable, day: date) -> pl.DataFrame:
    """Return the rows known at the end of `day`, by the rule of `graph.as_of.visible`."""
    rows = table.to_pyarrow_dataset()
    ended = ds.field("ended_on")
    known = (ds.field("delivered_on") <= day) & (ended.is_null() | (ended > day))
    if "at" in rows.schema.names:
        known &= ds.field("at").is_null() | (ds.field("at") <= _end(day))
    return _frame(rows.to_table(filter=known))


def _nights(table: DeltaTable, day: date) -> pl.DataFrame:
    """Return the stages of all nights up to `day`; beside `drift` and `scores` stand their figures, as JSON text."""
    rows = _frame(table.to_pyarrow_dataset().to_table(filter=ds.field("night") <= day))
    texts = [
        details if stage in ("drift", "scores") else None for stage, details in rows.select("stage", "details").rows()
    ]
    return rows.with_columns(pl.Series("drift", texts, dtype=pl.String)).sort("night", "run", maintain_order=True)


_PLANS: dict[ExportTable, _Plan] = {
    ExportTable.RINGS: _Plan(
        _newest_day,
        ("ring_id", "as_of_date", "status", "parent_ids", "score", "size", "typology", "first_seen_at",
         "exposure_cny", "evidence"),
        sort=("score", "ring_id"), descending=("score",), arrays=("parent_ids", "evidence"),
    ),
    ExportTable.RING_MEMBERS: _Plan(
        _newest_day,
        ("ring_id", "as_of_date", "person_id", "role", "score"),
        sort=("ring_id", "role", "score", "person_id"), descending=("score",),
    ),
    ExportTable.APPLICANT_SCORES: _Plan(
        _newest_score,
        ("application_id", "applicant_id", "person_id", "as_of_at", "score", "model_version", "reasons"),
        sort=("application_id",), arrays=("reasons",), made_by="A night that scores makes it",
    ),
    ExportTable.LEADS: _Plan(
        _newest_day,
        ("loan_id", "applicant_id", "rank", "phone", "route", "via", "probability", "allowed", "rule", "evidence"),
        sort=("loan_id", "rank"), arrays=("via", "evidence"), phone="phone",
        nights="contact_states", made_by="A night that looks for leads makes it",
    ),
    ExportTable.APPLICANT_PERSON: _Plan(
        _visible, ("applicant_id", "person_id", "probability", "why"), sort=("applicant_id", "person_id"),
    ),
    ExportTable.HUBS: _Plan(_newest_day, sort=("id",), phone="id"),
    ExportTable.NIGHT_REPORT: _Plan(
        _nights,
        ("night", "stage", "rows_in", "rows_out", "rows_duplicate", "rows_quarantined", "seconds", "drift"),
        arrays=("drift",),
    ),
}  # fmt: skip


def _end(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def _frame(rows: Any) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(rows))


def _revealed(
    frame: pl.DataFrame, table: ExportTable, plan: _Plan, day: date | None, numbers: Numbers
) -> tuple[pl.DataFrame, int]:
    """Return the rows with `phone_number` (null: closed, erased, or no phone) and how many numbers were erased."""
    assert plan.phone is not None
    may = pl.col(plan.phone).str.starts_with("tel_")
    if "allowed" in frame.columns:
        may &= pl.col("allowed").fill_null(False)
    tokens = frame.filter(may)[plan.phone].unique(maintain_order=True).to_list()
    numbers.audit.append(
        user=numbers.user.strip(), action="export", purpose=numbers.purpose.strip(),
        object=f"{table} as of {day or 'the newest day'}: {len(tokens)} numbers",
    )  # fmt: skip
    plain: dict[str, str] = {}
    refused: VaultError | None = None
    for token in tokens:
        try:
            plain[token] = numbers.vault.reveal(token, numbers.user, numbers.purpose)
        except VaultError as error:  # one number may be erased; if none opens, the keys or the vault are wrong
            refused = refused or error
    if refused is not None and not plain:
        raise refused
    number = pl.when(may).then(pl.col(plan.phone).replace_strict(plain, default=None, return_dtype=pl.String))
    return frame.with_columns(number.alias("phone_number")), len(tokens) - len(plain)


def _write(frame: pl.DataFrame, plan: _Plan, written: ExportFormat, out: Path, *, private: bool) -> None:
    """Write the rows beside `out` and rename; with numbers in it the file is its owner's alone (mode 0600)."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    except FileNotFoundError:
        raise ExportError(f"The folder {out.parent} was needed and is not there. Make it, or name another.") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            match written:
                case ExportFormat.CSV:
                    _flat(frame).write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
                case ExportFormat.JSONL:
                    for row in frame.iter_rows(named=True):
                        file.write(_json(_opened(row, plan.arrays)).encode() + b"\n")
                case ExportFormat.PARQUET:
                    frame.write_parquet(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as CSV cells: arrays as JSON text, money with two decimals, no text that is a formula."""
    cells = []
    for name, dtype in frame.schema.items():
        column = frame[name]
        if dtype.is_nested():
            texts = [None if value is None else _json(value) for value in column.to_list()]
            column = pl.Series(name, texts, dtype=pl.String)
        elif name.endswith("_cny") and dtype.is_float():
            amounts = [None if value is None else f"{value:.2f}" for value in column.to_list()]
            cells.append(pl.Series(name, amounts, dtype=pl.String))
            continue
        if column.dtype == pl.String:
            text = pl.col(name)
            told = pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text)
            column = column.to_frame().select(told.alias(name))[name]
        cells.append(column)
    return pl.DataFrame(cells)


def _opened(row: dict[str, Any], arrays: tuple[str, ...]) -> dict[str, Any]:
    texts = (name for name in arrays if isinstance(row[name], str))
    return row | {name: json.loads(row[name]) for name in texts}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)
