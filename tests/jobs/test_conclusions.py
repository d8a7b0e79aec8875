"""When a stage of the night has something to do, and for which applications."""

import datetime as dt
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from gnn.champion.registry import RegistryError
from graph.lake import Lake
from graph.ledger import Ledger
from graph.settings import Neo4jSettings
from ingest.mapping import Mapping
from jobs import conclusions
from jobs.conclusions import applied_days
from jobs.night import Night
from jobs.summary import summary

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


HERE = Path(__file__).parents[2]


def _no_spark():
    raise AssertionError("nothing to score, so nothing should start Spark")


def _scored(night: Night, ledger: Ledger) -> dict:
    """Run the scores as the night does."""
    with ledger.lease() as run:
        ledger.begin(run, 6, "scores", night.day.isoformat(), "", {}, "")
        told = conclusions.scores(_no_spark, night, ledger)
        ledger.end(run, "scores", 0.1, told)
    return told


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A night whose champion is m-1, and its ledger; scoring is told, not done."""
    monkeypatch.setattr("gnn.night.champion", lambda _: ("m-1", "head 1"))
    monkeypatch.setattr("gnn.night.not_installed", list)
    monkeypatch.setattr("gnn.night.score_and_watch", lambda *_: {"rows_out": 3, "status": "ok"})
    monkeypatch.setattr(f"{__name__}._no_spark", lambda: None)
    return _night(tmp_path), Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def test_without_a_champion_or_for_the_graph_alone_nothing_is_scored(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    night = replace(_night(tmp_path), models=tmp_path / "models")
    assert _scored(night, ledger) == {"how": "no champion"}
    assert not night.models.exists()
    assert _scored(replace(night, graph_only=True), ledger) == {"how": "left out"}


def test_a_night_without_a_champion_never_imports_pytorch(tmp_path):
    night = (
        "import sys; from pathlib import Path; from gnn import night; import jobs.nightly\n"
        f"assert night.champion(Path({str(tmp_path)!r})) is None; night.not_installed()\n"
        "assert not {'torch', 'lightgbm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", night], check=True, cwd=HERE)


def test_scores_are_made_once_for_the_same_tables_and_champion(scored, monkeypatch):
    night, ledger = scored
    assert _scored(night, ledger)["rows_out"] == 3
    assert _scored(night, ledger)["how"] == "unchanged"
    write_deltalake(night.lake.raw("labels"), pa.table({"label": ["fraud"]}))
    assert _scored(night, ledger)["rows_out"] == 3
    assert _scored(night, ledger)["how"] == "unchanged"
    monkeypatch.setattr("gnn.night.champion", lambda _: ("m-2", "head 2"))
    assert _scored(night, ledger)["rows_out"] == 3


def test_a_champion_whose_packages_are_missing_stops_no_night_and_says_what_to_run(scored, monkeypatch):
    night, ledger = scored
    monkeypatch.setattr("gnn.night.not_installed", lambda: ["torch"])
    told = _scored(night, ledger)
    assert told["how"] == "models are not installed"
    assert "m-1 needs torch" in told["sentences"][0]
    assert "make models" in told["sentences"][0]
    monkeypatch.setattr("gnn.night.not_installed", list)
    assert _scored(night, ledger)["rows_out"] == 3  # made up for


def test_a_champion_that_cannot_score_is_an_alarm_and_a_defect_of_ours_stops_the_night(scored, monkeypatch):
    night, ledger = scored

    def refuse(*_):
        raise RegistryError("model.json is changed since it was registered. Restore it.")

    monkeypatch.setattr("gnn.night.score_and_watch", refuse)
    told = _scored(night, ledger)
    assert (told["how"], told["status"]) == ("not scored", "alarm")
    assert told["sentences"] == ["model.json is changed since it was registered. Restore it."]
    table = summary(dt.datetime(2026, 6, 30), {"scores": told | {"seconds": 1.0}})
    assert list(table.columns[-1].cells) == [f"not scored: {told['sentences'][0]}"]
    monkeypatch.setattr("gnn.night.score_and_watch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        conclusions.scores(lambda: None, night, ledger)


def test_the_summary_tells_how_the_champion_does():
    told = {"scores": {"rows_out": 5, "status": "warn", "seconds": 1.0}, "drift": {"status": "ok", "seconds": 1.0}}
    assert list(summary(dt.datetime(2026, 6, 30), told).columns[-1].cells) == ["warn", "ok"]
