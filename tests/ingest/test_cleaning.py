"""Strings made typed and comparable: what is refused, what is set aside and what only looks different."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.identifiers import canonical
from graph.tokens import Keys, Kind
from ingest.cleaning import Cleaned, Cleaner, row_schema
from ingest.lines import Lines
from ingest.sources import SOURCES

KEYS = Keys(b"t" * 32, b"v" * 32)
DELIVERED = date(2024, 6, 1)
GOOD: dict[str, dict[str, str]] = {
    "applications": {"application_id": "p1", "applicant_id": "a1", "applied_at": "2024-05-01"},
    "phones": {"phone": "13800138000", "observed_at": "2024-05-01"},
    "devices": {"device_id": "d1", "applicant_id": "a1", "event_at": "2024-05-01"},
    "contacts": {"applicant_id": "a1", "contact_phone": "13800138000", "relation": "friend",
                 "captured_at": "2024-05-01"},
    "calls": {"phone": "13800138000", "other_phone": "13900139000", "direction": "in", "started_at": "2024-05-01",
              "duration_s": "0"},
    "loans": {"loan_id": "l1", "application_id": "p1", "applicant_id": "a1", "disbursed_at": "2024-05-01",
              "principal_cny": "1"},
    "repayments": {"loan_id": "l1", "due_at": "2024-05-01", "due_cny": "1"},
    "contact_attempts": {"attempt_id": "t1", "loan_id": "l1", "applicant_id": "a1", "phone": "13800138000",
                         "attempted_at": "2024-05-01", "outcome": "refused"},
    "relations": {"from_kind": "Person", "from_id": "a1", "relation": "OWNS_ACCOUNT", "to_kind": "Account",
                  "to_id": "c1", "at": "2024-05-01"},
    "labels": {"applicant_id": "a1", "label": "fraud", "confirmed_at": "2024-05-01"},
}  # fmt: skip


def clean(source: str, *changes: dict[str, str | None], delivered_on: date = DELIVERED) -> Cleaned:
    """Clean one good row for each set of changes."""
    rows = [{**GOOD[source], **change} for change in changes]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    frame = frame.with_columns(line=pl.int_range(1, len(rows) + 1, dtype=pl.Int64))
    lines = Lines(frame, [], records={n: f"row {n}".encode() for n in range(1, len(rows) + 1)})
    return Cleaner(KEYS).clean(SOURCES[source], lines, frame, delivered_on, "f.csv")


def one(source: str, **change: str | None) -> dict[str, Any]:
    cleaned = clean(source, change)
    assert cleaned.rejects == cleaned.notes == []
    row: dict[str, Any] = cleaned.rows.to_pylist()[0]
    return row


def refused(source: str, **change: str | None) -> tuple[str | None, str]:
    cleaned = clean(source, change)
    assert cleaned.rows.num_rows == 0
    (reject,) = cleaned.rejects
    assert reject.original == b"row 1"
    return reject.column, reject.reason


def noted(source: str, **change: str | None) -> tuple[str | None, str, dict[str, Any]]:
    cleaned = clean(source, change)
    assert cleaned.rejects == []
    (note,) = cleaned.notes
    return note.column, note.reason, cleaned.rows.to_pylist()[0]


@pytest.mark.parametrize("source", list(SOURCES))
def test_the_good_row_of_each_source_is_typed_by_its_schema(source: str) -> None:
    cleaned = clean(source, {})
    assert cleaned.rejects == cleaned.notes == []
    assert cleaned.rows.schema == row_schema(SOURCES[source])
    assert cleaned.rows.to_pylist()[0]["delivered_on"] == DELIVERED


@pytest.mark.parametrize(
    ("source", "column"), [(name, column) for name, source in SOURCES.items() for column in source.required]
)
def test_a_row_without_a_required_value_is_refused_and_one_that_deletes_is_not(source: str, column: str) -> None:
    assert refused(source, **{column: None})[1] == "missing_value"
    assert refused(source, **{column: "  "})[1] == "missing_value"
    deleted = clean(source, {column: None, "op": "DELETE"})
    assert deleted.rejects == []
    assert deleted.rows["op"].to_pylist() == ["delete"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T08:30:00", datetime(2024, 5, 1, 8, 30, tzinfo=UTC)),
        ("2024-05-01 08:30:00Z", datetime(2024, 5, 1, 8, 30, tzinfo=UTC)),
        ("2024-05-01T08:30", datetime(2024, 5, 1, 8, 30, tzinfo=UTC)),
        ("2024-05-01T08:30+08:00", datetime(2024, 5, 1, 0, 30, tzinfo=UTC)),
        ("2024-05-01T08:30:00+08:00", datetime(2024, 5, 1, 0, 30, tzinfo=UTC)),
        ("2024-05-01T08:30:00-0330", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("2024-05-01 08:30:00.123", datetime(2024, 5, 1, 8, 30, 0, 123_000, tzinfo=UTC)),
        ("2024-05-01T08:30:00.123456+08:00", datetime(2024, 5, 1, 0, 30, 0, 123_456, tzinfo=UTC)),
        ("２０２４-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("\u200e2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
    ],
)
def test_times_of_iso_8601_become_utc(text: str, moment: datetime) -> None:
    assert one("applications", applied_at=text)["applied_at"] == moment


@given(
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2024, 5, 30), timezones=st.timezones()),
    unit=st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
@settings(deadline=None, max_examples=60)
def test_any_written_moment_is_read_back(moment: datetime, unit: str) -> None:
    text = moment.isoformat(timespec=unit)
    if moment.utcoffset() is not None and moment.utcoffset().total_seconds() % 60:  # type: ignore[union-attr]
        return
    assert one("applications", applied_at=text)["applied_at"] == datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-01",
        "2023-02-29",
        "0000-00-00",
        "01.05.2024",
        "2024/05/01",
        "1714521600",
        "45413",
        "2024-05-01T25:00",
        "soon",
    ],
)
def test_what_is_no_iso_8601_time_is_refused(text: str) -> None:
    assert refused("applications", applied_at=text) == ("applied_at", "bad_time")


def test_an_event_may_lie_a_day_after_its_delivery_and_other_dates_in_any_future() -> None:
    assert refused("repayments", due_at="1969-12-31") == ("due_at", "before_1970")
    assert refused("calls", started_at="2024-06-03") == ("started_at", "in_future")
    assert one("calls", started_at="2024-06-02T23:59:59Z")
    assert one("repayments", due_at="2051-01-01")["due_at"].year == 2051
    assert noted("repayments", paid_at="2051-01-01")[:2] == ("paid_at", "in_future")


@given(st.floats(0, 1e11, allow_nan=False), st.sampled_from(["{:.2f}", "{:,.2f}", "{:e}", " {:.2f} ", "+{:.2f}"]))
@settings(deadline=None, max_examples=60)
def test_an_amount_is_read_however_it_is_written(amount: float, form: str) -> None:
    text = form.format(amount)
    assert one("loans", principal_cny=text)["principal_cny"] == round(float(text.replace(",", "")), 2)


@pytest.mark.parametrize("text", ["NaN", "inf", "1e309", "12,34", "1,2345", "5000元", "0x10", "1_000", "--1", "1.2.3"])
def test_what_is_no_amount_is_refused_where_required_and_set_aside_elsewhere(text: str) -> None:
    assert refused("loans", principal_cny=text) == ("principal_cny", "not_a_number")
    column, reason, row = noted("applications", amount_cny=text)
    assert (column, reason, row["amount_cny"]) == ("amount_cny", "not_a_number", None)


def test_a_whole_number_may_be_written_with_a_point_and_not_with_a_part() -> None:
    assert one("loans", term_months="12.0")["term_months"] == 12
    assert noted("loans", term_months="12.5")[:2] == ("term_months", "not_a_number")
    assert noted("loans", term_months="601")[:2] == ("term_months", "above_maximum")


def test_choices_and_yes_or_no_are_read_in_any_case() -> None:
    row = one("contacts", relation="Spouse", emergency="是")
    assert (row["relation"], row["emergency"]) == ("spouse", True)
    assert refused("contacts", relation="lover") == ("relation", "not_in_list")
    assert noted("contacts", emergency="perhaps")[:2] == ("emergency", "not_a_boolean")
    assert refused("calls", op="replace") == ("op", "not_in_list")


@pytest.mark.parametrize("raw", ["a1", " a1 ", "ａ１", "\u202aa1\u202c", "a\u200b1", "\ufeffa1"])
def test_an_id_that_looks_the_same_is_the_same(raw: str) -> None:
    assert one("labels", applicant_id=raw)["applicant_id"] == "a1"
    assert one("relations", from_id=raw)["from_id"] == "a1"


def test_ids_keep_their_case_and_long_ones_are_refused() -> None:
    assert one("labels", applicant_id="A1")["applicant_id"] == "A1"
    assert refused("labels", applicant_id="x" * 513) == ("applicant_id", "too_long")


def test_a_personal_value_becomes_the_token_of_its_canonical_form_and_its_plain_form_is_sealed_once() -> None:
    cleaner = Cleaner(KEYS)
    frame = pl.DataFrame({**{k: [v, v] for k, v in GOOD["phones"].items()}, "line": [1, 2]})
    frame = frame.with_columns(phone=pl.Series(["138-0013-8000", "+86 13800138000"]))
    cleaned = cleaner.clean(SOURCES["phones"], Lines(frame, []), frame, DELIVERED, "f.csv")
    token = KEYS.token(Kind.PHONE, canonical(Kind.PHONE, "13800138000").value or "")
    assert cleaned.rows["phone"].to_pylist() == [token, token]
    assert cleaner.memory.vault_rows()["token"].to_pylist() == [token]
    cleaner.memory.vault_written()
    cleaner.clean(SOURCES["phones"], Lines(frame, []), frame, DELIVERED, "f.csv")
    assert cleaner.memory.vault_rows().num_rows == 0


def test_no_plain_value_of_a_personal_column_is_left_in_the_rows() -> None:
    plain = {"id_number": "11010519491231002X", "name": "张伟", "birth_date": "1949-12-31", "phone": "13800138000",
             "device_id": "device-77", "imei": "490154203237518", "iccid": "89860012345678901234", "ip": "8.8.4.4",
             "wifi_bssid": "a4:83:e7:11:22:33", "address": "北京市朝阳区1号", "employer": "东方有限公司",
             "employer_phone": "010-12345678", "bank_card": "4111111111111111"}  # fmt: skip
    row = one("applications", **plain)
    text = repr({name: value for name, value in row.items() if name != "birth_year"})
    assert all(row[name] for name in plain)
    assert not [value for value in plain.values() if value in text]


def test_house_and_batch_stand_beside_address_and_imei() -> None:
    row = one("applications", address="北京市建国路1号2单元301", imei="490154203237518")
    assert row["address_house"] == one("applications", address="北京市建国路1号")["address"] != row["address"]
    for source in ("applications", "devices", "phones"):
        assert one(source, imei="49-015420-323751")["imei_batch"] == row["imei_batch"]
    assert one("applications")["address_house"] is None
    assert noted("devices", imei="490154203237519")[2]["imei_batch"] is None


def test_gender_and_year_of_birth_come_from_the_id_number_before_what_is_said() -> None:
    row = one("applications", id_number="11010519491231002X", gender="男")
    assert (row["gender"], row["birth_year"]) == ("female", 1949)
    assert one("applications", gender="M")["gender"] == "male"
    assert one("applications", gender="unknown")["gender"] is None


def test_who_applies_on_the_day_of_turning_18_is_of_age() -> None:
    assert one("applications", birth_date="2006-05-01", applied_at="2024-05-01")
    column, reason, row = noted("applications", birth_date="2006-05-02", applied_at="2024-05-01")
    assert (column, reason, row["birth_date"][:4]) == (None, "under_18", "dob_")


def test_an_interval_that_ends_before_it_starts_loses_both_ends() -> None:
    row = one("phones", opened_at="2024-01-01", closed_at="2024-01-01")
    assert row["opened_at"] == row["closed_at"]
    _, reason, row = noted("phones", opened_at="2024-01-02", closed_at="2024-01-01")
    assert (reason, row["opened_at"], row["closed_at"]) == ("interval_reversed", None, None)


def test_a_row_has_one_reason_the_first_column_of_the_contract_at_fault() -> None:
    assert refused("calls", phone="110", duration_s="-1") == ("phone", "too_short")


def test_each_row_leaves_once_accepted_or_refused() -> None:
    cleaned = clean("calls", {}, {"phone": "110"}, {"duration_s": "x"}, {"direction": None}, {})
    assert cleaned.rows["line"].to_pylist() == [1, 5]
    assert [reject.line for reject in cleaned.rejects] == [2, 3, 4]


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"from_kind": "Alien"}, "from_kind", "unknown_kind"),
        ({"relation": "OWES"}, "relation", "unknown_relation"),
        ({"to_kind": "Phone", "to_id": "13800138000"}, "relation", "wrong_ends"),
        ({"to_id": "138****0000"}, "to_id", "masked_account"),
        ({"to_kind": "Ring", "to_id": "ring_1"}, "to_kind", "unknown_kind"),  # derived: no file may say it
        ({"relation": "MEMBER_OF"}, "relation", "unknown_relation"),
    ],
)
def test_a_relation_that_the_graph_does_not_know_is_refused(change: dict[str, str], column: str, reason: str) -> None:
    assert refused("relations", **change) == (column, reason)


def test_a_node_of_a_relation_has_the_token_that_other_sources_give_it() -> None:
    phone = one("phones")["phone"]
    related = one("relations", relation="uses_phone", to_kind="phone", to_id="+86 138 0013 8000")
    assert (related["to_kind"], related["to_id"]) == ("Phone", phone)
    card = one("relations", relation="PAID_WITH", to_kind="bank_card", to_id="4111 1111 1111 1111")["to_id"]
    assert card == one("applications", bank_card="4111111111111111")["bank_card"]


def test_an_id_of_another_system_may_name_a_phone_and_a_masked_number_may_not() -> None:
    assert one("relations", relation="USES_PHONE", to_kind="Phone", to_id="pn_12")["to_id"].startswith("tel_")
    assert refused("relations", relation="USES_PHONE", to_kind="Phone", to_id="138****0000")[1] == "masked_phone"
