"""Rings from the lake to the analyst: loaded in full and by difference, shown with evidence, members and lineage."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from neo4j import Driver
from pyspark.sql import SparkSession
from typer.testing import CliRunner, Result

from graph import load
from graph.__main__ import app
from graph.answers import UnknownNameError
from graph.bulk import node_columns
from graph.lake import Lake
from graph.reader import GraphReader
from graph.rings import to_ring
from graph.schema import (
    EDGE_BY_ENDS,
    EDGE_BY_TABLE,
    LANDED_EDGES,
    NODE_BY_LABEL,
    EdgeType,
    NodeType,
)
from graph.server import LocalServer, connect
from graph.writer import ensure_schema, upsert_edges, upsert_nodes

RING, PERSON, MEMBER_OF = NODE_BY_LABEL["Ring"], NODE_BY_LABEL["Person"], EDGE_BY_TABLE["member_of"]
AT = datetime(2026, 6, 30, tzinfo=UTC)
DAY = int(AT.timestamp())
# What a JSON text may hold and a CSV file, a terminal or a shell may trip over.
SENTENCE = 'Five persons share "one" handset \\\\ 设备, a\nline, [red]x[/red] and, commas'
_ARROW = {
    "string": pa.string(), "long": pa.int64(), "double": pa.float64(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip
Row = dict[str, Any]


def evidence(text: str = SENTENCE) -> str:
    said = [{"text": text, "nodes": ["dev_1", "per_1"], "relationships": [["per_1", "USES_DEVICE", "dev_1"]]}]
    return json.dumps(said, ensure_ascii=False)


def ring(id: str, **values: Any) -> Row:
    lineage = [{"date": "2026-06-28", "status": "born", "from": None}]
    told = {
        "id": id, "first_seen_at": AT, "last_seen_at": AT, "status": "born", "score": 0.5, "size": 2,
        "typology": "shared_device", "exposure_cny": 1000.0, "as_of_date": AT.date(), "born_on": date(2026, 6, 28),
        "parent_ids": "[]", "evidence": evidence(), "lineage": json.dumps(lineage),
    }  # fmt: skip
    return told | values


def member(person: str, of: str, **values: Any) -> Row:
    told = {
        "src": person, "dst": of, "first_seen_at": AT, "last_seen_at": AT, "event_count": 1, "weight": 0.7,
        "role": "member", "score": 0.5, "evidence": evidence("listed by two members"),
    }  # fmt: skip
    return told | values


def person(id: str) -> Row:
    return {"id": id, "first_seen_at": AT, "last_seen_at": AT, "gender": None, "birth_year": None}


def write(lake: Lake, table: NodeType | EdgeType, rows: list[Row]) -> None:
    key = ["src", "dst"] if isinstance(table, EdgeType) else ["id"]
    fields = [(name, pa.string()) for name in key]
    fields += [(name, pa.timestamp("us", "UTC")) for name in ("first_seen_at", "last_seen_at")]
    fields += [("event_count", pa.int64()), ("weight", pa.float64())] if isinstance(table, EdgeType) else []
    fields += [(value.name, _ARROW[value.type]) for value in table.values]
    write_deltalake(lake.graph(table.table), pa.Table.from_pylist(rows, schema=pa.schema(fields)), mode="overwrite")


def stored(row: Row) -> Row:
    """A row as Neo4j takes it: times and days in epoch seconds."""
    plain = {name: value for name, value in row.items() if name != "weight"}
    for name, value in plain.items():
        if isinstance(value, datetime):
            plain[name] = int(value.timestamp())
        elif isinstance(value, date):
            plain[name] = int(datetime.combine(value, datetime.min.time(), UTC).timestamp())
    return plain


def test_no_file_may_name_a_derived_type() -> None:
    assert "MEMBER_OF" not in {edge.relationship for edge in LANDED_EDGES}
    assert ("MEMBER_OF", "Person", "Ring") not in EDGE_BY_ENDS


def test_a_sentence_survives_the_import_files_of_a_full_load(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    write(lake, PERSON, [person("per_1")])
    write(lake, RING, [ring("ring_a")])
    write(lake, MEMBER_OF, [member("per_1", "ring_a")])
    assert load.export(spark, lake, load.versions(lake), tmp_path / "import")["ring"] == 1
    # The importer reads quotes as RFC 4180 does, and takes a backslash for itself.
    text = "".join(path.read_text() for path in (tmp_path / "import" / "nodes" / "ring").glob("part-*"))
    (fields,) = csv.reader(text.splitlines())
    columns = [column.split(":")[0] for column in node_columns(RING)]
    assert to_ring({"id": "x", "evidence": fields[columns.index("evidence")]}).evidence[0].text == SENTENCE
    assert fields[columns.index("as_of_date")] == str(DAY)


@pytest.mark.neo4j
def test_a_ring_that_ended_leaves_the_graph_by_difference(
    spark: SparkSession, driver: Driver, neo4j_server: LocalServer, tmp_path: Path
) -> None:
    lake, settings, cache = Lake(tmp_path / "lake"), neo4j_server.settings, neo4j_server.cache
    write(lake, PERSON, [person("per_1"), person("per_2"), person("per_3")])
    write(lake, RING, [ring("ring_a"), ring("ring_b", score=None, evidence=None)])
    write(lake, MEMBER_OF, [member("per_1", "ring_a", role="core"), member("per_2", "ring_b")])
    reader = GraphReader(driver)
    load.incremental_load(spark, lake, lambda: connect(settings, cache), "2026-06-30")
    first = reader.ring("ring_a")
    assert first is not None
    assert [said.text for said in first.evidence] == [SENTENCE]
    assert first.evidence[0].relationships == (["per_1", "USES_DEVICE", "dev_1"],)
    assert (first.as_of_date, first.born_on, first.score) == (AT.date(), date(2026, 6, 28), 0.5)
    assert [(m.person_id, m.role, m.evidence[0].text) for m in first.members] == [
        ("per_1", "core", "listed by two members")
    ]

    write(lake, RING, [ring("ring_a", status="grown", size=3)])
    write(lake, MEMBER_OF, [member("per_1", "ring_a", role="core"), member("per_3", "ring_a")])
    done = load.incremental_load(spark, lake, lambda: connect(settings, cache), "2026-07-01")
    assert (done.nodes_deleted, done.relationships_created, done.nodes_created) == (1, 1, 0)
    grown = reader.ring("ring_a")
    assert grown is not None
    assert (grown.status, grown.size, grown.total, reader.ring("ring_b")) == ("grown", 3, 2, None)
    assert load.incremental_load(spark, lake, lambda: connect(settings, cache), "2026-07-01").rows == 0


@pytest.fixture
def asked(driver: Driver, neo4j_server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    """Three rings in the server that the command finds; the first has three members and a past."""
    monkeypatch.setenv("NEO4J_URI", neo4j_server.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.password())
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    ensure_schema(driver)
    lineage = [
        {"date": "2026-06-28", "status": "born", "from": None},
        {"date": "2026-06-29", "status": "merged", "from": ["ring_x", "ring_y"]},
        {"date": "2026-06-30", "status": "same", "from": []},
    ]
    rings = [
        ring("ring_a", score=0.83, status="merged", lineage=json.dumps(lineage), parent_ids='["ring_x", "ring_y"]'),
        ring("ring_b", score=0.83, exposure_cny=9e6, typology="agent_star"),
        ring("ring_c", score=0.2, last_seen_at=datetime(2026, 7, 1, tzinfo=UTC), exposure_cny=None),
    ]
    members = [
        member("per_2", "ring_a", score=0.9), member("per_1", "ring_a", role="core", score=0.4),
        member("per_3", "ring_a", role="suspected_agent", score=None), member("per_3", "ring_b"),
    ]  # fmt: skip
    upsert_nodes(driver, PERSON, [stored(person(f"per_{number}")) for number in (1, 2, 3)])
    upsert_nodes(driver, RING, [stored(row) for row in rings])
    upsert_edges(driver, MEMBER_OF, [stored(row) for row in members])
    return driver


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.neo4j
def test_a_ring_is_shown_with_its_case_its_members_and_what_became_of_it(asked: Driver) -> None:
    shown = run("show", "ring:ring_a")
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0] == (
        "Ring ring_a: merged, score 0.83, size 2, typology shared_device, exposure 1,000.00 CNY, "
        "born on 2026-06-28, as of 2026-06-30"
    )
    assert '  1. Five persons share "one" handset' in shown.output
    assert "[red]x[/red]" in shown.output
    assert "dev_1, per_1; 1 relationships" in shown.output
    people = [line.split()[:2] for line in lines if line.startswith("per_")]
    assert people == [["per_1", "core"], ["per_2", "member"], ["per_3", "suspected_agent"]]
    assert "3 of 3 members, core first" in shown.output
    assert lines[-3:] == ["2026-06-28  born", "2026-06-29  merged from ring_x, ring_y", "2026-06-30  same"]
    assert "1 of 3 members" in run("show", "ring:ring_a", "--limit", "1").output
    as_node = run("show", "ring:ring_a", "--type", "MEMBER_OF").output
    assert "3 of 3, newest first" in as_node
    assert "listed by two members" not in as_node  # long texts stay out of a table's last column


@pytest.mark.neo4j
def test_rings_are_listed_by_score_exposure_or_time_and_narrowed(asked: Driver) -> None:
    reader = GraphReader(asked)
    listed = {order: [row.id for row in reader.rings(order=order).rows] for order in ("score", "exposure", "newest")}
    assert listed == {
        "score": ["ring_b", "ring_a", "ring_c"],
        "exposure": ["ring_b", "ring_a", "ring_c"],
        "newest": ["ring_c", "ring_b", "ring_a"],
    }
    assert [row.id for row in reader.rings(min_score=0.83, status="merged").rows] == ["ring_a"]
    assert [row.id for row in reader.rings(typology="agent_star").rows] == ["ring_b"]
    few = reader.rings(limit=1)
    assert (len(few.rows), few.total) == (1, 3)
    printed = run("rings", "--limit", "2").output
    assert "2 of 3 rings, highest score first." in printed
    assert "2026-06-29  merged from ring_x, ring_y" in printed
    record = json.loads(run("rings", "--json", "--typology", "agent_star").stdout)
    assert (record["total"], [row["id"] for row in record["rows"]]) == (1, ["ring_b"])
    assert "0 of 0 rings" in run("rings", "--min-score", "0.9").output
    with pytest.raises(UnknownNameError, match="score, exposure, newest"):
        reader.rings(order="luck")
    with pytest.raises(UnknownNameError, match="dissolved"):
        reader.rings(status="odd")


@pytest.mark.neo4j
def test_a_ring_in_json_is_one_object_and_one_that_is_not_there_is_said(asked: Driver) -> None:
    record = json.loads(run("show", "ring:ring_a", "--json").stdout)
    assert [item["person_id"] for item in record["members"]] == ["per_1", "per_2", "per_3"]
    assert record["lineage"][1] == {"date": "2026-06-29", "status": "merged", "from_ids": ["ring_x", "ring_y"]}
    assert record["evidence"][0]["text"] == SENTENCE
    missing = run("show", "ring:ring_z")
    assert missing.exit_code == 1
    assert "holds no such ring" in missing.output


@pytest.mark.neo4j
def test_a_ring_is_a_common_neighbor_but_no_way_from_one_member_to_another(asked: Driver) -> None:
    reader = GraphReader(asked)
    assert [node.id for node in reader.common_neighbors(("Person", "per_1"), ("Person", "per_2")).rows] == ["ring_a"]
    assert reader.shortest_path(("Person", "per_1"), ("Person", "per_2")).sentence == "none within 6 hops"
    assert reader.shortest_path(("Person", "per_1"), ("Ring", "ring_b")).sentence == "3 hops"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert reader.newest_relations(start).rows == ()
    assert len(reader.newest_relations(start, relationship="MEMBER_OF").rows) == 4


def test_texts_that_cannot_be_read_leave_a_ring_without_them() -> None:
    odd = to_ring({"id": "r", "evidence": "not json", "lineage": '{"a": 1}', "parent_ids": None, "as_of_date": DAY})
    assert (odd.evidence, odd.lineage, odd.parent_ids, odd.as_of_date) == ((), (), (), AT.date())
