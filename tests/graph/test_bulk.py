import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import psutil
import pytest

from graph import bulk
from graph.bulk import ImportFilesError, LoadMismatchError, build_store, edge_columns, node_columns, publish, rollback
from graph.java import ServerError
from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL, NODES
from graph.server import LocalServer

NewServer = Callable[[Path], LocalServer]
LOW, HIGH = -(2**63), 2**63 - 1  # keys are signed 64-bit integers
LOAD = {"night": "2024-05-01", "digest": "abc"}
EXPECTED = {"person": 2, "phone": 3, "company": 1, "called": 3, "lists_contact": 1, "person_guarantees": 1}


def write(folder: Path, part: str, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(line + "\n" for line in lines)
    (folder / part).write_bytes(gzip.compress(text.encode()) if part.endswith(".gz") else text.encode())


def import_files(folder: Path) -> Path:
    """A small world as Spark writes it: parts, an empty part, gzip, markers, all value types, nulls and quotes."""
    nodes, edges = folder / "nodes", folder / "edges"
    write(nodes / "person", "part-00000-x.csv", f"{LOW},p1,10,20,f,1990", f"{HIGH},p2,11,21,,")
    write(nodes / "phone", "part-00000-x.csv", '1,tel_1,10,20,mobile,"a ""b"", c"', '2,tel_2,10,20,"",')
    write(nodes / "phone", "part-00001-x.csv.gz", "-3,tel_3,10,20,landline,")
    write(nodes / "phone", "part-00002-x.csv")
    write(nodes / "phone", "_SUCCESS")
    write(nodes / "phone", ".part-00000-x.csv.crc", "no table")
    write(nodes / "company", "part-00000-x.csv", "1,com_1,10,20")  # the same key as a phone: one id space per label
    write(edges / "called", "part-00000-x.csv", "1,2,10,20,3,60,0", "2,-3,10,20,1,,1")
    write(edges / "called", "part-00001-x.csv", "1,1,10,20,1,5,0")
    write(edges / "lists_contact", "part-00000-x.csv", f"{LOW},1,10,20,1,friend,true,nam_1")
    write(edges / "person_guarantees", "part-00000-x.csv", f"{LOW},{HIGH},10,20,1,1234.5")
    return folder


def ask(server: LocalServer, statement: str) -> list[object]:
    with server.driver() as driver:
        return [record.value() for record in driver.execute_query(statement).records]


@pytest.fixture(scope="module")
def served(new_server: NewServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server of this module alone that serves the store `first`, built from `import_files`."""
    server = new_server(tmp_path_factory.mktemp("bulk"))
    try:
        build_store(server, import_files(tmp_path_factory.mktemp("files")), "first", EXPECTED, LOAD)
        publish(server, "first")
        yield server
    finally:
        server.stop()


def test_headers_follow_the_schema_and_keep_the_key_out_of_the_store():
    assert node_columns(NODE_BY_LABEL["Application"]) == [
        ":ID(Application){id-type:long}", "id:STRING", "first_seen_at:LONG", "last_seen_at:LONG",
        "applied_at:LONG", "amount_cny:DOUBLE", "product:STRING",
    ]  # fmt: skip
    assert edge_columns(EDGE_BY_TABLE["lists_contact"]) == [
        ":START_ID(Person)", ":END_ID(Phone)", "first_seen_at:LONG", "last_seen_at:LONG", "event_count:LONG",
        "relation:STRING", "emergency:BOOLEAN", "contact_name:STRING",
    ]  # fmt: skip


@pytest.mark.neo4j
def test_a_full_load_holds_the_files_with_types_and_nothing_else(served):
    assert ask(served, "MATCH (n:Person {id: 'p1'}) RETURN properties(n)") == [
        {"id": "p1", "first_seen_at": 10, "last_seen_at": 20, "gender": "f", "birth_year": 1990}
    ]
    assert ask(served, "MATCH (n:Person {id: 'p2'}) RETURN properties(n)") == [
        {"id": "p2", "first_seen_at": 11, "last_seen_at": 21}
    ]
    assert ask(served, "MATCH (n:Phone) RETURN n.carrier ORDER BY n.id") == ['a "b", c', None, None]
    assert ask(served, "MATCH (n:Phone) RETURN n.kind ORDER BY n.id") == ["mobile", "", "landline"]
    assert ask(served, "MATCH (:Person)-[r:LISTS_CONTACT]->(:Phone {id: 'tel_1'}) RETURN properties(r)") == [
        {
            "first_seen_at": 10, "last_seen_at": 20, "event_count": 1,
            "relation": "friend", "emergency": True, "contact_name": "nam_1",
        }
    ]  # fmt: skip
    assert ask(served, "MATCH (:Person {id: 'p1'})-[r:GUARANTEES]->({id: 'p2'}) RETURN r.amount_cny") == [1234.5]
    assert ask(served, "MATCH (a:Phone)-[:CALLED]->(b:Phone) RETURN a.id + b.id ORDER BY a.id, b.id") == [
        "tel_1tel_1", "tel_1tel_2", "tel_2tel_3",
    ]  # fmt: skip
    assert ask(served, "MATCH (n:Load) RETURN properties(n)") == [LOAD | {"id": "current"}]
    assert ask(served, "MATCH (n) RETURN count(n)") == [7]


@pytest.mark.neo4j
def test_a_full_load_has_the_constraint_of_every_label_empty_ones_too(served):
    constrained = ask(served, "SHOW CONSTRAINTS YIELD labelsOrTypes RETURN labelsOrTypes[0]")
    assert set(constrained) == {n.label for n in NODES} | {"Load"}
    assert set(ask(served, "SHOW INDEXES YIELD state RETURN state")) == {"ONLINE"}


@pytest.mark.neo4j
def test_a_new_store_is_published_rolled_back_and_the_oldest_deleted(served, tmp_path):
    write(tmp_path / "nodes" / "person", "part-00000.csv", "1,second,10,20,,")
    counts = build_store(served, tmp_path, "second", {"person": 1}, {"night": "2024-05-02"})
    assert counts.nodes["person"] == 1
    assert counts.edges["called"] == 0
    assert ask(served, "MATCH (n:Person) RETURN count(n)") == [2]  # building has not touched what serves
    publish(served, "second")
    assert ask(served, "MATCH (n:Person) RETURN n.id") == ["second"]
    assert rollback(served) == "first"
    assert ask(served, "MATCH (n:Person) RETURN count(n)") == [2]
    assert {path.name for path in (served.home / "stores").iterdir()} == {"first", "second"}
    assert served.status().store == "first"


@pytest.mark.neo4j
def test_a_count_that_differs_names_the_table_and_leaves_the_old_store_serving(served, tmp_path):
    before = served.status()
    write(tmp_path / "nodes" / "person", "part-00000.csv", "1,p1,10,20,,", "2,p2,10,20,,")
    with pytest.raises(LoadMismatchError, match="person: 3 in the lake and 2 in Neo4j"):
        build_store(served, tmp_path, "short", {"person": 3}, LOAD)
    assert served.status() == before
    assert ask(served, "MATCH (n:Load) RETURN n.digest") == ["abc"]
    assert not [path for path in (served.home / "stores").iterdir() if path.name.startswith("short")]


@pytest.mark.neo4j
@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ("nodes/person", ["1,p1,10,20,,", "1,p2,10,20,,"]),  # two ids in one integer
        ("nodes/person", ["1,p1,10,20,,extra,columns"]),
        ("nodes/person", ["1,p1,10,20,,nineteen"]),
        ("edges/same_person", ["7,8,10,20,1,0.5"]),  # ends that are no nodes
    ],
)
def test_the_importer_refuses_what_would_be_lost_silently(new_server, tmp_path, table, lines):
    server = new_server(tmp_path / "home")
    write(tmp_path / "files/nodes/person", "part-00001.csv", "5,p5,10,20,,")
    write(tmp_path / "files" / table, "part-00000.csv", *lines)
    with pytest.raises(ImportFilesError, match="The importer refused the files"):
        build_store(server, tmp_path / "files", "new", {"person": 2}, LOAD)
    assert list((server.home / "stores").iterdir()) == []


@pytest.mark.neo4j
def test_files_of_an_unknown_table_and_a_load_without_nodes_are_refused(new_server, tmp_path):
    server = new_server(tmp_path / "home")
    with pytest.raises(ImportFilesError, match="Node rows were needed"):
        build_store(server, tmp_path / "files", "new", {}, LOAD)
    write(tmp_path / "files" / "nodes" / "planet", "part-00000.csv", "1,earth,10,20")
    with pytest.raises(ImportFilesError, match="nodes/planet"):
        build_store(server, tmp_path / "files", "new", {}, LOAD)


def test_leftovers_of_a_killed_build_are_ended_and_removed(new_server, tmp_path):
    server = new_server(tmp_path / "home")
    folder = server.home / "stores" / "night.building"
    folder.mkdir(parents=True)
    args = server.home / "run" / "admin-night.building.args"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"@{args}"]) as importer:
        sleep(0.2)
        bulk.remove_leftovers(server)
        assert not psutil.pid_exists(importer.pid)
    assert not folder.exists()


def test_two_full_loads_never_build_in_one_home(new_server, tmp_path):
    server = new_server(tmp_path / "home")
    with server.exclusive("build"), pytest.raises(ServerError, match="Another full load builds"):
        build_store(server, tmp_path, "new", {}, LOAD)


def test_only_a_built_store_is_published_and_only_an_earlier_one_comes_back(new_server, tmp_path):
    server = new_server(tmp_path / "home")
    with pytest.raises(ServerError, match=r"'none' was needed .*build it first"):
        publish(server, "none")
    with pytest.raises(ServerError, match="no earlier store"):
        rollback(server)
