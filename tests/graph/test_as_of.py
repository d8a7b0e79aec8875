"""As of a time: what was not yet known, by event or by delivery, is nowhere to be seen."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession

from graph import as_of
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL, EdgeType, NodeType

Row = dict[str, Any]
T = datetime(2024, 6, 10, 12, 0, tzinfo=UTC)
DAY, BEFORE, AFTER = date(2024, 6, 10), date(2024, 6, 9), date(2024, 6, 11)
TICK = timedelta(microseconds=1)
_ARROW = {"string": pa.string(), "long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(),
          "timestamp": pa.timestamp("us", "UTC")}  # fmt: skip
_KNOWN = [("at", pa.timestamp("us", "UTC")), ("delivered_on", pa.date32()), ("ended_on", pa.date32())]


def write(lake: Lake, name: str, columns: list[tuple[str, pa.DataType]], rows: list[Row]) -> None:
    write_deltalake(lake.graph(name), pa.Table.from_pylist(rows, pa.schema(columns)), mode="overwrite")


def write_events(lake: Lake, table: EdgeType | NodeType, rows: list[Row]) -> None:
    key = ["src", "dst"] if isinstance(table, EdgeType) else ["id"]
    made = [] if isinstance(table, EdgeType) else [("exists", pa.bool_())]
    values = [(value.name, _ARROW[value.type]) for value in table.values]
    write(lake, f"{table.table}_events", [(name, pa.string()) for name in key] + made + _KNOWN + values, rows)


def write_persons(lake: Lake, rows: list[Row]) -> None:
    names = [(name, pa.string()) for name in ("applicant_id", "person_id")]
    write(lake, "applicant_person", names + _KNOWN, rows)


def event(src: str, dst: str, at: datetime | None, delivered_on: date, ended_on: date | None = None) -> Row:
    return {"src": src, "dst": dst, "at": at, "delivered_on": delivered_on, "ended_on": ended_on}


def about(id: str, at: datetime, delivered_on: date = DAY, exists: bool = True, **values: object) -> Row:
    return {"id": id, "exists": exists, "at": at, "delivered_on": delivered_on, "ended_on": None, **values}


def collected(frame: DataFrame) -> list[Row]:
    zoned = (row.asDict() for row in frame.collect())
    return [{k: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for k, v in row.items()} for row in zoned]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """What stood at T, and beside it one of every thing that T must not see."""
    lake = Lake(tmp_path_factory.mktemp("planted"))
    write_events(lake, EDGE_BY_TABLE["called"], [
        event("tel_1", "tel_2", T, DAY),
        event("tel_1", "tel_tick", T + TICK, DAY),  # a moment after T
        event("tel_1", "tel_late", T - timedelta(days=5), AFTER),  # long ago, and delivered after T
        event("tel_1", "tel_gone", T - timedelta(days=5), BEFORE, AFTER),  # deleted after T
        event("tel_1", "tel_went", T - timedelta(days=5), BEFORE, DAY),  # deleted on T's day
        event("tel_1", "tel_undated", None, DAY),
    ])  # fmt: skip
    write_events(lake, EDGE_BY_TABLE["lists_contact"], [
        event("a1", "tel_2", T, DAY) | {"relation": "friend"},
        event("a1", "tel_2", T + TICK, DAY) | {"relation": "spouse", "emergency": True},
        event("a2", "tel_future", T + TICK, DAY),
        event("a3", "tel_future", T, AFTER),
    ])  # fmt: skip
    write_events(lake, EDGE_BY_TABLE["funded"], [event("ap1", "loan_late", T - timedelta(days=1), AFTER)])
    write_events(lake, NODE_BY_LABEL["Loan"], [
        about("loan_1", T, status="open"), about("loan_1", T + TICK, status="defaulted"),
        about("loan_late", T - timedelta(days=1), AFTER),
    ])  # fmt: skip
    write_events(lake, NODE_BY_LABEL["Phone"], [
        about("tel_2", T, exists=False, kind="landline"), about("tel_9", T, exists=False, kind="service"),
        about("tel_1", T, AFTER, exists=False, carrier="X"),
    ])  # fmt: skip
    write_events(lake, NODE_BY_LABEL["Person"], [about("a1", T), about("a4", T + TICK), about("a2", T, AFTER)])
    persons = [("a1", "p1", DAY, None), ("a2", "p2", DAY, None), ("a3", "p3", DAY, None), ("a4", "p4", DAY, None)]
    # Entity resolution changes its mind about a1 the day after T: from then on a1 is p5.
    persons = [("a1", "p1", DAY, AFTER), ("a1", "p5", AFTER, None), *persons[1:]]
    write_persons(lake, [
        {"applicant_id": a, "person_id": p, "at": T - timedelta(days=9), "delivered_on": on, "ended_on": ended}
        for a, p, on, ended in persons
    ])  # fmt: skip
    return lake


def test_edges_of_the_future_are_hidden_and_at_the_moment_itself_all_is_seen(
    spark: SparkSession, planted: Lake
) -> None:
    def others(at: datetime) -> set[str]:
        return {row["dst"] for row in as_of.edges(spark, planted, EDGE_BY_TABLE["called"], at).collect()}

    assert others(T - TICK) == {"tel_gone", "tel_undated"}
    assert others(T) == {"tel_2", "tel_gone", "tel_undated"}
    assert others(T + TICK) == {"tel_2", "tel_gone", "tel_undated", "tel_tick"}
    assert others(T + timedelta(days=1)) == {"tel_2", "tel_undated", "tel_tick", "tel_late"}
    # Delivered on the 10th, of the 9th: whoever asked late on the 9th could not have known.
    assert others(datetime(2024, 6, 9, 23, 59, tzinfo=UTC)) == {"tel_gone", "tel_went"}


def test_persons_stand_where_applicants_stood_as_they_were_known_then(spark: SparkSession, planted: Lake) -> None:
    def listed(at: datetime) -> list[tuple[object, ...]]:
        rows = as_of.edges(spark, planted, EDGE_BY_TABLE["lists_contact"], at).collect()
        return sorted((row["src"], row["dst"], row["relation"], row["emergency"], row["event_count"]) for row in rows)

    assert listed(T) == [("p1", "tel_2", "friend", False, 1)]
    assert listed(T + timedelta(days=1)) == [
        ("p2", "tel_future", None, False, 1), ("p3", "tel_future", None, False, 1), ("p5", "tel_2", "spouse", True, 2),
    ]  # fmt: skip


def test_nodes_exist_only_through_rows_that_were_visible(spark: SparkSession, planted: Lake) -> None:
    def found(label: str, at: datetime, *values: str) -> set[tuple[object, ...]]:
        rows = as_of.nodes(spark, planted, NODE_BY_LABEL[label], at).collect()
        return {tuple(row[name] for name in ("id", *values)) for row in rows}

    assert found("Loan", T, "status") == {("loan_1", "open")}
    assert found("Loan", T + timedelta(days=1), "status") == {("loan_1", "defaulted"), ("loan_late", None)}
    assert found("Person", T) == {("p1",)}
    assert found("Person", T + timedelta(days=1)) == {("p2",), ("p3",), ("p4",), ("p5",)}
    phones = found("Phone", T, "kind", "carrier")
    assert phones == {
        ("tel_1", None, None), ("tel_2", "landline", None), ("tel_gone", None, None), ("tel_undated", None, None),
    }  # a number that rows describe and no edge touches is no node  # fmt: skip
    assert ("tel_1", None, "X") in found("Phone", T + timedelta(days=1), "kind", "carrier")


def test_labels_and_due_dates_count_from_when_they_were_known(spark: SparkSession) -> None:
    rows = [
        ("known", T, DAY, None), ("confirmed later", T + TICK, DAY, None), ("told later", T, AFTER, None),
        ("withdrawn later", T, BEFORE, AFTER), ("withdrawn", T, BEFORE, DAY),
    ]  # fmt: skip
    labels = spark.createDataFrame(
        rows, "label string, confirmed_at timestamp, delivered_on date, ended_on date"
    ).persist()

    def told(at: datetime, event_at: str | None = "confirmed_at") -> set[str]:
        return {row["label"] for row in as_of.visible(labels, at, event_at).collect()}

    assert told(T) == {"known", "withdrawn later"}
    assert told(T.replace(tzinfo=None)) == told(T)  # a time without a zone is UTC
    assert told(T, event_at=None) == {"known", "withdrawn later", "confirmed later"}
    assert told(T + timedelta(days=1)) == {"known", "confirmed later", "told later"}


def random_events(rng: random.Random, table: EdgeType, ends: list[str]) -> Iterator[Row]:
    draw: dict[str, Callable[[], object]] = {
        "long": lambda: rng.randrange(100), "double": lambda: rng.randrange(100_000) / 100,
        "string": lambda: rng.choice("abc"), "boolean": lambda: rng.random() < 0.3,
        "timestamp": lambda: T + timedelta(hours=rng.randrange(99)),
    }  # fmt: skip
    for _ in range(400):
        at = T + rng.choice([timedelta(0), TICK, -TICK, timedelta(hours=rng.randint(-80, 80))])
        delivered = DAY + timedelta(days=rng.randint(-3, 3))
        ended = delivered + timedelta(days=rng.randint(0, 3)) if rng.random() < 0.3 else None
        row = event(rng.choice(ends), rng.choice(ends), None if rng.random() < 0.1 else at, delivered, ended)
        yield row | {v.name: None if rng.random() < 0.2 else draw[v.type]() for v in table.values}


def twin(rows: list[Row], table: EdgeType, at: datetime, persons: dict[str, str]) -> list[Row]:
    """The rules of `graph.as_of` once more, row by row."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        known = row["delivered_on"] <= at.date() and (row["ended_on"] is None or row["ended_on"] > at.date())
        if known and (row["at"] is None or row["at"] <= at):
            src = persons[row["src"]] if table.src == "Person" else row["src"]
            dst = persons[row["dst"]] if table.dst == "Person" else row["dst"]
            groups.setdefault((src, dst), []).append(row)
    folded = []
    for (src, dst), group in groups.items():
        times = [row["at"] or datetime.combine(row["delivered_on"], time(), UTC) for row in group]
        edge: Row = {"src": src, "dst": dst, "first_seen_at": min(times), "last_seen_at": max(times)}
        edge |= {"event_count": len(group), "weight": math.log1p(len(group))}
        for value in table.values:
            said = [row for row in group if row[value.name] is not None]
            values = [row[value.name] for row in said]
            if value.fold == "any":
                edge[value.name] = any(values)
            elif not said:
                edge[value.name] = None
            elif value.fold == "last":
                order = [(r["at"] or datetime.min.replace(tzinfo=UTC), r["delivered_on"], r[value.name]) for r in said]
                edge[value.name] = max(order)[2]
            elif value.type == "double" and value.fold == "sum":
                edge[value.name] = float(sum(Decimal(str(v)) for v in values))
            else:
                edge[value.name] = {"sum": sum, "min": min, "max": max}[value.fold](values)  # type: ignore[operator]
        folded.append(edge)
    return folded


@pytest.mark.parametrize("name", ["called", "lists_contact", "person_guarantees", "uses_phone", "same_person"])
def test_random_events_fold_as_the_rules_written_once_more(spark: SparkSession, tmp_path: Path, name: str) -> None:
    rng, lake, table = random.Random(name), Lake(tmp_path), EDGE_BY_TABLE[name]
    ends = [f"n{n}" for n in range(6)]
    rows = list(random_events(rng, table, ends))
    persons = {end: f"p{n // 2}" for n, end in enumerate(ends)}  # two applicants, one person
    since = {"at": T - timedelta(days=99), "delivered_on": DAY - timedelta(days=99), "ended_on": None}
    write_persons(lake, [{"applicant_id": a, "person_id": p, **since} for a, p in persons.items()])
    write_events(lake, table, rows)

    def key(edge: Row) -> tuple[str, str]:
        return edge["src"], edge["dst"]

    for at in (T, T + TICK) if name == "called" else (T,):
        expected = sorted(twin(rows, table, at, persons), key=key)
        found = sorted(collected(as_of.edges(spark, lake, table, at)), key=key)
        assert [{**edge, "weight": pytest.approx(edge["weight"])} for edge in found] == expected
        assert len(found) > 5
