"""A ring as an analyst reads it: members, evidence and lineage, made from the texts that Neo4j holds."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graph.answers import to_node

ROLES = ("core", "member", "suspected_agent")
STATUSES = ("born", "same", "grown", "merged", "split", "dissolved")


@dataclass(frozen=True)
class Evidence:
    """One sentence, and the nodes and relationships that it rests on, as the detector named them."""

    text: str
    nodes: tuple[Any, ...]
    relationships: tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """What became of the ring on a day; `from_ids` are the rings it came from, where it came from others."""

    date: str
    status: str
    from_ids: tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """One person of the ring; the times say since when and until when the links to it were seen (UTC)."""

    person_id: str
    role: str | None
    score: float | None
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Ring:
    """One ring as of `as_of_date`; `size` counts all members, `members` are the first of them, core first.

    In a list, evidence and members are left out.
    """

    id: str
    status: str | None
    score: float | None
    size: int | None
    typology: str | None
    exposure_cny: float | None
    as_of_date: dt.date | None
    born_on: dt.date | None
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    parent_ids: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    lineage: tuple[Step, ...] = ()
    members: tuple[Member, ...] = ()
    total: int = 0


@dataclass(frozen=True)
class Rings:
    """The first rings of a list, and how many there are."""

    rows: tuple[Ring, ...]
    total: int


def to_ring(values: Mapping[str, Any], members: Sequence[Mapping[str, Any]] = (), total: int = 0) -> Ring:
    """Return the ring of a property map and of the maps of its members; an unreadable text counts as empty."""
    node = to_node("Ring", values)
    plain = {name: node.properties.get(name) for name in _PLAIN}
    return Ring(
        id=node.id, first_seen_at=node.first_seen_at, last_seen_at=node.last_seen_at,
        parent_ids=tuple(str(id) for id in _listed(values.get("parent_ids"))),
        evidence=_evidence(values.get("evidence")), lineage=_lineage(values.get("lineage")),
        members=tuple(_member(item) for item in members), total=total, **plain,
    )  # fmt: skip


_PLAIN = ("status", "score", "size", "typology", "exposure_cny", "as_of_date", "born_on")


def _member(item: Mapping[str, Any]) -> Member:
    seen = to_node("Person", {**item["relation"], "id": item["id"]})
    role, score = (item["relation"].get(name) for name in ("role", "score"))
    evidence = _evidence(item["relation"].get("evidence"))
    return Member(seen.id, role, score, seen.first_seen_at, seen.last_seen_at, evidence)


def _listed(text: Any) -> list[Any]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else () if value is None else (value,)


def _evidence(text: Any) -> tuple[Evidence, ...]:
    items = (item for item in _listed(text) if isinstance(item, dict))
    return tuple(
        Evidence(str(item.get("text", "")), _many(item.get("nodes")), _many(item.get("relationships")))
        for item in items
    )


def _lineage(text: Any) -> tuple[Step, ...]:
    items = (item for item in _listed(text) if isinstance(item, dict))
    return tuple(
        Step(str(item.get("date", "")), str(item.get("status", "")), tuple(str(id) for id in _many(item.get("from"))))
        for item in items
    )
