"""Questions people ask of the graph: plain frozen data comes back, times in UTC, nothing is ever written."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from neo4j import Driver, Query, RoutingControl
from neo4j.exceptions import DriverError, Neo4jError

from graph import queries
from graph.answers import (
    Common,
    CommonNode,
    Count,
    Cursor,
    CursorError,
    Direction,
    Edge,
    GraphError,
    Layer,
    Newest,
    Node,
    NodeMissingError,
    Page,
    Paths,
    StoppedError,
    UnknownNameError,
    epoch,
    to_edge,
    to_node,
    to_path,
    to_relation,
)  # fmt: skip
from graph.queries import BRANCHES, COUNT_KEYS, Branch
from graph.rings import STATUSES, Ring, Rings, to_ring
from graph.schema import LANDED_RELATIONSHIPS, RELATIONSHIPS

PAGE = 200
EVERY_RING = 20_000  # of one list; a lender has thousands
_TOTALS_SECONDS = 600
_HUB_DEGREE = 20_000


class GraphReader:
    """The graph behind a driver; every question has a time limit, and the database is never named."""

    def __init__(self, driver: Driver, timeout_s: float = 3.0) -> None:
        self._driver = driver
        self._timeout_s = timeout_s
        self._tried: set[str] = set()
        self._totals: tuple[float, dict[str, int]] = (float("-inf"), {})

    def node(self, label: str, id: str) -> Node | None:
        """Return the node, or None where there is none."""
        rows = self._ask(queries.NODE[_label(label)], id=id)
        return to_node(label, rows[0]["node"]) if rows else None

    def counts(self, label: str, id: str) -> tuple[Count, ...]:
        """Return exact counts by type, direction and other label, largest first; none for a node without any."""
        return self._counted(label, id)[1]

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many nodes of each label and relationships of each type the graph holds."""
        return self._ask(queries.NODE_TOTALS)[0]["totals"], self._ask(queries.RELATIONSHIP_TOTALS)[0]["totals"]

    def neighbors(
        self,
        label: str,
        id: str,
        *,
        relationship: str | None = None,
        direction: Direction | None = None,
        since: dt.datetime | None = None,
        limit: int = PAGE,
        after: Cursor | None = None,
    ) -> Page:
        """Return a page of what the node touches: newest first, then by type and direction, then as Neo4j holds them.

        `since` is inclusive. The union of all pages is exact as long as they are of one night's graph: pages never
        overlap, and never miss what was there at the first.
        """
        branches = _chosen(label, relationship, direction)
        return self._page(label, id, branches, self._counted(label, id)[1], since, limit, after)

    def layer(
        self,
        label: str,
        id: str,
        *,
        relationship: str | None = None,
        direction: Direction | None = None,
        since: dt.datetime | None = None,
        limit: int = PAGE,
        after: Cursor | None = None,
    ) -> Layer | None:
        """Return the node with its counts and a page as from `neighbors`, or None; two queries whatever the degree.

        `total` is the sum of the counts of the chosen type and direction, whatever `since` is.
        """
        branches = _chosen(label, relationship, direction)
        node, counts = self._counted(label, id)
        if node is None:
            return None
        page = self._page(label, id, branches, counts, since, limit, after)
        chosen = {(branch.relationship, branch.direction) for branch in branches}
        total = sum(count.count for count in counts if (count.relationship, count.direction) in chosen)
        return Layer(node, counts, page, total)

    def newest_relations(
        self,
        since: dt.datetime,
        limit: int = PAGE,
        after: Cursor | None = None,
        relationship: str | None = None,
    ) -> Newest:
        """Return the relationships of the whole graph seen at or after `since`, newest first, then by type.

        Derived types (memberships in rings) come only when asked for: their times are a night's conclusions.
        """
        names = [_relationship(relationship)] if relationship else list(LANDED_RELATIONSHIPS)
        totals = self._relationship_totals()
        names = [name for name in names if totals.get(name) or (after and after.branch == name)]
        if not names:
            return Newest((), None)
        limit = _limit(limit)
        marks = _after(RELATIONSHIPS, after)
        bounds: dict[str, Any] = {
            "since": epoch(since),
            "until": after.at if after else queries.FOREVER,
            "limit": limit + 1,
        }
        found = [
            (name, item) for name in names for item in self._ask(queries.NEWEST[name], after=marks[name], **bounds)
        ]
        found.sort(key=lambda pair: _place(pair[1], RELATIONSHIPS.index(pair[0])))
        edges = tuple(to_edge(name, item) for name, item in found[:limit])
        if len(found) <= limit:
            return Newest(edges, None)
        name, last = found[limit - 1]
        return Newest(edges, Cursor(last["relation"]["last_seen_at"], name, last["number"]))

    def shortest_path(self, a: tuple[str, str], b: tuple[str, str], max_hops: int = queries.MAX_HOPS) -> Paths:
        """Return one shortest path between two nodes, each a label and an id, whatever the directions."""
        return self._paths(a, b, max_hops, every=False, limit=1)

    def shortest_paths(
        self, a: tuple[str, str], b: tuple[str, str], max_hops: int = queries.MAX_HOPS, limit: int = 5
    ) -> Paths:
        """Return shortest paths between two nodes: all of them, or the first `limit` found."""
        return self._paths(a, b, max_hops, every=True, limit=limit)

    def common_neighbors(self, a: tuple[str, str], b: tuple[str, str], limit: int = PAGE) -> Common:
        """Return the nodes next to both nodes, by label and id.

        Raises:
            NodeMissingError: one of the two is not there.
        """
        statement = queries.common_statement(_label(a[0]), _label(b[0]))
        rows = self._ask(statement, again=False, a=a[1], b=b[1], limit=_limit(limit))
        if not rows or not rows[0]["total"]:
            self._require(a, b)
            return Common((), 0)
        found = (CommonNode(r["label"], r["id"], tuple(r["with_a"]), tuple(r["with_b"])) for r in rows[0]["rows"])
        return Common(tuple(found), rows[0]["total"])

    def ring(self, id: str, limit: int = PAGE) -> Ring | None:
        """Return a ring with its evidence, lineage and first `limit` members, core first; None where there is none."""
        rows = self._ask(queries.RING, id=id, limit=_limit(limit))
        return to_ring(rows[0]["ring"], rows[0]["members"], rows[0]["total"]) if rows else None

    def rings(
        self,
        *,
        status: str | None = None,
        typology: str | None = None,
        min_score: float | None = None,
        order: str = "score",
        limit: int = PAGE,
    ) -> Rings:
        """Return rings without evidence and members: highest score first, or largest exposure, or newest change.

        Args:
            order: `score`, `exposure` or `newest`; the other two break ties.
            min_score: inclusive.
        """
        statement = queries.rings_statement(_named(order, "order", queries.RING_ORDERS))
        if status is not None:
            _named(status, "status", STATUSES)
        rows = self._ask(statement, status=status, typology=typology, min_score=min_score, limit=_limit(limit))
        return Rings(tuple(to_ring(row) for row in rows[0]["rows"]), rows[0]["total"])

    def every_ring(self, limit: int = EVERY_RING) -> Rings:
        """Return all rings without evidence and members, highest score first: for a list that sorts by itself."""
        rows = self._ask(
            queries.rings_statement("score"), status=None, typology=None, min_score=None, limit=max(1, limit)
        )
        return Rings(tuple(to_ring(row) for row in rows[0]["rows"]), rows[0]["total"])

    def ring_links(
        self, id: str, named: Iterable[tuple[str, str, str]], members: int = PAGE, limit: int = PAGE
    ) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
        """Return those relationships that a ring's evidence names and that are there, and those that bind its members.

        The first come in the order of `named`, each a type, a source and a target; what the schema does not have is
        left out, for it was named on another night. The second end in another member or in what two of them share.
        """
        order = {step: position for position, step in enumerate(dict.fromkeys(named))}
        rows = self._ask(
            queries.RING_LINKS, id=id, named=[list(step) for step in order], members=_limit(members),
            limit=max(0, limit),
        )  # fmt: skip
        found = [to_edge(row["relationship"], row) for row in rows if row["named"]]
        found.sort(key=lambda edge: order[edge.relationship, edge.src.id, edge.dst.id])
        return tuple(found), tuple(to_edge(row["relationship"], row) for row in rows if not row["named"])

    def gather(
        self, nodes: Iterable[tuple[str, str]], edges: Iterable[tuple[str, tuple[str, str], tuple[str, str]]]
    ) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
        """Return those of the nodes (label, id) and relationships (type, end, end) that are there; the others are not.

        One query for each label and each kind of relationship among them.
        """
        by_label: dict[str, list[str]] = {}
        for label, id in nodes:
            by_label.setdefault(_label(label), []).append(id)
        by_kind: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for name, (src_label, src), (dst_label, dst) in edges:
            by_kind.setdefault((name, src_label, dst_label), []).append((src, dst))
        if unknown := by_kind.keys() - queries.GATHER_EDGES.keys():
            raise UnknownNameError(f"{len(unknown)} kinds of relationship are not in the schema.")
        found = [
            to_node(label, row["node"])
            for label, ids in by_label.items()
            for row in self._ask(queries.GATHER_NODES[label], ids=list(dict.fromkeys(ids)))
        ]
        links = [
            to_edge(kind[0], row)
            for kind, pairs in by_kind.items()
            for row in self._ask(queries.GATHER_EDGES[kind], pairs=[list(pair) for pair in dict.fromkeys(pairs)])
        ]
        return tuple(found), tuple(links)

    def starting_with(self, label: str, prefix: str, limit: int = 10) -> tuple[str, ...]:
        """Return the first ids of a label that begin with a text, in order."""
        rows = self._ask(queries.STARTING[_label(label)], prefix=prefix, limit=_limit(limit))
        return tuple(row["id"] for row in rows)

    def night(self) -> dt.date | None:
        """Return the night whose graph this is; None before the first load."""
        rows = self._ask(queries.NIGHT)
        return dt.date.fromisoformat(rows[0]["night"]) if rows and rows[0]["night"] else None

    def _ask(self, statement: str, *, again: bool = True, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows; a statement new to the server may try twice, for its planning counts against the limit."""
        query = Query(cast(Any, statement), timeout=self._timeout_s)
        try:
            result = self._driver.execute_query(query, parameters, routing_=RoutingControl.READ)
        except Neo4jError as error:
            code = error.code or ""
            if "TimedOut" in code or "Terminated" in code:
                if again and statement not in self._tried:
                    self._tried.add(statement)
                    return self._ask(statement, **parameters)
                raise StoppedError(
                    f"Stopped after {self._timeout_s:g} s. Ask for one type or direction, or for fewer hops."
                ) from None
            if "IndexNotFound" in code or "HintError" in code:
                raise GraphError(
                    "The graph lacks the time index of a relationship type. Load it again, which makes the indexes: "
                    "`make nightly`."
                ) from None
            raise
        except DriverError as error:
            raise GraphError(
                f"Neo4j does not answer ({type(error).__name__}). See `python -m graph server status`, then ask again."
            ) from None
        return [record.data() for record in result.records]

    def _counted(self, label: str, id: str) -> tuple[Node | None, tuple[Count, ...]]:
        rows = self._ask(queries.COUNTS[_label(label)], id=id)
        if not rows:
            return None, ()
        counts = [
            Count(branch.relationship, cast(Direction, branch.direction), end, number)
            for (branch, end), number in zip(COUNT_KEYS[label], rows[0]["counts"], strict=True)
            if number
        ]
        return to_node(label, rows[0]["node"]), tuple(sorted(counts, key=lambda count: -count.count))

    def _relationship_totals(self) -> dict[str, int]:
        """Return totals by type, at most ten minutes old: they choose the way, never the answer."""
        now = time.monotonic()
        if now - self._totals[0] > _TOTALS_SECONDS:
            self._totals = (now, self._ask(queries.RELATIONSHIP_TOTALS)[0]["totals"])
        return self._totals[1]

    def _page(
        self,
        label: str,
        id: str,
        branches: Sequence[Branch],
        counts: Sequence[Count],
        since: dt.datetime | None,
        limit: int,
        after: Cursor | None,
    ) -> Page:
        limit = _limit(limit)
        degrees: dict[str, int] = {}
        for count in counts:
            name = f"{count.relationship}_{count.direction}"
            degrees[name] = degrees.get(name, 0) + count.count
        if not any(degrees.get(b.name) for b in branches):
            return Page((), None)
        hubs = any(degree > _HUB_DEGREE for degree in degrees.values())
        budget = _budgets(branches, degrees, self._relationship_totals(), limit) if hubs else {}
        parameters: dict[str, Any] = {
            "id": id,
            "since": epoch(since) if since else queries.ALWAYS,
            "until": after.at if after else queries.FOREVER,
            "after": _after([b.name for b in BRANCHES[label]], after),
            "limit": limit + 1,
            "budget": budget,
        }
        walked = [b for b in branches if b.name in budget]
        found = self._ask(queries.page_statement(label, branches, walked), **parameters)
        if short := [b for b in walked if any(row["walked"] == b.name and not row["whole"] for row in found)]:
            found = [row for row in found if row["whole"]]
            found += self._ask(queries.page_statement(label, short), **parameters)
        order = {b.name: position for position, b in enumerate(BRANCHES[label])}
        rows = [(item["branch"], item) for row in found for item in row["rows"]]
        rows.sort(key=lambda pair: _place(pair[1], order[pair[0]]))
        named = {b.name: b for b in branches}
        relations = tuple(to_relation(named[name], item) for name, item in rows[:limit])
        if len(rows) <= limit:
            return Page(relations, None)
        name, last = rows[limit - 1]
        return Page(relations, Cursor(last["relation"]["last_seen_at"], name, last["number"]))

    def _paths(self, a: tuple[str, str], b: tuple[str, str], max_hops: int, *, every: bool, limit: int) -> Paths:
        if not 1 <= max_hops <= queries.MAX_HOPS:
            raise GraphError(f"A path of 1 to {queries.MAX_HOPS} hops can be looked for, not of {max_hops}.")
        if a == b:
            self._require(a)
            return Paths((), "both are the same node")
        statement = queries.path_statement(_label(a[0]), _label(b[0]), max_hops, every=every)
        try:
            rows = self._ask(statement, again=False, a=a[1], b=b[1], limit=max(1, limit))
        except StoppedError:
            return Paths((), f"stopped after {self._timeout_s:g} s", stopped=True)
        if not rows:
            self._require(a, b)
            return Paths((), f"none within {max_hops} hops")
        paths = tuple(to_path(row["nodes"], row["steps"]) for row in rows)
        return Paths(paths, f"{len(paths[0])} {'hop' if len(paths[0]) == 1 else 'hops'}")

    def _require(self, *ends: tuple[str, str]) -> None:
        for label, id in ends:
            if self.node(label, id) is None:
                raise NodeMissingError(
                    f"The graph holds no {label} with the id {id[:40]}. Check it, or load its night."
                )


def _named(text: str, kind: str, known: Iterable[str]) -> str:
    if text not in (names := list(known)):
        # What is no name may be a number that somebody typed: it is not repeated.
        found = repr(text) if text.isascii() and text.isidentifier() else "something that is no name"
        raise UnknownNameError(f"No {kind} is called so ({found}); there are {', '.join(names)}.")
    return text


def _label(text: str) -> str:
    return _named(text, "label", BRANCHES)


def _relationship(text: str) -> str:
    return _named(text, "relationship type", RELATIONSHIPS)


def _chosen(label: str, relationship: str | None, direction: str | None) -> tuple[Branch, ...]:
    branches = BRANCHES[_label(label)]
    if relationship is not None:
        _relationship(relationship)
        branches = tuple(b for b in branches if b.relationship == relationship)
    if direction is not None:
        _named(direction, "direction", ("in", "out"))
        branches = tuple(b for b in branches if b.direction == direction)
    return branches


def _limit(limit: int) -> int:
    return max(1, min(limit, PAGE))


def _budgets(
    branches: Sequence[Branch], degrees: Mapping[str, int], totals: Mapping[str, int], limit: int
) -> dict[str, int]:
    """Return how many index entries to walk for the branches where that is likely quicker than reading the node's.

    If the node's relationships are spread over time like all of their type, a page lies within the first
    limit * total / degree entries; three times as many are allowed. An entry costs 1.2 µs, a relationship
    read from the node 0.6 µs, as measured at 10^7.
    """
    budgets = {}
    for branch in branches:
        degree = degrees.get(branch.name, 0)
        if degree > _HUB_DEGREE:
            entries = 3 * limit * totals.get(branch.relationship, 0) // degree + 1000
            if 1.2 * entries < 0.6 * degree:
                budgets[branch.name] = entries
    return budgets


def _place(row: Mapping[str, Any], branch: int) -> tuple[int, int, int]:
    """Return what rows of one question are sorted by."""
    return -row["relation"]["last_seen_at"], branch, -row["number"]


def _after(names: Sequence[str], cursor: Cursor | None) -> dict[str, int]:
    """Return for each branch the number below which rows of the cursor's second are left: of all, none, or some."""
    if cursor is None:
        return dict.fromkeys(names, queries.FOREVER)
    if cursor.branch not in names:
        raise CursorError("That page mark belongs to another question. Copy the one below the page before.")
    at = names.index(cursor.branch)
    left = [0] * at + [cursor.number] + [queries.FOREVER] * (len(names) - at - 1)
    return dict(zip(names, left, strict=True))
