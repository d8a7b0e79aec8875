"""Signing in and out, what ends a session, and who has to wait after guessing passwords."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from explorer.accounts import SESSIONS
from explorer.rights import Role
from tests.explorer.conftest import PASSWORD, Client, desk_of, signed_in

PAGE = {"Accept": "text/html"}
ORIGIN = {"Origin": "http://localhost"}


def attempt(http: FlaskClient, name: str, password: str, **options: str) -> int:
    token = re.search(r'name="csrf_token" value="([^"]+)"', http.get("/login").text)
    assert token
    form = {"name": name, "password": password, "csrf_token": token[1]}
    return http.post("/login", data=form, headers=ORIGIN, environ_base=options).status_code


def test_everything_but_the_sign_in_page_waits_for_a_session(lone_app: Flask) -> None:
    http = lone_app.test_client()
    assert http.get("/login").status_code == 200
    assert http.get("/open/theme.css").status_code == 200
    assert http.get("/open/../settings.py").status_code in (302, 404)
    for path in ("/_dash-layout", "/_dash-dependencies", "/_dash-component-suites/dash/deps/react@18.3.1.min.js",
                 "/assets/shell.js", "/_reload-hash", "/_favicon.ico", "/password"):  # fmt: skip
        assert http.get(path).status_code == 401, path
    assert http.get("/", headers=PAGE).headers["Location"] == "/login"
    assert http.get("/rings?ring=x", headers=PAGE).headers["Location"] == "/login?next=/rings%3Fring%3Dx"


def test_every_route_but_the_open_ones_waits_for_a_session(lone_app: Flask) -> None:
    http = lone_app.test_client()
    for rule in lone_app.url_map.iter_rules():
        if rule.endpoint in ("security.login", "open_file", "healthy") or rule.methods is None:
            continue
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for method in rule.methods - {"OPTIONS", "HEAD"}:
            answer = http.open(path, method=method, headers=ORIGIN)
            assert answer.status_code == 401, (method, path)


def test_who_signs_in_gets_the_frame(lone_app: Flask) -> None:
    frame = signed_in(lone_app, "analyst").layout()
    assert frame.status_code == 200
    assert "shell-content" in frame.text


def test_nobody_learns_whether_a_name_or_a_password_was_wrong(lone_app: Flask) -> None:
    texts = set()
    for name in ("analyst", "nobody"):
        http = lone_app.test_client()
        page = http.get("/login").text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token
        form = {"name": name, "password": "wrong wrong wrong", "csrf_token": token[1]}
        texts.add(re.sub(r'value="[^"]*"', "", http.post("/login", data=form, headers=ORIGIN).text))
    assert len(texts) == 1
    assert "Name or password are not right" in texts.pop()


def test_signing_in_begins_a_session_of_its_own_with_a_csrf_token_of_its_own(lone_app: Flask) -> None:
    client = signed_in(lone_app, "analyst")
    old, token = client.http.get_cookie("credit_graph"), client.headers()["X-CSRFToken"]
    assert old is not None
    assert old.http_only
    assert old.same_site == "Strict"
    thief = lone_app.test_client()
    thief.set_cookie("credit_graph", old.value)
    assert thief.get("/_dash-layout").status_code == 200
    client.http.delete_cookie("credit_graph")
    again = signed_in(lone_app, "analyst")
    assert again.headers()["X-CSRFToken"] != token
    digests = set()
    with desk_of(lone_app).store.reading() as connection:
        digests = set(connection.execute(select(SESSIONS.c.digest)).scalars())
    assert len(digests) == 2


def test_signing_out_ends_copies_of_the_cookie_too(lone_app: Flask) -> None:
    client = signed_in(lone_app, "analyst")
    cookie = client.http.get_cookie("credit_graph")
    assert cookie is not None
    assert client.post("/logout").status_code == 302
    thief = lone_app.test_client()
    thief.set_cookie("credit_graph", cookie.value)
    assert thief.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize(("column", "ago"), [("seen_at", timedelta(minutes=31)), ("begun_at", timedelta(hours=13))])
def test_a_session_ends_by_rest_and_by_age(lone_app: Flask, column: str, ago: timedelta) -> None:
    client = signed_in(lone_app, "analyst")
    assert client.layout().status_code == 200
    with desk_of(lone_app).store.writing() as connection:
        connection.execute(update(SESSIONS).values({column: datetime.now(UTC) - ago}))
    assert client.layout().status_code == 401
    with desk_of(lone_app).store.writing() as connection:
        connection.execute(update(SESSIONS).values({column: datetime.now(UTC)}))
    assert client.layout().status_code == 401  # it has ended; it does not come back


def test_an_ended_session_leads_to_the_sign_in_page_and_not_in_a_circle(lone_app: Flask) -> None:
    client = signed_in(lone_app, "analyst")
    with desk_of(lone_app).store.writing() as connection:
        connection.execute(update(SESSIONS).values(ended_at=datetime.now(UTC)))
    sent = client.get("/rings", headers=PAGE)
    assert sent.headers["Location"] == "/login?next=/rings"
    assert client.get(sent.headers["Location"], headers=PAGE).status_code == 200
    assert attempt(client.http, "analyst", PASSWORD) == 302


def test_use_keeps_a_session_from_resting(lone_app: Flask) -> None:
    client = signed_in(lone_app, "analyst")
    early = datetime.now(UTC) - timedelta(minutes=20)
    with desk_of(lone_app).store.writing() as connection:
        connection.execute(update(SESSIONS).values(seen_at=early))
    assert client.layout().status_code == 200
    with desk_of(lone_app).store.reading() as connection:
        assert connection.execute(select(SESSIONS.c.seen_at)).scalar_one() > early


def test_a_lock_a_role_and_a_password_act_on_the_next_request(lone_app: Flask) -> None:
    accounts = desk_of(lone_app).accounts
    client = signed_in(lone_app, "analyst")
    assert "shell-search" in client.layout().text
    with lone_app.app_context():
        accounts.set_roles("analyst", [Role.OPERATOR])
    assert "shell-search" not in client.layout().text
    with lone_app.app_context():
        accounts.set_active("analyst", False)
    assert client.layout().status_code == 401
    with lone_app.app_context():
        accounts.set_active("analyst", True)
    assert client.layout().status_code == 401  # they sign in anew
    other = signed_in(lone_app, "operator")
    with lone_app.app_context():
        accounts.set_password("operator", "another long password")
    assert other.layout().status_code == 401


def test_a_user_changes_the_password_and_other_sessions_end(lone_app: Flask) -> None:
    here, elsewhere = signed_in(lone_app, "analyst"), signed_in(lone_app, "analyst")
    token = here.headers()["X-CSRFToken"]
    form = {"password": PASSWORD, "new_password": "x" * 11, "again": "x" * 11, "csrf_token": token}
    assert here.http.post("/password", data=form, headers=ORIGIN).status_code == 422
    form |= {"new_password": "quite another one", "again": "quite another one"}
    assert here.http.post("/password", data=form, headers=ORIGIN).status_code == 302
    assert here.layout().status_code == 200
    assert elsewhere.layout().status_code == 401
    assert attempt(lone_app.test_client(), "analyst", PASSWORD) == 200
    assert attempt(lone_app.test_client(), "analyst", "quite another one") == 302


def test_five_failures_make_a_name_wait_in_every_worker(new_app: Callable[..., Flask], tmp_path: Path) -> None:
    one, two = new_app(tmp_path), new_app(tmp_path)
    for n in range(5):
        assert attempt((one, two)[n % 2].test_client(), "analyst", "wrong wrong wrong") == 200
    for app in (one, two, new_app(tmp_path)):
        assert attempt(app.test_client(), "ANALYST ", PASSWORD) == 429
    assert attempt(one.test_client(), "collector", PASSWORD) == 302


def test_good_sign_ins_do_not_count(lone_app: Flask) -> None:
    assert [attempt(lone_app.test_client(), "analyst", PASSWORD) for _ in range(7)] == [302] * 7


def test_an_address_that_guesses_many_names_waits(new_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = new_app(tmp_path, tries_address=4)
    for n in range(4):
        assert attempt(app.test_client(), f"guess{n}", "wrong wrong wrong", REMOTE_ADDR="10.0.0.1") == 200
    assert attempt(app.test_client(), "analyst", PASSWORD, REMOTE_ADDR="10.0.0.1") == 429
    assert attempt(app.test_client(), "analyst", PASSWORD, REMOTE_ADDR="10.0.0.2") == 302


def test_what_was_typed_as_a_name_is_nowhere_in_the_store(lone_app: Flask) -> None:
    attempt(lone_app.test_client(), "my secret password", "x")
    path = desk_of(lone_app).url.removeprefix("sqlite:///")
    stored = b"".join(file.read_bytes() for file in Path(path).parent.glob("store.db*"))
    assert b"my secret password" not in stored


def test_signing_in_and_out_is_on_record_and_without_a_record_nobody_comes_in(lone_app: Flask) -> None:
    desk = desk_of(lone_app)
    client: Client = signed_in(lone_app, "compliance")
    client.post("/logout")
    assert [entry.action for entry in desk.audit.entries()] == ["sign_out", "sign_in"]
    desk.audit = type(desk.audit)("sqlite:////proc/none/audit.db")
    http = lone_app.test_client()
    assert attempt(http, "compliance", PASSWORD) == 503
    assert http.get("/_dash-layout").status_code == 401
