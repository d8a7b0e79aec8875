"""The vault: nothing is shown without an audit line, and a sealed value opens only in its own row."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from graph.audit import AuditLog, AuditUnavailableError
from graph.tokens import Keys, Kind
from graph.vault import Vault, VaultError, is_token, seal

pa = pytest.importorskip("pyarrow")
deltalake = pytest.importorskip("deltalake")

PLAIN = "+8613800138000"
OTHER = "+8613900139000"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.create(tmp_path / "keys.json")


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(f"sqlite:///{tmp_path / 'audit.db'}")


@pytest.fixture
def token(keys: Keys) -> str:
    return keys.token(Kind.PHONE, PLAIN)


@pytest.fixture
def vault(tmp_path: Path, keys: Keys, log: AuditLog) -> Vault:
    tokens = {keys.token(Kind.PHONE, plain): plain for plain in (PLAIN, OTHER)}
    rows = {
        "token": pa.array(list(tokens)),
        "sealed": pa.array([seal(keys, token, plain) for token, plain in tokens.items()], pa.binary()),
    }
    deltalake.write_deltalake(tmp_path / "vault", pa.table(rows))
    return Vault(tmp_path / "vault", keys, log)


def test_a_reveal_returns_the_value_and_leaves_an_audit_line(vault: Vault, log: AuditLog, token: str) -> None:
    assert vault.reveal(token, "ann", "case 7") == PLAIN
    (entry,) = log.entries()
    assert (entry.user, entry.action, entry.object, entry.purpose) == ("ann", "reveal", token, "case 7")


def test_without_an_audit_line_nothing_is_read(tmp_path: Path, keys: Keys, token: str) -> None:
    (tmp_path / "file").write_text("in the way")
    blind = Vault(tmp_path / "no-such-vault", keys, AuditLog(f"sqlite:///{tmp_path / 'file' / 'audit.db'}"))
    with pytest.raises(AuditUnavailableError):  # not VaultError: the missing table was never looked for
        blind.reveal(token, "ann", "case 7")


def test_a_locked_audit_log_shows_nothing(
    vault: Vault, tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.reveal(token, "ann", "case 7")
    monkeypatch.setattr("graph.audit._LOCK_SECONDS", 0.1)
    vault._audit = AuditLog(f"sqlite:///{tmp_path / 'audit.db'}")
    with sqlite3.connect(tmp_path / "audit.db") as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailableError, match="nothing is shown"):
            vault.reveal(token, "ann", "case 7")


@pytest.mark.parametrize(("user", "purpose"), [("", "case 7"), ("ann", " ")])
def test_a_reveal_needs_a_user_and_a_purpose(vault: Vault, log: AuditLog, token: str, user: str, purpose: str) -> None:
    with pytest.raises(VaultError, match="named user for a stated purpose"):
        vault.reveal(token, user, purpose)
    assert log.entries() == []


def test_a_plain_value_given_as_a_token_is_not_written_to_the_audit_log(vault: Vault, log: AuditLog) -> None:
    with pytest.raises(VaultError) as refused:
        vault.reveal(PLAIN, "ann", "case 7")
    assert PLAIN not in str(refused.value)
    assert log.entries() == []


def test_an_unknown_token_is_an_error_that_is_logged_too(vault: Vault, log: AuditLog) -> None:
    with pytest.raises(VaultError, match="holds no value"):
        vault.reveal("tel_" + "0" * 32, "ann", "case 7")
    assert len(log.entries()) == 1


def test_other_keys_and_another_row_do_not_open_a_value(
    vault: Vault, tmp_path: Path, keys: Keys, log: AuditLog, token: str
) -> None:
    with pytest.raises(VaultError, match="do not open tel_"):
        Vault(tmp_path / "vault", Keys.create(tmp_path / "other.json"), log).reveal(token, "ann", "case 7")
    moved = pa.table({"token": [token], "sealed": [seal(keys, "tel_" + "1" * 32, PLAIN)]})
    deltalake.write_deltalake(tmp_path / "moved", moved)
    with pytest.raises(VaultError, match="do not open tel_"):
        Vault(tmp_path / "moved", keys, log).reveal(token, "ann", "case 7")


def test_a_lake_without_a_vault_says_what_to_do(tmp_path: Path, keys: Keys, log: AuditLog, token: str) -> None:
    with pytest.raises(VaultError, match="Run a night first"):
        Vault(tmp_path / "none", keys, log).reveal(token, "ann", "case 7")


def test_sealing_twice_gives_two_ciphertexts_without_the_value(keys: Keys, token: str) -> None:
    first, second = seal(keys, token, PLAIN), seal(keys, token, PLAIN)
    assert first != second
    assert PLAIN.encode() not in first
    assert is_token(token)
    assert not is_token(PLAIN)
