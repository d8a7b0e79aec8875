"""One night's ingest: files not read yet, through staging, into the raw tables, every row counted once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from graph.lake import Lake
from graph.tokens import Keys
from ingest.landing import LandingFile, PartCounts, landing_files, parts, stage
from ingest.mapping import Mapping
from ingest.raw import has_table, merge, merge_vault
from ingest.sources import SOURCES

WRITERS = 4

_FILES_DDL = (
    "name string, source string, entry int, digest string, bytes long, delivered_on date, night date, "
    "rows_in long, rows_accepted long, rows_duplicate long, rows_quarantined long, reasons string, notes string"
)


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


def ingest(spark: SparkSession, lake: Lake, landing: Path, until: date, mapping: Mapping, keys: Path) -> IngestReport:
    """Read all files delivered up to `until` (inclusive) that the lake has not read, and merge their rows.

    A file is known by its name and content: read once, whatever runs again.

    Raises:
        CountMismatchError: read ≠ accepted + duplicate + quarantined for a file.
        LandingError, MappingError: nothing was read.
    """
    Keys.create(keys)
    files_path = lake.results("landing_files")
    known: set[tuple[str, ...]] = set()
    if has_table(files_path):
        rows = spark.read.format("delta").load(str(files_path)).select("name", "source", "entry", "digest").collect()
        known = {(r["name"], r["source"], str(r["entry"]), r["digest"]) for r in rows}
    found = list(landing_files(landing, mapping, until))
    unknown = [name for file, name in found if file is None]
    files = [f for f, _ in found if f and (f.name, f.source, str(f.entry), f.digest) not in known]
    if not files:
        return IngestReport([], unknown)
    shutil.rmtree(lake.staging, ignore_errors=True)
    staged = stage(spark, parts(spark, files, mapping), mapping, lake.staging, keys)
    reports = {(f.name, f.source): FileReport(f) for f in files}
    for part in staged:
        _add(reports[part.name, part.source], part)
    sources = sorted({file.source for file in files})
    with ThreadPoolExecutor(WRITERS) as pool:
        vaulted = pool.submit(merge_vault, spark, lake)
        merges = list(pool.map(lambda source: merge(spark, lake, SOURCES[source], keys), sources))
    for source, merged in zip(sources, merges, strict=True):
        for (name, of_source), report in reports.items():
            if of_source == source:
                typed = report.rows_in - report.rows_quarantined
                report.rows_accepted = merged.accepted[name]
                report.rows_quarantined += merged.conflicts[name]
                if merged.conflicts[name]:
                    report.reasons["key_conflict"] += merged.conflicts[name]
                report.rows_duplicate = typed - merged.accepted[name] - merged.conflicts[name]
    _check(list(reports.values()))
    result = IngestReport(list(reports.values()), unknown, vaulted.result())
    _record(spark, lake, result, until)
    shutil.rmtree(lake.staging, ignore_errors=True)
    return result


def _add(report: FileReport, part: PartCounts) -> None:
    report.rows_in += part.read
    report.rows_quarantined += part.quarantined
    report.reasons.update(part.reasons)
    report.notes.update(part.notes)


def _check(reports: list[FileReport]) -> None:
    for report in reports:
        if report.rows_duplicate < 0:
            raise CountMismatchError(
                f"{report.file.name} ({report.file.source}): {report.rows_in:,} rows were read, but "
                f"{report.rows_accepted:,} are in the lake and {report.rows_quarantined:,} in the quarantine. "
                "The night stopped before publishing; run it again, it starts from the last whole state."
            )


def _record(spark: SparkSession, lake: Lake, result: IngestReport, night: date) -> None:
    rows = [
        (
            r.file.name, r.file.source, r.file.entry, r.file.digest, r.file.bytes, r.file.delivered_on, night,
            r.rows_in, r.rows_accepted, r.rows_duplicate, r.rows_quarantined,
            json.dumps(r.reasons), json.dumps(r.notes),
        )
        for r in result.files
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, _FILES_DDL)
    frame.coalesce(1).write.format("delta").mode("append").save(str(lake.results("landing_files")))
