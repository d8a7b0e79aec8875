from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo4j import GraphDatabase

from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL, NODES
from graph.writer import (
    Changes,
    MissingEndpointsError,
    RowError,
    delete_edges,
    delete_nodes,
    ensure_schema,
    rounds,
    upsert_edges,
    upsert_nodes,
    write_load,
)

PHONE, PERSON = NODE_BY_LABEL["Phone"], NODE_BY_LABEL["Person"]
CALLED, LISTS_CONTACT = EDGE_BY_TABLE["called"], EDGE_BY_TABLE["lists_contact"]


def phone(name: str, **values: object) -> dict[str, object]:
    return {"id": name, "first_seen_at": 10, "last_seen_at": 20, "kind": "mobile", "carrier": None} | values


def call(src: str, dst: str, **values: object) -> dict[str, object]:
    row = {"src": src, "dst": dst, "first_seen_at": 10, "last_seen_at": 20, "event_count": 1}
    return row | {"duration_s": 60, "missed_count": None} | values


@pytest.fixture
def graph(driver):
    ensure_schema(driver)
    return driver


@pytest.mark.neo4j
def test_every_label_gets_a_unique_id_and_a_second_time_is_fine(graph):
    ensure_schema(graph)
    records = graph.execute_query("SHOW CONSTRAINTS YIELD labelsOrTypes, properties").records
    assert {r["labelsOrTypes"][0] for r in records} == {n.label for n in NODES} | {"Load"}
    assert all(r["properties"] == ["id"] for r in records)
    indexes = graph.execute_query("SHOW INDEXES YIELD state").records
    assert {r["state"] for r in indexes} == {"ONLINE"}


@pytest.mark.neo4j
def test_the_same_batch_twice_changes_nothing(graph):
    phones = [phone("a"), phone("b", carrier="x"), phone("c", kind=None)]
    calls = [call("a", "b"), call("b", "a"), call("a", "a", missed_count=2)]
    assert upsert_nodes(graph, PHONE, phones).nodes_created == 3
    assert upsert_edges(graph, CALLED, calls).relationships_created == 3
    assert upsert_nodes(graph, PHONE, phones) == Changes(rows=3)
    assert upsert_edges(graph, CALLED, calls) == Changes(rows=3)


@pytest.mark.neo4j
def test_a_changed_row_replaces_its_values_and_leaves_those_of_other_stages(graph):
    upsert_nodes(graph, PHONE, [phone("a", carrier="x"), phone("b")])
    graph.execute_query("MATCH (p:Phone {id: 'a'}) SET p.hub_score = 0.5")
    changes = upsert_nodes(graph, PHONE, [phone("a", last_seen_at=99, kind="landline"), phone("b")])
    assert changes.nodes_created == 0
    assert changes.properties_set > 0
    properties = graph.execute_query("MATCH (p:Phone {id: 'a'}) RETURN properties(p) AS p").records[0]["p"]
    assert properties == {"id": "a", "first_seen_at": 10, "last_seen_at": 99, "kind": "landline", "hub_score": 0.5}


@pytest.mark.neo4j
def test_an_edge_is_one_for_each_pair_and_carries_its_columns(graph):
    upsert_nodes(graph, PERSON, [{"id": "p", "first_seen_at": 1, "last_seen_at": 2, "gender": "f", "birth_year": 1990}])
    upsert_nodes(graph, PHONE, [phone("a")])
    edge = call("p", "a", relation="friend", emergency=True, contact_name="nam_1")
    upsert_edges(graph, LISTS_CONTACT, [edge])
    upsert_edges(graph, LISTS_CONTACT, [edge | {"event_count": 2}])
    records = graph.execute_query("MATCH (:Person)-[r:LISTS_CONTACT]->(:Phone) RETURN properties(r) AS r").records
    assert [record["r"] for record in records] == [
        {
            "first_seen_at": 10, "last_seen_at": 20, "event_count": 2,
            "relation": "friend", "emergency": True, "contact_name": "nam_1",
        }
    ]  # fmt: skip


@pytest.mark.neo4j
def test_a_missing_end_stops_the_load_and_undoes_its_batch(graph):
    upsert_nodes(graph, PHONE, [phone("a"), phone("b")])
    with pytest.raises(MissingEndpointsError, match="called: 2 rows were sent and 1 found both"):
        upsert_edges(graph, CALLED, [call("a", "b"), call("a", "nobody")])
    assert graph.execute_query("MATCH ()-[r]->() RETURN count(r) AS n").records[0]["n"] == 0


@pytest.mark.neo4j
def test_deletes_take_what_is_named_and_may_be_repeated(graph):
    upsert_nodes(graph, PHONE, [phone("a"), phone("b"), phone("c")])
    upsert_edges(graph, CALLED, [call("a", "b"), call("b", "c"), call("c", "a")])
    assert delete_edges(graph, CALLED, [call("a", "b")]) == Changes(rows=1, relationships_deleted=1)
    assert delete_edges(graph, CALLED, [call("a", "b")]) == Changes(rows=1)
    assert delete_nodes(graph, PHONE, [phone("c")]) == Changes(rows=1, nodes_deleted=1, relationships_deleted=2)
    assert delete_nodes(graph, PHONE, [phone("c")]) == Changes(rows=1)


@pytest.mark.neo4j
def test_batches_larger_than_one_transaction_arrive_whole(graph):
    assert upsert_nodes(graph, PHONE, (phone(f"n{i}") for i in range(25_000))).nodes_created == 25_000
    assert upsert_edges(graph, CALLED, (call("n0", f"n{i}") for i in range(12_000))).relationships_created == 12_000
    assert delete_nodes(graph, PHONE, (phone(f"n{i}") for i in range(25_000))).nodes_deleted == 25_000


@pytest.mark.neo4j
def test_the_load_node_is_one_and_holds_the_last_load(graph):
    write_load(graph, {"night": "2024-05-01", "digest": "x"})
    write_load(graph, {"night": "2024-05-02"})
    records = graph.execute_query("MATCH (n:Load) RETURN properties(n) AS n").records
    assert [record["n"] for record in records] == [{"id": "current", "night": "2024-05-02"}]


def test_a_datetime_where_epoch_seconds_belong_is_refused_by_column():
    unreached = GraphDatabase.driver("bolt://127.0.0.1:9")
    with unreached, pytest.raises(RowError, match=r"phone: epoch seconds were needed and \['first_seen_at'\]"):
        upsert_nodes(unreached, PHONE, [phone("a", first_seen_at=datetime(2024, 5, 1, tzinfo=UTC))])


@given(st.integers(min_value=0, max_value=70))
def test_rounds_hold_every_pair_once_and_no_bucket_twice_in_a_round(buckets):
    table = rounds(buckets)
    pairs = Counter(pair for one in table for pair in one)
    assert pairs == Counter({(i, j): 1 for i in range(buckets) for j in range(i, buckets)})
    for one in table:
        touched = Counter(bucket for pair in one for bucket in set(pair))
        assert set(touched.values()) <= {1}
    assert len(table) <= max(buckets, 1)
