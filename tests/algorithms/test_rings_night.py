"""Rings through the real lake: found, named, explained, kept, and blind to what comes later."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.rings.run import find_rings
from graph import as_of
from graph.lake import Lake
from graph.schema import EDGES
from ingest import graph_tables
from ingest.mapping import Mapping
from ingest.run import ingest

DAY = dt.date(2026, 3, 10)


def _at(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(23, 59, 59), dt.UTC)


def _csv(folder: Path, source: str, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, infer_schema_length=None).write_csv(folder / f"{source}.csv")


def _application(n: int, device: str, at: str, **more) -> dict:
    return {
        "application_id": f"L{n}", "applicant_id": f"A{n}", "phone": f"138{n:08}", "device_id": device,
        "address": f"上海市浦东新区世纪大道{n}号", "channel": "app", "amount_cny": 5000, "applied_at": at, **more,
    }  # fmt: skip


def _write_world(landing: Path) -> None:
    """A ring of six on one handset within three days, all with new numbers, among sixty honest applicants."""
    ring = [_application(n, "handset-of-the-ring", f"2026-03-0{2 + n % 3}T10:0{n}:00Z") for n in range(1, 7)]
    honest = [
        _application(n, f"handset-{n}", f"2025-{1 + n % 12:02}-{1 + n % 27:02}T{8 + n % 12:02}:00:00Z")
        for n in range(10, 70)
    ]
    _csv(landing / "2026-03-10", "applications", ring + honest)
    opened = {row["phone"]: "2026-02-25T00:00:00Z" for row in ring} | {
        row["phone"]: "2019-01-01T00:00:00Z" for row in honest
    }
    phones = [{"phone": p, "opened_at": at, "observed_at": "2026-03-09T00:00:00Z"} for p, at in opened.items()]
    _csv(landing / "2026-03-10", "phones", phones)


def _night(spark: SparkSession, lake: Lake, landing: Path, keys: Path, day: dt.date, folder: Path) -> dict:
    touched = ingest(lambda: spark, lake, landing, day, Mapping(), keys).touched
    graph_tables.build(spark, lake, _at(day), touched)
    return find_rings(spark, lake, day, _at(day), folder, folded=True)


def _table(lake: Lake, name: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(DeltaTable(lake.results(name)).to_pyarrow_table()))


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path, Path]:
    root = tmp_path_factory.mktemp("rings")
    _write_world(root / "landing")
    lake = Lake(root / "lake")
    told = _night(spark, lake, root / "landing", root / "keys.json", DAY, root / "snapshot")
    assert told["status"] == {"born": 1}
    return lake, root / "landing", root


def test_a_handset_with_six_new_numbers_in_three_days_is_the_one_ring(world):
    lake, _, _ = world
    ring = _table(lake, "rings").row(0, named=True)
    assert (ring["typology"], ring["size"], ring["status"]) == ("device_fan_out", 6, "born")
    assert ring["score"] > 0.8
    members = _table(lake, "ring_members")
    assert sorted(members["person_id"]) == [f"per_A{n}" for n in range(1, 7)]
    assert set(members["role"]) == {"core"}


def test_every_relationship_and_node_that_evidence_names_stands_in_the_graph_of_that_day(spark, world):
    lake, _, _ = world
    there = {
        (edge.relationship, row["src"], row["dst"])
        for edge in EDGES
        if as_of.exists(lake, f"{edge.table}_events")
        for row in as_of.edges(spark, lake, edge, _at(DAY)).select("src", "dst").collect()
    }
    nodes = {end for _, src, dst in there for end in (src, dst)}
    items = _table(lake, "rings")["evidence"].to_list()[0]
    items += [item for one in _table(lake, "ring_members")["evidence"].to_list() for item in one]
    named = {(r["relationship"], r["src"], r["dst"]) for item in items for r in item["relationships"]}
    assert named
    assert named <= there
    assert {node for item in items for node in item["nodes"]} <= nodes


def test_the_counterfactual_says_that_nothing_is_left_without_the_handset(world):
    lake, _, _ = world
    texts = [item["text"] for item in _table(lake, "rings")["evidence"].to_list()[0]]
    assert any(
        text.startswith("Without this handset the score falls from") and text.endswith("to 0.00.") for text in texts
    )


def test_ring_and_memberships_are_tables_of_the_graph_as_neo4j_gets_them(spark, world):
    lake, _, _ = world
    node = spark.read.format("delta").load(str(lake.graph("ring"))).collect()[0]
    assert json.loads(node["lineage"]) == [{"date": "2026-03-10", "status": "born", "from": []}]
    edges = spark.read.format("delta").load(str(lake.graph("member_of"))).collect()
    assert {(e["src"], e["dst"]) for e in edges} == {(f"per_A{n}", node["id"]) for n in range(1, 7)}


def test_what_comes_later_by_event_or_delivery_changes_no_ring_of_the_day(spark, world):
    lake, landing, root = world
    before = _table(lake, "rings"), _table(lake, "ring_members")
    late = [_application(n, "handset-of-the-ring", "2026-03-09T10:00:00Z") for n in range(80, 84)]  # delivered later
    _csv(landing / "2026-03-12", "applications", late)
    ahead = [{"applicant_id": f"A{n}", "label": "normal", "confirmed_at": "2026-03-12T00:00:00Z"} for n in range(1, 7)]
    _csv(landing / "2026-03-12", "labels", ahead)
    ingest(lambda: spark, lake, landing, dt.date(2026, 3, 12), Mapping(), root / "keys.json")
    graph_tables.build(spark, lake, _at(dt.date(2026, 3, 12)), {"applications", "labels"})
    find_rings(spark, lake, DAY, _at(DAY), root / "again")  # as of the tenth, from the tables of the twelfth
    assert _table(lake, "rings").equals(before[0])
    assert _table(lake, "ring_members").equals(before[1])


def test_the_next_night_knows_the_ring_by_its_name_and_says_that_it_has_grown(spark, world):
    lake, _, root = world
    ring_id = _table(lake, "rings")["ring_id"][0]
    day = dt.date(2026, 3, 12)
    told = find_rings(spark, lake, day, _at(day), root / "next", folded=True)
    assert told["status"] == {"grown": 1}
    rows = _table(lake, "rings").filter(pl.col("as_of_date") == day)
    assert rows["ring_id"].to_list() == [ring_id]
    assert rows["size"].to_list() == [10]
