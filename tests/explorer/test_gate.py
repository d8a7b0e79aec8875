"""What every request passes, and what every answer carries."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dash import Input, Output
from flask import Flask

from explorer.rights import Action
from tests.explorer.conftest import Client, callback_of, desk_of, signed_in

PAGE = {"Accept": "text/html"}


@pytest.fixture
def analyst(lone_app: Flask) -> Client:
    return signed_in(lone_app, "analyst")


def show(client: Client, **headers: str) -> Any:
    """Ask for a page as the renderer does."""
    return client.fire(callback_of(client.app, "shell-content.children"), "/nowhere", "", 0, **headers)


def test_a_post_needs_the_token_of_its_session(analyst: Client, lone_app: Flask) -> None:
    assert show(analyst).status_code == 200
    assert show(analyst, **{"X-CSRFToken": ""}).status_code == 403
    stranger = signed_in(lone_app, "collector").headers()["X-CSRFToken"]
    refused = show(analyst, **{"X-CSRFToken": stranger})
    assert refused.status_code == 403
    assert "Load it again" in refused.json["sentence"]
    assert analyst.post("/logout", **{"X-CSRFToken": ""}).status_code == 403
    assert analyst.layout().status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:81", "http://localhost.evil.example", "null"]
)
def test_a_post_from_elsewhere_is_refused(analyst: Client, origin: str) -> None:
    assert show(analyst, Origin=origin).status_code == 403


def test_a_post_that_hides_its_origin_is_refused_when_the_browser_says_it_is_foreign(analyst: Client) -> None:
    headers = analyst.headers()
    del headers["Origin"]
    foreign = {**headers, "Sec-Fetch-Site": "cross-site"}
    assert analyst.http.post("/logout", headers=foreign).status_code == 403
    assert analyst.http.post("/logout", headers={**headers, "Sec-Fetch-Site": "same-origin"}).status_code == 302


def test_another_host_name_is_not_served(analyst: Client) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io"):
        answer = analyst.http.get("/_dash-layout", headers={"Host": host})
        assert answer.status_code == 421
        assert "not reached under this name" in answer.json["sentence"]


@pytest.mark.parametrize(
    "path", ["/login", "/", "/_dash-layout", "/nowhere", "/assets/shell.js", "/healthy", "/open/theme.css"]
)
def test_every_answer_says_what_a_browser_may_do_with_it(analyst: Client, path: str) -> None:
    headers = analyst.get(path, headers=PAGE).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "http" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    if not path.startswith(("/assets", "/open")):
        assert headers["Cache-Control"] == "no-store, private"
    assert headers.getlist("Access-Control-Allow-Origin") == []


def test_a_browser_keeps_the_program_and_nothing_else(analyst: Client, lone_app: Flask) -> None:
    page = analyst.get("/", headers=PAGE, follow_redirects=True).text
    named = re.findall(r'(?:src|href)="(/(?:_dash-component-suites|assets)/[^"]+)"', page)
    scripts = [path for path in named if "/_dash-component-suites/" in path]
    assets = [path for path in named if path.startswith("/assets/") and "?m=" in path]
    assert scripts
    assert assets
    for path in (*scripts[:3], *assets[:3]):
        answer = analyst.get(path)
        assert answer.status_code == 200, path
        assert "max-age=31536000" in answer.headers["Cache-Control"], path
        assert not {"Set-Cookie", "Vary"} & set(answer.headers.keys()), path
    stranger = lone_app.test_client().get(scripts[0])
    assert stranger.status_code == 401
    assert stranger.headers["Cache-Control"] == "no-store, private"


def test_behind_https_cookies_travel_over_it_only(new_app: Callable[..., Flask], tmp_path: Path) -> None:
    http = new_app(tmp_path, secure=True).test_client()
    answer = http.get("/login")
    assert answer.headers["Strict-Transport-Security"]
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("Secure" in cookie and "SameSite=Strict" in cookie for cookie in cookies)


def test_nothing_of_dash_is_open_that_is_not_needed(analyst: Client, lone_app: Flask) -> None:
    rules = {rule.rule for rule in lone_app.url_map.iter_rules()}
    assert not [rule for rule in rules if "mcp" in rule or "alive" in rule]
    assert analyst.get("/_mcp", headers=PAGE).status_code == 404
    assert not lone_app.debug
    assert not desk_of(lone_app).dash._dev_tools.ui
    assert not desk_of(lone_app).dash._dev_tools.hot_reload


def test_a_mistake_of_ours_tells_the_reader_nothing_of_it(lone_app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    desk = desk_of(lone_app)

    @desk.callback(Action.USE, Output("probe", "children"), Input("probe", "n_clicks"))
    def broken(_clicks: int | None) -> str:
        raise ZeroDivisionError("13800138000")

    with caplog.at_level(logging.CRITICAL):
        answer = signed_in(lone_app, "analyst").fire("probe.children", 1)
    assert answer.status_code == 500
    assert answer.json == {"sentence": "Something went wrong on our side. It has been noted; please try again."}


def test_when_it_is_full_it_says_when_to_come_back(new_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = new_app(tmp_path, threads=3)  # one place: two threads stay free to refuse
    desk, inside, go = desk_of(app), threading.Event(), threading.Event()

    @desk.callback(Action.USE, Output("probe", "children"), Input("probe", "n_clicks"))
    def slow(_clicks: int | None) -> str:
        inside.set()
        assert go.wait(20)
        return "done"

    first, second = signed_in(app, "analyst"), signed_in(app, "collector")
    answers: list[int] = []
    busy = threading.Thread(target=lambda: answers.append(first.fire("probe.children", 1).status_code))
    busy.start()
    assert inside.wait(20)
    refused = second.layout()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert "Too many people" in refused.json["sentence"]
    assert "Too many people" in second.get("/", headers=PAGE).text
    assert second.get("/healthy").status_code == 200
    go.set()
    busy.join()
    assert answers == [200]
    assert second.layout().status_code == 200
