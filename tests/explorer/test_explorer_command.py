"""`python -m explorer` as whoever runs it meets it."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from explorer.__main__ import app
from explorer.secret import cookie_key


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDIT_GRAPH_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("CREDIT_GRAPH_LAKE", str(tmp_path / "lake"))
    monkeypatch.delenv("CREDIT_GRAPH_STORE", raising=False)
    return tmp_path


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=typed)


def test_users_are_made_changed_locked_and_listed(home: Path) -> None:
    made = run("users", "add", "zhang", "--role", "analyst", "--invent")
    assert made.exit_code == 0, made.output
    password = re.search(r"shown this once: (\S+)", made.output)
    assert password
    assert len(password[1]) >= 20
    assert run("users", "add", "wang", "--role", "collector", typed="long enough 12\nlong enough 12\n").exit_code == 0
    assert run("users", "role", "wang", "--role", "collector", "--role", "operator").exit_code == 0
    assert run("users", "lock", "ZHANG").exit_code == 0
    listed = run("users", "list").output.splitlines()
    assert re.match(r"wang +collector, operator +\d{4}-\d\d-\d\d *$", listed[1])
    assert re.match(r"zhang +analyst +\d{4}-\d\d-\d\d +locked *$", listed[2])
    assert run("users", "unlock", "zhang").exit_code == 0
    assert "locked" not in run("users", "list").output
    store = home / "lake.leads.db"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    with sqlite3.connect(store) as connection:
        assert all(
            hash.startswith("$argon2id$") for (hash,) in connection.execute("SELECT password FROM explorer_users")
        )
    with sqlite3.connect(home / "audit.db") as connection:
        actions = [action for (action,) in connection.execute("SELECT action FROM audit ORDER BY seq")]
    assert actions == ["users.add", "users.add", "users.role", "users.lock", "users.unlock"]


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("add", "zhang", "--role", "director", "--invent"), None, "There is no role director"),
        (("add", " ", "--role", "admin", "--invent"), None, "printable"),
        (("add", "zhang", "--role", "admin"), "short\nshort\n", "12 characters"),
        (("lock", "nobody"), None, "no user of that name"),
        (("role", "nobody", "--role", "admin"), None, "no user of that name"),
    ],
)
def test_a_wrong_command_gets_one_sentence(home: Path, arguments: tuple[str, ...], typed: str, said: str) -> None:
    answer = run("users", *arguments, typed=typed)
    assert answer.exit_code == 1
    assert said in answer.output
    assert "Traceback" not in answer.output


def test_a_name_is_taken_once_however_it_is_written(home: Path) -> None:
    assert run("users", "add", "Zhang", "--role", "analyst", "--invent").exit_code == 0
    assert "already" in run("users", "add", "zhang", "--role", "admin", "--invent").output


def test_verify_names_the_first_broken_row(home: Path) -> None:
    for name in ("a", "b", "c"):
        run("users", "add", name, "--role", "admin", "--invent")
    whole = run("audit", "verify")
    assert whole.exit_code == 0
    assert "whole: 3 rows" in whole.output
    with sqlite3.connect(home / "audit.db") as connection:
        connection.execute("DROP TRIGGER audit_no_UPDATE")
        connection.execute("UPDATE audit SET object = 'x' WHERE seq = 2")
    broken = run("audit", "verify")
    assert broken.exit_code == 1
    assert "broken at row 2" in broken.output


def test_the_key_of_the_cookies_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "explorer.secret"
    first = cookie_key(path)
    assert cookie_key(path) == first
    assert len(first) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_help_does_not_wait_for_heavy_modules() -> None:
    code = "import sys, explorer.__main__; print({'dash', 'flask', 'neo4j', 'polars', 'sqlalchemy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_the_application_never_loads_spark_or_torch() -> None:
    heavy = {"pyspark", "delta", "torch", "jobs", "ingest", "gnn"}
    code = f"import sys, explorer.application; print({heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
