"""What an operator reads in the terminal of a night that did not end."""

from __future__ import annotations

from pathlib import Path

from graph.ledger import Ledger
from jobs.summary import state


def test_a_failed_night_tells_what_the_failure_said_and_the_command_that_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.begin(1, 0, "load", "2026-06-30", None, {}, "python -m jobs nightly run --date 2026-06-30")
    ledger.end(1, "load", 3.0, {"cause": "Neo4j does not hold what the lake holds."}, "CountsDifferError")
    _, cause, command = state(ledger.records())
    assert cause == "Neo4j does not hold what the lake holds."
    assert str(command).endswith("python -m jobs nightly run --date 2026-06-30")


def test_a_failure_without_words_tells_its_class_in_the_table_and_the_command(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.begin(1, 0, "load", "2026-06-30", None, {}, "again")
    ledger.end(1, "load", 3.0, {"cause": None}, "KeyError")
    _, command = state(ledger.records())
    assert "Resume with" in str(command)
