"""One night's ingest: files not read yet, through staging, into the raw tables, every row counted once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from graph.lake import Lake, has_table
from graph.tokens import Keys
from ingest.files import LandingFile, landing_files
from ingest.landing import PartCounts, parts, stage
from ingest.mapping import Mapping
from ingest.raw import merge, merge_vault
from ingest.sources import SOURCES

WRITERS = 4


class CountMismatchError(Exception):
    """Rows were lost or doubled between a file and the lake; the text names the file and the counts."""


@dataclass
class FileReport:
    """What became of one file: rows_in = rows_accepted + rows_duplicate + rows_quarantined."""

    file: LandingFile
    rows_in: int = 0
    rows_accepted: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass
class IngestReport:
    """The files read this time, names that no source takes, and how many values were new to the vault."""

    files: list[FileReport]
    unknown: list[str]
    vaulted: int = 0

    @property
    def touched(self) -> set[str]:
        """Sources with rows that are new in the lake."""
        return {report.file.source for report in self.files if report.rows_accepted}


def ingest(
    spark: Callable[[], SparkSession], lake: Lake, landing: Path, until: date, mapping: Mapping, keys: Path
) -> IngestReport:
    """Read all files delivered up to `until` (inclusive) that the lake has not read, and merge their rows.

    A file is known by its name and content: read once, whatever runs again. `spark` gives the session, and is only
    called when there is something to read.

    Raises:
        CountMismatchError: read ≠ accepted + duplicate + quarantined for a file.
        LandingError, MappingError: nothing was read.
    """
    files_path = lake.results("landing_files")
    known: set[tuple[str, ...]] = set()
    if not has_table(files_path):
        Keys.create(keys)
    else:
        Keys.read(keys)  # a lake is read on with its own keys, or not at all
        rows = DeltaTable(files_path).to_pyarrow_table(columns=["name", "source", "entry", "digest"]).to_pylist()
        known = {(r["name"], r["source"], str(r["entry"]), r["digest"]) for r in rows}
    found = list(landing_files(landing, mapping, until))
    unknown = [name for file, name in found if file is None]
    files = [f for f, _ in found if f and (f.name, f.source, str(f.entry), f.digest) not in known]
    if not files:
        return IngestReport([], unknown)
    shutil.rmtree(lake.staging, ignore_errors=True)
    session = spark()
    staged = stage(session, parts(session, files, mapping), mapping, lake.staging, keys)
    reports = {(f.source_file, f.source): FileReport(f) for f in files}
    for part in staged:
        _add(reports[part.name, part.source], part)
    sources = sorted({file.source for file in files})
    with ThreadPoolExecutor(WRITERS) as pool:
        vaulted = pool.submit(merge_vault, session, lake)
        merges = list(pool.map(lambda source: merge(session, lake, SOURCES[source], keys), sources))
    for source, merged in zip(sources, merges, strict=True):
        for (name, of_source), report in reports.items():
            if of_source == source:
                typed = report.rows_in - report.rows_quarantined
                _check(report, typed, merged.staged[name])
                report.rows_accepted = merged.accepted[name]
                report.rows_quarantined += merged.conflicts[name]
                if merged.conflicts[name]:
                    report.reasons["key_conflict"] += merged.conflicts[name]
                report.rows_duplicate = typed - merged.accepted[name] - merged.conflicts[name]
    result = IngestReport(list(reports.values()), unknown, vaulted.result())
    _record(lake, result, until)
    shutil.rmtree(lake.staging, ignore_errors=True)
    return result


def _add(report: FileReport, part: PartCounts) -> None:
    report.rows_in += part.read
    report.rows_quarantined += part.quarantined
    report.reasons.update(part.reasons)
    report.notes.update(part.notes)


def _check(report: FileReport, typed: int, staged: int) -> None:
    """Compare what the tasks say they wrote with what Spark reads of it."""
    if typed != staged:
        raise CountMismatchError(
            f"{report.file.name} ({report.file.source}): {report.rows_in:,} rows were read and {typed:,} passed the "
            f"checks, but {staged:,} of them were staged. Nothing of this night is published; run it again, it starts "
            "from the last whole state."
        )


def _record(lake: Lake, result: IngestReport, night: date) -> None:
    rows = [
        {
            "name": r.file.name, "source": r.file.source, "entry": r.file.entry, "digest": r.file.digest,
            "bytes": r.file.bytes, "delivered_on": r.file.delivered_on, "night": night, "rows_in": r.rows_in,
            "rows_accepted": r.rows_accepted, "rows_duplicate": r.rows_duplicate,
            "rows_quarantined": r.rows_quarantined, "reasons": json.dumps(r.reasons), "notes": json.dumps(r.notes),
        }
        for r in result.files
    ]  # fmt: skip
    write_deltalake(lake.results("landing_files"), pa.Table.from_pylist(rows), mode="append")
