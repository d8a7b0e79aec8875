"""The stage that looks for leads: what starts it anew, what fills the queue, and what never stops a night."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from graph.lake import Lake
from graph.ledger import Ledger
from graph.settings import Neo4jSettings
from ingest.mapping import Mapping
from jobs import contacts
from jobs.night import Night
from jobs.summary import summary

DAY = dt.date(2026, 6, 30)
TOLD = {"states": {"lost": 1}, "loans_looked_for": 1, "loans_with_lead": 1, "loans_allowed": 1, "rows_out": 1}
LOST_SINCE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def _night(root: Path, graph_only: bool = False) -> Night:
    settings = Neo4jSettings(home=root / "neo4j")
    return Night(DAY, root, Lake(root / "lake"), root / "keys", Mapping(), settings, root, graph_only=graph_only)


def _found(night: Night) -> None:
    """Leads as the stage writes them: one borrower, one number."""
    state = {
        "loan_id": "L1", "applicant_id": "a", "person_id": "per_a", "state": "lost", "lost_since": LOST_SINCE,
        "numbers": ["tel_old"], "overdue_cny": 1000.0, "as_of_date": DAY,
    }  # fmt: skip
    lead = {
        "loan_id": "L1", "applicant_id": "a", "person_id": "per_a", "as_of_date": DAY, "rank": 1, "phone": "tel_new",
        "route": "own_new_number", "via": ["per_a", "tel_new"], "probability": 0.9, "allowed": True, "evidence": "[]",
        "holdout": False, "call_to": "debtor", "related": False, "sources": ["handset"],
    }  # fmt: skip
    for name, row in (("contact_states", state), ("leads", lead)):
        write_deltalake(night.lake.results(name), pl.DataFrame([row]).to_arrow(), mode="overwrite")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the stage as a night does; `run.calls` counts how often leads were looked for."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    for name in ("STORE", "POLICIES", "ZONE"):
        monkeypatch.delenv(f"CREDIT_GRAPH_{name}", raising=False)

    def find_leads(*_: object) -> dict:
        stage.calls += 1
        _found(_night(tmp_path))
        return dict(TOLD)

    def stage(graph_only: bool = False) -> dict:
        night = _night(tmp_path, graph_only)
        with ledger.lease() as number:
            ledger.begin(number, 7, "leads", DAY.isoformat(), "", {}, "")
            told = contacts.leads(lambda: None, night, ledger)
            ledger.end(number, "leads", 0.1, told)
        return told

    stage.calls = 0
    monkeypatch.setattr(contacts, "find_leads", find_leads)
    return stage


def test_leads_are_looked_for_once_for_the_same_tables_and_wait_in_the_queue(run, tmp_path):
    assert run()["queued"] == 1
    assert run()["how"] == "unchanged"
    assert run.calls == 1
    assert (tmp_path / "lake.leads.db").exists()
    attempt = dict.fromkeys(("attempt_id", "loan_id", "applicant_id", "phone", "outcome", "channel", "collector"), "x")
    attempt |= {"applicant_id": "a", "outcome": "no_answer"}
    dates = {"attempted_at": LOST_SINCE, "delivered_on": DAY, "ended_on": None}
    rows = pl.DataFrame([attempt | dates], schema_overrides={"ended_on": pl.Date})
    write_deltalake(tmp_path / "lake" / "raw" / "contact_attempts", rows.to_arrow())
    assert run()["queued"] == 1
    assert run.calls == 2


def test_other_policies_look_anew(run, monkeypatch):
    run()
    monkeypatch.setenv("CREDIT_GRAPH_POLICIES", "cn,us")
    run()
    assert run.calls == 2


def test_a_queue_that_cannot_be_reached_is_an_alarm_and_the_leads_stay_in_the_lake(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CREDIT_GRAPH_STORE", f"sqlite:///{tmp_path}/ledger.sqlite/no-folder/leads.db")
    told = run()
    assert (told["status"], told["rows_out"]) == ("alarm", 1)
    assert "could not be used" in told["sentences"][0]
    table = summary(dt.datetime(2026, 6, 30), {"leads": told | {"seconds": 1.0}})
    assert "1 may be called; " in str(next(iter(table.columns[-1].cells)))
    monkeypatch.delenv("CREDIT_GRAPH_STORE")
    assert run()["queued"] == 1  # the next night fills it


def test_a_night_for_the_graph_alone_looks_for_nobody(run):
    assert run(graph_only=True) == {"how": "left out"}
    assert run.calls == 0
