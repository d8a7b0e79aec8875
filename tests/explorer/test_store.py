"""Users, sessions and the count of wrong passwords on both databases that the store may lie in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import inspect, select

from algorithms.contact.settings import QueueSettings
from explorer.accounts import SESSIONS, AccountError, LastAdminError
from explorer.application import create_app
from explorer.lockout import TriesStorage
from explorer.rights import Role
from explorer.settings import ExplorerSettings
from explorer.store import ExplorerStore, ExplorerStoreError
from graph.settings import Neo4jSettings, PlatformSettings
from tests.algorithms.conftest import postgres, store_url
from tests.explorer.conftest import PASSWORD, desk_of, signed_in
from tests.explorer.test_sessions import attempt

__all__ = ["postgres", "store_url"]  # fixtures: a SQLite file, and a PostgreSQL of the tests' own


@pytest.fixture
def app(store_url: str, tmp_path: Path) -> Flask:
    platform = PlatformSettings(keys=tmp_path / "keys.json", lake=tmp_path / "lake")
    neo4j = Neo4jSettings(uri="bolt://127.0.0.1:1")
    return create_app(ExplorerSettings(), platform, QueueSettings(store=SecretStr(store_url)), neo4j)


def test_users_sign_in_are_changed_and_locked(app: Flask) -> None:
    accounts = desk_of(app).accounts
    with app.app_context():
        accounts.add("Zhang", [Role.ANALYST], PASSWORD)
        accounts.add("wang", [Role.ANALYST, Role.ADMIN], PASSWORD)
        with pytest.raises(AccountError, match="already"):
            accounts.add("ZHANG", [Role.ADMIN], PASSWORD)
        accounts.add("chen", [Role.ADMIN], PASSWORD)
        accounts.set_roles("wang", [Role.COLLECTOR])
        assert [user.name for user in accounts.all()] == ["chen", "wang", "Zhang"]
        assert accounts.named("WANG").role_names == {"collector"}
    client = signed_in(app, "zhang")
    assert client.layout().status_code == 200
    with app.app_context():
        accounts.set_active("zhang", False)
    assert client.layout().status_code == 401
    assert attempt(app.test_client(), "zhang", PASSWORD) == 200
    with desk_of(app).store.reading() as connection:
        row = connection.execute(select(SESSIONS)).one()
    assert len(row.digest) == 64


def test_of_two_administrators_who_demote_each_other_at_once_one_stays(app: Flask) -> None:
    accounts = desk_of(app).accounts
    with app.app_context():
        for name in ("zhang", "wang"):
            accounts.add(name, [Role.ADMIN], PASSWORD)
    begin = threading.Barrier(2)

    def demote(name: str) -> bool:
        with app.app_context():
            begin.wait()
            try:
                accounts.set_roles(name, [Role.ANALYST])
            except LastAdminError:
                return False
            return True

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(demote, ("zhang", "wang"))) == [False, True]
        with app.app_context():
            for name in ("zhang", "wang"):
                accounts.set_roles(name, [Role.ADMIN])


def test_wrong_passwords_make_a_name_wait(app: Flask) -> None:
    with app.app_context():
        desk_of(app).accounts.add("zhang", [Role.ANALYST], PASSWORD)
    assert [attempt(app.test_client(), "zhang", "wrong wrong wrong") for _ in range(6)] == [200] * 5 + [429]


def test_what_two_count_at_once_is_counted_twice(app: Flask) -> None:
    storage = TriesStorage(store=desk_of(app).store)
    threads = [threading.Thread(target=lambda: [storage.incr("k", 60) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("k") == 40
    assert storage.incr("short", 0) == 1
    assert storage.get("short") == 0  # its window has ended
    storage.clear("k")
    assert storage.get("k") == 0


def test_its_tables_are_its_own_and_are_made_once(app: Flask) -> None:
    store = desk_of(app).store
    store.make()
    names = inspect(store.engine).get_table_names()
    assert {"explorer_users", "explorer_roles", "explorer_sessions", "explorer_tries"} <= set(names)
    assert all(name.startswith("explorer_") for name in names)


def test_a_store_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExplorerStoreError, match="SQLAlchemy URL"):
        ExplorerStore("nonsense")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExplorerStoreError, match="could not be used"):
        ExplorerStore(f"sqlite:///{tmp_path / 'file' / 'store.db'}").make()
