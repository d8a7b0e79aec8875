"""The administrator's page: users, roles, locks and passwords, each change at once and on record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from explorer.desk import Desk
from graph.audit import AuditLog
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in
from tests.explorer.test_frame import serious

PAGE = {"Accept": "text/html"}


@pytest.fixture
def desk(lone_app: Flask) -> Desk:
    return desk_of(lone_app)


@pytest.fixture
def admin(lone_app: Flask) -> Client:
    return signed_in(lone_app, "admin")


def callback(app: Flask, button: str) -> str:
    """The callback of a button: several write the same outputs."""
    entries = desk_of(app).dash._callback_list
    (found,) = [e["output"] for e in entries if any(i["id"] == button for i in e["inputs"])]
    return str(found)


def press(client: Client, button: str, chosen: str = "", *fields: Any) -> tuple[str, str]:
    """Press a button; what is said, and the whole answer."""
    answer = client.fire(callback(client.app, button), 1, chosen, *fields)
    assert answer.status_code == 200, answer.text
    return answer.json["response"]["people-note"]["children"], json.dumps(answer.json["response"], ensure_ascii=False)


def body(client: Client, search: str = "") -> str:
    answer = client.fire(callback_of(client.app, "shell-content.children"), "/people", search, 0)
    assert answer.status_code == 200
    return json.dumps(answer.json["response"]["shell-content"]["children"], ensure_ascii=False)


def records(desk: Desk) -> list[tuple[str, str]]:
    return [(e.user, e.object) for e in reversed(desk.audit.entries(100)) if e.action == "people.change"]


def test_all_users_are_shown_with_roles_locks_and_when_they_were_here(desk: Desk, admin: Client) -> None:
    desk.accounts.set_active("collector", False)
    told = body(admin)
    for text in ("analyst", "Fraud analyst", "Compliance", "6 users", "locked", "never"):
        assert text in told, text
    assert "Change analyst" in body(admin, "?user=ANALYST")
    assert "Choose a name on the left." in body(admin, "?user=nobody")


def test_a_new_user_gets_a_password_that_is_shown_once_and_signs_in_with_it(
    lone_app: Flask, desk: Desk, admin: Client
) -> None:
    said, answer = press(admin, "people-add", "", " zhang ", ["analyst", "collector"])
    assert said == "zhang may sign in as Fraud analyst, Collector."
    password = re.search(r'"data-copy": "([^"]+)"', answer)
    assert password
    assert len(password[1]) >= 20
    zhang = signed_in(lone_app, "zhang", password[1])
    assert zhang.get("/people", headers=PAGE).status_code == 403
    assert records(desk) == [("admin", "add zhang: analyst, collector")]
    assert password[1] not in body(admin, "?user=zhang") + str(desk.audit.entries())


@pytest.mark.parametrize(
    ("name", "roles", "said"),
    [
        ("", ["analyst"], "A name has 1 to 64"), ("x" * 65, ["analyst"], "A name has 1 to 64"),
        ("a\x00b", ["analyst"], "A name has 1 to 64"), ("zhang", [], "A user needs a role"),
        ("zhang", ["emperor"], "A user needs a role"), ("zhang", "admin", "A user needs a role"),
        ("Analyst", ["analyst"], "There is a user of that name already"),
    ],
)  # fmt: skip
def test_a_wrong_user_is_refused_with_a_sentence_and_leaves_nothing(
    desk: Desk, admin: Client, name: str, roles: Any, said: str
) -> None:
    assert press(admin, "people-add", "", name, roles)[0].startswith(said)
    assert len(desk.accounts.all()) == 6
    assert records(desk) == []


def test_a_role_that_is_taken_away_is_gone_with_the_next_click(lone_app: Flask, desk: Desk, admin: Client) -> None:
    analyst = signed_in(lone_app, "analyst")
    assert analyst.get("/rings", headers=PAGE).status_code == 200
    said, _ = press(admin, "people-save", "analyst", ["operator"])
    assert said == "analyst now works as Operator."
    assert analyst.get("/rings", headers=PAGE).status_code == 403
    assert analyst.get("/night", headers=PAGE).status_code == 200
    assert records(desk) == [("admin", "role analyst: operator")]


def test_a_lock_ends_every_session_and_an_unlock_lets_in_again(lone_app: Flask, desk: Desk, admin: Client) -> None:
    analyst = signed_in(lone_app, "analyst")
    assert press(admin, "people-lock", "analyst")[0] == "analyst is locked; no session of theirs goes on."
    assert analyst.get("/_dash-layout").status_code == 401
    with pytest.raises(AssertionError):
        signed_in(lone_app, "analyst")
    assert press(admin, "people-lock", "analyst")[0] == "analyst may sign in again."
    signed_in(lone_app, "analyst")
    assert records(desk) == [("admin", "lock analyst"), ("admin", "unlock analyst")]


def test_a_new_password_ends_every_session(lone_app: Flask, desk: Desk, admin: Client) -> None:
    analyst = signed_in(lone_app, "analyst")
    said, answer = press(admin, "people-password", "analyst")
    password = re.search(r'"data-copy": "([^"]+)"', answer)
    assert password
    assert "their sessions ended" in said
    assert analyst.get("/_dash-layout").status_code == 401
    signed_in(lone_app, "analyst", password[1])
    assert records(desk) == [("admin", "password analyst")]


def test_the_last_administrator_is_neither_locked_nor_demoted(lone_app: Flask, desk: Desk, admin: Client) -> None:
    for button, fields in (("people-lock", ()), ("people-save", (["analyst"],))):
        assert press(admin, button, "admin", *fields)[0].startswith("That is the last administrator")
    assert admin.get("/people", headers=PAGE).status_code == 200
    press(admin, "people-save", "operator", ["admin", "operator"])
    second = signed_in(lone_app, "operator")
    assert "works as Fraud analyst" in press(admin, "people-save", "admin", ["analyst"])[0]
    assert press(second, "people-lock", "operator")[0].startswith("That is the last administrator")
    press(second, "people-lock", "analyst")  # others may be locked all the same


def test_a_locked_administrator_does_not_count_as_one(desk: Desk, admin: Client) -> None:
    press(admin, "people-save", "operator", ["admin"])
    press(admin, "people-lock", "operator")
    assert press(admin, "people-lock", "admin")[0].startswith("That is the last administrator")


def test_nothing_is_changed_when_it_cannot_be_put_on_record(desk: Desk, admin: Client, tmp_path: Any) -> None:
    (tmp_path / "blocked").write_text("a file")
    desk.audit = AuditLog(f"sqlite:///{tmp_path / 'blocked' / 'audit.db'}")
    answer = admin.fire(callback(admin.app, "people-lock"), 1, "analyst")
    assert "audit log" in answer.text
    analyst = desk.accounts.find("analyst")
    assert analyst is not None
    assert analyst.active


def test_a_user_who_is_gone_is_told_and_nothing_is_changed(admin: Client) -> None:
    for button in ("people-lock", "people-password"):
        assert press(admin, button, "nobody")[0] == "There is no such user any more. Nothing was changed."
    assert press(admin, "people-save", "'; DROP TABLE explorer_users; --", ["analyst"])[0].startswith(
        "There is no such"
    )


def test_compliance_sees_the_users_and_changes_none(lone_app: Flask, desk: Desk) -> None:
    officer = signed_in(lone_app, "compliance")
    told = body(officer, "?user=analyst")
    assert "6 users" in told
    assert "people-save" not in told
    for button in ("people-save", "people-lock", "people-password", "people-add"):
        assert officer.fire(callback(lone_app, button), 1, "analyst", ["analyst"]).status_code == 403


@pytest.mark.parametrize("role", ["analyst", "collector", "operator", "model_developer"])
def test_nobody_else_sees_or_changes_users(lone_app: Flask, role: str) -> None:
    other = signed_in(lone_app, role)
    assert other.get("/people", headers=PAGE).status_code == 403
    for button in ("people-save", "people-lock", "people-password", "people-add"):
        assert other.fire(callback(lone_app, button), 1, role, ["admin"]).status_code == 403


def test_an_administrator_makes_a_user_in_a_browser_who_signs_in(
    lone_page: Callable[..., Any], lone_app: Flask
) -> None:
    page = lone_page("admin", "/people")
    page.fill("#people-name", "zhang")
    page.click("#people-new label:has-text('Collector')")
    page.click("#people-add")
    page.wait_for_selector("text=zhang may sign in as Collector.")
    password = page.inner_text("#people-shown code")
    signed_in(lone_app, "zhang", password)
    page.click("#people-users a:has-text('zhang')")
    page.wait_for_selector("text=Change zhang")
    assert page.query_selector("#people-shown") is None
    page.click("#people-lock")
    page.wait_for_selector("text=zhang is locked")
    page.wait_for_selector("#people-panel >> text=Unlock")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_the_page_keeps_nobody_out(lone_page: Callable[..., Any], desk: Desk, language: str, scheme: str) -> None:
    page = lone_page("admin", "/people?user=analyst", language=language, scheme=scheme)
    page.wait_for_selector("#people-panel")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
