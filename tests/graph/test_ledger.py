"""One night at a time, and a ledger that says what is left to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text, update

from graph.ledger import LAST_STAGE, LOCK, Ledger, LostLeaseError, NightRunningError

HOLD = """
import sys, time
from graph.ledger import Ledger
with Ledger(sys.argv[1]).lease(seconds=float(sys.argv[2])) as run:
    print(run, flush=True)
    time.sleep(120)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a night."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, url, "60"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_night_is_refused_while_the_first_process_lives(url: str, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(NightRunningError, match=f"process {holder.pid} on "), Ledger(url).lease():
        pass


def test_the_lock_of_a_killed_night_is_taken_over_at_once(url: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with Ledger(url).lease() as run:
        assert run == 2


def test_a_lease_that_ran_out_is_taken_over_and_its_night_may_not_publish(url: str) -> None:
    ledger = Ledger(url)
    with ledger.lease() as first:
        ledger.check_fence(first)
        with create_engine(url).begin() as connection:  # as if this process had stood still for longer than its lease
            connection.execute(update(LOCK).values(expires_at=0.0))
        with Ledger(url).lease() as second:
            assert second == first + 1
            with pytest.raises(LostLeaseError, match=f"run {first} lost its lease to run {second}"):
                ledger.check_fence(first)
            ledger.check_fence(second)


def test_the_end_of_a_lost_lease_leaves_the_new_holder_in_place(url: str) -> None:
    ledger = Ledger(url)
    with ledger.lease():
        with create_engine(url).begin() as connection:
            connection.execute(update(LOCK).values(expires_at=0.0))
        taken = Ledger(url).lease()
        taken.__enter__()
    with pytest.raises(NightRunningError), ledger.lease():
        pass
    taken.__exit__(None, None, None)


def test_the_lease_is_renewed_while_the_night_runs(url: str) -> None:
    def expiry() -> float:
        with create_engine(url).connect() as connection:
            return float(connection.execute(text("SELECT expires_at FROM night_lock")).scalar_one())

    with Ledger(url).lease(seconds=0.2):
        begun = expiry()
        for _ in range(200):
            if expiry() > begun:
                break
        assert expiry() > begun
    assert expiry() == 0


def test_runs_are_numbered_on_and_a_night_that_fails_gives_the_lock_back(url: str) -> None:
    ledger = Ledger(url)
    with pytest.raises(ZeroDivisionError), ledger.lease():
        raise ZeroDivisionError
    with ledger.lease() as run:
        assert run == 2


def test_records_come_newest_first_and_tell_how_each_stage_ended(url: str) -> None:
    ledger = Ledger(url)
    for run, error in ((1, None), (2, "CountMismatchError")):
        for position, stage in enumerate(("ingest", "graph")):
            ledger.begin(run, position, stage, "2024-06-01", "digest", {"versions": {}})
            if (run, stage) != (2, "graph"):
                ledger.end(run, stage, 1.5, {"rows_out": 7}, error)
    told = [(r.run, r.stage, r.state, r.counts, r.seconds) for r in ledger.records()]
    assert told == [
        (2, "graph", "running", {"versions": {}}, None), (2, "ingest", "failed", {"rows_out": 7}, 1.5),
        (1, "graph", "done", {"rows_out": 7}, 1.5), (1, "ingest", "done", {"rows_out": 7}, 1.5),
    ]  # fmt: skip
    assert [r.run for r in ledger.records(limit=1)] == [2]
    newest = ledger.last_done("ingest")
    assert newest is not None
    assert newest.run == 1
    assert ledger.last_done("load") is None


def test_sources_touched_since_a_run_are_those_of_later_whole_ingests(url: str) -> None:
    ledger = Ledger(url)
    for run, touched, error in ((1, ["calls"], None), (2, ["loans"], None), (3, ["labels"], "KeyError"), (4, [], None)):
        ledger.begin(run, 0, "ingest", "2024-06-01", None, {})
        ledger.end(run, "ingest", 1.0, {"touched": touched}, error)
    assert ledger.touched_since(0) == {"calls", "loans"}
    assert ledger.touched_since(1) == {"loans"}
    assert ledger.touched_since(2) == set()


def test_runs_come_newest_first_by_one_question_and_tell_how_each_stands(url: str) -> None:
    ledger = Ledger(url)
    for run, end in ((1, "done"), (2, "failed"), (3, "cut off")):
        with ledger.lease() as number:
            assert number == run
            for position, stage in enumerate(("ingest", LAST_STAGE)):
                ledger.begin(run, position, stage, "2024-06-01", None, {}, f"run {run}")
                if (stage, end) == (LAST_STAGE, "failed"):
                    ledger.end(run, stage, 1.5, {"cause": "No room is left."}, "JarError")
                elif (stage, end) != (LAST_STAGE, "cut off"):
                    ledger.end(run, stage, 1.5, {"rows_out": 7})
            if end == "cut off":
                (now,) = ledger.runs(1)
                assert now.state == "running"
                assert now.holder is not None
                assert now.holder.pid == os.getpid()
    asked: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    found = Ledger(url).runs()
    assert len([sql for sql in asked if sql.startswith("SELECT")]) == 1
    assert [(run.number, run.state, run.command) for run in found] == [
        (3, "cut_off", "run 3"), (2, "failed", "run 2"), (1, "done", "run 1"),
    ]  # fmt: skip
    assert [stage.stage for stage in found[0].stages] == ["ingest", LAST_STAGE]
    assert found[1].stages[1].cause == "No room is left."
    assert found[1].stages[1].started_at is not None
    assert [run.number for run in ledger.runs(limit=2)] == [3, 2]


def test_a_run_whose_process_was_killed_is_cut_off_at_once(url: str, holder: subprocess.Popen[str]) -> None:
    ledger = Ledger(url)
    ledger.begin(1, 0, "ingest", "2024-06-01", None, {})
    assert ledger.runs()[0].state == "running"
    holder.kill()
    holder.wait()
    assert ledger.runs()[0].state == "cut_off"
    ledger.end(1, "ingest", 1.0, {})
    assert ledger.runs()[0].state == "cut_off"
