"""Files of a landing folder found, cut into parts, and each part turned into staged rows by one Spark task.

A task writes what it made (typed rows, quarantine, vault entries) as Parquet under names made of the part alone,
by temporary name and rename, so that a repeated task changes nothing. Only counts travel back to the driver.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from graph.tokens import Keys
from graph.vault import seal
from ingest.cleaning import Cleaned, Cleaner
from ingest.files import LandingFile
from ingest.lines import (
    BLOCK_BYTES,
    BOM,
    HeaderError,
    Lines,
    Reject,
    TruncatedError,
    read_json_lines,
    read_lines,
    split_header,
    stream_blocks,
    whole_lines,
)
from ingest.mapping import Entry, Join, Mapping, MappingError, apply, read_join
from ingest.sources import SOURCES, Source

PART_BYTES = 24 << 20  # a task's share of a plain file
_MANY_VALUED = {field.name for source in SOURCES.values() for field in source.fields if field.type == "token"} | {
    "token", "sealed", "original", "line",
}  # fmt: skip
MAX_KEPT_BYTES = 16 << 20  # of a whole file that is no file of its kind

REJECT_SCHEMA = pa.schema(
    [
        ("source_file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("column", pa.string()),
        ("row_kept", pa.bool_()), ("delivered_on", pa.date32()), ("original", pa.binary()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What one task reads: bytes [start, end) of a plain CSV file, or (end 0) a whole file."""

    file: LandingFile
    start: int = 0
    end: int = 0
    first_line: int = 2
    header: bytes = b""

    @property
    def id(self) -> str:
        """Name of the part's staged files."""
        text = f"{self.file.name}|{self.file.source}|{self.file.entry}|{self.file.delivered_on}|{self.start}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass
class PartCounts:
    """Rows of one part: read = typed + quarantined; `reasons` counts the quarantined, `notes` values set aside.

    `skipped` rows, which the `where` of a mapping leaves out, are not this entry's business and not among the read.
    """

    name: str
    source: str
    read: int = 0
    typed: int = 0
    quarantined: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class Scan(NamedTuple):
    """What lies in bytes [start, end) of a file: newlines, and whether a line that begins there opens a long record."""

    start: int
    end: int
    newlines: int
    spans: bool


def parts(spark: SparkSession, files: list[LandingFile], mapping: Mapping) -> list[Part]:
    """Cut the files into parts: plain CSV by bytes where no record spans lines, every other file whole.

    Spark scans the plain files once, for line numbers and for quoted line breaks (`docs/ingest.md`).
    """
    whole: list[tuple[LandingFile, str]] = []
    cut: list[tuple[LandingFile, str]] = []
    for file in files:
        entry = mapping.entry(file.source, file.entry)
        with_bytes = file.format == "csv" and file.bytes > 0 and file.digest != "symlink"
        (cut if with_bytes and file.bytes > PART_BYTES else whole).append((file, entry.delimiter))
    out = [Part(file) for file, _ in whole]
    windows = [
        (file, start, min(start + PART_BYTES, file.bytes))
        for file, _ in cut
        for start in range(0, file.bytes, PART_BYTES)
    ]
    if not windows:
        return out
    scans = spark.sparkContext.parallelize(windows, len(windows)).map(lambda w: scan(w[0].path, w[1], w[2])).collect()
    by_file: dict[tuple[str, str, int], list[Scan]] = {}
    for (file, start, end), (newlines, spans) in zip(windows, scans, strict=True):
        by_file.setdefault((file.name, file.source, file.entry), []).append(Scan(start, end, newlines, spans))
    for file, delimiter in cut:
        out += cut_file(file, by_file[file.name, file.source, file.entry], delimiter)
    return out


def cut_file(file: LandingFile, scans: list[Scan], delimiter: str) -> list[Part]:
    """Return a part for each scan, or the file whole where a record spans lines or the header cannot be read."""
    with open(file.path, "rb") as opened:
        header = opened.readline()
    try:
        split_header(header, delimiter)
    except HeaderError:
        return [Part(file)]  # read as a whole, it is refused line by line
    if any(window.spans for window in scans):
        return [Part(file)]
    found, seen = [], 0
    for window in scans:
        if window.start < len(header) < window.end:
            found.append(Part(file, len(header), window.end, 2, header))
        elif window.start >= len(header):
            # The first line that begins in the window: after the line, if any, that reaches in from before it.
            first_line = seen + 1 + _reaches_in(file.path, window.start)
            found.append(Part(file, window.start, window.end, first_line, header))
        seen += window.newlines
    return found or [Part(file)]


def _reaches_in(path: str, start: int) -> int:
    with open(path, "rb") as file:
        file.seek(start - 1)
        return 0 if file.read(1) == b"\n" else 1


def scan(path: str, start: int, end: int) -> tuple[int, bool]:
    """Return the newlines in bytes [start, end) and whether a line that begins there has an odd number of quotes."""
    with open(path, "rb") as file:
        file.seek(start)
        newlines = file.read(end - start).count(b"\n")
    block = whole_lines(Path(path), start, end)
    return newlines, b'"' in block and any(line.count(b'"') % 2 for line in block.split(b"\n"))


@lru_cache(maxsize=1)
def _cleaner(keys: Path, run: str) -> Cleaner:
    """One for each worker and run: its memory of tokens serves all tasks, and each run seals each value anew."""
    return Cleaner(Keys.read(keys))


@lru_cache(maxsize=16)
def _join_frame(join: Join, folder: str, changed_ns: int) -> pl.DataFrame:
    return read_join(join, Path(folder))


def _joined_frames(entry: Entry, folder: str) -> dict[str, pl.DataFrame]:
    """Return the rows of each join, read once by a worker for as long as the file does not change."""
    paths = {join: Path(folder, join.file) for join in entry.joins}
    stamps = {join: path.stat().st_mtime_ns if path.is_file() else 0 for join, path in paths.items()}
    return {join.name: _join_frame(join, folder, stamp) for join, stamp in stamps.items()}


def process(part: Part, mapping: Mapping, staging: Path, keys: Path, run: str = "") -> PartCounts:
    """Read, map, type and tokenize one part; write its staged files; return its counts."""
    file = part.file
    source, entry = SOURCES[file.source], mapping.entry(file.source, file.entry)
    joined = _joined_frames(entry, file.folder)
    cleaner = _cleaner(keys, run)
    counts = PartCounts(file.source_file, file.source)
    rows: list[pa.Table] = []
    rejects: list[tuple[Reject, bool]] = []
    for lines in _part_lines(part, entry.delimiter):
        cleaned, skipped = clean_lines(lines, file, source, entry, joined, cleaner)
        counts.skipped += skipped
        rows.append(cleaned.rows)
        rejects += [(reject, False) for reject in (*lines.rejects, *cleaned.rejects)]
        rejects += [(note, True) for note in cleaned.notes]
        counts.typed += len(cleaned.rows)
    quarantined = [reject for reject, kept in rejects if not kept]
    counts.quarantined = len(quarantined)
    counts.read = counts.typed + counts.quarantined
    counts.reasons.update(_code(reject) for reject in quarantined)
    counts.notes.update(_code(reject) for reject, kept in rejects if kept)
    _write(staging / "vault" / f"{part.id}.parquet", cleaner.memory.vault_rows())
    cleaner.memory.vault_written()
    _write(staging / file.source / "rejects" / f"{part.id}.parquet", _reject_table(rejects, part, _cleaner_keys(keys)))
    _write(staging / file.source / "rows" / f"{part.id}.parquet", pa.concat_tables(rows) if rows else None)
    return counts


def clean_lines(
    lines: Lines, file: LandingFile, source: Source, entry: Entry, joined: dict[str, pl.DataFrame], cleaner: Cleaner
) -> tuple[Cleaned, int]:
    """Map and type the rows of `lines`; return them and how many `where` left out. Rows without a column are refused.

    Raises:
        MappingError: a joined file lacks a column that the entry reads.
    """
    missing = entry.reads() - set(lines.frame.columns)
    if missing and len(lines.frame):
        column = sorted(missing)[0]
        lines.rejects += [Reject(n, "missing_column", lines.original(n), column) for n in lines.frame["line"]]
        lines.frame = lines.frame.clear()
    if not len(lines.frame):
        return cleaner.clean(source, lines, lines.frame, file.delivered_on, file.source_file), 0
    try:
        frame = apply(entry, lines.frame, joined)
    except MappingError as error:
        raise MappingError(f"sources.{file.source}[{file.entry}].{error}") from None
    return cleaner.clean(source, lines, frame, file.delivered_on, file.source_file), len(lines.frame) - len(frame)


@lru_cache(maxsize=4)
def _cleaner_keys(keys: Path) -> Keys:
    return Keys.read(keys)


def _code(reject: Reject) -> str:
    return f"{reject.column}: {reject.reason}" if reject.column else reject.reason


def _reject_table(rejects: list[tuple[Reject, bool]], part: Part, keys: Keys) -> pa.Table:
    name, day = part.file.source_file, part.file.delivered_on
    records = [
        (name, r.line, r.reason, r.column, kept, day, seal(keys, f"quarantine:{name}:{r.line}", r.original))
        for r, kept in rejects
    ]
    return pa.table(
        [pa.array([record[i] for record in records], f.type) for i, f in enumerate(REJECT_SCHEMA)], schema=REJECT_SCHEMA
    )


def _write(path: Path, table: pa.Table | None) -> None:
    if table is None or len(table) == 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Read once and removed: quick beats small. A dictionary of tokens that hardly repeat would only cost time.
    plain = [name for name in table.column_names if name not in _MANY_VALUED]
    pq.write_table(table, part, compression="lz4", use_dictionary=plain)
    part.replace(path)


def _part_lines(part: Part, delimiter: str) -> Iterator[Lines]:
    file = part.file
    path = Path(file.path)
    if file.digest == "symlink":
        yield _refused("symlink", os.fsencode(os.readlink(path)))
    elif file.format == "parquet":
        yield from _parquet_lines(path)
    elif file.format.startswith("jsonl"):
        yield from _text_lines(path, None, delimiter)
    elif part.end:
        names = split_header(part.header, delimiter)
        yield read_lines(
            whole_lines(path, part.start, part.end), names, delimiter, part.first_line, part.header.rstrip(b"\r\n")
        )
    else:
        yield from _text_lines(path, b"", delimiter)


def _text_lines(path: Path, header: bytes | None, delimiter: str) -> Iterator[Lines]:
    """Read a CSV (header b"") or JSON Lines (header None) file from its first byte to its last."""
    names: list[str] = []
    line, carry = 1, b""
    try:
        for block, final in stream_blocks(path):
            block = carry + block
            if header == b"":
                first, newline, rest = block.partition(b"\n")
                try:
                    names = split_header(first, delimiter)
                except HeaderError as error:
                    if error.reason != "empty_file" or rest:
                        yield from _all_refused(error.reason, block, path)
                    return
                header, block, line = first.rstrip(b"\r"), rest, 2
                if not newline:
                    return
            if header is None:
                lines = read_json_lines(block.removeprefix(BOM) if line == 1 else block, line)
            else:
                lines = read_lines(block, names, delimiter, line, header, final)
            line, carry = line + lines.lines, lines.carry
            yield lines
    except TruncatedError as damage:
        rest = carry + damage.rest
        if line == 1 and not rest:
            yield _refused("not_gzip", path.read_bytes()[:MAX_KEPT_BYTES])
            return
        whole = rest.rfind(b"\n") + 1
        if header == b"" and whole:  # the damage came before the first block was full
            first, _, body = rest[:whole].partition(b"\n")
            try:
                names = split_header(first, delimiter)
            except HeaderError as error:
                yield from _all_refused(error.reason, rest, path)
                return
            header, rest, line, whole = first.rstrip(b"\r"), rest[len(first) + 1 :], 2, len(body)
        if whole and header != b"":
            block = rest[:whole]
            yield read_json_lines(block, line) if header is None else read_lines(block, names, delimiter, line, header)
            line += block.count(b"\n")
            rest = rest[whole:]
        yield _refused("truncated_gzip", rest, line)


def _refused(reason: str, original: bytes, line: int = 1) -> Lines:
    return Lines(pl.DataFrame(schema={"line": pl.Int64}), [Reject(line, reason, original)])


def _all_refused(reason: str, block: bytes, path: Path) -> Iterator[Lines]:
    """Refuse every line of a file whose header cannot be read, so that its rows are counted."""
    rows = block.split(b"\n")[:-1] if block.endswith(b"\n") else block.split(b"\n")
    rejects = [Reject(n, reason, row) for n, row in enumerate(rows, start=1) if row.strip()]
    if len(block) >= BLOCK_BYTES:  # a huge unreadable file: one record and the file's own bytes stay in the landing
        rejects = [Reject(1, reason, path.read_bytes()[:MAX_KEPT_BYTES])]
    yield Lines(pl.DataFrame(schema={"line": pl.Int64}), rejects)


def _parquet_lines(path: Path) -> Iterator[Lines]:
    """Read a Parquet file by row groups."""
    try:
        opened = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        yield _refused("not_parquet", path.read_bytes()[:MAX_KEPT_BYTES])
        return
    line = 1
    for group in range(opened.num_row_groups):
        lines = parquet_lines(opened.read_row_group(group), line)
        yield lines
        line += len(lines.frame)


def parquet_lines(table: pa.Table, first_line: int) -> Lines:
    """Return Parquet rows as text, with their JSON as the original; `line` is the row's number from 1."""
    frame = pl.DataFrame(pl.from_arrow(table))
    if "line" in frame.columns:
        frame = frame.drop("line")
    text = frame.with_columns(
        [
            pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f" + ("%:z" if getattr(dtype, "time_zone", None) else ""))
            if isinstance(dtype, pl.Datetime)
            else pl.col(name).cast(pl.String)
            for name, dtype in frame.schema.items()
        ]
    )
    rows = frame.write_ndjson().encode().split(b"\n")
    records = dict(enumerate(rows[: len(frame)], start=first_line))
    numbered = text.with_columns(line=pl.int_range(first_line, first_line + len(text), dtype=pl.Int64, eager=True))
    return Lines(numbered, [], records=records, first_line=first_line)


def stage(spark: SparkSession, work: list[Part], mapping: Mapping, staging: Path, keys: Path) -> list[PartCounts]:
    """Run `process` over all parts, one Spark task each, and return their counts."""
    if not work:
        return []
    tasks = sorted(work, key=lambda part: -(part.end - part.start or part.file.bytes))
    run = uuid4().hex

    def work_on(part: Part) -> PartCounts:
        gc.disable()  # millions of strings and no cycles: the collector would look at them again and again
        try:
            return process(part, mapping, staging, keys, run)
        finally:
            gc.enable()

    counted = spark.sparkContext.parallelize(tasks, len(tasks)).map(work_on)
    return counted.collect()
