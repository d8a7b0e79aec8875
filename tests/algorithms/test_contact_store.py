"""The store: how its files are kept, and what is said when it cannot be used."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from algorithms.contact.policy import PolicyError
from algorithms.contact.settings import QueueSettings
from algorithms.contact.store import ATTEMPTS, META, Store, StoreError
from tests.algorithms.contact_world import NOON


def test_a_sqlite_store_is_its_owner_s_alone_and_is_written_through(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'new' / 'leads.db'}")
    with store.reading() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert asked == ["wal", 2]
    assert stat.S_IMODE((tmp_path / "new" / "leads.db").stat().st_mode) == 0o600


def test_even_a_mistake_in_our_code_cannot_open_two_calls_about_a_debtor_to_a_number_or_of_a_collector(
    store: Store,
) -> None:
    call = {"source": "here", "loan_id": "L", "applicant_id": "A", "at": NOON, "outcome": None}
    first = {"attempt_id": "1", "debtor": "d", "phone": "p", "collector": "c"}
    with store.writing() as connection:
        connection.execute(insert(ATTEMPTS).values(call | first))
    for same in ("debtor", "phone", "collector"):
        second = {"attempt_id": "2", "debtor": "d2", "phone": "p2", "collector": "c2"} | {same: first[same]}
        with pytest.raises(IntegrityError), store.writing() as connection:
            connection.execute(insert(ATTEMPTS).values(call | second))
        with store.writing() as connection:
            connection.execute(insert(ATTEMPTS).values(call | second | {"attempt_id": same, "outcome": "no_answer"}))


def test_many_may_be_the_first_to_use_a_store(store_url: str) -> None:
    ready = Barrier(8)

    def first(_: int) -> list[str]:
        ready.wait()
        with Store(store_url).writing() as connection:
            return list(connection.execute(select(META.c.value)).scalars())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [["1"]] * 8


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    values = {"attempt_id": "1", "source": "here", "loan_id": "L", "applicant_id": "A", "phone": "p"}
    with pytest.raises(StoreError), store.writing() as connection:
        connection.execute(insert(ATTEMPTS).values(**values, at=datetime(2026, 7, 1)))


def test_tables_of_another_version_are_left_alone(store: Store, store_url: str) -> None:
    with store.writing() as connection:
        connection.execute(update(META).values(value="99"))
    with pytest.raises(StoreError, match="version 99"), Store(store_url).reading():
        pass


def test_a_store_that_cannot_be_used_says_so_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SQLAlchemy URL"):
        Store("leads.db")
    with pytest.raises(StoreError, match="not in mysql"):
        Store("mysql://host/leads")
    with (
        pytest.raises(StoreError, match="could not be used") as refused,
        Store(f"postgresql://ann:secret@/leads?host={tmp_path}").reading(),
    ):
        pass
    assert "secret" not in str(refused.value)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="could not be used"), Store(f"sqlite:///{tmp_path}/file/leads.db").reading():
        pass


def test_settings_name_the_store_beside_the_keys_and_the_policies_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORE", "POLICIES", "ZONE"):
        monkeypatch.delenv(f"CREDIT_GRAPH_{name}", raising=False)
    assert QueueSettings().url(tmp_path / "berka") == f"sqlite:///{tmp_path / 'berka.leads.db'}"
    assert [policy.name for policy in QueueSettings().in_force()] == ["cn"]
    monkeypatch.setenv("CREDIT_GRAPH_STORE", "postgresql://ann:secret@host/leads")
    monkeypatch.setenv("CREDIT_GRAPH_POLICIES", "us, cn")
    settings = QueueSettings()
    assert settings.url(tmp_path / "berka") == "postgresql://ann:secret@host/leads"
    assert "secret" not in repr(settings)
    assert [policy.name for policy in settings.in_force()] == ["us", "cn"]
    with pytest.raises(PolicyError, match="without a policy"):
        QueueSettings(policies=" , ").in_force()
