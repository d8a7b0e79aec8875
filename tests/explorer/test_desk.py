"""The desk: who asks is on record before anything is shown, and a failure is a sentence that passes by itself."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dash import Input, Output, html, no_update
from flask import Flask
from pydantic import SecretStr

from explorer.desk import Desk
from explorer.pages import Page
from explorer.rights import Action
from graph.audit import AuditLog
from graph.server import LocalServer
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in


def probe(desk: Desk, action: Action, answer: Callable[[], Any], **options: Any) -> None:
    """A callback `probe.children` with one input."""

    @desk.callback(action, Output("probe", "children"), Input("probe", "n_clicks"), **options)
    def asked(_clicks: int | None) -> Any:
        return answer()


def lines(desk: Desk) -> list[tuple[str, str, str]]:
    return [(e.user, e.action, e.object) for e in reversed(desk.audit.entries()) if not e.action.startswith("sign_")]


def test_the_line_is_written_before_the_answer_is_made(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    seen: list[Any] = []
    probe(desk, Action.SEE_RINGS, lambda: seen.append(lines(desk)) or "ring", audit=lambda clicks: f"ring_{clicks}")
    assert "ring" in signed_in(lone_app, "analyst").fire("probe.children", 7).text
    assert seen == [[("analyst", "rings.see", "ring_7")]]


def test_a_callback_may_say_later_what_it_shows_and_has_a_line_in_any_case(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    answers = iter([lambda: desk.record(Action.SEE_RINGS, "ring_9", "case 3"), lambda: "a ring", lambda: no_update])
    probe(desk, Action.SEE_RINGS, lambda: next(answers)())
    analyst = signed_in(lone_app, "analyst")
    for _ in range(2):
        analyst.fire("probe.children", 1)
    assert lines(desk) == [("analyst", "rings.see", "ring_9"), ("analyst", "rings.see", "probe.children")]
    assert desk.audit.entries()[1].purpose == "case 3"


def test_what_shows_no_person_has_no_line(lone_app: Flask) -> None:
    desk = desk_of(lone_app)

    probe(desk, Action.SEE_NIGHT, lambda: "done")
    assert signed_in(lone_app, "operator").fire("probe.children", 1).status_code == 200
    assert lines(desk) == []


def test_who_may_not_leaves_no_line_and_starts_nothing(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    ran: list[int] = []
    probe(desk, Action.SEE_RINGS, lambda: ran.append(1), audit=lambda clicks: "ring_1")
    refused = signed_in(lone_app, "collector").fire("probe.children", 1)
    assert (refused.status_code, refused.json["sentence"][:9]) == (403, "Your role")
    assert (ran, lines(desk)) == ([], [])


def test_without_a_line_nothing_is_shown(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    ran: list[int] = []
    probe(desk, Action.SEE_RINGS, lambda: ran.append(1) or "the ring", audit=lambda clicks: "ring_1")

    @desk.route(Action.EXPORT_RINGS, "/export/probe.csv")
    def export() -> str:
        return "the ring"  # says nothing itself; its line is written before it leaves

    analyst = signed_in(lone_app, "analyst")
    desk.audit = AuditLog("sqlite:////proc/none/audit.db")
    told = analyst.fire("probe.children", 1)
    assert "the ring" not in told.text
    assert "audit log cannot be written" in told.text
    assert ran == []
    refused = analyst.get("/export/probe.csv")
    assert refused.status_code == 503
    assert "the ring" not in refused.text


def test_a_page_about_persons_has_its_line_and_repeats_no_number_that_was_typed(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    desk.pages = (Page("/probe", "roles.analyst", Action.SEE_RINGS, lambda desk, **query: html.Div("here")),)
    analyst = signed_in(lone_app, "analyst")
    shell = callback_of(lone_app, "shell-content.children")
    assert "here" in analyst.fire(shell, "/probe", "?ring=ring_5f5f&q=13800138000", 0).text
    assert lines(desk) == [("analyst", "rings.see", "/probe q=… ring=ring_5f5f")]
    assert signed_in(lone_app, "collector").fire(shell, "/probe", "", 0).status_code == 403


def totals(desk: Desk, **_query: str) -> str:
    return str(desk.reader.totals())


@contextmanager
def deaf_server() -> Iterator[int]:
    """A port that accepts and never answers, as a stopped process does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


def test_a_graph_that_is_down_or_deaf_is_told_within_three_seconds(
    new_app: Callable[..., Flask], tmp_path: Path
) -> None:
    with deaf_server() as port:
        for folder, uri, said in (
            ("down", "bolt://127.0.0.1:1", "does not answer at the moment"),
            ("deaf", f"bolt://127.0.0.1:{port}", "did not answer"),
        ):
            (tmp_path / folder).mkdir()
            app = new_app(tmp_path / folder, uri)
            desk = desk_of(app)
            desk.pages = (Page("/probe", "roles.analyst", Action.SEE_RINGS, totals),)
            analyst = signed_in(app, "analyst")
            for _ in range(3):
                began = time.monotonic()
                told = analyst.fire(callback_of(app, "shell-content.children"), "/probe", "", 0)
                assert time.monotonic() - began < 3
                assert told.status_code == 200
                assert said in told.text, folder
                assert "shell-again" in told.text  # it looks again by itself
            desk.door.close()


@pytest.mark.neo4j
def test_a_graph_that_comes_back_is_told_of_once(
    new_app: Callable[..., Flask], graph: LocalServer, tmp_path: Path
) -> None:
    door = desk_of(new_app(tmp_path, graph.uri, graph.password(), graph_seconds=30, answer_seconds=60)).door
    came: list[str] = []
    door.reconnected = lambda: came.append("back")
    door.ping()
    assert came == []  # nothing was broken
    door._driver().close()  # as connections are when a night is switched in
    door.ping()
    door.ping()
    assert came == ["back"]
    door.close()


@pytest.mark.neo4j
def test_a_page_comes_back_by_itself_when_the_graph_does(
    new_app: Callable[..., Flask], graph: LocalServer, tmp_path: Path
) -> None:
    # Limits that no busy machine reaches: they have a test of their own.
    app = new_app(tmp_path, graph.uri, "not the password", graph_seconds=30, answer_seconds=60)
    desk = desk_of(app)
    desk.pages = (Page("/probe", "roles.analyst", Action.SEE_RINGS, totals),)
    analyst = signed_in(app, "analyst")
    shell, again = callback_of(app, "shell-content.children"), callback_of(app, "shell-recovered.data")
    assert "does not answer" in analyst.fire(shell, "/probe", "", 0).text
    assert analyst.fire(again, 1, 0).status_code in (200, 204)
    desk.door._settings = desk.door._settings.model_copy(update={"password": SecretStr(graph.password())})
    answer = analyst.fire(again, 2, 0)
    assert answer.json["response"]["shell-recovered"] == {"data": 1}
    assert "Person" in analyst.fire(shell, "/probe", "", 1).text
    desk.door.close()


def test_the_frame_repeats_no_secret(lone_app: Flask) -> None:
    analyst: Client = signed_in(lone_app, "analyst")
    said = json.dumps([analyst.layout().json, analyst.get("/_dash-dependencies").json])
    assert not re.search(r"argon2|token_secret|vault_key|store\.db", said)
