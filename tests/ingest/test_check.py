"""What check-mapping says of a small delivery."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from ingest.check import FileCheck, check, table
from ingest.files import LandingError
from ingest.mapping import Mapping, read_mapping

MAPPING = """
deliveries: {2024-06-01: night}
sources:
  loans:
    - pattern: credit*.csv
      joins: [{name: person, file: people.csv, on: customer, key: id}]
      where: [{column: kind, in: [loan]}]
      columns:
        loan_id: nr
        application_id: nr
        applicant_id: person.number
        disbursed_at: day
        principal_cny: sum
  calls:
    - pattern: cdr*.csv
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    night = tmp_path / "night"
    night.mkdir()
    (night / "credit1.csv").write_text(
        "nr,customer,kind,day,sum,note\n1,c1,loan,2024-05-01,5\n2,c1,loan,2024-05-01,5,\n"
        "3,c2,loan,2024-05-01,5,\n4,c1,gift,2024-05-01,5,\n"
    )
    (night / "people.csv").write_text("id,number\nc1,a1\n")
    (night / "readme.txt").write_text("hello")
    return tmp_path


def checked(folder: Path, text: str = MAPPING) -> list[FileCheck]:
    path = folder / "m.yml"
    path.write_text(text)
    return check(read_mapping(str(path)), folder)


def test_it_says_what_is_filled_left_empty_unread_and_how_the_first_rows_fare(folder: Path) -> None:
    calls, credit, readme = checked(folder)
    assert (credit.source, credit.entry, credit.file, credit.error) == ("loans", 0, "night/credit1.csv", None)
    assert credit.filled == ("loan_id", "application_id", "applicant_id", "disbursed_at", "principal_cny")
    assert credit.empty == ("term_months", "status")
    assert credit.unread == ("note",)
    assert (credit.sampled, credit.accepted, credit.skipped) == (4, 1, 1)
    assert credit.reasons == {"too_few_fields": 1, "applicant_id: missing_value": 1}
    assert (calls.file, calls.remark) == (None, "no file is named cdr*.csv")
    assert (readme.source, readme.file, readme.remark) == (None, "night/readme.txt", "no entry takes this file")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("principal_cny: sum", "principal_cny: amount",
         "sources.loans[0].columns.principal_cny reads 'amount', which credit1.csv lacks; "
         "it has nr, customer, kind, day, sum, note."),
        ("person.number", "person.nummer",
         "sources.loans[0].columns.applicant_id reads 'person.nummer', which people.csv lacks; "
         "it has person.id, person.number."),
        ("on: customer", "on: client", "sources.loans[0].joins[0].on reads 'client', which credit1.csv lacks"),
        ("column: kind", "column: sort", "sources.loans[0].where[0].column reads 'sort', which credit1.csv lacks"),
        ("key: id", "key: ident", "sources.loans[0].joins: join 'person': people.csv has no column 'ident'"),
        ("people.csv", "persons.csv", "sources.loans[0].joins: join 'person' needs persons.csv"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_named_with_its_key_and_those_that_are(
    before: str, after: str, said: str, folder: Path
) -> None:
    credit = checked(folder, MAPPING.replace(before, after))[1]
    assert (credit.error or "").startswith(said)


def test_every_format_is_looked_into_and_only_its_first_thousand_rows(tmp_path: Path) -> None:
    night = tmp_path / "2024-06-01"
    night.mkdir()
    rows = pl.DataFrame({"phone": ["13800138000"] * 2_500, "other_phone": "13900139000", "direction": "out",
                         "started_at": "2024-05-01", "duration_s": 3})  # fmt: skip
    rows.write_csv(night / "calls_1.csv")
    (night / "calls_2.csv.gz").write_bytes(gzip.compress(rows.write_csv().encode()))
    rows.write_ndjson(night / "calls_3.jsonl")
    rows.write_parquet(night / "calls_4.parquet")
    found = check(Mapping(), tmp_path)
    assert [(one.sampled, one.accepted, one.error) for one in found] == [(1_000, 1_000, None)] * 4


def test_a_landing_file_without_a_required_column_a_header_or_an_own_body_is_an_error(tmp_path: Path) -> None:
    night = tmp_path / "2024-06-01"
    night.mkdir()
    (night / "labels.csv").write_text("applicant_id,label\na1,fraud\n")
    (night / "calls.csv").write_bytes("phone".encode("utf-16"))
    (night / "phones.csv").symlink_to(night / "labels.csv")
    (night / "loans.parquet").write_text("no parquet")
    errors = {one.source: one.error or "" for one in check(Mapping(), tmp_path)}
    assert errors["labels"] == "labels.csv lacks 'confirmed_at'; it has applicant_id, label."
    assert errors["calls"] == "the header cannot be read: bad_encoding"
    assert "links are refused" in errors["phones"]
    assert errors["loans"]


def test_a_folder_that_fits_nothing_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(LandingError, match=r"looked in night for cdr\*.csv, credit\*.csv"):
        checked(tmp_path)


def test_the_table_shows_errors_and_names_with_brackets_as_they_are(folder: Path) -> None:
    (folder / "night" / "odd[red].txt").write_text("")
    console = Console(width=240, record=True, file=(folder / "out").open("w"))
    console.print(table(checked(folder, MAPPING.replace("principal_cny: sum", "principal_cny: amount"))))
    shown = console.export_text()
    assert "loans[0]" in shown
    assert "odd[red].txt" in shown
    assert "columns.principal_cny" in shown
