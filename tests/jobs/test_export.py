"""Exports as another system reads them: promised columns, as of a day, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import json
import stat
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from graph.audit import AuditLog
from graph.lake import Lake
from graph.tokens import Keys, Kind
from graph.vault import seal
from jobs.__main__ import app
from jobs.choices import ExportTable
from jobs.export import _flat

FIRST, SECOND = date(2026, 6, 29), date(2026, 6, 30)
AT = datetime(2026, 6, 29, 8, 30, tzinfo=UTC)
NUMBERS = ("+8613800138000", "+8613900139000", "+8613700137000")
Rows = list[dict[str, Any]]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    Keys.create(tmp_path / "keys.json")
    return Lake(tmp_path / "lake")


def put(path: Path, rows: Rows) -> None:
    write_deltalake(path, pa.Table.from_pylist(rows), mode="append")


def run(lake: Lake, table: str, *options: str, out: str = "out") -> Result:
    path = lake.root.parent / out
    return CliRunner().invoke(app, ["export", table, "--lake", str(lake.root), "--out", str(path), *options])


def read(lake: Lake, out: str = "out") -> list[dict[str, str]]:
    with open(lake.root.parent / out, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ring(id: str, day: date, **values: Any) -> dict[str, Any]:
    said = [{"text": "Five persons, one handset", "nodes": ["dev_1"], "relationships": ["a"]}]
    told = {
        "internal": 1, "ring_id": id, "as_of_date": day, "status": "born", "parent_ids": ["ring_x", "ring_y"],
        "score": 0.5, "size": 5, "typology": "shared_device", "first_seen_at": AT, "exposure_cny": 1234.5,
        "evidence": said,
    }  # fmt: skip
    return told | values


@pytest.fixture
def rings(lake: Lake) -> Lake:
    put(lake.results("rings"), [ring("ring_a", FIRST), ring("ring_gone", FIRST)])
    put(lake.results("rings"), [ring("ring_a", SECOND, score=0.4), ring("ring_b", SECOND, score=0.9, typology="=1+1")])
    return lake


def test_rings_are_those_of_the_newest_day_up_to_the_day_asked_for(rings: Lake) -> None:
    said = run(rings, "rings", "--as-of", "2026-06-29")
    assert said.exit_code == 0, said.output
    assert "2 rows of rings as of 2026-06-29" in said.output
    assert {row["ring_id"] for row in read(rings)} == {"ring_a", "ring_gone"}
    for options in (["--as-of", "2026-07-15"], []):
        assert run(rings, "rings", *options).exit_code == 0
        assert [row["ring_id"] for row in read(rings)] == ["ring_b", "ring_a"]  # highest score first
    assert run(rings, "rings", "--as-of", "2026-06-28").exit_code == 0
    assert read(rings) == []


def test_a_csv_has_the_promised_columns_in_order_arrays_as_json_and_no_formulas(rings: Lake) -> None:
    run(rings, "rings", "--as-of", "2026-06-30", "--format", "csv")
    row = read(rings)[0]
    assert list(row) == [
        "ring_id", "as_of_date", "status", "parent_ids", "score", "size", "typology", "first_seen_at",
        "exposure_cny", "evidence",
    ]  # fmt: skip
    assert json.loads(row["evidence"]) == ring("x", FIRST)["evidence"]
    assert json.loads(row["parent_ids"]) == ["ring_x", "ring_y"]
    assert (row["typology"], row["exposure_cny"]) == ("'=1+1", "1234.50")
    assert (row["as_of_date"], row["first_seen_at"]) == ("2026-06-30", "2026-06-29T08:30:00Z")


def test_json_lines_and_parquet_hold_arrays_also_where_the_lake_holds_their_text(lake: Lake) -> None:
    texts = {name: json.dumps(ring("x", FIRST)[name]) for name in ("evidence", "parent_ids")}
    put(lake.results("rings"), [ring("ring_a", FIRST) | texts])
    assert run(lake, "rings", "--format", "jsonl").exit_code == 0
    record = json.loads((lake.root.parent / "out").read_text())
    assert record["evidence"][0]["nodes"] == ["dev_1"]
    assert (record["parent_ids"], record["first_seen_at"]) == (["ring_x", "ring_y"], "2026-06-29T08:30:00Z")
    assert (record["typology"], record["as_of_date"]) == ("shared_device", "2026-06-29")
    assert run(lake, "rings", "--format", "parquet").exit_code == 0
    assert pl.read_parquet(lake.root.parent / "out")["ring_id"].to_list() == ["ring_a"]


def test_an_empty_answer_still_has_its_header(rings: Lake) -> None:
    run(rings, "rings", "--as-of", "2020-01-01")
    assert (rings.root.parent / "out").read_text().startswith("ring_id,as_of_date,status")
    run(rings, "rings", "--as-of", "2020-01-01", "--format", "jsonl")
    assert (rings.root.parent / "out").read_text() == ""


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1))
def test_no_text_cell_begins_as_a_formula_and_none_is_lost(texts: list[str | None]) -> None:
    cells = _flat(pl.DataFrame({"typology": pl.Series(texts, dtype=pl.String)}))["typology"].to_list()
    for text, cell in zip(texts, cells, strict=True):
        assert cell in (text, f"'{text}")
        assert (cell == text) == (not text or text[0] not in "=+-@\t\r")


def test_persons_are_those_known_at_the_end_of_the_day(lake: Lake) -> None:
    def person(id: str, delivered: date, ended: date | None = None, at: datetime | None = AT) -> dict[str, Any]:
        told = {"applicant_id": id, "person_id": f"per_{id}", "probability": 1.0, "why": "one applicant, one person"}
        return told | {"at": at, "delivered_on": delivered, "ended_on": ended}

    future = datetime(2026, 6, 30, 0, 0, tzinfo=UTC)
    put(lake.graph("applicant_person"), [
        person("stands", FIRST), person("ends_later", FIRST, SECOND), person("ended", FIRST, FIRST),
        person("late", SECOND), person("future", FIRST, None, future), person("undated", FIRST, None, None),
    ])  # fmt: skip
    run(lake, "applicant_person", "--as-of", "2026-06-29")
    assert [row["applicant_id"] for row in read(lake)] == ["ends_later", "stands", "undated"]
    assert list(read(lake)[0]) == ["applicant_id", "person_id", "probability", "why"]
    run(lake, "applicant_person", "--as-of", "2026-06-30")
    assert [row["applicant_id"] for row in read(lake)] == ["future", "late", "stands", "undated"]


def scored(application: str, at: datetime, value: float, model: str = "m1") -> dict[str, Any]:
    told = {"application_id": application, "applicant_id": "a", "person_id": "p", "as_of_at": at, "score": value}
    return told | {"model_version": model, "reasons": [{"text": "shared card", "contribution": 0.2}]}


def test_of_two_models_scores_the_one_in_force_counts(lake: Lake) -> None:
    newer = datetime(2026, 6, 29, 9, tzinfo=UTC)
    put(
        lake.results("applicant_scores"),
        [scored("1", AT, 0.7, "m2"), scored("1", AT, 0.1, "m1"), scored("2", newer, 0.2, "m1")],
    )
    run(lake, "applicant_scores", "--as-of", "2026-06-29")
    assert [(row["application_id"], row["model_version"]) for row in read(lake)] == [("1", "m1"), ("2", "m1")]


def test_the_score_of_an_application_is_its_newest_up_to_the_day(lake: Lake) -> None:
    evening, next_day = datetime(2026, 6, 29, 23, 59, 59, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)
    put(
        lake.results("applicant_scores"),
        [scored("1", evening, 0.7), scored("1", AT, 0.1), scored("1", next_day, 0.9), scored("2", AT, 0.2)],
    )
    run(lake, "applicant_scores", "--as-of", "2026-06-29")
    assert [(row["application_id"], row["score"]) for row in read(lake)] == [("1", "0.7"), ("2", "0.2")]


def test_the_night_report_holds_stages_and_what_drifted(lake: Lake) -> None:
    def stage(night: date, name: str, **details: Any) -> dict[str, Any]:
        counts = {"rows_in": 1, "rows_out": 2, "rows_duplicate": 0, "rows_quarantined": 0, "seconds": 1.5}
        return {"night": night, "run": 1, "stage": name, **counts, "details": json.dumps(details)}

    drift = {"status": "alarm", "sentences": ["contacts delivered 3 times as many rows"]}
    put(lake.results("night_report"), [stage(FIRST, "ingest"), stage(FIRST, "drift", **drift)])
    put(lake.results("night_report"), [stage(SECOND, "ingest")])
    run(lake, "night_report", "--as-of", "2026-06-29")
    rows = read(lake)
    assert list(rows[0]) == [
        "night", "stage", "rows_in", "rows_out", "rows_duplicate", "rows_quarantined", "seconds", "drift",
    ]  # fmt: skip
    assert [(row["stage"], row["drift"] and json.loads(row["drift"])) for row in rows] == [
        ("ingest", ""), ("drift", drift)
    ]  # fmt: skip


@pytest.mark.parametrize("table", list(ExportTable))
def test_a_table_that_no_night_has_made_is_said_in_one_sentence(lake: Lake, table: str) -> None:
    said = run(lake, table)
    assert said.exit_code == 1
    assert f"has no table {table} yet" in said.output
    assert "Traceback" not in said.output
    assert not (lake.root.parent / "out").exists()


def test_a_lacking_column_a_lacking_folder_and_a_failed_write_leave_the_old_file(rings: Lake) -> None:
    (rings.root.parent / "out").write_text("old")
    put(rings.results("ring_members"), [{"ring_id": "r", "as_of_date": FIRST, "person_id": "p", "role": "core"}])
    said = run(rings, "ring_members")
    assert (said.exit_code, "it lacks score" in said.output) == (1, True)
    said = run(rings, "rings", out="nowhere/out")
    assert (said.exit_code, "was needed and is not there" in said.output) == (1, True)
    assert (rings.root.parent / "out").read_text() == "old"
    assert [path.name for path in rings.root.parent.glob(".out*")] == []


@pytest.fixture
def leads(lake: Lake) -> Lake:
    """Three leads; the second is closed by a rule, the third's number was erased from the vault."""
    keys = Keys.read(lake.root.parent / "keys.json")
    tokens = [keys.token(Kind.PHONE, number) for number in NUMBERS]
    sealed = zip(tokens[:2], NUMBERS[:2], strict=True)
    put(lake.vault, [{"token": token, "sealed": seal(keys, token, number)} for token, number in sealed])
    put(lake.results("leads"), [
        {
            "as_of_date": FIRST, "loan_id": "ln1", "applicant_id": "a1", "rank": rank, "phone": token,
            "route": "known_contact", "via": ["per_1", token], "probability": 0.5, "allowed": rank != 2,
            "rule": "r1", "evidence": [{"text": "called 3 times", "nodes": [], "relationships": []}],
        }
        for rank, token in enumerate(tokens, 1)
    ])  # fmt: skip
    return lake


def test_a_night_that_found_no_lead_has_none_in_its_export(leads: Lake) -> None:
    looked = [{"as_of_date": day, "loan_id": "ln1", "state": "lost"} for day in (FIRST, SECOND)]
    put(leads.results("contact_states"), looked)
    assert run(leads, "leads", "--as-of", str(FIRST)).exit_code == 0
    assert len(read(leads)) == 3
    assert run(leads, "leads", "--as-of", str(SECOND)).exit_code == 0
    assert read(leads) == []


def test_numbers_are_shown_for_a_purpose_and_the_audit_log_knows_each(leads: Lake) -> None:
    said = run(leads, "leads", "--reveal", "--purpose", "case 17", "--user", "ann")
    assert said.exit_code == 0, said.output
    assert "1 of them show a number" in said.output
    assert "no value for 1 numbers" in said.output
    rows = read(leads)
    assert list(rows[0])[-1] == "phone_number"
    # With its plus a number would be a formula; a lead that is not allowed stays closed.
    assert [row["phone_number"] for row in rows] == [f"'{NUMBERS[0]}", "", ""]
    assert stat.S_IMODE((leads.root.parent / "out").stat().st_mode) == 0o600
    entries = AuditLog(f"sqlite:///{leads.root.parent / 'audit.db'}").entries()
    assert [(entry.action, entry.user, entry.purpose) for entry in reversed(entries)] == [
        ("export", "ann", "case 17"), ("reveal", "ann", "case 17"), ("reveal", "ann", "case 17")
    ]  # fmt: skip
    assert entries[-1].object == "leads as of the newest day: 2 numbers"
    assert not any(number in str(entries) or number in said.output for number in NUMBERS)


def test_without_reveal_no_number_and_no_audit_line(leads: Lake) -> None:
    assert run(leads, "leads").exit_code == 0
    assert "phone_number" not in read(leads)[0]
    assert not (leads.root.parent / "audit.db").exists()


def test_numbers_are_refused_without_purpose_and_where_there_are_none(leads: Lake, rings: Lake) -> None:
    for table, options, sentence in (
        ("rings", ["--purpose", "case 17"], "rings holds no phone numbers"),
        ("applicant_person", ["--purpose", "case 17"], "leads and hubs do"),
        ("leads", [], "Give --purpose"),
        ("leads", ["--purpose", " ", "--user", "ann"], "Give --purpose"),
    ):
        said = run(leads, table, "--reveal", *options)
        assert (said.exit_code, sentence in said.output) == (1, True), said.output
    assert not (leads.root.parent / "out").exists()
    assert not (leads.root.parent / "audit.db").exists()


def test_other_keys_show_nothing_and_write_nothing(leads: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    other = leads.root.parent / "other" / "keys.json"
    Keys.create(other)
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(other))
    said = run(leads, "leads", "--reveal", "--purpose", "case 17", "--user", "ann")
    assert said.exit_code == 1
    assert "CREDIT_GRAPH_KEYS" in said.output
    assert not (leads.root.parent / "out").exists()


def test_a_hub_that_is_a_phone_may_be_shown_and_another_has_no_number(leads: Lake) -> None:
    token = Keys.read(leads.root.parent / "keys.json").token(Kind.PHONE, NUMBERS[0])
    put(leads.results("hubs"), [
        {"id": id, "label": label, "kind": "hotline", "reason": "many call it", "as_of_date": FIRST}
        for id, label in ((token, "Phone"), ("com_" + "0" * 32, "Company"))
    ])  # fmt: skip
    run(leads, "hubs", "--reveal", "--purpose", "case 17", "--user", "ann", "--format", "jsonl")
    rows = [json.loads(line) for line in (leads.root.parent / "out").read_text().splitlines()]
    assert {row["label"]: row["phone_number"] for row in rows} == {"Phone": NUMBERS[0], "Company": None}
