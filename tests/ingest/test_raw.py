"""Versions of rows in the lake: what is kept, ended, repeated and refused, whatever the order of delivery."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE
from graph.tokens import Keys
from ingest.events import edge_events
from ingest.graph_tables import raw_reader
from ingest.mapping import Mapping
from ingest.run import FileReport, ingest

DAYS = [date(2024, 6, 1) + timedelta(days=n) for n in range(4)]
LOANS = "loan_id,application_id,applicant_id,disbursed_at,principal_cny,op"
RELATIONS = "from_kind,from_id,relation,to_kind,to_id,at,amount_cny,op"
CALLS = "phone,other_phone,direction,started_at,duration_s"
CALL_ROWS = [f"13800138000,1390013900{n},out,2024-05-30T10:00:0{n}Z,60" for n in range(3)]
NEXT_CALL = CALL_ROWS[0].replace("10:00", "12:00")
AB1, AB2 = (f"Person,a,GUARANTEES,Person,b,2024-05-{day}T00:00:00Z,{day}00" for day in (20, 21))
AC = "Person,a,GUARANTEES,Person,c,2024-05-20T00:00:00Z,300"
DE = "Person,d,SAME_PERSON,Person,e,2024-05-20T00:00:00Z,"
Statement = tuple[str, int]  # op and principal; a delete says nothing else
Version = tuple[str, str, int, date, date | None]  # loan, op, principal, delivered and ended


@dataclass
class Lender:
    """One lender's landing folder and the lake that it feeds."""

    root: Path
    spark: Callable[[], SparkSession]
    mapping: Mapping = field(default_factory=Mapping)
    keys: Path = Path("keys.json")  # inside the root, or another lender's
    nights: list[dict[str, FileReport]] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.root / "lake")

    def deliver(self, day: date, name: str, columns: str, rows: list[str]) -> None:
        folder = self.root / "landing" / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join([columns, *rows, ""]))

    def night(self, day: date) -> dict[str, FileReport]:
        report = ingest(self.spark, self.lake, self.root / "landing", day, self.mapping, self.root / self.keys)
        self.nights.append({file.file.source_file: file for file in report.files})
        return self.nights[-1]

    def rows(self, path: Path) -> list[dict[str, Any]]:
        return list(DeltaTable(path).to_pyarrow_table().to_pylist())

    def raw(self, source: str) -> list[dict[str, Any]]:
        return self.rows(self.lake.raw(source))

    def content(self, source: str) -> Counter[tuple[Any, ...]]:
        """An order-free picture of what the lake holds of a source."""
        names = ("row_key", "row_digest", "op", "delivered_on", "ended_on")
        return Counter(tuple(row[name] for name in names) for row in self.raw(source))


def counts(report: FileReport) -> tuple[int, int, int, int]:
    return report.rows_in, report.rows_accepted, report.rows_duplicate, report.rows_quarantined


def loan(number: str, op: str, principal: int, applicant: str = "p") -> str:
    if op == "delete":
        return f"{number},,,,,delete"
    # Each content has its own event time, by which the lake chooses between two of one delivery.
    return f"{number},ap-{number},{applicant},2024-05-{principal // 100:02}T00:00:00Z,{principal},{op}"


def history(seed: int, loans: int) -> list[dict[str, list[Statement]]]:
    """What four deliveries say about each loan: nothing, one thing, one thing twice, two things, or that it is gone."""
    rng = random.Random(seed)
    days: list[dict[str, list[Statement]]] = []
    for _ in DAYS:
        said: dict[str, list[Statement]] = {}
        for n in range(loans):
            upserts = [("upsert", rng.choice((100, 200, 300))) for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3)))]
            deletes = [("delete", 0)] * rng.choice((0, 0, 0, 0, 0, 1, 2))
            said[f"r{n}"] = upserts + deletes
        days.append(said)
    return days


def model(days: list[dict[str, list[Statement]]]) -> tuple[set[Version], list[tuple[int, int, int, int]]]:
    """The lake's rules once more, with dicts: the versions, and per delivery rows read, kept, repeated, refused."""
    standing: dict[str, list[Version]] = {}
    never_held: set[Version] = set()
    told = []
    for day, said in zip(DAYS, days, strict=True):
        read = accepted = refused = 0
        for number, statements in said.items():
            read += len(statements)
            if not statements:
                continue
            # A delete comes last, and what it ends on its own day was true and never held. Of two contents the later
            # event wins, and here that is the larger loan; the other is refused.
            winner = min(statements, key=lambda s: (s[0], -s[1]))
            beaten = set(statements) - {winner}
            versions = standing.setdefault(number, [])
            if winner[0] == "delete":
                never_held |= {(number, *each, day, day) for each in beaten}
                accepted += len(beaten)
            else:
                refused += len(beaten)
            if versions and versions[-1][1:3] == winner:
                continue
            accepted += 1
            if versions:
                versions[-1] = (*versions[-1][:4], day)
            versions.append((number, *winner, day, None))
        told.append((read, accepted, read - accepted - refused, refused))
    return never_held | {version for versions in standing.values() for version in versions}, told


def versions(lender: Lender, prefix: str) -> set[Version]:
    return {
        (row["loan_id"], row["op"], int(row["principal_cny"] or 0), row["delivered_on"], row["ended_on"])
        for row in lender.raw("loans")
        if row["loan_id"].startswith(prefix)
    }


HISTORY = history(seed=11, loans=200)
# Loans told by hand, by delivery: corrected, under one number for two people, stated late.
BY_HAND = [
    [
        loan("c", "upsert", 100),
        loan("k", "upsert", 100, "p1"),
        loan("k", "upsert", 100, "p2"),
        loan("m", "upsert", 100),
    ],
    [loan("c", "upsert", 200), loan("n", "upsert", 100)],
    [loan("m", "upsert", 300), loan("s", "upsert", 100)],
    [],
]
RELATION_ROWS = [
    [f"{AB1},", f"{AB2},", f"{AC},", f"{DE},", f"{DE},"],
    ["Person,a,GUARANTEES,Person,b,,,delete", f"{DE},delete"],
    [f"{AB1},"],
    [],
]


def loan_rows(day: int) -> list[str]:
    return BY_HAND[day] + [loan(number, *each) for number, said in HISTORY[day].items() for each in said]


@pytest.fixture(scope="module")
def lender(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lender:
    """Four nights, one delivery each."""
    lender = Lender(tmp_path_factory.mktemp("nightly"), lambda: spark)
    for n, day in enumerate(DAYS):
        lender.deliver(day, "loans.csv", LOANS, loan_rows(n))
        if RELATION_ROWS[n]:
            lender.deliver(day, "relations.csv", RELATIONS, RELATION_ROWS[n])
        if n < 2:
            lender.deliver(day, "calls.csv", CALLS, [*CALL_ROWS, CALL_ROWS[0]] + [NEXT_CALL] * n)
        lender.night(day)
    return lender


@pytest.fixture(scope="module")
def before_late(lender: Lender) -> dict[str, Counter[tuple[Any, ...]]]:
    return {source: lender.content(source) for source in ("loans", "relations", "calls")}


def test_random_histories_agree_with_the_rules_written_once_more(lender: Lender) -> None:
    expected, told = model(HISTORY)
    assert versions(lender, "r") == expected
    by_hand = [(4, 3, 0, 1), (2, 2, 0, 0), (2, 2, 0, 0), (0, 0, 0, 0)]
    for day, night, random_rows, hand_rows in zip(DAYS, lender.nights, told, by_hand, strict=True):
        both = tuple(a + b for a, b in zip(random_rows, hand_rows, strict=True))
        assert counts(night[f"{day}/loans.csv"]) == both


def test_a_row_twice_in_a_file_and_a_file_delivered_again_are_repeats(lender: Lender) -> None:
    assert counts(lender.nights[0][f"{DAYS[0]}/calls.csv"]) == (4, 3, 1, 0)
    assert counts(lender.nights[1][f"{DAYS[1]}/calls.csv"]) == (5, 1, 4, 0)
    assert sorted(row["started_at"].second for row in lender.raw("calls")) == [0, 0, 1, 2]


def test_a_correction_ends_the_older_version_and_the_newest_stands(lender: Lender) -> None:
    assert versions(lender, "c") == {("c", "upsert", 100, DAYS[0], DAYS[1]), ("c", "upsert", 200, DAYS[1], None)}


def test_one_key_for_two_people_keeps_one_and_seals_the_other(lender: Lender) -> None:
    (kept,) = (row for row in lender.raw("loans") if row["loan_id"] == "k")
    keys = Keys.read(lender.root / lender.keys)
    refused = []
    for row in lender.rows(lender.lake.quarantine("loans")):
        assert (row["reason"], row["row_kept"]) == ("key_conflict", False)
        bound = f"quarantine:{row['source_file']}:{row['line']}".encode()
        plain = json.loads(AESGCM(keys.vault_key).decrypt(row["original"][:12], row["original"][12:], bound))
        refused += [(plain["applicant_id"], row["line"])] if plain["loan_id"] == "k" else []
    assert sorted([*refused, (kept["applicant_id"], kept["line"])]) == [("p1", 3), ("p2", 4)]


def test_a_delete_ends_the_rows_that_agree_with_the_columns_it_fills(lender: Lender) -> None:
    first, second = DAYS[0], DAYS[1]
    found = {
        (row["from_id"], row["to_id"], row["amount_cny"], row["op"], row["delivered_on"], row["ended_on"])
        for row in lender.raw("relations")
    }
    assert found == {
        ("a", "b", 2000, "upsert", first, second), ("a", "b", 2000, "delete", second, DAYS[2]),
        ("a", "b", 2000, "upsert", DAYS[2], None),  # delivered again after its delete: it stands anew
        ("a", "b", 2100, "upsert", first, second), ("a", "b", 2100, "delete", second, None),
        ("a", "c", 300, "upsert", first, None),
        ("d", "e", None, "upsert", first, second), ("d", "e", None, "delete", second, None),
    }  # fmt: skip
    assert counts(lender.nights[0][f"{first}/relations.csv"]) == (5, 4, 1, 0)
    assert counts(lender.nights[1][f"{second}/relations.csv"]) == (2, 2, 0, 0)  # two lines, though three rows ended


def test_other_parts_in_another_order_and_one_night_for_all_give_the_same_content(
    lender: Lender, before_late: dict[str, Counter[tuple[Any, ...]]], tmp_path: Path
) -> None:
    other = Lender(tmp_path, lender.spark, keys=lender.root / lender.keys)
    rng = random.Random(3)
    for n, day in enumerate(DAYS):
        rows = loan_rows(n)
        rng.shuffle(rows)
        for part in range(2):
            other.deliver(day, f"loans-{9 - part}.csv", LOANS, rows[part::2])
        other.deliver(day, "relations-b.csv", RELATIONS, RELATION_ROWS[n][::-1])
    other.deliver(DAYS[1], "calls-1.csv", CALLS, [NEXT_CALL, *CALL_ROWS[:2]])
    other.deliver(DAYS[0], "calls-2.csv", CALLS, CALL_ROWS[::-1])
    night = other.night(DAYS[-1])
    assert {source: other.content(source) for source in before_late} == before_late
    for report in night.values():
        assert report.rows_in == report.rows_accepted + report.rows_duplicate + report.rows_quarantined
        assert report.rows_duplicate >= 0


def test_a_late_file_in_an_older_folder_takes_its_place_in_the_past(
    lender: Lender, before_late: dict[str, Counter[tuple[Any, ...]]]
) -> None:
    first, second, third = DAYS[:3]
    # Late, as of the second delivery: another content of m; of n one that wins over what was read; of s the same as
    # a later delivery said. Of calls a repeat, a row that is new, and one that so far was known a day later.
    late = [loan("m", "upsert", 200), loan("n", "upsert", 200), loan("s", "upsert", 100)]
    lender.deliver(second, "loans-late.csv", LOANS, late)
    lender.deliver(first, "calls-late.csv", CALLS, [CALL_ROWS[0], CALL_ROWS[0].replace("10:00", "11:00"), NEXT_CALL])
    night = lender.night(DAYS[-1])
    assert counts(night[f"{second}/loans-late.csv"]) == (3, 3, 0, 0)
    assert counts(night[f"{first}/calls-late.csv"]) == (3, 2, 1, 0)
    next_call = [row for row in lender.raw("calls") if row["started_at"].hour == 12]
    assert {(row["delivered_on"], row["ended_on"]) for row in next_call} == {(first, second), (second, None)}
    held = {v for prefix in "mns" for v in versions(lender, prefix) if v[4] != v[3]}  # ended at once: it never held
    assert held == {
        ("m", "upsert", 100, first, second), ("m", "upsert", 200, second, third), ("m", "upsert", 300, third, None),
        ("n", "upsert", 200, second, None),
        ("s", "upsert", 100, second, third), ("s", "upsert", 100, third, None),
    }  # fmt: skip


def test_every_file_adds_up_and_none_is_read_twice(lender: Lender) -> None:
    def no_spark() -> SparkSession:
        raise AssertionError("nothing is new, so nothing should start Spark")

    lender.spark, kept = no_spark, lender.spark
    assert lender.night(DAYS[-1]) == {}
    lender.spark = kept
    files = lender.rows(lender.lake.results("landing_files"))
    assert len({(row["name"], row["source"], row["entry"], row["digest"]) for row in files}) == len(files)
    for row in files:
        assert row["rows_in"] == row["rows_accepted"] + row["rows_duplicate"] + row["rows_quarantined"]
        assert row["rows_duplicate"] >= 0


def test_two_entries_of_a_mapping_for_one_file_are_counted_apart_and_an_early_delete_hides_nothing_later(
    spark: SparkSession, tmp_path: Path
) -> None:
    constant = {name: {"const": value} for name, value in {"from_kind": "Person", "at": "2024-05-20T00:00:00Z"}.items()}
    columns: dict[str, Any] = constant | {"from_id": "who", "op": "op"}
    guarantees = {"relation": {"const": "GUARANTEES"}, "to_kind": {"const": "Person"}, "to_id": "whom"}
    accounts = {"relation": {"const": "OWNS_ACCOUNT"}, "to_kind": {"const": "Account"}, "to_id": "account"}
    mapping = Mapping.model_validate(
        {"sources": {"relations": [{"pattern": "book*.csv", "columns": columns | ends}
                                   for ends in (guarantees, accounts)]}}
    )  # fmt: skip
    lender = Lender(tmp_path, lambda: spark, mapping)
    # b's account is withdrawn by all its columns before it was ever told.
    lender.deliver(DAYS[0], "book.csv", "who,whom,account,op", ["a,b,6222000011112222,", "a,b,,", "b,,62220000,delete"])
    night = lender.night(DAYS[0])
    whole, second = night[f"{DAYS[0]}/book.csv"], night[f"{DAYS[0]}/book.csv#1"]
    assert counts(whole) == (3, 1, 2, 0)  # a delete that finds nothing changes nothing
    assert counts(second) == (3, 1, 1, 1)
    assert second.reasons == {"to_id: missing_value": 1}
    lender.deliver(DAYS[1], "book.csv", "who,whom,account,op", ["b,c,62220000,"])
    night = lender.night(DAYS[1])
    assert [counts(report) for report in night.values()] == [(1, 1, 0, 0), (1, 1, 0, 0)]


def test_a_lake_older_than_a_derived_column_is_widened_and_its_rows_stay_what_they_were(
    spark: SparkSession, tmp_path: Path
) -> None:
    lender = Lender(tmp_path, lambda: spark)
    applications, devices = "application_id,applicant_id,address,applied_at", "device_id,applicant_id,imei,event_at"
    same = "ap1,a1,北京市建国路1号301,2024-05-30"
    lender.deliver(DAYS[0], "applications.csv", applications, [same, "ap2,a2,北京市建国路2号301,2024-05-30"])
    lender.deliver(DAYS[0], "devices.csv", devices, ["d1,a1,35417803685978,2024-05-30"])
    lender.night(DAYS[0])
    for source, column in (("applications", "address_house"), ("devices", "imei_batch")):
        path = str(lender.lake.raw(source))
        older = spark.read.format("delta").load(path).drop(column, "imei_batch")
        rewrite = older.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        rewrite.partitionBy("delivered_on").save(path)
    lives_at = edge_events(raw_reader(spark, lender.lake), EDGE_BY_TABLE["lives_at"])
    assert lives_at.count() == 2  # no houses yet
    lender.deliver(DAYS[1], "applications.csv", applications, [same, "ap2,a2,北京市建国路3号301,2024-05-30"])
    lender.deliver(
        DAYS[1], "devices.csv", devices, ["d1,a1,35417803685978,2024-05-30", "d2,a2,35417803685979,2024-05-31"]
    )
    night = lender.night(DAYS[1])
    assert [counts(report) for report in night.values()] == [(2, 1, 1, 0), (2, 1, 1, 0)]
    told = {(row["application_id"], row["delivered_on"]): row for row in lender.raw("applications")}
    assert [(row["ended_on"], row["address_house"] is None) for _, row in sorted(told.items())] == [
        (None, True), (DAYS[1], True), (None, False),
    ]  # fmt: skip
    assert {row["applicant_id"]: row["imei_batch"] is None for row in lender.raw("devices")} == {
        "a1": True,
        "a2": False,
    }
