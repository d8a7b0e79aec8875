"""The canvas' answers on the real Neo4j: what is searched, counted, fetched, kept and refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask

from explorer.desk import Desk
from explorer.graph_door import GraphSlowError
from explorer.looks import look
from explorer.pages import canvas
from explorer.store import ExplorerStore
from graph.audit import AuditEntry
from tests.algorithms.contact_world import NIGHT, NOON
from tests.explorer.conftest import Client, callback_of
from tests.explorer.small_world import MEMBERS_OF_RING, RING, STRANGERS, SmallWorld

SignIn = Callable[[str], Client]
HOSTILE = (
    "' OR 1=1 --", "'}) DETACH DELETE n //", "MATCH (n) DETACH DELETE n", "`Person`", "<img src=x onerror=alert(1)>",
    "{{7*7}}", "\x00\x1b[2J", "../../etc/passwd", "😀" * 200, "person:' OR '1'='1", "ring:\\u0027", "$id", "%s%n",
)  # fmt: skip


def ask(client: Client, kind: str, **data: Any) -> dict[str, Any]:
    """Ask as the browser does and return what comes back; an error of the frame fails the test.

    A server that has just started plans each statement first, which may take longer than a page waits.
    """
    for _ in range(5):
        answer = client.fire(callback_of(client.app, f"canvas-answer-{kind}.data"), {"n": 1, **data})
        assert answer.status_code == 200, answer.text
        response = answer.json["response"]
        if f"canvas-answer-{kind}" in response:
            break
    found: dict[str, Any] = response[f"canvas-answer-{kind}"]["data"]
    return found


def named(label: str, id: str) -> dict[str, str]:
    return {"label": label, "id": id}


def keys(answer: dict[str, Any]) -> set[str]:
    return {node["key"] for node in answer["nodes"]}


@contextmanager
def queries(desk: Desk, patch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every statement that goes to Neo4j, with its parameters."""
    seen: list[tuple[str, dict[str, Any]]] = []
    real = desk.door.execute_query

    def spy(query: Any, parameters: Any = None, **options: Any) -> Any:
        seen.append((getattr(query, "text", query), dict(parameters or {})))
        return real(query, parameters, **options)

    with patch.context() as patched:
        patched.setattr(desk.door, "execute_query", spy)
        yield seen


def newest(desk: Desk) -> AuditEntry:
    return desk.audit.entries(1)[0]


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", " {} ", "+86 {}", "0086{}", "tel:{}", "{0}.0", "token"])
def test_any_spelling_of_a_number_finds_its_phone_and_no_digit_of_it_leaves_the_process(
    client: SignIn, desk: Desk, world: SmallWorld, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    plain = world.contact.plain[world.courier].removeprefix("+86")
    typed = world.courier if spelling == "token" else spelling.format(plain)
    with queries(desk, monkeypatch) as seen:
        (found,) = ask(client("analyst"), "search", text=typed)["found"]

    assert found["key"] == f"Phone:{world.courier}"
    assert found["text"] == f"tel ••••{world.courier[-4:]}"
    assert seen
    assert plain not in json.dumps([parameters for _, parameters in seen])
    assert plain not in newest(desk).object


@pytest.mark.parametrize(
    ("typed", "key"),
    [("D-1", "device"), ("dev:D-1", "device"), (RING, f"Ring:{RING}"), (f"ring:{RING}", f"Ring:{RING}"),
     ("per_A1", "Person:per_A1"), ("person:per_A1", "Person:per_A1"), ("loan:L-wei", "Loan:L-wei"),
     ("app_2", "Application:app_2")],
)  # fmt: skip
def test_ids_devices_and_rings_are_found_by_what_they_are_called(
    client: SignIn, world: SmallWorld, typed: str, key: str
) -> None:
    found = ask(client("analyst"), "search", text=typed)["found"]
    assert [node["key"] for node in found] == [f"Device:{world.device}" if key == "device" else key]


def test_a_name_finds_the_person_whose_application_gave_it(client: SignIn, desk: Desk, monkeypatch: Any) -> None:
    with queries(desk, monkeypatch) as seen:
        found = ask(client("analyst"), "search", text=" 魏 小明")["found"]
    assert [node["key"] for node in found] == ["Person:per_wei"]
    assert "魏" not in json.dumps(seen, ensure_ascii=False)


@pytest.mark.parametrize("typed", HOSTILE)
def test_hostile_texts_are_only_texts(client: SignIn, desk: Desk, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    analyst = client("analyst")
    with queries(desk, monkeypatch) as seen:
        searched = ask(analyst, "search", text=typed)
        suggested = ask(analyst, "suggest", text=typed)
        refused = [
            client("analyst").fire(callback_of(analyst.app, f"canvas-answer-{kind}.data"), data)
            for kind, data in (
                ("menu", {"n": 1, "label": typed, "id": "x"}), ("expand", {"n": 1, "nodes": [named(typed, "x")]}),
                ("expand", {"n": 1, "nodes": [named("Phone", "x")], "type": typed}),
                ("expand", {"n": 1, "nodes": [named("Phone", "x")], "direction": typed}),
                ("expand", {"n": 1, "nodes": [named("Phone", "x")], "limit": typed, "since": typed}),
                ("paths", {"n": 1, "a": named("Phone", "x"), "b": typed}), ("open", {"n": 1, "scene": typed}),
            )
        ]  # fmt: skip
        menu = ask(analyst, "menu", label="Phone", id=typed)
    assert searched.get("found", []) == []
    assert searched["sentence"]
    assert suggested["found"] == []
    assert "no such node" in menu["sentence"]
    for answer in refused:
        assert answer.status_code == 200
        assert typed not in answer.text or typed in ("$id", "%s%n")
    assert not any(typed in statement for statement, _ in seen if typed != "$id")
    assert desk.reader.totals()[0]["Person"] == 36


def test_three_letters_of_an_id_suggest_and_what_may_be_a_name_or_a_number_is_not_looked_up(
    client: SignIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = client("analyst")
    assert [node["key"] for node in ask(analyst, "suggest", text="ring_5f")["found"]] == [f"Ring:{RING}"]
    assert len(ask(analyst, "suggest", text="per_S")["found"]) == 8
    assert next(node["id"] for node in ask(analyst, "suggest", text="rin")["found"]) == RING
    with queries(desk, monkeypatch) as seen:
        for typed in ("pe", "138", "1380013", "wang", "王小明", "a3f4c2d1e5", "zhangwei88"):
            assert ask(analyst, "suggest", text=typed)["found"] == []
    for typed in ("138", "1380013", "wang", "王小明", "a3f4c2d1e5", "zhangwei88"):
        assert typed not in json.dumps(seen, ensure_ascii=False)


# --- layers ----------------------------------------------------------------------------------------------------------


def test_the_menu_counts_exactly_by_type_and_direction_before_anything_is_fetched(
    client: SignIn, world: SmallWorld
) -> None:
    menu = ask(client("analyst"), "menu", **named("Phone", world.courier))["menu"]
    assert menu["counts"] == [{"type": "LISTS_CONTACT", "direction": "in", "label": "Person", "count": 31}]
    assert ["Kind", "mobile"] in menu["facts"]


def test_an_expand_is_one_call_and_two_questions_to_neo4j(
    client: SignIn, desk: Desk, world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = client("analyst")
    ask(analyst, "expand", nodes=[named("Phone", world.courier)])  # now the server has its plans
    callback = callback_of(analyst.app, "canvas-answer-expand.data")
    with queries(desk, monkeypatch) as seen:
        answer = analyst.fire(callback, {"n": 7, "nodes": [named("Phone", world.courier)]})
    found = answer.json["response"]["canvas-answer-expand"]["data"]
    assert len(seen) == 2
    assert found["n"] == 7
    assert keys(found) == {f"Phone:{world.courier}", "Person:per_A5", *(f"Person:{id}" for id in STRANGERS)}
    assert found["pages"][0]["sentence"] == "31 of 31, newest first."
    assert found["pages"][0]["next"] is None


def test_pages_of_two_readers_interleaved_never_repeat_and_never_miss_a_neighbor(
    client: SignIn, world: SmallWorld
) -> None:
    readers = [client("analyst"), client("analyst")]
    state = [{"after": None, "shown": 0, "seen": []} for _ in readers]
    limits = (7, 4)
    turns = 0
    while any(one["after"] or not one["seen"] for one in state):
        which = turns % 2
        turns += 1
        one = state[which]
        if one["seen"] and not one["after"]:
            continue
        answer = ask(readers[which], "expand", nodes=[named("Phone", world.courier)], limit=limits[which],
                     after=one["after"], shown=one["shown"])  # fmt: skip
        (page,) = answer["pages"]
        one["seen"] += [edge["key"] for edge in answer["edges"]]
        assert len(answer["edges"]) <= limits[which]
        assert page["sentence"] == f"{len(one['seen'])} of 31, newest first."
        one["after"], one["shown"] = page["next"], page["shown"]
    expected = {f"LISTS_CONTACT Person:{id} Phone:{world.courier}" for id in (*STRANGERS, "per_A5")}
    for one in state:
        assert len(one["seen"]) == len(set(one["seen"]))
        assert set(one["seen"]) == expected


def test_a_window_of_time_is_exact_at_both_ends(client: SignIn, world: SmallWorld) -> None:
    analyst = client("analyst")
    everything = ask(analyst, "expand", nodes=[named("Phone", world.courier)])
    times = {edge["key"]: edge["last"] for edge in everything["edges"]}
    low, high = sorted(times.values())[5], sorted(times.values())[20]
    pages, after, seen = 0, None, []
    while pages == 0 or after:
        answer = ask(analyst, "expand", nodes=[named("Phone", world.courier)], type="LISTS_CONTACT", direction="in",
                     since=low, until=high, limit=6, after=after)  # fmt: skip
        seen += [edge["key"] for edge in answer["edges"]]
        after = answer["pages"][0]["next"]
        pages += 1
    assert sorted(seen) == sorted(key for key, at in times.items() if low <= at <= high)
    assert "31 in all" in answer["pages"][0]["sentence"]


def test_several_nodes_are_expanded_by_one_call_and_never_bring_more_than_a_page(
    client: SignIn, world: SmallWorld
) -> None:
    nodes = [named("Person", id) for id in MEMBERS_OF_RING]
    found = ask(client("analyst"), "expand", nodes=nodes, type="USES_DEVICE")
    assert keys(found) == {f"Device:{world.device}", *(f"Person:{id}" for id in MEMBERS_OF_RING)}
    few = ask(client("analyst"), "expand", nodes=nodes, type="USES_DEVICE", limit=2)
    assert len(few["edges"]) == 4  # one each, at least


def test_where_the_time_is_up_after_some_of_several_nodes_those_are_shown_and_it_says_so(
    client: SignIn, desk: Desk, world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = desk.reader.layer, iter(range(9))

    def slow(*names: Any, **options: Any) -> Any:
        if next(calls) == 2:
            raise GraphSlowError("Neo4j did not answer within 2.9 s.")
        return real(*names, **options)

    monkeypatch.setattr(desk.reader, "layer", slow)
    nodes = [named("Person", id) for id in MEMBERS_OF_RING]
    found = ask(client("analyst"), "expand", nodes=nodes, type="USES_DEVICE")
    assert found["sentence"] == "Time was up after 2 of 4 nodes; those are shown. Expand the others again."
    assert keys(found) == {f"Device:{world.device}", "Person:per_A1", "Person:per_A2"}


def test_roles_in_a_ring_come_with_the_membership(client: SignIn) -> None:
    found = ask(client("analyst"), "expand", nodes=[named("Ring", RING)])
    assert {edge["source"]: (edge["rank"], edge["role"]) for edge in found["edges"]} == {
        "Person:per_A1": ("core", "core"), "Person:per_A2": ("core", "core"),
        "Person:per_A3": ("member", "member"), "Person:per_A4": ("member", "member"),
    }  # fmt: skip


def test_paths_say_how_far_and_when_there_is_none(client: SignIn, world: SmallWorld) -> None:
    analyst = client("analyst")
    found = ask(analyst, "paths", a=named("Person", "per_A1"), b=named("Person", "per_A4"))
    assert found["sentence"] == "1 shortest path, hops: 2."
    assert keys(found) == {"Person:per_A1", "Person:per_A4", f"Device:{world.device}"}
    apart = ask(analyst, "paths", a=named("Person", "per_wei"), b=named("Person", "per_A4"))
    assert (apart["sentence"], apart["nodes"]) == ("None within 6 hops.", [])
    same = ask(analyst, "paths", a=named("Person", "per_wei"), b=named("Person", "per_wei"))
    assert same["sentence"] == "Both are the same node."


def test_common_neighbors_come_with_their_links_to_both(client: SignIn, world: SmallWorld) -> None:
    found = ask(client("analyst"), "common", a=named("Person", "per_A1"), b=named("Person", "per_A2"))
    assert {edge["key"] for edge in found["edges"]} == {
        f"USES_DEVICE Person:{id} Device:{world.device}" for id in ("per_A1", "per_A2")
    } | {f"MEMBER_OF Person:{id} Ring:{RING}" for id in ("per_A1", "per_A2")}
    none = ask(client("analyst"), "common", a=named("Person", "per_wei"), b=named("Person", "per_A2"))
    assert none["sentence"] == "They have no neighbor in common."


# --- scenes, exports, looks -------------------------------------------------------------------------------------------


def content(world: SmallWorld, *ids: str) -> dict[str, Any]:
    return {
        "nodes": [["Device", world.device, 1, 2], *(["Person", id, None, None] for id in ids)],
        "edges": [["USES_DEVICE", "Person", id, "Device", world.device] for id in ids],
        "view": {"hidden": ["Person:per_A2"], "pins": {f"Device:{world.device}": [1, 2]}, "labelsOff": [],
                 "typesOff": [], "from": None, "to": None, "since": None, "onlySince": False, "opened": []},
    }  # fmt: skip


def test_a_scene_is_read_anew_from_the_graph_and_says_what_is_gone(client: SignIn, world: SmallWorld) -> None:
    saved = ask(client("analyst"), "save", name="Handset", content=content(world, "per_A1", "per_A2", "per_GONE"))
    assert saved["version"] == 1
    opened = ask(client("analyst"), "open", scene=saved["scene"])
    assert keys(opened) == {f"Device:{world.device}", "Person:per_A1", "Person:per_A2"}
    assert len(opened["edges"]) == 2
    assert opened["gone"] == [1, 1]
    assert "No longer in the graph: nodes 1, links 1." in opened["told"]
    assert opened["places"] == {f"Device:{world.device}": [1, 2]}
    assert opened["view"]["hidden"] == ["Person:per_A2"]


def test_two_tabs_saving_one_scene_are_both_kept_and_the_second_is_told(client: SignIn, world: SmallWorld) -> None:
    tabs = [client("analyst"), client("analyst")]
    first = ask(tabs[0], "save", name="Handset", content=content(world, "per_A1"))
    base = {"scene": first["scene"], "version": 1}
    one = ask(tabs[0], "save", name="Handset", content=content(world, "per_A1", "per_A2"), **base)
    two = ask(tabs[1], "save", name="Handset", content=content(world, "per_A3"), **base)
    assert (one["scene"], one["version"]) == (first["scene"], 2)
    assert two["scene"] != first["scene"]
    assert "nothing was overwritten" in two["sentence"]
    assert "Person:per_A2" in keys(ask(tabs[1], "open", scene=first["scene"]))
    assert "Person:per_A3" in keys(ask(tabs[0], "open", scene=two["scene"]))


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_an_export_at_its_limit_is_whole_and_beyond_it_is_refused_with_both_numbers(
    client: SignIn, desk: Desk, world: SmallWorld, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(canvas, "EXPORT_ROWS", 3)
    edges = content(world, *MEMBERS_OF_RING[:rows])["edges"]
    answer = client("analyst").post("/canvas/links.csv", {"edges": edges, "purpose": "a report"})
    if rows > 3:
        assert answer.status_code == 422
        assert answer.json["sentence"].startswith("4 links were asked for; a file holds 3.")
        return
    assert answer.status_code == 200
    lines = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert lines[0] == ["From kind", "From", "Relationship", "To kind", "To", "First seen", "Last seen", "Events"]
    assert [line[1] for line in lines[1:]] == list(MEMBERS_OF_RING[:rows])
    assert world.device not in answer.text
    line = newest(desk)
    assert (line.action, line.purpose) == ("canvas.export", "a report")
    assert "per_A1" in line.object


def test_every_answer_has_its_line_in_the_audit_log_with_the_persons_it_shows(
    client: SignIn, desk: Desk, world: SmallWorld
) -> None:
    ask(client("analyst"), "expand", nodes=[named("Device", world.device)])
    line = newest(desk)
    assert (line.user, line.action) == ("analyst", "canvas.see")
    assert line.object == f"expand Device {world.device}: " + " ".join(MEMBERS_OF_RING)


@pytest.mark.parametrize("role", ["collector", "operator", "model_developer", "compliance", "admin"])
def test_other_roles_are_refused_every_question_and_the_export(client: SignIn, app: Flask, role: str) -> None:
    other = client(role)
    for kind in canvas._KINDS:
        answer = other.fire(callback_of(app, f"canvas-answer-{kind}.data"), {"n": 1})
        assert answer.status_code == 403, kind
    assert other.post("/canvas/links.csv", {"edges": [], "purpose": "x"}).status_code == 403
    assert other.get("/canvas", headers={"Accept": "text/html"}).status_code == 403


def test_since_i_looked_is_the_night_that_was_there_at_the_visit_before(desk: Desk, tmp_path: Any) -> None:
    store = ExplorerStore(f"sqlite:///{tmp_path / 'looks.db'}")
    store.make()
    first, second = date(2026, 6, 1), date(2026, 6, 2)
    assert look(store, "ann", first, NOON) is None
    assert look(store, "ann", first, NOON + timedelta(minutes=5)) is None
    before = look(store, "ann", second, NOON + timedelta(days=1))
    assert before is not None
    assert (before.at, before.night) == (NOON + timedelta(minutes=5), first)
    again = look(store, "ann", second, NOON + timedelta(days=1, minutes=9))
    assert again == before
    assert look(store, "ben", second, NOON) is None
    assert NIGHT is not None
