"""The audit log: chained, append-only, safe with several writers, and loud when it cannot be written."""

from __future__ import annotations

import datetime as dt
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from graph.audit import GENESIS, AuditLog, AuditUnavailableError, Chain, Search


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "audit.db"


@pytest.fixture
def log(path: Path) -> AuditLog:
    return AuditLog(f"sqlite:///{path}")


def tamper(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(f"DROP TRIGGER audit_no_UPDATE; DROP TRIGGER audit_no_DELETE; {statement}")


def write(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(user="ann", action="reveal", object=f"tel_{number}", purpose="case 7")


def test_an_empty_log_is_whole(log: AuditLog) -> None:
    assert log.verify() == Chain(0, GENESIS, None)


def test_each_row_holds_the_hash_of_the_row_before(log: AuditLog) -> None:
    write(log, 3)
    third, second, first = log.entries()
    assert (first.previous_hash, second.previous_hash, third.previous_hash) == (GENESIS, first.hash, second.hash)
    assert [entry.seq for entry in (first, second, third)] == [1, 2, 3]
    assert first.at.endswith("+00:00")
    assert log.verify() == Chain(3, third.hash, None)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET purpose = 'none' WHERE seq = 3", 3),
        ("UPDATE audit SET hash = 'x' WHERE seq = 5", 5),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("UPDATE audit SET seq = 9 WHERE seq = 5", 5),
    ],
)
def test_the_first_altered_row_is_named(log: AuditLog, path: Path, statement: str, broken: int) -> None:
    write(log, 5)
    tamper(path, statement)
    assert log.verify().first_broken_seq == broken


def test_the_database_itself_refuses_to_change_or_remove_a_row(log: AuditLog, path: Path) -> None:
    write(log, 1)
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE audit SET user = 'x'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_writers_that_meet_leave_one_chain(log: AuditLog, path: Path) -> None:
    other = AuditLog(f"sqlite:///{path}")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write(log if number % 2 else other, 10), range(8)))
    assert log.verify().rows == 80
    assert log.verify().first_broken_seq is None


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AuditUnavailableError, match="nothing is shown"):
        write(AuditLog(f"sqlite:///{tmp_path / 'file' / 'audit.db'}"), 1)
    with pytest.raises(AuditUnavailableError, match="could not be written"):
        write(AuditLog(f"sqlite:///{tmp_path / 'file'}"), 1)


def test_the_file_is_readable_by_its_owner_only_and_synced_in_full(log: AuditLog, path: Path) -> None:
    write(log, 1)
    assert path.stat().st_mode & 0o077 == 0
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with log._engine().connect() as connection_:
        assert connection_.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_search_finds_by_user_action_day_and_whole_ids(log: AuditLog) -> None:
    for user, action, thing in (
        ("ann", "reveal", "per_1"), ("Ben", "canvas.see", "expand Person per_1: per_10 tel_a"),
        ("ben", "canvas.see", "menu Person per_10"), ("ann", "rings.see", "/rings ring=ring_1"),
    ):  # fmt: skip
        log.append(user=user, action=action, object=thing, purpose="case 7")

    def numbers(**wanted: Any) -> list[int]:
        assert log.count(Search(**wanted)) == len(log.found(Search(**wanted)))
        return [entry.seq for entry in log.found(Search(**wanted))]

    assert numbers() == [4, 3, 2, 1]
    assert numbers(user="BEN") == [3, 2]
    assert numbers(actions=("reveal", "rings.see")) == [4, 1]
    assert numbers(objects=("per_1",)) == [2, 1]  # not per_10
    assert numbers(objects=("ring_1", "per_10")) == [4, 3, 2]
    assert numbers(objects=("per%",)) == []
    assert numbers(objects=("' OR 1=1 --",)) == []
    assert numbers(head=2) == [2, 1]
    at = dt.datetime.fromisoformat(log.entries()[1].at)
    assert numbers(since=at) == [4, 3]
    assert numbers(until=at) == [2, 1]


def test_pages_of_a_search_neither_repeat_nor_miss_a_row_while_others_write(log: AuditLog) -> None:
    write(log, 25)
    search = Search(head=log.head())
    seen = []
    for page in log.pages(search, size=7):
        seen += [entry.seq for entry in page]
        write(log, 3)
    assert seen == list(range(25, 0, -1))


def test_a_known_chain_is_walked_on_from_its_end(log: AuditLog, path: Path) -> None:
    write(log, 3)
    known = log.verify()
    write(log, 2)
    assert log.verify(known) == log.verify()
    tamper(path, "UPDATE audit SET purpose = 'none' WHERE seq = 5")
    assert log.verify(known).first_broken_seq == 5


def test_a_known_chain_whose_end_was_changed_is_walked_from_its_first_row(log: AuditLog, path: Path) -> None:
    write(log, 3)
    known = log.verify()
    tamper(path, "DELETE FROM audit WHERE seq >= 3")
    assert log.verify(known) == log.verify()
    assert log.verify(known).rows == 2
