"""What the demo ends with, and a process that outlives its command."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from explorer.accounts import users_alone
from explorer.background import Background, BackgroundError
from explorer.demo import demo_users, run_demo
from explorer.rights import Role
from explorer.store import ExplorerStore
from graph.server import free_port


@pytest.fixture
def store(tmp_path: Path) -> ExplorerStore:
    return ExplorerStore(f"sqlite:///{tmp_path / 'store.db'}")


def test_each_role_gets_a_user_once_and_the_file_is_its_owners(store: ExplorerStore, tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    first = demo_users(store, path)
    assert set(first) == set(Role)
    assert len(set(first.values())) == len(Role)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert demo_users(store, path) == first == json.loads(path.read_text())
    with users_alone(store) as accounts:
        user = accounts.named("analyst")
        assert user.verify_and_update_password(first["analyst"])
        assert user.role_names == {"analyst"}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    monkeypatch.setenv("EXPLORER_PORT", str(port))
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("CREDIT_GRAPH_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield port
    Background(tmp_path, "").stop()


def test_the_demo_leaves_an_explorer_running_that_one_can_sign_in_to(port: int, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    said = run_demo(url, tmp_path / "lake", tmp_path / "models", tmp_path, "ring_1")
    assert f"http://127.0.0.1:{port}/rings/ring_1" in said
    password = re.search(r"analyst +(\S+)", said)
    assert password
    background = Background(tmp_path, f"http://127.0.0.1:{port}")
    process = background.running()
    assert process is not None
    with requests.Session() as browser:
        token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"{background.url}/login").text)
        assert token
        form = {"name": "analyst", "password": password[1], "csrf_token": token[1]}
        headers = {"Origin": background.url, "Accept": "text/html"}
        answer = browser.post(f"{background.url}/login", data=form, headers=headers, allow_redirects=False)
        assert answer.status_code == 302
        assert browser.get(f"{background.url}/_dash-layout").status_code == 200
    workers = process.children(recursive=True)
    assert background.stop()
    assert not process.is_running()
    assert not [worker for worker in workers if worker.is_running()]
    assert background.running() is None
    assert not background.stop()


def test_it_does_not_take_another_programs_answer_for_its_own(port: int, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(BackgroundError, match="ended at once"):
            Background(tmp_path, f"http://127.0.0.1:{port}").start({})
