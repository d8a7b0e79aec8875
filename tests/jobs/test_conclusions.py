"""When a stage of the night has something to do, and for which applications."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from graph.lake import Lake
from graph.settings import Neo4jSettings
from ingest.mapping import Mapping
from jobs import conclusions
from jobs.conclusions import applied_days
from jobs.ledger import Ledger
from jobs.night import Night

DAY = dt.date(2026, 6, 30)


def _night(root: Path, day: dt.date = DAY, graph_only: bool = False) -> Night:
    settings = Neo4jSettings(home=root / "neo4j")
    return Night(day, root, Lake(root / "lake"), root / "keys", Mapping(), settings, root, graph_only=graph_only)


def _run(night: Night, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Run the hub stage as the night does, with a registry of one hub."""
    monkeypatch.setattr(conclusions, "write_hubs", lambda *_: {"courier": 1})
    with ledger.lease() as run:
        ledger.begin(run, 2, "hubs", night.day.isoformat(), "", {}, "")
        told = conclusions.hubs(lambda: None, night, ledger)
        ledger.end(run, "hubs", 0.1, told)
    return told


def test_a_stage_works_once_for_the_same_tables_and_again_when_one_has_changed(tmp_path, monkeypatch):
    night, ledger = _night(tmp_path), Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    people = pa.table({"id": ["per_1"]})
    write_deltalake(night.lake.graph("person"), people)
    assert _run(night, ledger, monkeypatch)["rows_out"] == 1
    assert _run(night, ledger, monkeypatch)["how"] == "unchanged"
    write_deltalake(night.lake.graph("person"), people, mode="append")
    assert _run(night, ledger, monkeypatch)["rows_out"] == 1
    assert _run(_night(tmp_path, DAY + dt.timedelta(days=1)), ledger, monkeypatch)["rows_out"] == 1


def test_a_night_for_the_graph_alone_concludes_nothing_and_the_next_one_makes_up_for_it(tmp_path, monkeypatch):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert _run(_night(tmp_path, graph_only=True), ledger, monkeypatch) == {"how": "left out"}
    assert _run(_night(tmp_path), ledger, monkeypatch)["rows_out"] == 1


def _delivered(lake: Lake, rows: list[tuple[dt.date, dt.date, dt.date]]) -> None:
    """Files and applications by night that read them, delivery and day of applying."""
    files = [{"source": "applications", "night": night, "delivered_on": on} for night, on, _ in rows]
    write_deltalake(lake.results("landing_files"), pa.Table.from_pylist(files))
    at = [dt.datetime.combine(day, dt.time(12), dt.UTC) for _, _, day in rows]
    write_deltalake(lake.raw("applications"), pa.table({"applied_at": at, "delivered_on": [on for _, on, _ in rows]}))


def test_features_are_asked_for_the_days_whose_applications_were_read_since_the_last_time(tmp_path):
    lake, day = Lake(tmp_path), dt.timedelta(days=1)
    first, second = DAY - day, DAY
    _delivered(
        lake,
        [(first, first, first - 300 * day), (second, second, second - day), (second, first - day, second - 9 * day)],
    )
    assert applied_days(lake, None, first) == (first - 300 * day,) * 2
    assert applied_days(lake, second, second) == (second - 9 * day, second - day)  # one file came with an older date
    assert applied_days(lake, second + day, second + day) is None


def test_a_lake_without_applications_asks_for_no_features(tmp_path):
    assert applied_days(Lake(tmp_path), None, DAY) is None
