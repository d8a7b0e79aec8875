"""What a mapping would read from a folder, said before anything is read: headers, joins and a sample of rows.

Nothing is written: the sample's tokens are made with keys that are forgotten at once.
"""

from __future__ import annotations

import gzip
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from graph.tokens import Keys
from ingest.cleaning import Cleaner
from ingest.files import LandingError, LandingFile, deliveries, landing_files
from ingest.landing import clean_lines, parquet_lines
from ingest.lines import BOM, MAX_LINE_BYTES, HeaderError, Lines, read_json_lines, read_lines, split_header
from ingest.mapping import Entry, Mapping, MappingError, read_join
from ingest.sources import SOURCES

SAMPLE_ROWS = 1_000


@dataclass
class FileCheck:
    """One file for one entry of the mapping; a file that no entry takes, or an entry that finds no file.

    With an `error` the entry could not be used as it stands; a `remark` is worth knowing. `filled` and `empty` are the
    contract's columns, `unread` the file's. Of the `sampled` first rows `accepted` would be kept, `reasons` counts the
    others and `notes` the values set aside; `skipped` rows are left out by `where`.
    """

    source: str | None
    entry: int
    file: str | None
    delivered_on: date | None = None
    bytes: int = 0
    error: str | None = None
    remark: str | None = None
    filled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sampled: int = 0
    accepted: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def check(mapping: Mapping, folder: Path, until: date | None = None) -> list[FileCheck]:
    """Return what the mapping would take from the landing folder, by source and entry; then what nothing takes.

    Args:
        mapping: from `ingest.mapping.read_mapping`.
        folder: the landing folder.
        until: deliveries after this day are left out; by default, none is.

    Raises:
        LandingError: the folder is not there, or nothing in it is a delivery.
    """
    day = until or max([datetime.now(UTC).date(), *mapping.deliveries])
    cleaner = Cleaner(Keys(secrets.token_bytes(32), secrets.token_bytes(32)))
    taken: list[FileCheck] = []
    untaken: list[FileCheck] = []
    for file, name in landing_files(folder, mapping, day, digests=False):
        if file is None:
            untaken.append(FileCheck(None, 0, name, remark="no entry takes this file"))
        else:
            taken.append(_file_check(file, mapping, cleaner))
    found = {(one.source, one.entry) for one in taken}
    folders = ", ".join(str(path.relative_to(folder)) for _, path in deliveries(folder, mapping, day))
    if not taken:
        raise LandingError(
            f"No file in {folder} fits the mapping {mapping.name!r}: looked in {folders or 'no delivery'} for "
            f"{', '.join(sorted({e.pattern for entries in mapping.sources.values() for e in entries})) or 'sources'}."
        )
    for source, entries in mapping.sources.items():
        for number, entry in enumerate(entries):
            if (source, number) not in found:
                taken.append(FileCheck(source, number, None, remark=f"no file is named {entry.pattern}"))
    order = {source: number for number, source in enumerate(SOURCES)}
    taken.sort(key=lambda one: (order[one.source or ""], one.entry, str(one.delivered_on), one.file or ""))
    return taken + untaken


def _file_check(file: LandingFile, mapping: Mapping, cleaner: Cleaner) -> FileCheck:
    entry = mapping.entry(file.source, file.entry)
    told = FileCheck(file.source, file.entry, file.name, file.delivered_on, file.bytes)
    key = f"sources.{file.source}[{file.entry}]"
    try:
        if file.digest == "symlink":
            raise MappingError("it is a link, and links are refused: deliver the file itself")
        sample, names = _sample(file, entry.delimiter)
        joined = _joined(entry, Path(file.folder), key)
        _check_columns(entry, names, joined, Path(file.name).name, key)
    except (MappingError, HeaderError, OSError, EOFError, pa.ArrowInvalid) as error:
        told.error = f"the header cannot be read: {error}" if isinstance(error, HeaderError) else str(error)
        return told
    columns = SOURCES[file.source].columns
    given = tuple(entry.columns) or tuple(names)
    told.filled = tuple(name for name in columns if name in given)
    told.empty = tuple(name for name in columns if name not in given and name != "op")
    told.unread = tuple(n for n in names if n not in (entry.reads() if entry.columns else {*columns, *entry.reads()}))
    if not entry.columns and (lacking := [name for name in SOURCES[file.source].required if name not in names]):
        told.error = f"{Path(file.name).name} lacks {', '.join(map(repr, lacking))}; it has {', '.join(names)}."
        return told
    cleaned, told.skipped = clean_lines(sample, file, SOURCES[file.source], entry, joined, cleaner)
    cleaner.memory.vault_written()
    refused = [*sample.rejects, *cleaned.rejects]
    told.accepted = len(cleaned.rows)
    told.sampled = told.accepted + len(refused) + told.skipped
    told.reasons.update(f"{r.column}: {r.reason}" if r.column else r.reason for r in refused)
    told.notes.update(f"{r.column}: {r.reason}" if r.column else r.reason for r in cleaned.notes)
    if not told.sampled:
        told.remark = "no rows"
    return told


def _joined(entry: Entry, folder: Path, key: str) -> dict[str, pl.DataFrame]:
    try:
        return {join.name: read_join(join, folder) for join in entry.joins}
    except MappingError as error:
        raise MappingError(f"{key}.joins: {error}") from None


def _check_columns(entry: Entry, names: list[str], joined: dict[str, pl.DataFrame], file: str, key: str) -> None:
    places = dict.fromkeys(names, file)
    places |= {column: join.file for join in entry.joins for column in joined[join.name].columns}
    for column, user in entry.uses().items():
        if column in places:
            continue
        join = next((join for join in entry.joins if column.startswith(f"{join.name}.")), None)
        where, there = (join.file, joined[join.name].columns) if join else (file, names)
        raise MappingError(f"{key}.{user} reads {column!r}, which {where} lacks; it has {', '.join(there)}.")


def _sample(file: LandingFile, delimiter: str) -> tuple[Lines, list[str]]:
    """Return the first rows of a file and its column names."""
    path = Path(file.path)
    if file.format == "parquet":
        opened = pq.ParquetFile(path)
        rows = next(opened.iter_batches(SAMPLE_ROWS), None)
        table = opened.schema_arrow.empty_table() if rows is None else pa.Table.from_batches([rows])
        return parquet_lines(table, 1), list(opened.schema_arrow.names)
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as opened_text:
        read = [opened_text.readline(MAX_LINE_BYTES + 2) for _ in range(SAMPLE_ROWS + 1)]
    if file.format.startswith("jsonl"):
        lines = read_json_lines(b"".join(read[:-1]).removeprefix(BOM))
        return lines, [name for name in lines.frame.columns if name != "line"]
    names = split_header(read[0], delimiter)
    return read_lines(b"".join(read[1:]), names, delimiter, 2, read[0].rstrip(b"\r\n"), final=False), names


def table(checks: list[FileCheck]) -> Table:
    """Return the checks as a table for the terminal: a line for each file and entry, errors and remarks in the last."""
    shown = Table("source", "file", "delivered", "size", "fills", "stays empty", "sample", "what else", show_lines=True)
    for one in checks:
        sample = ""
        if one.sampled:
            kept = one.sampled - one.skipped
            sample = f"{one.accepted:,} of {kept:,} accepted"
            sample += f", {one.skipped:,} left out by `where`" if one.skipped else ""
        said = [f"[red]{_plain(one.error)}[/]"] if one.error else []
        said += [f"[yellow]{_plain(one.remark)}[/]"] if one.remark else []
        said += [f"refused {_plain(reason)} ({count:,})" for reason, count in one.reasons.most_common(3)]
        said += [f"set aside or noted {_plain(reason)} ({count:,})" for reason, count in one.notes.most_common(3)]
        said += [f"unread: {_plain(', '.join(one.unread))}"] if one.unread else []
        shown.add_row(
            f"{one.source}\\[{one.entry}]" if one.source else "",
            _plain(one.file or ""),
            str(one.delivered_on or ""),
            _size(one.bytes) if one.delivered_on else "",
            ", ".join(one.filled),
            ", ".join(one.empty),
            sample,
            "\n".join(said),
        )
    return shown


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _size(count: int) -> str:
    return f"{count:,} B" if count < 10_000 else f"{count / 1e3:,.0f} kB" if count < 1e7 else f"{count / 1e6:,.0f} MB"
