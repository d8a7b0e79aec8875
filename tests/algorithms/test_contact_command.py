"""`python -m algorithms leads`: a collector's day on the command line, and the mistakes people make."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import algorithms.contact.command as command
from algorithms.__main__ import app
from tests.algorithms.contact_world import HOUR, MINUTE, NOON, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two borrowers, one with two leads; the settings name their lake."""
    world = World(tmp_path)
    world.lost("wei")
    world.gave_out("wei")
    world.lead("wei", "new", 0.8)
    world.lead("wei", "sister", 0.4, third=True)
    world.lost("li")
    world.lead("li", "li's", holdout=True)
    world.written()
    monkeypatch.setenv("CREDIT_GRAPH_LAKE", str(world.lake.root))
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    for name in ("STORE", "POLICIES", "ZONE"):
        monkeypatch.delenv(f"CREDIT_GRAPH_{name}", raising=False)
    at(monkeypatch, NOON)
    return world


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(command, "_now", lambda: now)


def says(*words: str) -> str:
    """Run `leads` with these words and return what it prints."""
    done = CliRunner().invoke(app, ["leads", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refuses(*words: str) -> str:
    done = CliRunner().invoke(app, ["leads", *words], catch_exceptions=False)
    assert done.exit_code == 1, done.output
    return " ".join(done.output.split())


def test_a_collector_s_day(world: World, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDIT_GRAPH_STORE", store_url)
    assert "2 leads to call; 1 borrowers are held out" in says("load")
    assert "nothing changed" in says("load")
    offered = says("next", "--user", "zhang")
    assert "L-wei" in offered
    assert "12,345.67" in offered
    assert "2026-07-01 22:00" in offered
    lead = re.search(r"lead_[0-9a-f]{16}", offered)
    assert lead is not None
    opened = says("open", lead[0], "--user", "zhang", "--purpose", "case 17")
    assert world.plain[world.tel("new")] in opened
    assert "Dial before 2026-07-01 12:15" in opened
    call = re.search(r"call_[0-9a-f]{24}", opened)
    assert call is not None
    assert call[0] in says("queue", "--user", "zhang")
    assert call[0] in says("untold")
    at(monkeypatch, NOON + MINUTE)
    assert "ended: third_person" in says("outcome", call[0], "third_person", "--user", "zhang")
    assert "nothing changed" in says("outcome", call[0], "third_person", "--user", "zhang")
    third = says("next", "--user", "zhang")
    assert "a third person" in third
    assert not re.search(r"L-wei|12,345|%", third)
    sister = re.search(r"lead_[0-9a-f]{16}", third)
    assert sister is not None
    says("open", sister[0], "--user", "zhang", "--purpose", "case 17")
    assert "do-not-contact list" in says("outcome", sister[0], "refused", "--user", "zhang")
    assert "No lead may be called now. None is waiting" in says("next", "--user", "zhang")
    assert world.tel("sister") in says("do-not-contact", "list").replace("\n", "")
    assert "Too few to say" in says("uplift")


def test_at_night_the_time_to_come_back_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    says("load")
    at(monkeypatch, NOON + 11 * HOUR)
    assert "There may be one from 2026-07-02 08:00 on (Asia/Shanghai)" in says("next", "--user", "zhang")
    assert "No lead may be called now; there may be one" in says("queue", "--user", "zhang")


def test_the_list_takes_plain_numbers_and_keeps_tokens(world: World) -> None:
    says("load")
    plain = world.plain[world.tel("new")]
    added = says("do-not-contact", "add", f"tel:{plain}", "--reason", "complaint", "--user", "chief")
    assert plain not in added
    assert "nothing changed" in says("do-not-contact", "add", world.tel("new"), "--reason", "asked", "--user", "chief")
    assert "a third person" in says("next", "--user", "zhang")
    says("do-not-contact", "remove", world.tel("new"), "--reason", "mistake", "--user", "chief")
    assert "L-wei" in says("next", "--user", "zhang")
    assert world.audit.entries()[0].action == "do_not_contact_remove"
    assert "is not on the list" in refuses(
        "do-not-contact", "remove", world.tel("new"), "--reason", "mistake", "--user", "chief"
    )


def test_a_lead_is_given_to_another_collector(world: World) -> None:
    says("load")
    lead = re.search(r"lead_[0-9a-f]{16}", says("queue", "--user", "zhang"))
    assert lead is not None
    says("assign", lead[0], "--to", "wang", "--user", "chief")
    assert "No lead may be called now" in says("next", "--user", "zhang")
    assert "2 leads may be called now" in says("queue", "--user", "wang")


def test_mistakes_end_as_one_sentence_that_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    says("load")
    assert "Ask for the next one" in refuses("open", "lead_none", "--user", "zhang", "--purpose", "case 17")
    assert "A call ends as one of right_person" in refuses("outcome", "call_1", "busy", "--user", "zhang")
    assert "There is no such call" in refuses("outcome", "call_1", "no_answer", "--user", "zhang")
    assert "A collector is needed by name" in refuses("next", "--user", " ")
    assert "free text could name a person" in refuses(
        "do-not-contact", "add", "tel:13800138000", "--reason", "Mr Wei", "--user", "chief"
    )
    assert "A phone number was needed" in refuses(
        "do-not-contact", "add", "person:per_1", "--reason", "asked", "--user", "chief"
    )
    monkeypatch.setenv("CREDIT_GRAPH_POLICIES", "xx")
    assert "There are: cn, us" in refuses("next", "--user", "zhang")
    monkeypatch.setenv("CREDIT_GRAPH_POLICIES", "cn")
    monkeypatch.setenv("CREDIT_GRAPH_ZONE", "Asia/Nowhere")
    assert "not 'Asia/Nowhere'" in refuses("next", "--user", "zhang")
    monkeypatch.setenv("CREDIT_GRAPH_STORE", "nonsense")
    assert "needs an SQLAlchemy URL" in refuses("next", "--user", "zhang")
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(world.folder / "none.json"))
    assert "token keys were needed" in refuses("next", "--user", "zhang")


def test_a_lake_without_leads_is_no_traceback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Run a night that looks for leads first" in refuses("load", "--lake", str(world.folder / "empty"))


def test_who_only_calls_loads_neither_spark_nor_torch_nor_polars() -> None:
    heavy = ("pyspark", "torch", "polars", "pandas", "deltalake", "neo4j")
    told = "import sys, algorithms.__main__, algorithms.contact.queue, algorithms.contact.uplift, "
    told += f"algorithms.contact.suppression; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
