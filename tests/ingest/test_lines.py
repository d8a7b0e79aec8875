"""Bytes to rows: Python's csv as the oracle, and the same rows however a file is cut."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest import landing, lines
from ingest.files import LandingFile
from ingest.landing import Part, Scan, cut_file, scan
from ingest.lines import BOM, HeaderError, Lines, read_json_lines, read_lines, split_header, stream_blocks

NAMES = ["a", "b", "c"]
FIELD = st.text(alphabet=st.sampled_from('x y,;"\n\r王é0'), max_size=6)
TABLE = st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=12)
PLAIN = st.lists(st.tuples(*[st.text(alphabet="x y王0", max_size=4)] * 3), max_size=20)


def written(rows: Sequence[tuple[str, ...]], newline: str = "\n", delimiter: str = ",") -> bytes:
    """Fields are quoted where they must be; Python's own writer leaves a lone carriage return bare."""

    def field(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & {delimiter, '"', "\n", "\r"} else text

    return "".join(delimiter.join(map(field, row)) + newline for row in rows).encode()


def rows_of(read: Lines) -> dict[int, tuple[str, ...]]:
    """Rows by line number, empty text for null."""
    return {row["line"]: tuple(row[name] or "" for name in NAMES) for row in read.frame.sort("line").to_dicts()}


def by_python(text: bytes, delimiter: str = ",", first_line: int = 1) -> dict[int, tuple[str, ...]]:
    """Rows by the number of the physical line on which they begin, lines counted by their newline."""
    reader = csv.reader(io.StringIO(text.decode(), newline="\n"), delimiter=delimiter)
    found, begins = {}, first_line
    for row in reader:
        if row:
            found[begins] = tuple(row)
        begins = first_line + reader.line_num
    return found


@given(rows=TABLE, newline=st.sampled_from(["\n", "\r\n"]), delimiter=st.sampled_from(",;"), ended=st.booleans())
@example(rows=[("x\r\ny", "", "")], newline="\r\n", delimiter=",", ended=True)
@settings(deadline=None)
def test_rows_and_line_numbers_are_those_of_pythons_csv(
    rows: list[tuple[str, ...]], newline: str, delimiter: str, ended: bool
) -> None:
    text = written(rows, newline, delimiter)
    text = text if ended else text.removesuffix(newline.encode())
    read = read_lines(text, NAMES, delimiter)
    assert read.rejects == []
    assert rows_of(read) == by_python(text, delimiter)


@given(rows=TABLE, newline=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_the_original_of_a_row_is_its_bytes_as_delivered(rows: list[tuple[str, ...]], newline: str) -> None:
    read = read_lines(written(rows, newline), NAMES, ",")
    originals = [read.original(line) + newline.encode() for line in read.frame["line"].sort()]
    assert b"".join(originals) == written(rows, newline)


@given(rows=PLAIN, blank=st.sampled_from([b"\n", b"  \n", b"\r\n"]), where=st.integers(0, 20))
@settings(deadline=None)
def test_blank_lines_are_no_rows_and_keep_the_count_of_lines(
    rows: list[tuple[str, ...]], blank: bytes, where: int
) -> None:
    before, after = written(rows[:where]), written(rows[where:])
    read = rows_of(read_lines(before + blank + after, NAMES, ",", first_line=2))
    shift = {line + 1 + len(rows[:where]): row for line, row in by_python(after, first_line=2).items()}
    assert read == by_python(before, first_line=2) | shift


@given(rows=TABLE, newline=st.sampled_from(["\n", "\r\n"]), block=st.integers(1, 40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_read_in_small_blocks_gives_the_same_rows(
    rows: list[tuple[str, ...]], newline: str, block: int, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b,c\n" + written(rows, newline))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        read = list(landing._text_lines(path, b"", ","))
    assert [reject for one in read for reject in one.rejects] == []
    merged: dict[int, tuple[str, ...]] = {}
    for one in read:
        merged |= rows_of(one)
    assert merged == by_python(written(rows, newline), first_line=2)


def file_at(path: Path) -> LandingFile:
    size = path.stat().st_size
    return LandingFile(str(path), path.name, "calls", 0, date(2024, 6, 1), str(path.parent), size, "x")


def in_parts(path: Path, part_bytes: int) -> list[Part]:
    size = path.stat().st_size
    windows = [(start, min(start + part_bytes, size)) for start in range(0, size, part_bytes)]
    return cut_file(file_at(path), [Scan(a, b, *scan(str(path), a, b)) for a, b in windows], ",")


def rows_of_parts(parts: list[Part]) -> tuple[dict[int, tuple[str, ...]], list[tuple[int, str, bytes]]]:
    merged: dict[int, tuple[str, ...]] = {}
    rejects: list[tuple[int, str, bytes]] = []
    for part in parts:
        for one in landing._part_lines(part, ","):
            assert not merged.keys() & rows_of(one).keys()
            merged |= rows_of(one)
            rejects += [(reject.line, reject.reason, reject.original) for reject in one.rejects]
    return merged, sorted(rejects)


@given(
    rows=PLAIN, newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans(), ended=st.booleans(), bad=st.integers(0, 20)
)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_cut_at_any_boundary_give_the_rows_and_line_numbers_of_the_whole(
    rows: list[tuple[str, ...]], newline: str, bom: bool, ended: bool, bad: int, tmp_path: Path
) -> None:
    text = written([("a", "b", "c"), *rows[:bad], ("short",), *rows[bad:]], newline)
    text = text if ended else text.removesuffix(newline.encode())
    path = tmp_path / "t.csv"
    path.write_bytes((BOM if bom else b"") + text)
    whole = rows_of_parts([Part(file_at(path))])
    assert len(whole[0]) == len(rows)
    for part_bytes in range(1, min(len(text), 40) + 2):
        assert rows_of_parts(in_parts(path, part_bytes)) == whole


def test_a_file_with_a_record_over_two_lines_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b,c\n1,2,3\n1,"2\n2",3\n')
    assert in_parts(path, 7) == [Part(file_at(path))]


@pytest.mark.parametrize("header", [b"a,,c\n", b"a,a,c\n", "a,b,c\n".encode("utf-16"), b"a,b\xff,c\n"])
def test_a_file_without_a_usable_header_is_not_cut_and_every_line_is_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(header + b"1,2,3\n" * 9)
    parts = in_parts(path, 16)
    assert parts == [Part(file_at(path))]
    assert b"\n".join(reject[2] for reject in rows_of_parts(parts)[1]) + b"\n" == path.read_bytes()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"1,2", "too_few_fields"),
        (b"1,2,3,4", "too_many_fields"),
        (b'1,"2,3', "unclosed_quote"),
        (b'1,"2"x,3', "bad_quotes"),
        (b"1,2\r,3", "stray_carriage_return"),
        (b"1,\xff,3", "bad_encoding"),
        (b"1,\0,3", "nul_byte"),
        (b"a,b,c", "repeated_header"),
        (BOM + b"a,b,c", "repeated_header"),
        (b"1,2," + b"x" * lines.MAX_LINE_BYTES, "line_too_long"),
    ],
)
def test_a_line_that_cannot_be_read_leaves_with_its_reason_and_its_neighbors_stay(raw: bytes, reason: str) -> None:
    read = read_lines(b"1,2,3\n" + raw + b"\n4,5,6\n", NAMES, ",", first_line=2, header=b"a,b,c")
    assert rows_of(read) == {2: ("1", "2", "3"), 4: ("4", "5", "6")}
    assert [(reject.line, reject.reason, reject.original) for reject in read.rejects] == [(3, reason, raw)]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", "empty_file"),
        (b"\r\n", "empty_file"),
        (b"a,a", "bad_header"),
        (b"a,", "bad_header"),
        (b"a,b\r1,2\r3,4", "bad_header"),
        ("a,b".encode("utf-16"), "bad_encoding"),
        ("姓名,b".encode("gbk"), "bad_encoding"),
    ],
)
def test_a_first_line_that_is_no_header_says_why(first: bytes, reason: str) -> None:
    with pytest.raises(HeaderError, match=reason):
        split_header(first, ",")


def test_a_header_is_trimmed_and_loses_its_byte_order_mark() -> None:
    assert split_header(BOM + b'"a", b ,\xe5\xa7\x93\xe5\x90\x8d\r\n', ",") == ["a", "b", "姓名"]


def test_json_lines_keep_numbers_as_written_and_refuse_what_is_no_flat_object() -> None:
    read = read_json_lines(b'{"a": 1.50, "b": true, "c": null}\n\n[1]\n{"a": {}}\n{"a":\n{"a": "\xff"}\n{"c": 1e309}')
    rows = read.frame.sort("line").to_dicts()
    assert rows == [{"line": 1, "a": "1.50", "b": "true", "c": None}, {"line": 7, "a": None, "b": None, "c": "1e309"}]
    assert [(reject.line, reject.reason) for reject in read.rejects] == [
        (3, "not_a_flat_object"),
        (4, "not_a_flat_object"),
        (5, "bad_json"),
        (6, "bad_encoding"),
    ]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("ending", [".csv.gz", ".jsonl.gz"])
def test_a_truncated_gzip_file_gives_the_whole_rows_before_the_damage(
    share: float, ending: str, tmp_path: Path
) -> None:
    rows = [(str(n), f"王{n}", str(n * n)) for n in range(3_000)]
    text = b"a,b,c\n" + written(rows)
    if ending == ".jsonl.gz":
        text = pl.DataFrame(rows, schema=NAMES, orient="row").write_ndjson().encode()
    packed = gzip.compress(text)
    path = tmp_path / f"t{ending}"
    path.write_bytes(packed[: int(len(packed) * share)])
    read = list(landing._text_lines(path, b"" if ending == ".csv.gz" else None, ","))
    kept = [row for one in read for row in rows_of(one).values()] if len(read) > 1 else []
    (reject,) = [reject for one in read for reject in one.rejects]
    assert reject.reason == "truncated_gzip"
    assert kept == rows[: len(kept)]
    begun = text.split(b"\n")[len(kept) + (ending == ".csv.gz")]
    assert begun.startswith(reject.original)


def test_a_truncated_gzip_file_with_a_bad_header_is_refused_line_by_line(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,a,c\n" + written([(str(n), str(n), str(n)) for n in range(3_000)]))
    path = tmp_path / "t.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    read = list(landing._text_lines(path, b"", ","))
    assert {reject.reason for one in read for reject in one.rejects} == {"bad_header"}
    assert len(read[0].rejects) > 100


def test_blocks_of_a_file_end_at_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 10)
    path = tmp_path / "t.csv"
    path.write_bytes(b"1234\n" * 7 + b"123")
    *blocks, last = stream_blocks(path)
    assert last[1]
    assert blocks
    assert all(block.endswith(b"\n") and not final for block, final in blocks)
    assert b"".join(block for block, _ in [*blocks, last]) == path.read_bytes()
