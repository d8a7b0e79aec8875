"""Signing in and out, and what ends a session."""

from __future__ import annotations

from collections.abc import Callable

from explorer.desk import Desk
from tests.explorer.conftest import Client

PAGE = {"Accept": "text/html"}


def test_everything_but_the_sign_in_page_waits_for_a_session(desk: Desk) -> None:
    http = desk.server.test_client()
    assert http.get("/login").status_code == 200
    assert http.get("/open/theme.css").status_code == 200
    for path in ("/_dash-layout", "/_dash-dependencies", "/_dash-component-suites/dash/deps/react@18.3.1.min.js",
                 "/assets/shell.js", "/_reload-hash", "/_favicon.ico"):  # fmt: skip
        assert http.get(path).status_code in (302, 401), path
    assert http.get("/", headers=PAGE).headers["Location"] == "/login"


def test_who_signs_in_gets_the_frame(client: Callable[[str], Client]) -> None:
    frame = client("analyst").layout()
    assert frame.status_code == 200
    assert "shell-content" in frame.text
