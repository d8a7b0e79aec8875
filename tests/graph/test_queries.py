"""The reader agrees with networkx on a random graph that the real writer loaded."""

from __future__ import annotations

import base64
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import pytest
from neo4j import Driver

import graph.reader
from graph.answers import Cursor, CursorError, Edge, GraphError, NodeMissingError, Page, UnknownNameError
from graph.lookup import LookupFailedError, resolve, spelled
from graph.queries import BRANCHES, SCHEMA_STATEMENTS
from graph.reader import GraphReader
from graph.schema import EDGES, NODES, EdgeType, Label
from graph.server import LocalServer
from graph.tokens import Keys, Kind
from graph.writer import ensure_schema, upsert_edges, upsert_nodes

pytestmark = pytest.mark.neo4j

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
SECOND = int(START.timestamp())
# Several labels at one end, both ends of one label, a hub. Few types, for each costs the server a plan.
NAMES = ("CALLED", "GUARANTEES", "HOLDS_SIM", "LISTS_CONTACT", "USES_DEVICE")
TYPES = [e for e in EDGES if e.relationship in NAMES]
# Ids that are Cypher, that sort differently by code unit and by code point, and that look like other labels' ids.
ODD = ["'}) DETACH DELETE n //", '" OR 1=1', "`x`", "\\u0027", "\uffee", "\U0001f600", "{id: 1}", "p0"]

World = Any  # networkx has no types
Name = tuple[str, str]


def end(label: Label, number: int) -> Name:
    return label.value, ODD[number] if number < len(ODD) else f"{label.lower()}-{number}"


@pytest.fixture(scope="module")
def driver(neo4j_server: LocalServer) -> Iterator[Driver]:
    """One driver and one world for the module: nothing here writes."""
    with neo4j_server.driver() as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")
        yield driver


@pytest.fixture(scope="module")
def world(driver: Driver) -> World:
    """About 60 nodes and 300 edges with few distinct times, self-loops and edges both ways; a hub of 120 contacts."""
    rng = random.Random(7)
    world = nx.MultiDiGraph()
    rows: dict[EdgeType, dict[tuple[str, str], int]] = {}
    for _ in range(300):
        edge = rng.choice(TYPES)
        src, dst = end(edge.src, rng.randrange(14)), end(edge.dst, rng.randrange(14))
        rows.setdefault(edge, {})[src[1], dst[1]] = SECOND + rng.randrange(6)
    contacts = next(e for e in EDGES if e.relationship == "LISTS_CONTACT")
    for number in range(120):
        rows.setdefault(contacts, {})[f"fan-{number}", "hub"] = SECOND + rng.randrange(30)
    for edge, links in rows.items():
        for (start, stop), at in links.items():
            world.add_edge((edge.src.value, start), (edge.dst.value, stop), key=edge.relationship, at=at)
    world.add_node(("Person", "alone"))
    ensure_schema(driver)
    for statement in SCHEMA_STATEMENTS:
        if any(f":{name}]" in statement for name in NAMES):
            driver.execute_query(statement)
    driver.execute_query("CALL db.awaitIndexes(60)")
    for node in NODES:
        ids = sorted(id for label, id in world if label == node.label)
        upsert_nodes(driver, node, [{"id": i, "first_seen_at": SECOND, "last_seen_at": SECOND + 60} for i in ids])
    for edge, links in rows.items():
        table = [
            {"src": s, "dst": d, "first_seen_at": SECOND - 60, "last_seen_at": at, "event_count": 2}
            for (s, d), at in links.items()
        ]
        upsert_edges(driver, edge, table)
    # Entries of the time indexes are not in the order in which they were written first.
    for step in (-1, 1):
        driver.execute_query(
            "MATCH ()-[r]->() WHERE id(r) % 3 = 0 SET r.last_seen_at = r.last_seen_at + $step", step=step
        )
    return world


@pytest.fixture(scope="module")
def reader(driver: Driver, world: World) -> GraphReader:
    return GraphReader(driver, timeout_s=60)  # the server plans each statement for the first time


Row = tuple[str, str, str, str, int]


def around(world: World, node: Name) -> list[Row]:
    out = [(t, "out", *other, data["at"]) for _, other, t, data in world.out_edges(node, keys=True, data=True)]
    into = [(t, "in", *other, data["at"]) for other, _, t, data in world.in_edges(node, keys=True, data=True)]
    return out + into


def plain(page: Page) -> list[Row]:
    return [
        (r.relationship, r.direction, r.label, r.id, int(r.last_seen_at.timestamp()))
        for r in page.rows
        if r.last_seen_at
    ]


def pages(reader: GraphReader, node: Name, limit: int) -> Iterator[Page]:
    after = None
    while True:
        page = reader.neighbors(*node, limit=limit, after=after)
        yield page
        if page.next is None:
            return
        after = Cursor.parse(page.next.text())


def test_the_schema_gives_each_label_its_types_in_both_directions() -> None:
    assert sum(len(b.labels) for branches in BRANCHES.values() for b in branches) == 2 * len(EDGES)


def test_counts_are_exact_for_every_node(reader: GraphReader, world: World) -> None:
    for node in world:
        expected = Counter((t, direction, label) for t, direction, label, _, _ in around(world, node))
        assert {(c.relationship, c.direction, c.label): c.count for c in reader.counts(*node)} == expected


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages_never_repeat_nor_miss_a_relationship_and_run_from_new_to_old(
    reader: GraphReader, world: World, limit: int
) -> None:
    nodes = list(world) if limit == 200 else [("Phone", "hub"), *random.Random(1).sample(list(world), 6)]
    for node in nodes:
        got = [plain(page) for page in pages(reader, node, limit)]
        rows = [row for page in got for row in page]
        assert all(len(page) == limit for page in got[:-1])
        assert sorted(rows) == sorted(around(world, node))
        assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)


@pytest.mark.parametrize("entries", [1, 20, 10_000])
def test_beside_a_hub_walking_the_time_index_gives_the_same_pages(
    reader: GraphReader, world: World, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    walked = ("CALLED", "LISTS_CONTACT")
    nodes = [("Phone", "hub"), *random.Random(2).sample(list(world), 4)]
    expected = {node: [plain(page) for page in pages(reader, node, 9)] for node in nodes}
    monkeypatch.setattr(graph.reader, "_HUB_DEGREE", 0)
    monkeypatch.setattr(
        graph.reader, "_budgets", lambda branches, *_: {b.name: entries for b in branches if b.relationship in walked}
    )  # 1 and 20 end before a page is full: the node itself must answer
    for node in nodes:
        assert [plain(page) for page in pages(reader, node, 9)] == expected[node]


def test_of_one_second_the_link_written_last_comes_first(driver: Driver, reader: GraphReader, world: World) -> None:
    rows = driver.execute_query(
        "MATCH (m)-[r:LISTS_CONTACT]->(:Phone {id: 'hub'}) RETURN m.id AS id ORDER BY r.last_seen_at DESC, id(r) DESC"
    ).records
    found = [row[3] for page in pages(reader, ("Phone", "hub"), 9) for row in plain(page)]
    assert found == [row["id"] for row in rows]


def test_a_hub_is_walked_and_a_small_node_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    phone = BRANCHES["Phone"]
    totals = {"LISTS_CONTACT": 6_000_000, "CALLED": 3_000_000}
    assert graph.reader._budgets(phone, {"LISTS_CONTACT_in": 1_000_000}, totals, 200) == {"LISTS_CONTACT_in": 4600}
    assert graph.reader._budgets(phone, {"LISTS_CONTACT_in": 30_000, "CALLED_out": 5}, totals, 200) == {}


def test_type_direction_and_time_narrow_a_page(reader: GraphReader, world: World) -> None:
    since = START + dt.timedelta(seconds=3)
    for node in random.Random(3).sample(list(world), 8):
        rows = around(world, node)
        page = reader.neighbors(*node, relationship="LISTS_CONTACT", direction="in")
        assert sorted(plain(page)) == sorted(r for r in rows if r[:2] == ("LISTS_CONTACT", "in"))
        late = reader.neighbors(*node, since=since)
        assert sorted(plain(late)) == sorted(r for r in rows if r[4] >= SECOND + 3)


def test_a_layer_holds_node_counts_and_page(reader: GraphReader) -> None:
    layer = reader.layer("Phone", "hub", limit=50)
    assert layer is not None
    assert (layer.total, len(layer.page.rows), layer.node.first_seen_at) == (120, 50, START)
    relation = layer.page.rows[0]
    assert relation.event_count == 2
    assert relation.first_seen_at == START - dt.timedelta(seconds=60)
    assert reader.layer("Phone", "nobody") is None
    assert reader.node("Phone", "nobody") is None


def test_a_node_without_relationships_has_an_empty_page(reader: GraphReader) -> None:
    assert reader.counts("Person", "alone") == ()
    assert reader.neighbors("Person", "alone") == Page((), None)


def hops(path: tuple[Edge, ...]) -> list[set[Name]]:
    return [{(edge.src.label, edge.src.id), (edge.dst.label, edge.dst.id)} for edge in path]


def test_shortest_paths_have_the_length_networkx_finds(reader: GraphReader, world: World) -> None:
    simple = nx.Graph(world.to_undirected())
    for a, b in random.Random(4).sample(list(combinations(world, 2)), 40):
        one, several = reader.shortest_path(a, b), reader.shortest_paths(a, b)
        if not nx.has_path(simple, a, b) or nx.shortest_path_length(simple, a, b) > 6:
            assert one.paths == several.paths == ()
            assert one.sentence == "none within 6 hops"
            continue
        length = nx.shortest_path_length(simple, a, b)
        assert 1 <= len(several.paths) <= 5
        assert all(several.paths.count(path) == 1 for path in several.paths)
        for path in (*one.paths, *several.paths):
            assert len(path) == length
            assert a in hops(path)[0]
            assert b in hops(path)[-1]
            assert all(
                world.has_edge((e.src.label, e.src.id), (e.dst.label, e.dst.id), key=e.relationship) for e in path
            )


def test_a_path_says_why_there_is_none(reader: GraphReader) -> None:
    alone, hub = ("Person", "alone"), ("Phone", "hub")
    assert reader.shortest_path(alone, hub).sentence == "none within 6 hops"
    assert reader.shortest_path(alone, hub, max_hops=2).sentence == "none within 2 hops"
    assert reader.shortest_path(hub, hub).sentence == "both are the same node"
    with pytest.raises(NodeMissingError, match="holds no Person"):
        reader.shortest_path(hub, ("Person", "nobody"))
    with pytest.raises(GraphError, match="1 to 6 hops"):
        reader.shortest_path(alone, hub, max_hops=7)


def test_a_question_that_takes_too_long_stops(
    driver: Driver, reader: GraphReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "UNWIND range(1, 1000000000) AS x WITH sum(x) AS x RETURN [] AS nodes, [] AS steps"
    monkeypatch.setattr("graph.queries.path_statement", lambda *_, **__: endless)
    found = GraphReader(driver, timeout_s=0.5).shortest_path(("Person", "alone"), ("Phone", "hub"))
    assert (found.stopped, found.sentence) == (True, "stopped after 0.5 s")


def test_common_neighbors_are_those_of_both(reader: GraphReader, world: World) -> None:
    near = {n: set(nx.all_neighbors(world, n)) for n in world}
    for a, b in random.Random(5).sample(list(combinations(world, 2)), 40):
        found = reader.common_neighbors(a, b)
        expected = (near[a] & near[b]) - {a, b}
        assert {(row.label, row.id) for row in found.rows} == expected
        assert found.total == len(expected)
        for row in found.rows:
            assert set(row.with_a) == {t for t, _, *other, _ in around(world, a) if tuple(other) == (row.label, row.id)}


@pytest.mark.parametrize("limit", [11, 200])
def test_the_newest_relations_page_through_the_whole_graph(reader: GraphReader, world: World, limit: int) -> None:
    since = START + dt.timedelta(seconds=2)
    rows: list[tuple[Any, ...]] = []
    after = None
    while True:
        page = reader.newest_relations(since, limit, after)
        rows += [(e.relationship, e.src.label, e.src.id, e.dst.label, e.dst.id, e.last_seen_at) for e in page.rows]
        if page.next is None:
            break
        after = page.next
    expected = [
        (t, *src, *dst, START + dt.timedelta(seconds=data["at"] - SECOND))
        for src, dst, t, data in world.edges(keys=True, data=True)
        if data["at"] >= SECOND + 2
    ]
    assert sorted(rows) == sorted(expected)
    assert [row[-1] for row in rows] == sorted((row[-1] for row in rows), reverse=True)


@pytest.mark.parametrize("hostile", [*ODD, "Phone", "hub'}) MATCH (m) SET m.id = 'x' //", "$id", ""])
def test_hostile_text_changes_nothing_and_finds_only_its_own_node(
    driver: Driver, reader: GraphReader, world: World, hostile: str
) -> None:
    for question in (
        lambda: reader.neighbors("Person", hostile),
        lambda: reader.common_neighbors(("Person", hostile), ("Phone", "hub")),
        lambda: reader.shortest_paths(("Person", hostile), ("Phone", "hub")),
    ):
        if ("Person", hostile) in world:
            question()
        else:
            assert reader.node("Person", hostile) is None
    for wrong in (
        lambda: reader.node(hostile or "x", "a"),
        lambda: reader.neighbors("Phone", "hub", relationship=hostile),
    ):
        if hostile != "Phone":
            with pytest.raises(UnknownNameError):
                wrong()
    assert driver.execute_query("MATCH (n) RETURN count(n) AS n").records[0]["n"] == len(world)


def test_an_unknown_name_lists_those_that_exist_and_repeats_no_number(reader: GraphReader) -> None:
    with pytest.raises(UnknownNameError, match=r"'Fone'.*Person, Application"):
        reader.node("Fone", "x")
    with pytest.raises(UnknownNameError) as refused:
        reader.neighbors("Phone", "x", relationship="13800138000")
    assert "13800138000" not in str(refused.value)
    infinite = base64.urlsafe_b64encode(b'[Infinity, "CALLED_in", 1]').decode()
    for mark in ("13800138000", infinite):
        with pytest.raises(CursorError, match="not a page mark"):
            Cursor.parse(mark)
    with pytest.raises(CursorError, match="another question"):
        reader.neighbors("Phone", "hub", after=Cursor(0, "FUNDED_out", 1))


def test_what_a_person_types_becomes_a_node(tmp_path: object) -> None:
    keys = Keys(b"t" * 32, b"v" * 32)
    phone = resolve("tel:138 0013 8000", lambda: keys)
    assert (phone.label, phone.id) == ("Phone", keys.token(Kind.PHONE, "+8613800138000"))
    assert resolve(phone.id, lambda: keys) == resolve(f"tel:{phone.id}", lambda: keys) == phone
    assert spelled(resolve("person:a:b", lambda: keys)) == "person:a:b"
    for text, reason in (("tel:138****0000", "masked_phone"), ("13800138000", "KIND:VALUE"), ("idn:1", "person:ID")):
        with pytest.raises(LookupFailedError, match=reason) as refused:
            resolve(text, lambda: keys)
        assert text.partition(":")[2] not in str(refused.value) or not text.partition(":")[2]
