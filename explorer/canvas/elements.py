"""From what the graph answers to what the browser draws: only what the reader may see, in their language."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from explorer.masking import may_see_link, may_see_node, short, visible
from explorer.rights import Reader
from explorer.words import has, money, say, written
from graph.answers import Edge, End, Node, Relation

Element = dict[str, Any]
_LONG = frozenset({"evidence", "lineage", "parent_ids"})  # texts of many sentences: the page of a ring shows them
_MONEY = "_cny"


def node_key(label: str, id: str) -> str:
    """Return the one key of a node on a canvas."""
    return f"{label}:{id}"


def edge_key(relationship: str, src: End, dst: End) -> str:
    """Return the one key of a relationship: a pair of nodes has at most one of a type."""
    return f"{relationship} {node_key(src.label, src.id)} {node_key(dst.label, dst.id)}"


def edges_around(end: End, rows: Iterable[Relation]) -> list[Edge]:
    """Return the rows of a page as relationships in their own direction."""
    return [
        Edge(row.relationship, *((end, other) if row.direction == "out" else (other, end)), row.first_seen_at,
             row.last_seen_at, row.event_count, row.properties)
        for row in rows
        for other in [End(row.label, row.id)]
    ]  # fmt: skip


def label_word(label: str) -> str:
    """Return what a label is called."""
    return say(f"canvas.label.{label}")


def type_word(relationship: str) -> str:
    """Return what a relationship type is called."""
    return say(f"canvas.type.{relationship}")


def seconds(at: dt.datetime | None) -> int | None:
    """Return epoch seconds, for the browser to compare."""
    return None if at is None else int(at.timestamp())


def facts(user: Reader | None, properties: Mapping[str, Any]) -> list[list[str]]:
    """Return pairs of a word and a value, as the reader may see them."""
    return [
        [_property_word(name), _value(name, value)]
        for name, value in visible(user, properties).items()
        if name not in _LONG
    ]


def _property_word(name: str) -> str:
    return say(f"canvas.fact.{name}") if has(f"canvas.fact.{name}") else name


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return say("canvas.yes" if value else "canvas.no")
    if name == "typology" and has(f"rings.typology.{value}"):
        return say(f"rings.typology.{value}")
    if isinstance(value, str):
        return say(f"canvas.value.{value}") if has(f"canvas.value.{value}") else value
    if name.endswith(_MONEY):
        return money(value)
    if name == "birth_year":
        return str(value)
    return written(round(value, 3) if isinstance(value, float) else value)


def node_element(user: Reader | None, label: str, id: str, hubs: Mapping[str, tuple[str, str]]) -> Element:
    """Return a node to draw; `hubs` maps ids of hubs to their kind and the reason."""
    element: Element = {"key": node_key(label, id), "label": label, "id": id, "text": short(id)}
    if id in hubs:
        kind, reason = hubs[id]
        word = say(f"canvas.hub.{kind}") if has(f"canvas.hub.{kind}") else kind
        element |= {"hub": word, "hub_why": reason}
    return element


def node_facts(user: Reader | None, node: Node) -> Element:
    """Return what the inspector tells of a node beyond its name."""
    return {
        "facts": facts(user, node.properties),
        "first": seconds(node.first_seen_at),
        "last": seconds(node.last_seen_at),
    }


def edge_element(user: Reader | None, edge: Edge) -> Element:
    """Return a relationship to draw."""
    role = edge.properties.get("role")
    shown = {} if role is None else {"rank": role, "role": _value("role", role)}
    return shown | {
        "key": edge_key(edge.relationship, edge.src, edge.dst), "type": edge.relationship,
        "source": node_key(edge.src.label, edge.src.id), "target": node_key(edge.dst.label, edge.dst.id),
        "first": seconds(edge.first_seen_at), "last": seconds(edge.last_seen_at), "count": edge.event_count,
        "facts": facts(user, edge.properties),
    }  # fmt: skip


def picture(
    user: Reader | None, edges: Iterable[Edge], hubs: Mapping[str, tuple[str, str]], alone: Iterable[End] = ()
) -> Element:
    """Return the nodes and edges of some relationships, and of nodes without any, that the reader may see."""
    links = [
        edge
        for edge in edges
        if may_see_link(user, edge.relationship)
        and may_see_node(user, edge.src.label)
        and may_see_node(user, edge.dst.label)
    ]
    ends = dict.fromkeys([end for end in alone if may_see_node(user, end.label)])
    ends |= dict.fromkeys(end for edge in links for end in (edge.src, edge.dst))
    return {
        "nodes": [node_element(user, end.label, end.id, hubs) for end in ends],
        "edges": [edge_element(user, edge) for edge in links],
    }
