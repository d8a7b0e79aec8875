"""Mapping files: what they say is done, and what they say wrong is told with its key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ingest.mapping import Cell, Entry, Join, Mapping, MappingError, apply, bundled, read_join, read_mapping

LOANS = """
sources:
  loans:
    - pattern: credit*.csv
      delimiter: ";"
      columns:
        loan_id: {column: nr, prefix: "L-"}
        application_id: nr
        applicant_id: {columns: [branch, customer], separator: "/"}
        disbursed_at: {column: paid_out, format: "%d.%m.%Y %H:%M", zone: Asia/Shanghai}
        principal_cny: sum
        status: {column: state, values: {1: running, no: refused}}
        op: {const: upsert}
"""


def mapping_of(text: str, folder: Path) -> Mapping:
    path = folder / "m.yml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(str(path))


def frame(**columns: Sequence[str | None]) -> pl.DataFrame:
    size = len(next(iter(columns.values())))
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).with_columns(
        line=pl.int_range(2, 2 + size, dtype=pl.Int64)
    )


def cell(found: pl.DataFrame, given: Cell) -> list[str | None]:
    return found.select(value=given.expression())["value"].to_list()


def test_a_lenders_columns_become_the_contracts(tmp_path: Path) -> None:
    entry = mapping_of(LOANS, tmp_path).entry("loans", 0)
    rows = frame(
        nr=["7"], branch=["x"], customer=["9"], paid_out=["01.05.2024 08:30"], sum=["10"], state=["no"], other=["?"]
    )
    assert apply(entry, rows, {}).to_dicts() == [
        {
            "line": 2,
            "loan_id": "L-7",
            "application_id": "7",
            "applicant_id": "x/9",
            "disbursed_at": "2024-05-01T00:30:00.000000Z",
            "principal_cny": "10",
            "status": "refused",
            "op": "upsert",
        }
    ]


def test_a_value_that_no_list_or_format_fits_stays_and_an_empty_one_stays_empty() -> None:
    rows = frame(at=["1714521600000", "soon", None], kind=["A", "B", None])
    assert cell(rows, Cell(column="at", format="epoch_ms")) == ["2024-05-01T00:00:00.000000Z", "soon", None]
    assert cell(rows, Cell(column="kind", values={"A": "x"})) == ["x", "B", None]
    assert cell(rows, Cell(column="kind", prefix="k:")) == ["k:A", "k:B", None]
    assert cell(rows, Cell(columns=("at", "kind"))) == ["1714521600000:A", "soon:B", None]


@pytest.mark.parametrize(
    ("written", "pattern", "moment"),
    [
        ("20240501", "%Y%m%d", "2024-05-01T00:00:00.000000Z"),
        ("240501", "%y%m%d", "2024-05-01T00:00:00.000000Z"),
        ("2024年5月1日", "%Y年%m月%d日", "2024-05-01T00:00:00.000000Z"),
        ("01/May/2024:08:30:00 +0800", "%d/%b/%Y:%H:%M:%S %z", "2024-05-01T00:30:00.000000Z"),
        ("2024-05-01 08:30:00.25", "%Y-%m-%d %H:%M:%S%.f", "2024-05-01T08:30:00.250000Z"),
    ],
)
def test_a_pattern_reads_a_time_and_its_own_offset(written: str, pattern: str, moment: str) -> None:
    assert cell(frame(at=[written]), Cell(column="at", format=pattern)) == [moment]


def test_a_local_time_that_the_clock_skipped_is_not_invented() -> None:
    rows = frame(at=["2024-03-31 02:30"])
    assert cell(rows, Cell(column="at", format="%Y-%m-%d %H:%M", zone="Europe/Berlin")) == ["2024-03-31 02:30"]


def test_a_join_adds_columns_even_its_key_and_rows_without_a_match_stay_empty() -> None:
    join = Join(name="p", file="people.csv", on="who", key="id")
    entry = Entry(pattern="x", joins=(join,), columns={"name": Cell(column="p.name"), "phone": Cell(column="p.id")})
    people = frame(**{"p.id": ["1"], "p.name": ["Wei"]}).drop("line")
    found = apply(entry, frame(who=["1", "2", None]), {"p": people})
    assert found.rows() == [(2, "Wei", "1"), (3, None, None), (4, None, None)]


def test_a_join_may_lead_to_the_next_one() -> None:
    joins = (Join(name="p", file="p.csv", on="who", key="id"), Join(name="t", file="t.csv", on="p.town", key="id"))
    entry = Entry(pattern="x", joins=joins, columns={"address": Cell(column="t.name")})
    joined = {
        "p": frame(**{"p.id": ["1"], "p.town": ["7"]}).drop("line"),
        "t": frame(**{"t.id": ["7"], "t.name": ["北京"]}).drop("line"),
    }
    assert entry.reads() == {"who"}
    assert apply(entry, frame(who=["1"]), joined).rows() == [(2, "北京")]


def test_where_keeps_the_rows_of_a_list_by_their_own_or_a_joined_column(tmp_path: Path) -> None:
    (tmp_path / "m.yml").write_text(
        "sources: {labels: [{pattern: x, where: [{column: on, in: [true, 1]}],"
        " columns: {applicant_id: id, label: {const: fraud}, confirmed_at: {const: 2024-05-01}}}]}"
    )
    entry = read_mapping(str(tmp_path / "m.yml")).entry("labels", 0)
    found = apply(entry, frame(id=["a", "b", "c", "d"], on=["true", "1", "True", None]), {})
    assert found["applicant_id"].to_list() == ["a", "b"]
    assert found["confirmed_at"].to_list() == ["2024-05-01"] * 2


def test_an_entry_without_columns_takes_the_contracts_names(tmp_path: Path) -> None:
    mapping = mapping_of('sources: {calls: [{pattern: "c*.csv", delimiter: "|"}]}', tmp_path)
    rows = frame(phone=["1"], surplus=["2"])
    assert apply(mapping.entry("calls", 0), rows, {}).equals(rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: [", "is no YAML"),
        ("- a", "file: Input should be"),
        ("sauces: {}", "sauces: Extra inputs are not permitted"),
        ("sources: {lones: []}", "sources.lones: no such source; there are applications, phones"),
        ("deliveries: {soon: a}", "deliveries.soon"),
        (LOANS.replace("status:", "state:"), "sources.loans[0].columns: loans has no ['state']; it has loan_id,"),
        (LOANS.replace("principal_cny: sum", ""), "sources.loans[0].columns: ['principal_cny'] must be filled"),
        (LOANS.replace('";"', '"::"'), "sources.loans.0.delimiter: String should have at most 1 character"),
        (LOANS.replace("const: upsert", "const: upsert, column: x"), "columns.op: needs exactly one of `column`"),
        (LOANS.replace("const: upsert", "const: upsert, prefix: x"), "columns.op: `const` is taken as it is"),
        (
            LOANS.replace("Asia/Shanghai", "Asia/Shangai"),
            "columns.disbursed_at: `zone`: 'Asia/Shangai' is no time zone",
        ),
        (LOANS.replace('format: "%d.%m.%Y %H:%M", ', ""), "`zone` needs a `format` of local times"),
        (LOANS.replace('"%d.%m.%Y %H:%M"', '"%Q"'), "`format`: '%Q' is no pattern that tells a day"),
        (LOANS.replace('"%d.%m.%Y %H:%M"', '"%Y-%m"'), "`format`: '%Y-%m' is no pattern that tells a day"),
        (LOANS.replace('"%d.%m.%Y %H:%M"', '"%Y%m%d%z"'), "ISO 8601 and %z carry their own zone"),
        (LOANS.replace('prefix: "L-"', "prefix: x, format: epoch_s"), "only one of them"),
        (
            LOANS.replace("      columns:", "      joins: [{name: a, file: f, on: x}]\n      columns:"),
            "joins.0.key: Field required",
        ),
        (
            LOANS.replace("      columns:", "      joins: [&j {name: a, file: f, on: x, key: y}, *j]\n      columns:"),
            "joins: the name 'a' stands twice",
        ),
    ],
)
def test_a_mapping_that_cannot_be_used_names_the_key_and_what_was_found(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError) as raised:
        mapping_of(text, tmp_path)
    assert said in str(raised.value)


def test_a_mapping_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"No mapping 'bank'.*berka, credit_sim_zh, finbench"):
        read_mapping("bank")


def test_a_column_that_no_file_has_is_named_with_the_key_that_reads_it() -> None:
    entry = Entry(pattern="x", columns={"name": Cell(column="nom")})
    with pytest.raises(MappingError, match=r"columns.name reads 'nom', which is not there; there are who\."):
        apply(entry, frame(who=["1"]), {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "needs people.csv, and the delivery has no such file"),
        ("", "has no usable header (empty_file)"),
        ("name\nWei\n", "has no column 'id'; it has name."),
        ("id,name\n1,Wei\n1,Li\n", "id must be unique in people.csv, and some values stand twice; add `where`."),
        ("id,name\n1\n2,Li\n", "has 1 unreadable lines, the first is line 2 (too_few_fields)"),
    ],
)
def test_a_join_that_cannot_be_made_says_why(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "people.csv").write_text(content)
    with pytest.raises(MappingError) as raised:
        read_join(Join(name="p", file="people.csv", on="who", key="id"), tmp_path)
    assert str(raised.value).startswith("join 'p'")
    assert said in str(raised.value)


def test_a_joins_where_may_make_its_key_unique_and_rows_without_a_key_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "disp.csv").write_text("id,kind\n1,OWNER\n1,USER\n,OWNER\n,OWNER\n")
    join = Join.model_validate(
        {"name": "o", "file": "disp.csv", "on": "x", "key": "id", "where": [{"column": "kind", "in": ["OWNER"]}]}
    )
    assert read_join(join, tmp_path).rows() == [("1", "OWNER")]


@pytest.mark.parametrize("name", ["berka", "credit_sim_zh", "finbench"])
def test_the_mappings_that_come_along_can_be_read(name: str) -> None:
    assert name in bundled()
    mapping = read_mapping(name)
    assert mapping.name == name
    assert all(isinstance(day, date) for day in mapping.deliveries)


def test_the_example_of_the_documentation_reads_as_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text(encoding="utf-8")
    mapping = mapping_of(page.split("```yaml\n")[1].split("```")[0], tmp_path)
    (tmp_path / "customers.csv").write_text("id;tax_no;active\n9;a-77;1\n")
    rows = frame(nr=["7"], branch=["N"], customer=["9"], paid_out=["01.05.2024 08:30"], sum=["5000"], state=["R"])
    entry = mapping.entry("loans", 0)
    assert apply(entry, rows, {"customer": read_join(entry.joins[0], tmp_path)}).drop("line").rows() == [
        ("L-7", "N:7", "a-77", "2024-05-01T00:30:00.000000Z", "5000", "running")
    ]
