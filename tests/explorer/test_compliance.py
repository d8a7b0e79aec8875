"""The compliance officer's page: who saw whom and why, and that nobody changed the log."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import create_engine

from explorer.compliance import settings_seen
from explorer.compliance.chain import ChainWatch
from explorer.compliance.settings_seen import difference, history, note
from explorer.compliance.wanted import KINDS, Wanted
from explorer.desk import Desk
from explorer.pages import compliance
from graph.audit import AuditLog
from graph.tokens import Kind
from tests.algorithms.contact_world import NOON
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in
from tests.explorer.small_world import SmallWorld
from tests.explorer.test_frame import serious


@pytest.fixture
def desk(lone_app: Flask) -> Desk:
    return desk_of(lone_app)


@pytest.fixture
def officer(lone_app: Flask) -> Client:
    return signed_in(lone_app, "compliance")


def seen(desk: Desk, count: int, thing: str = "per_A1", user: str = "ann", action: str = "canvas.see") -> None:
    for _ in range(count):
        desk.audit.append(user=user, action=action, object=thing, purpose="case 7")


def body(client: Client) -> str:
    answer = client.fire(callback_of(client.app, "shell-content.children"), "/compliance", "", 0)
    assert answer.status_code == 200
    return json.dumps(answer.json["response"]["shell-content"]["children"], ensure_ascii=False)


class Search:
    """The form of the page: what was typed, and what the browser keeps."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.state: Any = None
        self.older = self.newer = False

    def ask(
        self, text: str = "", user: str = "", kind: str = "all", since: str = "", until: str = "", press: str = "search"
    ) -> str:
        look = callback_of(self.client.app, "compliance-lines.children")
        typed = (1, None, None, None, user, kind, text, since, until, self.state)
        answer = self.client.fire(look, *typed, changed=f"compliance-{press}.n_clicks")
        assert answer.status_code == 200, answer.text
        told = answer.json["response"]
        if "compliance-state" in told:
            self.state = told["compliance-state"]["data"]
            self.older = not told["compliance-older"]["disabled"]
            self.newer = not told["compliance-newer"]["disabled"]
        lines = json.dumps(told.get("compliance-lines", ""), ensure_ascii=False)
        return f"{told['compliance-told']['children']}\n{lines}"

    def numbers(self, lines: str) -> list[int]:
        rows = json.loads(lines.partition("\n")[2])["children"]["props"]["children"]["props"]["children"][2]
        return [int(row["props"]["children"][0]["props"]["children"]) for row in rows["props"]["children"]]


def test_who_saw_a_person_and_why_is_found_by_the_whole_id(desk: Desk, officer: Client) -> None:
    seen(desk, 1, "expand Person per_A1: per_A2 tel_0")
    seen(desk, 1, "per_A10", user="ben")
    told = Search(officer).ask("per_A1")
    assert told.startswith("1–1 of 1")
    for text in ("ann", "saw the canvas", "expand Person per_A1", "case 7"):
        assert text in told, text
    assert "per_A10" not in told


def test_a_plain_number_is_found_by_its_token_and_written_nowhere(
    desk: Desk, officer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    number = "138 0013 8000"
    token = desk.keys().token(Kind.PHONE, "+8613800138000")
    seen(desk, 1, token, action="reveal")
    search = Search(officer)
    told = search.ask(number)
    assert told.startswith("1–1 of 1")
    assert "was shown a value" in told
    kept = json.dumps(search.state) + told + caplog.text + str(desk.audit.entries())
    assert token in kept
    assert "13800138000" not in kept.replace(" ", "")


def test_a_name_is_found_by_the_persons_who_bear_it(desk: Desk, officer: Client, world: SmallWorld) -> None:
    seen(desk, 1, "per_wei")
    found = Search(officer).ask("魏小明")
    assert found.startswith("1–1 of 1")
    assert "魏小明" not in str(desk.audit.entries())


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", "%", "per_%", "<script>alert(1)</script>", "\x00", "x" * 5000])
def test_hostile_texts_find_nothing_and_are_repeated_nowhere(desk: Desk, officer: Client, hostile: str) -> None:
    seen(desk, 3)
    told = Search(officer).ask(hostile)
    assert "No line matches" in told
    assert all(hostile not in entry.object for entry in desk.audit.entries())
    for field in ("user", "kind", "since", "until"):
        Search(officer).ask("", **{field: hostile})  # an answer or a sentence, never a failure
    assert all(hostile not in entry.object for entry in desk.audit.entries())


def test_lines_are_filtered_by_user_kind_and_days_of_the_zone(desk: Desk, officer: Client) -> None:
    seen(desk, 2, user="ann", action="rings.export")
    seen(desk, 3, user="ben")
    search = Search(officer)
    assert search.ask(user="BEN").startswith("1–3 of 3")
    assert search.ask(kind="exports").startswith("1–2 of 2")
    today = datetime.now(ZoneInfo(desk.zone)).date()
    assert search.ask(user="ann", since=str(today), until=str(today)).startswith("1–2 of 2")
    assert "No line matches" in search.ask(user="ann", since=str(today + timedelta(days=1)))
    assert "No line matches" in search.ask(user="ann", until=str(today - timedelta(days=1)))


def test_pages_go_back_and_forth_and_neither_repeat_nor_miss_a_line(desk: Desk, officer: Client) -> None:
    seen(desk, 120, user="ann")
    search = Search(officer)
    first = search.numbers(search.ask(user="ann"))
    assert (search.newer, search.older) == (False, True)
    seen(desk, 5, user="ann")  # what is written meanwhile moves no page
    second = search.numbers(search.ask(press="older"))
    third = search.numbers(search.ask(press="older"))
    assert (search.newer, search.older) == (True, False)
    assert [len(page) for page in (first, second, third)] == [50, 50, 20]
    all_ = first + second + third
    assert all_ == sorted(set(all_), reverse=True)
    assert search.numbers(search.ask(press="newer")) == second
    assert search.numbers(search.ask(press="newer")) == first
    assert not search.newer
    assert search.ask(user="ann").startswith("1–50 of 125")


def test_reading_the_log_is_itself_in_the_log_before_the_answer(desk: Desk, officer: Client) -> None:
    before = desk.audit.head()
    body(officer)
    Search(officer).ask("per_A1", user="ann", kind="values")
    lines = [(entry.user, entry.action, entry.object) for entry in reversed(desk.audit.entries(2))]
    assert desk.audit.head() == before + 2
    assert lines == [
        ("compliance", "compliance.see", "/compliance"),
        ("compliance", "compliance.see", "audit kind=values user=ann page=1 per_A1"),
    ]


def test_nothing_is_shown_when_the_log_cannot_be_written(
    desk: Desk, officer: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen(desk, 1)
    blocked = tmp_path / "no folder"
    blocked.write_text("a file")
    monkeypatch.setattr(desk, "audit", AuditLog(f"sqlite:///{blocked / 'audit.db'}"))
    look = callback_of(officer.app, "compliance-lines.children")
    answer = officer.fire(look, 1, None, None, None, "", "all", "per_A1", "", "", None)
    assert "case 7" not in answer.text
    assert "audit log" in answer.text


def test_the_chain_is_green_while_whole_and_names_the_first_broken_line(desk: Desk, officer: Client) -> None:
    seen(desk, 5)
    walk = callback_of(officer.app, "compliance-chain.children")
    assert "chain whole: " in officer.fire(walk, None).text
    tamper(desk, "UPDATE audit SET user = 'nobody' WHERE seq = 2")
    assert "chain whole" in officer.fire(walk, None).text  # what was walked before is not walked again …
    told = officer.fire(walk, 1).text  # … until somebody asks for it
    assert "chain broken at line 2" in told
    assert "pt-red" in told


def test_lines_cut_from_the_end_and_a_log_written_anew_are_noticed_by_the_head_kept_elsewhere(desk: Desk) -> None:
    seen(desk, 5)
    assert ChainWatch(desk.audit, desk.store).look(NOON).state == "whole"
    seen(desk, 1)
    later = ChainWatch(desk.audit, desk.store).look(NOON)  # another process
    assert (later.state, later.seen and later.seen.rows) == ("whole", later.chain.rows - 1)
    tamper(desk, f"DELETE FROM audit WHERE seq > {later.chain.rows - 2}")
    cut = ChainWatch(desk.audit, desk.store).look(NOON)
    assert (cut.state, cut.chain.first_broken_seq) == ("cut", None)
    tamper(desk, "DELETE FROM audit")
    seen(desk, 9, "another history")
    assert ChainWatch(desk.audit, desk.store).look(NOON).state == "rewritten"


def tamper(desk: Desk, statement: str) -> None:
    path = create_engine(desk.audit._url).url.database
    assert path
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TRIGGER IF EXISTS audit_no_UPDATE; DROP TRIGGER IF EXISTS audit_no_DELETE; " + statement
        )


def exported(client: Client, state: Any, purpose: str = "request 12") -> tuple[str | None, str]:
    answer = client.fire(callback_of(client.app, "compliance-file.data"), 1, purpose, state)
    assert answer.status_code == 200
    told = answer.json["response"]
    return told.get("compliance-file", {}).get("data", {}).get("content"), told["compliance-exported"]["children"]


def test_an_export_holds_what_was_found_whole_and_needs_a_purpose(desk: Desk, officer: Client) -> None:
    seen(desk, 60, user="ann")
    seen(desk, 1, "=HYPERLINK(1)", user="ann")
    search = Search(officer)
    search.ask(user="ann")
    search.ask(press="older")
    assert exported(officer, search.state, purpose=" ")[0] is None
    content, said = exported(officer, search.state)
    assert said == "61 lines exported"
    rows = list(csv.DictReader(io.StringIO((content or "").removeprefix("\ufeff"))))
    assert len(rows) == 61
    assert rows[0]["object"] == "'=HYPERLINK(1)"
    found = {entry.seq: entry for entry in desk.audit.entries(100)}
    assert all(found[int(row["seq"])].hash == row["hash"] for row in rows)
    last = desk.audit.entries(1)[0]
    assert (last.action, last.purpose) == ("compliance.export", "request 12")
    assert last.object.startswith("csv 61 rows: audit kind=all user=ann")


@pytest.mark.parametrize(("rows", "comes"), [(2, True), (3, True), (4, False)])
def test_an_export_over_the_limit_is_refused_with_both_numbers(
    desk: Desk, officer: Client, monkeypatch: pytest.MonkeyPatch, rows: int, comes: bool
) -> None:
    monkeypatch.setattr(compliance, "EXPORT_ROWS", 3)
    seen(desk, rows, user="ann")
    search = Search(officer)
    search.ask(user="ann")
    content, said = exported(officer, search.state)
    assert (content is not None) == comes
    assert said == (f"{rows} lines exported" if comes else "4 lines were found and 3 can be exported at once. "
                    "Narrow the days.")  # fmt: skip


def test_what_a_browser_sends_in_place_of_its_state_is_checked(desk: Desk, officer: Client) -> None:
    for forged in ({"objects": ["a b; DROP"]}, {"kind": "other"}, {"head": -1}, {"more": 1}, {"user": "x" * 65}):
        assert "not understood" in exported(officer, forged)[1]
    assert set(KINDS) == {kind for kind in KINDS if Wanted(kind=kind)}


@pytest.mark.parametrize("role", ["analyst", "collector", "operator", "model_developer", "admin"])
def test_nobody_else_reads_or_exports_the_log(lone_app: Flask, desk: Desk, role: str) -> None:
    other = signed_in(lone_app, role)
    assert other.get("/compliance", headers={"Accept": "text/html"}).status_code == 403
    for output in ("compliance-lines.children", "compliance-chain.children", "compliance-file.data"):
        assert other.fire(callback_of(lone_app, output), 1).status_code == 403


def test_rules_and_policies_are_shown_with_what_they_were(
    desk: Desk, officer: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = body(officer)
    for text in ("rules/rings.yml", "rules/leads.yml", "policies/cn.yml", "in force", "quiet_from"):
        assert text in told, text
    changed = tmp_path / "cn.yml"
    changed.write_text((settings_seen.POLICIES / "cn.yml").read_text().replace('"22:00"', '"20:00"'))
    note(desk.store, {"policies/cn.yml": changed}, NOON + timedelta(days=1))
    note(desk.store, {"policies/cn.yml": changed}, NOON + timedelta(days=2))  # the same: nothing new
    newest, first = history(desk.store)["policies/cn.yml"]
    assert (newest.number, newest.seen_at) == (2, NOON + timedelta(days=1))
    assert difference(first, newest).splitlines()[-3:-1] == ['-quiet_from: "22:00"', '+quiet_from: "20:00"']
    told = body(officer)  # the page looks again: the file is as it was, which is a change too
    assert [setting.number for setting in history(desk.store)["policies/cn.yml"]] == [3, 2, 1]
    assert '+quiet_from: \\"20:00\\"' in told


def test_each_night_names_the_version_of_its_ring_rules(officer: Client) -> None:
    told = body(officer)
    assert "Ring rules by night" in told
    assert "Jun 30, 2026" in told


def test_erasure_is_told_as_it_is(officer: Client) -> None:
    told = body(officer)
    assert "The platform cannot erase a person yet." in told
    assert "python -m algorithms leads do-not-contact add" in told


def test_an_officer_finds_in_a_browser_who_saw_a_person_and_takes_the_lines_along(
    lone_page: Callable[..., Any], desk: Desk, tmp_path: Path
) -> None:
    seen(desk, 70, "expand Person per_A1: per_A2 " + " ".join(f"per_B{n}" for n in range(60)))
    seen(desk, 2, "per_A9", user="ben", action="values.reveal")
    page = lone_page("compliance", "/compliance")
    page.wait_for_selector("text=chain whole")
    page.fill("#compliance-object", "per_A9")
    page.press("#compliance-object", "Enter")
    page.wait_for_selector("text=1–2 of 2")
    page.fill("#compliance-object", "")
    page.fill("#compliance-user", "ann")
    page.click("#compliance-search")
    page.wait_for_selector("text=1–50 of 70")
    page.click("#compliance-older")
    page.wait_for_selector("text=51–70 of 70")
    page.fill("#compliance-purpose", "request 12")
    with page.expect_download() as waiting:
        page.click("#compliance-export")
    assert waiting.value.suggested_filename.startswith("audit-")
    assert Path(waiting.value.path()).read_text().count("\n") == 71
    page.click("text=Erase one person")
    page.wait_for_selector("text=The platform cannot erase a person yet.")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_the_page_keeps_nobody_out(lone_page: Callable[..., Any], desk: Desk, language: str, scheme: str) -> None:
    page = lone_page("compliance", "/compliance", language=language, scheme=scheme)
    page.wait_for_selector("#compliance-lines table")
    page.wait_for_selector("#compliance-chain .pt-green")
    for tab in (2, 3, 1):
        page.click(f"[role=tab]:nth-child({tab})")
        assert serious(page) == []
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
