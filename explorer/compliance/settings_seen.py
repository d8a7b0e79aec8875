"""The settings that rule, as files, and what they were before: each content that was ever seen is kept.

They are looked at when the explorer starts and when the page is opened; a change between two looks shows as one.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Column, Integer, String, Table, Text, insert, select

from algorithms.contact.policy import POLICIES
from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore

RULES = POLICIES.parents[1] / "rules"

SETTINGS = Table(
    "explorer_settings", METADATA,
    Column("name", String(80), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1, for each name
    Column("digest", String(64), nullable=False),
    Column("version", String(40), nullable=False),  # as the file says; empty: it says none
    Column("text", Text, nullable=False),
    Column("seen_at", Utc, nullable=False),
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One content of a file: seen first then; its number among the contents of that name."""

    name: str
    number: int
    digest: str
    version: str
    text: str
    seen_at: dt.datetime


def names(policies: str) -> list[str]:
    """Return the contact policies in force, from `CREDIT_GRAPH_POLICIES`."""
    return [name.strip() for name in policies.split(",") if name.strip()]


def files(policies: str) -> dict[str, Path]:
    """Return the rule files and the contact policies in force, by the names they are kept under."""
    rules = {f"rules/{path.name}": path for path in sorted(RULES.glob("*.yml"))}
    return rules | {f"policies/{name}.yml": POLICIES / f"{name}.yml" for name in names(policies)}


def note(store: ExplorerStore, found: dict[str, Path], now: dt.datetime) -> None:
    """Keep the contents that are not the last ones kept.

    Raises:
        explorer.store.ExplorerStoreError: the store cannot be used.
    """
    texts = {name: path.read_text(encoding="utf-8") for name, path in found.items() if path.is_file()}
    with store.writing() as connection:
        for name, text in texts.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            newest = select(SETTINGS).where(SETTINGS.c.name == name).order_by(SETTINGS.c.number.desc()).limit(1)
            last = connection.execute(newest).first()
            if last is None or last.digest != digest:
                number = 1 if last is None else last.number + 1
                row = {"name": name, "number": number, "digest": digest, "version": _version(text), "text": text}
                connection.execute(insert(SETTINGS).values(**row, seen_at=now))


def history(store: ExplorerStore) -> dict[str, list[Setting]]:
    """Return the contents by name, the newest first.

    Raises:
        explorer.store.ExplorerStoreError: the store cannot be used.
    """
    found: dict[str, list[Setting]] = {}
    with store.reading() as connection:
        for row in connection.execute(select(SETTINGS).order_by(SETTINGS.c.name, SETTINGS.c.number.desc())):
            found.setdefault(row.name, []).append(Setting(*row))
    return found


def difference(before: Setting, after: Setting) -> str:
    """Return what changed, line by line."""
    lines = difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), lineterm="", n=1)
    return "\n".join(list(lines)[2:])


def _version(text: str) -> str:
    try:
        read: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return ""
    return str(read.get("version", ""))[:40] if isinstance(read, dict) else ""
