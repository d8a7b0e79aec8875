"""The operator's page: did the night end, what did it count, and what is left to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, select

from explorer.accounts import SESSIONS
from explorer.desk import Desk
from graph.lake import Lake
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in
from tests.explorer.night_world import SENTENCE, command, failed, ledger_of, running, write_nights
from tests.explorer.test_frame import serious

PAGE = "/night"
FOURTH = date(2026, 6, 4)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return write_nights(tmp_path / "nights")


@pytest.fixture
def desk(lone_app: Flask, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = desk_of(lone_app)
    monkeypatch.setattr(found, "lake", lake)
    return found


@pytest.fixture
def operator(lone_app: Flask, desk: Desk) -> Client:
    return signed_in(lone_app, "operator")


def body(client: Client, search: str = "") -> str:
    answer = client.fire(callback_of(client.app, "shell-content.children"), PAGE, search, 0)
    assert answer.status_code == 200
    return json.dumps(answer.json["response"]["shell-content"]["children"], ensure_ascii=False)


def test_the_operator_comes_to_the_night_first(operator: Client) -> None:
    assert operator.get("/", headers={"Accept": "text/html"}).headers["Location"] == PAGE


def test_a_good_night_tells_its_stages_counts_reasons_and_lights(operator: Client) -> None:
    told = body(operator)
    assert "The night of Jun 3, 2026 ended well" in told
    counted = ("500", "480", "13", "too few fields", "masked value", "1 born; 2 grown", "Neo4j equals the lake",
               "Accepted")  # fmt: skip
    drift = "empty cells of applications.phone: PSI 4.14"
    for text in (*counted, "the difference", "no champion yet", SENTENCE, drift):
        assert text in told, text
    assert "nightly run" not in told  # nothing is left to do


def test_a_failure_stands_beside_its_cause_and_the_exact_command(operator: Client, lake: Lake) -> None:
    cause = "Neo4j does not hold what the lake holds (person: 9 in the lake, 8 in Neo4j)."
    failed(lake, FOURTH, "load", "CountsDifferError", cause)
    told = body(operator)
    for text in ("failed in the stage Load Neo4j", "Run it with --load full", cause, command(FOURTH)):
        assert text in told, text
    assert ledger_of(lake).runs()[0].command == command(FOURTH)


def test_a_failure_that_nobody_foresaw_names_its_class_and_what_to_do(operator: Client, lake: Lake) -> None:
    failed(lake, FOURTH, "rings", "ZeroDivisionError", None)
    told = body(operator)
    assert "It ended with ZeroDivisionError, which was not foreseen." in told
    assert command(FOURTH) in told


def test_a_killed_night_is_told_from_one_that_runs(operator: Client, lake: Lake) -> None:
    with running(lake, FOURTH, "rings"):
        told = body(operator)
        assert "is running: Rings" in told
        assert command(FOURTH) not in told
    told = body(operator)
    assert "was cut off in the stage Rings" in told
    assert "Its process is gone" in told
    assert command(FOURTH) in told


def test_an_earlier_run_is_shown_by_its_number_and_a_wrong_number_shows_the_newest(
    operator: Client, lake: Lake
) -> None:
    assert "The night of Jun 1, 2026 ended well" in body(operator, "?run=1")
    for wrong in ("99", "-1", "x", "1;DROP TABLE stages", "9" * 40):
        assert "The night of Jun 3, 2026 ended well" in body(operator, f"?run={wrong}")


def test_the_page_follows_a_running_night_and_stops_when_it_has_ended(operator: Client, lake: Lake) -> None:
    tick = callback_of(operator.app, "night-body.children")

    def ticked() -> tuple[str, bool]:
        answer = operator.fire(tick, 1, None).json["response"]
        return json.dumps(answer["night-body"]["children"]), answer["night-tick"]["disabled"]

    with running(lake, FOURTH, "graph") as ledger:
        told, stopped = ticked()
        assert "is running: Fold the graph" in told
        assert not stopped
        ledger.end(4, "graph", 3.0, {"rows_out": 777})
        ledger.begin(4, 2, "hubs", str(FOURTH), None, {}, command(FOURTH))
        assert "777" in ticked()[0]
    assert ticked()[1]


def test_one_question_to_the_ledger_a_page_and_a_tick(operator: Client, lake: Lake) -> None:
    asked: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "ledger.sqlite" in str(connection.engine.url) and statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        body(operator)
        assert len(asked) == 1
        operator.fire(callback_of(operator.app, "night-body.children"), 1, None)
        assert len(asked) == 2
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_the_files_of_the_night_shown_come_when_asked_for(operator: Client) -> None:
    show = callback_of(operator.app, "night-files.children")
    told = json.dumps(operator.fire(show, 1, None).json)
    assert "contacts-00000.csv.gz" in told
    assert "contact_phone: masked value 3" in told
    assert "csv.gz" not in json.dumps(operator.fire(show, 1, 1).json)  # the first night kept none


def test_a_lake_without_a_night_says_what_to_run(lone_app: Flask, operator: Client, tmp_path: Path) -> None:
    desk_of(lone_app).lake = Lake(tmp_path / "empty")
    told = body(operator)
    assert "No night has run on this lake yet." in told
    assert "python -m jobs nightly run --date" in told
    assert not (tmp_path / "empty").exists()  # looking makes nothing


def test_a_collector_does_not_see_the_night(lone_app: Flask, desk: Desk) -> None:
    collector = signed_in(lone_app, "collector")
    assert collector.get(PAGE, headers={"Accept": "text/html"}).status_code == 403
    for output in ("night-body.children", "night-files.children"):
        assert collector.fire(callback_of(lone_app, output), 1, None).status_code == 403


def test_a_page_that_follows_by_itself_keeps_no_session_from_its_rest(operator: Client, desk: Desk, lake: Lake) -> None:
    def seen() -> datetime:
        with desk.store.reading() as connection:
            rows = connection.execute(select(SESSIONS.c.seen_at)).scalars().all()
        return max(rows)

    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    with desk.store.writing() as connection:
        connection.execute(SESSIONS.update().values(seen_at=long_ago))
    tick = callback_of(operator.app, "night-body.children")
    assert operator.fire(tick, 1, None, changed="night-tick.n_intervals").status_code == 200
    assert seen() == long_ago
    body(operator)
    assert seen() > long_ago


def test_an_operator_sees_in_a_browser_why_a_night_failed_and_copies_the_command(
    lone_page: Callable[..., Any], desk: Desk, lake: Lake
) -> None:
    failed(lake, FOURTH, "load", "CountsDifferError", "Neo4j does not hold what the lake holds.")
    page = lone_page("operator")
    page.wait_for_selector("#night-state")
    assert page.url.endswith(PAGE)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#night-state [data-copy]")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command(FOURTH)
    page.click("text=No. 3")
    page.wait_for_selector("text=The night of Jun 3, 2026 ended well")
    page.click("#night-show")
    page.wait_for_selector("text=contacts-00000.csv.gz")


def test_a_browser_sees_a_running_night_go_on_without_a_click(
    lone_page: Callable[..., Any], desk: Desk, lake: Lake
) -> None:
    with running(lake, FOURTH, "graph") as ledger:
        page = lone_page("operator", language="zh")
        page.wait_for_selector("text=正在运行：构建图")
        ledger.end(4, "graph", 3.0, {"rows_out": 777})
        ledger.begin(4, 2, "hubs", str(FOURTH), None, {}, command(FOURTH))
        page.wait_for_selector("text=正在运行：枢纽节点")
    page.wait_for_selector("text=阶段中断")
    page.wait_for_selector(f"text={command(FOURTH)}")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_the_page_keeps_nobody_out(lone_page: Callable[..., Any], desk: Desk, language: str, scheme: str) -> None:
    page = lone_page("operator", "/night", language=language, scheme=scheme)
    page.wait_for_selector("#night-lights")
    page.click("#night-show")
    page.wait_for_selector("text=contacts-00000.csv.gz")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
