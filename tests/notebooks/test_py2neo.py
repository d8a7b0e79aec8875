"""py2neo, which many notebooks know, talks to the same Neo4j; the product itself uses the official driver."""

from __future__ import annotations

import pytest
from neo4j import Driver

from graph.server import LocalServer

py2neo = pytest.importorskip("py2neo", reason="py2neo comes with the extra `notebooks`")


def test_py2neo_asks_and_answers_as_a_data_frame(neo4j_server: LocalServer, driver: Driver) -> None:
    driver.execute_query("UNWIND range(1, 3) AS n CREATE (:Phone {id: 'tel_' + n, kind: 'mobile'})")
    graph = py2neo.Graph(neo4j_server.uri, auth=("neo4j", neo4j_server.password()))
    asked = "MATCH (p:Phone) WHERE p.id > $id RETURN p.id AS id, p.kind AS kind ORDER BY id"
    frame = graph.run(asked, id="tel_1").to_data_frame()
    assert frame.to_dict("list") == {"id": ["tel_2", "tel_3"], "kind": ["mobile", "mobile"]}
    assert graph.evaluate("MATCH (p:Phone) RETURN count(p)") == 3


def test_py2neo_writes_what_the_official_driver_reads(neo4j_server: LocalServer, driver: Driver) -> None:
    graph = py2neo.Graph(neo4j_server.uri, auth=("neo4j", neo4j_server.password()))
    graph.run("CREATE (:Channel {id: $id})", id="agent-7")
    records = driver.execute_query("MATCH (c:Channel) RETURN c.id AS id").records
    assert [record["id"] for record in records] == ["agent-7"]
