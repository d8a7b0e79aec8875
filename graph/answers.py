"""What the reader answers: frozen records with times in UTC, made from the plain maps of the server; and its errors."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from graph.queries import Branch
from graph.schema import EDGES, NODES, Value

_VALUES: tuple[Value, ...] = tuple(value for item in NODES for value in item.values) + tuple(
    value for item in EDGES for value in item.properties
)
_TIMES = {value.name: value.type for value in _VALUES if value.type in ("timestamp", "date")}
_KEYS = frozenset({"id", "first_seen_at", "last_seen_at", "event_count"})

Direction = Literal["in", "out"]


class GraphError(Exception):
    """A question that could not be answered; the message says why and what to ask instead."""


class UnknownNameError(GraphError):
    """A label, relationship type or direction that the schema does not have."""


class NodeMissingError(GraphError):
    """A node was needed that is not in the graph."""


class StoppedError(GraphError):
    """The answer took longer than the time limit."""


class CursorError(GraphError):
    """A page mark that no page of this question handed out."""


@dataclass(frozen=True)
class Node:
    """One node; `properties` are those of its label beyond the times."""

    label: str
    id: str
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Count:
    """How many relationships of one type and direction lead to nodes of one label; exact."""

    relationship: str
    direction: Direction
    label: str
    count: int


@dataclass(frozen=True)
class Relation:
    """One relationship seen from a node: `out` leaves that node; label and id are the other end's.

    A relationship of a node with itself is there twice, once in each direction, as in the counts.
    """

    relationship: str
    direction: Direction
    label: str
    id: str
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    event_count: int | None
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Cursor:
    """Where a page ended: the next one begins after it, whatever was added meanwhile.

    `number` is that of a relationship in the night's store: the next page has smaller ones of the same second.
    """

    at: int
    branch: str
    number: int

    def text(self) -> str:
        """Return the mark to hand to a person or put in a URL."""
        return base64.urlsafe_b64encode(json.dumps([self.at, self.branch, self.number]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor of a mark.

        Raises:
            CursorError: the text is not a mark.
        """
        try:
            at, branch, number = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            return cls(_whole(at), str(branch), _whole(number))
        except (ValueError, TypeError, OverflowError):
            raise CursorError("That is not a page mark. Copy the one below the page before, or leave it out.") from None


def _whole(value: Any) -> int:
    """Return a number as Neo4j can hold it."""
    if not -(2**63) <= (number := int(value)) < 2**63:
        raise ValueError(value)
    return number


@dataclass(frozen=True)
class Page:
    """At most 200 rows, newest first, and where the next page begins: None after the last."""

    rows: tuple[Relation, ...]
    next: Cursor | None


@dataclass(frozen=True)
class Layer:
    """A node, the exact counts around it, and a page of its relationships."""

    node: Node
    counts: tuple[Count, ...]
    page: Page
    total: int


@dataclass(frozen=True)
class End:
    """One node by name."""

    label: str
    id: str


@dataclass(frozen=True)
class Edge:
    """One relationship with both ends, in its own direction."""

    relationship: str
    src: End
    dst: End
    first_seen_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    event_count: int | None
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Newest:
    """A page of relationships of the whole graph, newest first."""

    rows: tuple[Edge, ...]
    next: Cursor | None


@dataclass(frozen=True)
class Paths:
    """Shortest paths, each a sequence of edges; the sentence says why there are none."""

    paths: tuple[tuple[Edge, ...], ...]
    sentence: str
    stopped: bool = False


@dataclass(frozen=True)
class CommonNode:
    """A node next to two others, and the relationship types to each."""

    label: str
    id: str
    with_a: tuple[str, ...]
    with_b: tuple[str, ...]


@dataclass(frozen=True)
class Common:
    """The first common neighbors by label and id, and how many there are."""

    rows: tuple[CommonNode, ...]
    total: int


def epoch(at: dt.datetime) -> int:
    """Return epoch seconds, up to the next whole one: as a lower bound it is inclusive."""
    if at.tzinfo is None:
        raise GraphError("A time with a zone was needed, for example in UTC; the one given has none.")
    return -int(-at.timestamp() // 1)


def _time(seconds: Any) -> dt.datetime | None:
    return None if seconds is None else dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def _properties(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in values.items() if name not in _KEYS}
    for name in plain.keys() & _TIMES.keys():
        at = _time(plain[name])
        plain[name] = at.date() if at and _TIMES[name] == "date" else at
    return dict(sorted(plain.items()))


def to_node(label: str, values: Mapping[str, Any]) -> Node:
    """Return the node of a property map."""
    first, last = _time(values.get("first_seen_at")), _time(values.get("last_seen_at"))
    return Node(label, values["id"], first, last, _properties(values))


def _facts(relation: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "first_seen_at": _time(relation.get("first_seen_at")),
        "last_seen_at": _time(relation.get("last_seen_at")),
        "event_count": relation.get("event_count"),
        "properties": _properties(relation),
    }


def to_relation(branch: Branch, item: Mapping[str, Any]) -> Relation:
    """Return a row of a page statement as seen from the node."""
    direction = cast(Direction, branch.direction)
    return Relation(branch.relationship, direction, item["label"], item["id"], **_facts(item["relation"]))


def to_edge(name: str, item: Mapping[str, Any]) -> Edge:
    """Return a row of the newest statement."""
    src, dst = End(item["src_label"], item["src"]), End(item["dst_label"], item["dst"])
    return Edge(name, src, dst, **_facts(item["relation"]))


def to_path(nodes: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> tuple[Edge, ...]:
    """Return a row of a path statement as edges in order; each keeps its own direction."""
    ends = [End(node["label"], node["id"]) for node in nodes]
    edges = []
    for left, right, step in zip(ends, ends[1:], steps, strict=False):
        src, dst = (left, right) if step["forward"] else (right, left)
        edges.append(Edge(step["relationship"], src, dst, **_facts(step["relation"])))
    return tuple(edges)
