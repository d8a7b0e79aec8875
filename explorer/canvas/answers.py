"""The answers of the canvas: each is asked of the graph in few questions and comes back as plain JSON.

Whoever answers writes the audit line with the ids of `ids_of` first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from explorer.canvas.asking import Expand, Named, Two
from explorer.canvas.elements import Element, edge_key, edges_around, label_word, node_element, node_facts, picture
from explorer.canvas.hubs import Hub
from explorer.canvas.opening import links_to_common
from explorer.graph_door import GraphSlowError
from explorer.masking import may_see_link, may_see_node
from explorer.rights import Reader
from explorer.words import say
from graph.answers import Edge, End, Layer, Node, NodeMissingError, Paths, StoppedError
from graph.reader import GraphReader

MAX_HOPS = 6
MAX_PATHS = 5


@dataclass(frozen=True)
class Asker:
    """Who asks, of what graph, and which nodes are hubs."""

    user: Reader | None
    reader: GraphReader
    hubs: Mapping[str, Hub]

    def node(self, label: str, id: str) -> Element:
        """Return a node to draw."""
        return node_element(self.user, label, id, self.hubs)

    def picture(self, edges: Iterable[Edge], alone: Iterable[End] = ()) -> Element:
        """Return what to draw of some relationships."""
        return picture(self.user, edges, self.hubs, alone)


def ids_of(found: Element) -> str:
    """Return the ids of the persons and companies in an answer, for the audit log."""
    return " ".join(sorted(node["id"] for node in found["nodes"] if node["label"] in ("Person", "Company")))


def found_nodes(asker: Asker, ends: Iterable[End]) -> list[Element]:
    """Return nodes to choose from, those that the reader may see."""
    return [
        asker.node(end.label, end.id) | {"word": label_word(end.label)}
        for end in ends
        if may_see_node(asker.user, end.label)
    ]


def menu(asker: Asker, named: Named) -> Element:
    """Return what is known of a node and the exact counts around it, before anything of that is fetched.

    Raises:
        graph.answers.NodeMissingError: it is not there, or not for this reader.
    """
    end = named.end
    node = asker.reader.node(end.label, end.id) if may_see_node(asker.user, end.label) else None
    if node is None:
        raise NodeMissingError(say("canvas.node_missing"))
    counts = [
        {"type": count.relationship, "direction": count.direction, "label": count.label, "count": count.count}
        for count in asker.reader.counts(end.label, end.id)
        if may_see_link(asker.user, count.relationship) and may_see_node(asker.user, count.label)
    ]
    return node_facts(asker.user, node) | {"counts": counts, "node": asker.node(node.label, node.id)}


def expand(asker: Asker, ask: Expand) -> Element:
    """Return one page of the links of each node: two questions to Neo4j a node, whatever its degree.

    Where the time of the request is up after some of several nodes, those are shown and a sentence says so.
    """
    edges: list[Edge] = []
    alone: list[Node] = []
    pages = []
    short: dict[str, str] = {}
    for number, named in enumerate(ask.nodes):
        try:
            layer = _layer(asker, ask, named)
        except (GraphSlowError, StoppedError):
            if not alone:
                raise
            short = {"sentence": say("canvas.expanded_some", done=number, total=len(ask.nodes))}
            break
        if layer is None:
            continue
        alone.append(layer.node)
        edges += edges_around(named.end, layer.page.rows)
        pages.append(_page(ask, named.end, layer))
    if not alone:
        raise NodeMissingError(say("canvas.node_missing"))
    return asker.picture(edges, [End(node.label, node.id) for node in alone]) | {"pages": pages} | short


def _layer(asker: Asker, ask: Expand, named: Named) -> Layer | None:
    return asker.reader.layer(
        named.label.value, named.id, relationship=ask.type, direction=ask.direction, since=ask.since_at,
        limit=ask.each, after=ask.cursor(named.end),
    )  # fmt: skip


def _page(ask: Expand, end: End, layer: Layer) -> Element:
    shown = ask.shown + len(layer.page.rows)
    mark = layer.page.next.text() if layer.page.next else None
    windowed = ask.since is not None or ask.until is not None
    key = "page_in_window" if windowed else "page_newest"
    told: dict[str, Any] = {"shown": shown, "total": layer.total, "kind": label_word(end.label), "count": layer.total}
    return {"key": f"{end.label}:{end.id}", "next": mark, "shown": shown, "sentence": say(f"canvas.{key}", **told)}


def paths(asker: Asker, two: Two) -> tuple[Element, str]:
    """Return up to five shortest paths between two nodes of at most six hops, and a sentence."""
    a, b = two.a.end, two.b.end
    found = asker.reader.shortest_paths((a.label, a.id), (b.label, b.id), MAX_HOPS, MAX_PATHS)
    edges = {edge_key(edge.relationship, edge.src, edge.dst): edge for path in found.paths for edge in path}
    return asker.picture(edges.values(), [a, b] if found.paths else []), _told(found, a == b)


def _told(found: Paths, same: bool) -> str:
    if same:
        return say("canvas.same_node")
    if found.stopped:
        return say("canvas.paths_stopped")
    if not found.paths:
        return say("canvas.paths_none", hops=MAX_HOPS)
    key = "paths_most" if len(found.paths) == MAX_PATHS else "paths_found"
    return say(f"canvas.{key}", count=len(found.paths), hops=len(found.paths[0]))


def common(asker: Asker, two: Two) -> tuple[Element, str]:
    """Return the nodes next to both of two nodes with the links to each, and a sentence."""
    a, b = two.a.end, two.b.end
    found = asker.reader.common_neighbors((a.label, a.id), (b.label, b.id))
    if not found.total:
        return asker.picture([]), say("canvas.common_none")
    edges = links_to_common(a, b, found.rows, asker.reader)
    return asker.picture(edges, [a, b]), say("canvas.common_found", count=found.total, shown=len(found.rows))


def written_at(at: dt.datetime) -> int:
    """Return epoch seconds of a moment."""
    return int(at.timestamp())
