"""A kept scene, read anew: the nodes and relationships that are still there, as this reader may see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.canvas.asking import Content
from explorer.canvas.elements import Element, node_key, picture
from explorer.canvas.hubs import Hub
from explorer.rights import Reader
from graph.answers import CommonNode, Edge, End
from graph.queries import GATHER_EDGES
from graph.reader import GraphReader


def content_to_keep(content: Content) -> dict[str, Any]:
    """Return what is kept of a canvas, as plain JSON."""
    return content.model_dump(mode="json", by_alias=True)


def reopened(user: Reader | None, content: Content, reader: GraphReader, hubs: Mapping[str, Hub]) -> Element:
    """Return what a kept scene shows now: facts, places and view, and how much of it is gone from the graph."""
    nodes, edges = reader.gather(
        [(label.value, id) for label, id, _, _ in content.nodes],
        [(kind, (a.value, src), (b.value, dst)) for kind, a, src, b, dst in content.edges],
    )
    there = [End(node.label, node.id) for node in nodes]
    found = picture(user, edges, hubs, there)
    known = {node["key"] for node in found["nodes"]}
    places = {
        node_key(label.value, id): [x, y]
        for label, id, x, y in content.nodes
        if x is not None and y is not None and node_key(label.value, id) in known
    }
    gone = len(content.nodes) - len(nodes), len(content.edges) - len(edges)
    return found | {"places": places, "view": content.view.model_dump(mode="json", by_alias=True), "gone": gone}


def links_to_common(a: End, b: End, rows: tuple[CommonNode, ...], reader: GraphReader) -> tuple[Edge, ...]:
    """Return the relationships between two nodes and their common neighbors."""
    asked = [
        link
        for row in rows
        for end, types in ((a, row.with_a), (b, row.with_b))
        for name in types
        for link in _either_way(name, (end.label, end.id), (row.label, row.id))
    ]
    return reader.gather([], asked)[1]


def _either_way(
    name: str, one: tuple[str, str], other: tuple[str, str]
) -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
    pairs = ((one, other), (other, one))
    return [(name, src, dst) for src, dst in pairs if (name, src[0], dst[0]) in GATHER_EDGES]
