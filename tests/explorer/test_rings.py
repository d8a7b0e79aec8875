"""The pages of rings over the real graph of the small world: what is listed, shown, judged, exported, and to whom."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from typer.testing import CliRunner

from explorer.__main__ import app as command
from explorer.desk import Desk
from explorer.pages import rings as page
from explorer.rights import Action, Role, rights
from explorer.rings.picture import named_steps
from explorer.rings.verdicts import VERDICTS
from graph.answers import End
from graph.reader import GraphReader
from graph.server import LocalServer
from tests.explorer.conftest import Client, callback_of, signed_in
from tests.explorer.small_world import MEMBERS_OF_RING, RING, YOUNG_RING, SmallWorld

LIST = "rings-table.rowData"
JUDGE = "rings-stands.children"


@pytest.fixture(autouse=True)
def quiet(desk: Desk, graph: LocalServer) -> Iterator[None]:
    """Nobody has judged, and the server knows its statements: a new one plans for longer than a page waits."""
    with graph.driver() as driver:
        reader = GraphReader(driver, timeout_s=120)
        reader.every_ring()
        for ring in (reader.ring(RING), reader.ring(YOUNG_RING)):
            assert ring is not None
            reader.ring_links(ring.id, named_steps(ring))
    yield
    with desk.store.writing() as connection:
        connection.execute(VERDICTS.delete())


def asked(client: Client, **given: Any) -> Any:
    """The list as the browser gets it: its outputs by id."""
    names = ("view", "order", "typology", "status", "min_score", "min_size", "text")
    answer = client.fire(callback_of(client.app, LIST), *(given.get(name) for name in names))
    assert answer.status_code == 200, answer.text
    return answer.json["response"]


def rows(client: Client, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(client, **given)["rings-table"]["rowData"]
    return found


def body(client: Client, path: str) -> str:
    """What the frame shows of a path, as JSON text."""
    answer = client.fire(callback_of(client.app, "shell-content.children"), path, "")
    return str(answer.text)


def seen(client: Client, ring: str = RING) -> dict[str, Any]:
    """What the page of a ring keeps of what it showed."""
    found = re.search(
        r'"id": ?"rings-seen", ?"data": ?(\{[^}]*\})|"data": ?(\{[^}]*\}), ?"id": ?"rings-seen"',
        body(client, f"/rings/{ring}"),
    )
    assert found
    import json

    read: dict[str, Any] = json.loads(found[1] or found[2])
    return read


def judge(client: Client, what: str, shown: dict[str, Any], note: str = "") -> Any:
    """Press a button: `confirmed`, `cleared`, `unsure` or `withdraw`."""
    buttons = ("confirmed", "cleared", "unsure", "withdraw")
    pressed = [1 if name == what else None for name in buttons]
    id = "rings-withdraw" if what == "withdraw" else f"rings-judge-{what}"
    return client.fire(callback_of(client.app, JUDGE), *pressed, note, shown, changed=f"{id}.n_clicks")


def test_the_list_tells_exact_counts_and_puts_the_queue_first(client: Callable[[str], Client]) -> None:
    analyst = client("analyst")
    found = asked(analyst)
    assert [row["id"] for row in found["rings-table"]["rowData"]] == [RING, YOUNG_RING]
    assert found["rings-count"]["children"] == "2 of 2 rings."
    assert "My queue (2)" in str(found["rings-view"]["data"])
    assert asked(analyst, typology=["identity_kit"])["rings-count"]["children"] == "1 of 2 rings."
    nothing = asked(analyst, text="no such ring")
    assert "Take a filter away" in str(nothing["rings-empty"]["children"])
    assert nothing["rings-box"]["hidden"] is True


def test_the_list_costs_one_question_of_the_graph_and_a_ring_two(
    client: Callable[[str], Client], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst, questions = client("analyst"), []
    ask = GraphReader._ask

    def counted(self: GraphReader, statement: str, **more: Any) -> Any:
        questions.append(statement)
        return ask(self, statement, **more)

    monkeypatch.setattr(GraphReader, "_ask", counted)
    rows(analyst)
    assert len(questions) == 1
    assert RING in body(analyst, f"/rings/{RING}")
    assert len(questions) == 1 + 2


def test_the_page_of_a_ring_has_its_members_evidence_and_picture(
    client: Callable[[str], Client], world: SmallWorld
) -> None:
    shown = body(client("analyst"), f"/rings/{RING}")
    assert all(person in shown for person in MEMBERS_OF_RING)
    assert "4 persons applied from one handset within 2 days." in shown
    assert f"USES_DEVICE Person:{MEMBERS_OF_RING[0]} Device:{world.device}" in shown
    assert "All 5 nodes and 4 links" in shown
    assert f"dev ••••{world.device[-4:]}" in shown.encode().decode("unicode_escape", "ignore") or "\\u2022" in shown


def test_a_ring_that_is_not_there_is_told_in_a_sentence(client: Callable[[str], Client]) -> None:
    assert "Tonight's graph holds no such ring" in body(client("analyst"), "/rings/ring_' OR 1=1 --")


def test_who_was_shown_stands_in_the_audit_log_before_the_page(
    client: Callable[[str], Client], desk: Desk, world: SmallWorld
) -> None:
    analyst = client("analyst")
    body(analyst, f"/rings/{RING}")
    newest = desk.audit.entries(3)
    assert any(
        entry.action == "rings.see" and entry.object == " ".join([RING, *sorted(MEMBERS_OF_RING)]) for entry in newest
    )
    desk.audit._url = desk.audit._url.set(database=f"{world.keys}/audit.db")  # below a file nothing can be made
    made, desk.audit._made = desk.audit._made, None
    try:
        refused = body(analyst, f"/rings/{RING}")
    finally:
        desk.audit._made = made
    assert MEMBERS_OF_RING[0] not in refused
    assert "audit log cannot be written" in refused


def test_a_verdict_is_written_listed_and_taken_back(client: Callable[[str], Client], desk: Desk) -> None:
    analyst = client("analyst")
    answer = judge(analyst, "confirmed", seen(analyst), "one handset").json["response"]
    assert "confirmed, by analyst" in str(answer["rings-stands"]["children"])
    assert answer["rings-judged"]["children"] == "Your verdict is written down."
    (row,) = rows(analyst, view="judged")
    assert (row["id"], row["verdict"], row["by"]) == (RING, "confirmed", "analyst")
    assert [row["id"] for row in rows(analyst)] == [YOUNG_RING]
    newest = desk.audit.entries(8)
    assert any(entry.action == "rings.judge" and entry.object.startswith(f"{RING} confirmed: ") for entry in newest)
    assert not any("one handset" in entry.object for entry in newest)
    back = judge(analyst, "withdraw", answer["rings-seen"]["data"]).json["response"]
    assert "No verdict yet" in str(back["rings-stands"]["children"])
    assert "one handset" in str(back["rings-stands"]["children"])  # it stays in what was said before
    assert [row["id"] for row in rows(analyst)] == [RING, YOUNG_RING]


def test_a_second_analyst_does_not_overwrite_the_first(client: Callable[[str], Client]) -> None:
    one, other = client("analyst"), client("analyst")
    shown = seen(other)
    judge(one, "confirmed", seen(one))
    answer = judge(other, "cleared", shown).json["response"]
    assert answer["rings-judged"]["children"].startswith("Somebody has judged this ring meanwhile")
    assert "confirmed, by analyst" in str(answer["rings-stands"]["children"])


def test_a_verdict_on_evidence_that_nobody_saw_is_not_written(client: Callable[[str], Client], desk: Desk) -> None:
    analyst = client("analyst")
    answer = judge(analyst, "confirmed", seen(analyst) | {"digest": "of another night"}).json["response"]
    assert answer["rings-judged"]["children"].startswith("The ring has changed since you opened it")
    assert not rows(analyst, view="judged")


@pytest.mark.parametrize("note", ["'; DROP TABLE explorer_verdicts; --", "<script>alert(1)</script>", "{x} %s \x00"])
def test_a_hostile_note_is_kept_as_the_text_it_is(client: Callable[[str], Client], note: str) -> None:
    analyst = client("analyst")
    judge(analyst, "unsure", seen(analyst), note)
    (row,) = rows(analyst, view="judged")
    assert row["verdict"] == "unsure"


def test_the_file_holds_what_the_list_holds_and_says_what_for(client: Callable[[str], Client], desk: Desk) -> None:
    analyst = client("analyst")
    judge(analyst, "cleared", seen(analyst), "=1+1")
    answer = analyst.post("/rings.csv", {"view": "all", "order": "score", "count": 2, "purpose": "monthly report"})
    assert answer.status_code == 200
    found = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert [(row["Ring"], row["Verdict"], row["Note"]) for row in found] == [
        (RING, "cleared", "'=1+1"),
        (YOUNG_RING, "", ""),
    ]
    (entry,) = desk.audit.entries(1)
    assert (entry.action, entry.purpose) == ("rings.export", "monthly report")
    assert RING in entry.object
    assert analyst.post("/rings.csv", {"view": "all"}).json["sentence"].startswith("Say what the file is for")


@pytest.mark.parametrize(("limit", "told"), [(1, 422), (2, 200), (3, 200)])
def test_a_file_is_whole_or_not_written(
    client: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch, limit: int, told: int
) -> None:
    monkeypatch.setattr(page, "EXPORT_ROWS", limit)
    analyst = client("analyst")
    answer = analyst.post("/rings.csv", {"view": "all", "purpose": "report"})
    assert answer.status_code == told
    sentence = analyst.fire(callback_of(analyst.app, "rings-export-told.children"), {"count": 2}).json["response"]
    words = sentence["rings-export-told"]["children"]
    assert words.startswith("2 rings were asked for" if told == 422 else "2 rows will be written")


@pytest.mark.parametrize("role", [role for role in Role if role not in rights().reach[Action.SEE_RINGS]])
def test_who_may_not_see_rings_gets_neither_page_nor_row_nor_file(client: Callable[[str], Client], role: Role) -> None:
    other = client(role)
    assert other.get("/rings", headers={"Accept": "text/html"}).status_code == 403
    assert other.get(f"/rings/{RING}", headers={"Accept": "text/html"}).status_code == 403
    assert other.fire(callback_of(other.app, LIST)).status_code == 403
    assert MEMBERS_OF_RING[0] not in body(other, f"/rings/{RING}")
    assert other.post("/rings.csv", {"view": "all", "purpose": "x"}).status_code == 403
    assert judge(other, "confirmed", {"ring": RING}).status_code == 403


def test_a_ring_opens_on_the_canvas_as_a_scene_of_its_nodes_once_a_night(
    client: Callable[[str], Client], desk: Desk, world: SmallWorld
) -> None:
    analyst = client("analyst")
    press = next(said["output"] for said in desk.dash._callback_list if said["inputs"][0]["id"] == "rings-open")
    first, again = (analyst.fire(press, 1, seen(analyst)).json["response"]["shell-url"]["href"] for _ in range(2))
    assert first == again
    from explorer.scenes import Scenes

    scene = Scenes(desk.store).read(first.partition("scene=")[2])
    assert scene is not None
    assert {(label, id) for label, id, _, _ in scene.content["nodes"]} == {
        ("Device", world.device), *(("Person", id) for id in MEMBERS_OF_RING)
    }  # fmt: skip
    assert len(scene.content["edges"]) == 4


def test_an_empty_graph_is_told_in_a_sentence(client: Callable[[str], Client], graph: LocalServer) -> None:
    analyst = client("analyst")
    with graph.driver() as driver:
        driver.execute_query("MATCH (r:Ring) SET r:Hidden REMOVE r:Ring")
        try:
            found = asked(analyst)
        finally:
            driver.execute_query("MATCH (r:Hidden) SET r:Ring REMOVE r:Hidden")
    assert "The graph holds no ring." in str(found["rings-empty"]["children"])


def test_what_binds_members_is_found_though_no_evidence_names_it(
    desk: Desk, graph: LocalServer, world: SmallWorld
) -> None:
    named = [("USES_DEVICE", MEMBERS_OF_RING[0], world.device), ("USES_DEVICE", "per_nobody", world.device)]
    found, binding = desk.reader.ring_links(RING, named)
    assert [(edge.src.id, edge.dst) for edge in found] == [(MEMBERS_OF_RING[0], End("Device", world.device))]
    assert {(edge.relationship, edge.src.id, edge.dst.id) for edge in binding} == {
        ("USES_DEVICE", id, world.device) for id in MEMBERS_OF_RING
    }  # fmt: skip
    assert all(edge.last_seen_at for edge in (*found, *binding))


def test_the_command_writes_the_labels_of_the_next_night(
    new_app: Callable[..., Flask],
    graph: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    world: SmallWorld,
) -> None:
    import polars as pl
    from deltalake import write_deltalake

    app = new_app(tmp_path, graph.uri, graph.password())
    analyst = signed_in(app, "analyst")
    judge(analyst, "confirmed", seen(analyst))
    lake = tmp_path / "lake"
    people = {"applicant_id": ["A1", "A2"], "person_id": list(MEMBERS_OF_RING[:2]), "ended_on": [None, None]}
    frame = pl.DataFrame(people, schema={"applicant_id": pl.String, "person_id": pl.String, "ended_on": pl.Date})
    write_deltalake(lake / "graph" / "applicant_person", frame.to_arrow())
    monkeypatch.setenv("CREDIT_GRAPH_LAKE", str(lake))
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("CREDIT_GRAPH_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    told = CliRunner().invoke(
        command, ["verdicts", "export", "--landing", str(tmp_path / "landing"), "--date", "2026-07-01"]
    )
    assert told.exit_code == 0, told.output
    assert "2 labels to come and 0 to go" in told.output
    assert "2 persons of judged rings have no customer number" in told.output
    written = (tmp_path / "landing" / "2026-07-01" / "labels-explorer.csv").read_text()
    assert [row.split(",")[:2] for row in written.splitlines()[1:]] == [["A1", "fraud"], ["A2", "fraud"]]
