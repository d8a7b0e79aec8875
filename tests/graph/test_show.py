"""`python -m graph` as a person uses it, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from neo4j import Driver
from typer.testing import CliRunner, Result

from graph.__main__ import app
from graph.queries import SCHEMA_STATEMENTS
from graph.schema import EDGES, NODE_BY_LABEL, EdgeType, Label
from graph.server import LocalServer
from graph.tokens import Keys, Kind
from graph.writer import ensure_schema, upsert_edges, upsert_nodes

NUMBER = "13800138000"
AT = 1_704_067_200  # 2024-01-01 UTC
CONTACTS: EdgeType = next(e for e in EDGES if e.relationship == "LISTS_CONTACT")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("CREDIT_GRAPH_LAKE", str(tmp_path / "lake"))
    Keys.create(tmp_path / "keys.json")
    return tmp_path


@pytest.fixture
def token(home: Path, driver: Driver, neo4j_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of a phone that 230 persons list, in the server that the command finds by `NEO4J_URI`."""
    monkeypatch.setenv("NEO4J_URI", neo4j_server.uri)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.password())
    token = Keys.read(home / "keys.json").token(Kind.PHONE, f"+86{NUMBER}")
    ensure_schema(driver)
    for statement in SCHEMA_STATEMENTS:
        driver.execute_query(statement)
    driver.execute_query("CALL db.awaitIndexes(60)")
    seen = {"first_seen_at": AT, "last_seen_at": AT}
    persons = [f"p{number:03}" for number in range(230)]
    upsert_nodes(driver, NODE_BY_LABEL[Label.PHONE], [{"id": token, "carrier": "[red]x[/red]\x1b[31m", **seen}])
    upsert_nodes(driver, NODE_BY_LABEL[Label.PERSON], [{"id": person, **seen} for person in persons])
    edges = [
        {"src": p, "dst": token, "first_seen_at": AT, "last_seen_at": AT + n, "event_count": 1, "relation": "friend"}
        for n, p in enumerate(persons)
    ]
    upsert_edges(driver, CONTACTS, edges)
    return token


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.neo4j
def test_a_number_shows_its_layer_newest_first_and_how_to_go_on(token: str) -> None:
    shown = run("show", f"tel:{NUMBER}")
    assert shown.exit_code == 0, shown.output
    assert token in shown.output
    assert NUMBER not in shown.output
    assert "[red]x[/red]\ufffd[31m" in shown.output  # neither markup nor an escape reaches the terminal
    assert "200 of 230, newest first" in shown.output
    assert shown.output.index("p229") < shown.output.index("p030")
    again = shown.output.splitlines()[-1].removeprefix("Next page: python -m graph ").split()
    rest = run(*again)
    assert "30 of 230" in rest.output
    assert "p029" in rest.output
    assert "p030" not in rest.output
    assert "Next page" not in rest.output


@pytest.mark.neo4j
def test_json_is_one_object(token: str) -> None:
    record = json.loads(run("show", token, "--json", "--limit", "2").stdout)
    assert record["total"] == 230
    assert [row["id"] for row in record["rows"]] == ["p229", "p228"]
    assert record["rows"][1]["last_seen_at"] == "2024-01-01T00:03:48+00:00"
    assert record["counts"] == [{"relationship": "LISTS_CONTACT", "direction": "in", "label": "Person", "count": 230}]


@pytest.mark.neo4j
def test_other_questions_print_tables(token: str) -> None:
    assert "Path: 2 hops." in run("path", "person:p001", "person:p002").output
    assert "1 of 1 common neighbors" in run("common", "person:p001", "person:p002").output
    assert "200 relationships since 2024-01-01" in run("newest", "--since", "2024-01-01").output
    assert "30 relationships since" in run("newest", "--since", "2024-01-01T00:03:20Z").output
    assert "231 nodes, 230 relationships." in run("counts").output
    assert "5 of 230, since 2024-01-01T00:03:45Z" in run("show", token, "--since", "2024-01-01T00:03:45Z").output


@pytest.mark.neo4j
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "tel:13900139000"), "holds no such Phone"),
        (("show", "tel:138****0000"), "masked_phone"),
        (("show", NUMBER), "KIND:VALUE"),
        (("show", "person:p001", "--type", "LIKES"), "LISTS_CONTACT"),
        (("show", "person:p001", "--direction", "up"), "in, out"),
        (("show", "person:p001", "--since", "yesterday"), "2024-05-01"),
        (("show", "person:p001", "--after", "x"), "page mark"),
        (("path", "person:p001", "person:nobody"), "holds no Person"),
    ],
)
def test_a_wrong_question_gets_one_sentence(token: str, arguments: tuple[str, ...], sentence: str) -> None:
    answer = run(*arguments)
    assert answer.exit_code == 1
    assert sentence in answer.output
    assert "Traceback" not in answer.output
    assert NUMBER not in answer.output.replace("tel:13800138000", "")  # the example in the sentence
    assert "13900139000" not in answer.output


def test_without_a_server_there_is_one_sentence(home: Path) -> None:
    command = [sys.executable, "-m", "graph", "show", "person:p001", "--since", "nonsense"]
    environment = {"NEO4J_URI": "bolt://127.0.0.1:1", "PATH": "/usr/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    assert answer.returncode == 1
    assert "does not answer" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_wrong_setting_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_PORT", "many")
    answer = run("server", "status")
    assert answer.exit_code == 1
    assert "Neo4jSettings cannot use its port" in answer.output


def test_reveal_without_a_vault_says_what_to_do_and_the_attempt_is_on_record(home: Path) -> None:
    pytest.importorskip("deltalake")
    answer = run("reveal", "tel_" + "0" * 32, "--user", "ann", "--purpose", "case 7")
    assert answer.exit_code == 1
    assert "Run a night first" in answer.output
    assert "1 rows" in run("audit", "verify").output


def test_help_does_not_wait_for_heavy_modules() -> None:
    code = "import sys, graph.__main__; print({'neo4j', 'deltalake', 'pyarrow', 'sqlalchemy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
