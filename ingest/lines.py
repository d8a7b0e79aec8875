"""Landing files cut into parts, and parts into string frames with every unreadable line kept.

Spark's own CSV reader fills short rows with null and drops extra columns without a word. Here lines are taken as
bytes and the field count is checked on each: a whole, unquoted line takes a vectorized path, every other line goes
one by one through Python's `csv`, and what cannot be read leaves as a `Reject` with its bytes, line and reason.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

MAX_LINE_BYTES = 1 << 20
MAX_RECORD_LINES = 50  # a quoted field may span this many lines; beyond it an unclosed quote is assumed
BLOCK_BYTES = 16 << 20
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Reject:
    """One unreadable or unacceptable row: 1-based line in its file, reason code, column if one is to blame, bytes."""

    line: int
    reason: str
    original: bytes
    column: str | None = None


@dataclass
class Lines:
    """The rows of one block: `frame` of strings (null = empty) with `line`, the rejects, and each row's bytes."""

    frame: pl.DataFrame
    rejects: list[Reject]
    block: bytes = b""
    starts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    ends: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    first_line: int = 1
    carry: bytes = b""  # an unfinished quoted record at the end of the block, to be put before the next one
    lines: int = 0  # physical lines consumed
    records: dict[int, bytes] = field(default_factory=dict)  # bytes of the rows that span lines or are not text

    def original(self, line: int) -> bytes:
        """Return the bytes of the row that begins at `line`."""
        if line in self.records:
            return self.records[line]
        index = line - self.first_line
        return self.block[self.starts[index] : self.ends[index]]


class HeaderError(Exception):
    """The file's first line is no header; `reason` is its code."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def split_header(first: bytes, delimiter: str) -> list[str]:
    """Return the column names of a header line: trimmed, lower-cased only by mappings, BOM removed.

    Raises:
        HeaderError: `empty_file`, `bad_encoding` (UTF-16, GBK) or `bad_header` (a name is empty or stands twice).
    """
    text = first.removeprefix(BOM).rstrip(b"\r\n")
    if not text:
        raise HeaderError("empty_file")
    if b"\0" in text or text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise HeaderError("bad_encoding")
    try:
        names = [name.strip() for name in next(csv.reader([text.decode()], delimiter=delimiter))]
    except UnicodeDecodeError:
        raise HeaderError("bad_encoding") from None
    except csv.Error:  # among others a file whose lines end in a carriage return alone: all of it is one line
        raise HeaderError("bad_header") from None
    if not all(names) or len(set(names)) < len(names):
        raise HeaderError("bad_header")
    return names


def read_lines(
    block: bytes, names: list[str], delimiter: str, first_line: int = 1, header: bytes = b"", final: bool = True
) -> Lines:
    """Return the rows of `block`, whole lines of a CSV file without its header line.

    Args:
        block: complete lines; only the last of the file may lack its newline.
        names: column names, one for each field.
        delimiter: one ASCII character.
        first_line: number of the block's first line in its file, from 1.
        header: the header's bytes; a line equal to it, or to it without its BOM, is a repeated header.
        final: whether the file ends here; if not, an open quoted record at the end is carried over.
    """
    if block and not block.endswith(b"\n"):
        block += b"\n"
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == 10)
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    returns = b"\r" in block
    if returns:  # a row ends before its CRLF; inside quotes the two bytes stay as delivered
        ends = ends - ((ends > starts) & (data[ends - 1] == 13))
    header = header.removeprefix(BOM)
    out = Lines(pl.DataFrame(), [], block, starts, ends, first_line, lines=len(ends))

    def count(byte: int) -> np.ndarray:
        positions = np.flatnonzero(data == byte)
        return np.searchsorted(positions, ends) - np.searchsorted(positions, starts)

    lengths = ends - starts
    fast = (count(ord(delimiter)) == len(names) - 1) & (lengths > 0) & (lengths <= MAX_LINE_BYTES)
    if b'"' in block:
        fast &= count(34) == 0
    if b"\0" in block:
        fast &= count(0) == 0
    if returns:
        fast &= count(13) == 0
    if not block.isascii() and not _is_utf8(block):
        high = np.flatnonzero(data >= 0x80)
        for index in np.unique(np.searchsorted(ends, high)):
            fast[index] &= _is_utf8(block[starts[index] : ends[index]])
    if header:
        for index in np.flatnonzero((lengths == len(header)) | (lengths == len(header) + len(BOM))):
            fast[index] &= block[starts[index] : ends[index]].removeprefix(BOM) != header
    slow_rows: list[tuple[int, list[str]]] = []
    index, blocked = 0, np.flatnonzero(~fast)
    for position in blocked:
        if position < index:
            continue  # inside a record that began above
        taken = _read_slow(out, int(position), names, delimiter, header, slow_rows, final)
        if taken == 0:
            out.carry = block[starts[position] :]
            out.lines = int(position)
            fast[position:] = False
            break
        fast[position : position + taken] = False
        index = int(position) + taken
    out.frame = _frame(out, fast, slow_rows, names, delimiter)
    return out


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_slow(
    out: Lines,
    index: int,
    names: list[str],
    delimiter: str,
    header: bytes,
    rows: list[tuple[int, list[str]]],
    final: bool,
) -> int:
    """Read one record that is not a plain line; return how many lines it took, 0 for 'wait for the next block'."""
    line = out.first_line + index
    raw = out.block[out.starts[index] : out.ends[index]]

    def reject(reason: str) -> int:
        out.rejects.append(Reject(line, reason, raw))
        return 1

    if not raw.strip():
        return 1  # an empty line is no row
    if len(raw) > MAX_LINE_BYTES:
        return reject("line_too_long")
    if b"\0" in raw:
        return reject("nul_byte")
    if header and raw.removeprefix(BOM) == header:
        return reject("repeated_header")
    taken, text = 1, raw
    while text.count(b'"') % 2:
        if index + taken >= len(out.ends):
            if not final and taken < MAX_RECORD_LINES and len(text) < MAX_LINE_BYTES:
                return 0
            return reject("unclosed_quote")
        if taken == MAX_RECORD_LINES or len(text) > MAX_LINE_BYTES:
            return reject("unclosed_quote")
        text = out.block[out.starts[index] : out.ends[index + taken]]
        taken += 1
    if not _is_utf8(text):
        return reject("bad_encoding")
    try:
        records = list(csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return reject("bad_quotes")
    if len(records) != 1:
        return reject("stray_carriage_return")
    if len(records[0]) != len(names):
        if taken > 1:
            return reject("unclosed_quote")
        return reject("too_few_fields" if len(records[0]) < len(names) else "too_many_fields")
    rows.append((line, records[0]))
    out.records[line] = text
    return taken


def _frame(
    out: Lines, fast: np.ndarray, slow: list[tuple[int, list[str]]], names: list[str], delimiter: str
) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String)
    parts = []
    kept = np.flatnonzero(fast)
    if len(kept):
        if len(kept) == len(fast):
            body = out.block
        else:
            edges = np.flatnonzero(np.diff(kept) > 1)
            first, last = np.concatenate(([0], edges + 1)), np.concatenate((edges, [len(kept) - 1]))
            after = np.append(out.starts[1:], len(out.block))
            body = b"".join(out.block[out.starts[kept[a]] : after[kept[b]]] for a, b in zip(first, last, strict=True))
        if b"\r" in body:  # only at the ends of lines, or the line would not be here
            body = body.replace(b"\r\n", b"\n")
        frame = pl.read_csv(
            io.BytesIO(body), separator=delimiter, has_header=False, new_columns=names, schema=schema, quote_char=None,
        )  # fmt: skip
        parts.append(frame.with_columns(line=pl.Series(kept + out.first_line, dtype=pl.Int64)))
    if slow:
        columns = {name: [row[i] or None for _, row in slow] for i, name in enumerate(names)}
        frame = pl.DataFrame(columns, schema=schema)
        parts.append(frame.with_columns(line=pl.Series([line for line, _ in slow], dtype=pl.Int64)))
    return pl.concat(parts) if parts else pl.DataFrame(schema={**schema, "line": pl.Int64})


def read_json_lines(block: bytes, first_line: int = 1) -> Lines:
    """Return the rows of a block of JSON Lines; columns are all the keys seen, values as they were written."""
    out = Lines(pl.DataFrame(), [], first_line=first_line)
    rows: list[dict[str, str | int | None]] = []
    for offset, raw in enumerate(block.split(b"\n")):
        line = first_line + offset
        if not raw.strip():
            continue
        out.records[line] = raw
        try:
            record = json.loads(raw, parse_int=str, parse_float=str, parse_constant=str)
        except UnicodeDecodeError:
            out.rejects.append(Reject(line, "bad_encoding", raw))
            continue
        except ValueError:
            out.rejects.append(Reject(line, "bad_json", raw))
            continue
        if not isinstance(record, dict) or any(isinstance(value, (dict, list)) for value in record.values()):
            out.rejects.append(Reject(line, "not_a_flat_object", raw))
            continue
        rows.append({"line": line} | {str(k): _as_text(v) for k, v in record.items() if k != "line"})
    out.lines = block.count(b"\n") + (not block.endswith(b"\n"))
    names = dict.fromkeys(key for row in rows for key in row)
    out.frame = pl.DataFrame(
        rows, schema={name: pl.Int64 if name == "line" else pl.String for name in names or {"line": 0}}
    )
    return out


def _as_text(value: object) -> str | None:
    if value is None or value == "":
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole_lines(path: Path, start: int, end: int) -> bytes:
    """Return the lines of an uncompressed file that begin in bytes [start, end); the last one may reach beyond."""
    with path.open("rb") as file:
        file.seek(max(start - 1, 0))
        if start > 0:
            file.readline()  # the line that began before us, or just the newline before our first
        if file.tell() >= end:
            return b""
        block = file.read(end - file.tell())
        return block if block.endswith(b"\n") else block + file.readline()


def stream_blocks(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Yield (whole lines, whether the file ends here) of a plain or gzip file.

    Raises:
        EOFError, OSError, zlib.error: the gzip data is cut off or damaged; what was whole has been yielded.
    """
    rest = b""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        while True:
            try:
                more = file.read1(BLOCK_BYTES) if isinstance(file, gzip.GzipFile) else file.read(BLOCK_BYTES)
            except (EOFError, OSError, zlib.error) as damage:
                raise TruncatedError(rest) from damage
            if not more:
                yield rest, True
                return
            rest += more
            if len(rest) >= BLOCK_BYTES and (cut := rest.rfind(b"\n") + 1):
                yield rest[:cut], False
                rest = rest[cut:]


class TruncatedError(Exception):
    """The compressed file ended early; `rest` is what was read of it and not yielded yet."""

    def __init__(self, rest: bytes):
        super().__init__("the compressed data ends early")
        self.rest = rest
