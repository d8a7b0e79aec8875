"""Every Cypher statement that reads the graph, each with its parameters and its bound.

Labels and relationship types stand in the text and come from `graph.schema`; values are parameters, always.
Statements that depend on a label or a type are built here from those lists, so that the server sees a fixed catalog.

Newest first, and of one second the relationship that Neo4j wrote last (its own number of a relationship, `id`): so no
neighbor is read but those of the page, and a million rows without a time of their own, which share the moment of their
delivery, are no harder than others. The numbers are those of one night's store. A page is read from the node (`_TOP`:
10^6 relationships in 600 ms), or, beside a node with a good part of all relationships of a type, found by walking that
type's time index from the newest for a bounded number of entries (`_WALK`: 30 ms). The index is a tree of time and
number, so it gives the numbers of one second in order. Every relationship has `last_seen_at`, as `graph.writer` and
`graph.bulk` make them: one without it is counted, not listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graph.schema import EDGES, LANDED_RELATIONSHIPS, NODES, RELATIONSHIPS, Label

MAX_HOPS = 6
FOREVER = 2**63 - 1
ALWAYS = -(2**63)


@dataclass(frozen=True)
class Branch:
    """One relationship type seen from a node in one direction, and the labels at its other end."""

    relationship: str
    direction: str
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the branch in parameters, for example `CALLED_out`."""
        return f"{self.relationship}_{self.direction}"


def _arrow(variable: str, relationships: str, direction: str) -> str:
    """Return the pattern between a node and the other end."""
    return f"-[{variable}:{relationships}]->" if direction == "out" else f"<-[{variable}:{relationships}]-"


def _branches(label: str) -> tuple[Branch, ...]:
    ends: dict[tuple[str, str], list[str]] = {}
    for edge in EDGES:
        if edge.src == label:
            ends.setdefault((edge.relationship, "out"), []).append(edge.dst.value)
        if edge.dst == label:
            ends.setdefault((edge.relationship, "in"), []).append(edge.src.value)
    return tuple(Branch(*key, tuple(labels)) for key, labels in sorted(ends.items()))


BRANCHES: dict[str, tuple[Branch, ...]] = {n.label.value: _branches(n.label) for n in NODES}

# The time indexes serve `_NEWEST` and `_WALK`. Built over 10^7 relationships in 23 s on two busy cores, 22 bytes each.
SCHEMA_STATEMENTS: tuple[str, ...] = (
    *(f"CREATE CONSTRAINT {n.table}_id IF NOT EXISTS FOR (n:{n.label}) REQUIRE n.id IS UNIQUE" for n in NODES),
    *(
        f"CREATE INDEX {name.lower()}_last_seen_at IF NOT EXISTS FOR ()-[r:{name}]-() ON (r.last_seen_at)"
        for name in RELATIONSHIPS
    ),
)

# No parameters -> one map from label, or type, to its number in the whole graph. From the count store.
NODE_TOTALS = "RETURN {" + ", ".join(f"{n.label}: COUNT {{ (:{n.label}) }}" for n in NODES) + "} AS totals"
RELATIONSHIP_TOTALS = (
    "RETURN {" + ", ".join(f"{name}: COUNT {{ ()-[:{name}]->() }}" for name in RELATIONSHIPS) + "} AS totals"
)

# $id string -> node map. One row or none.
NODE: dict[str, str] = {n.label.value: f"MATCH (n:{n.label} {{id: $id}}) RETURN properties(n) AS node" for n in NODES}


def _count(branch: Branch, label: str) -> str:
    end = f"(:{label})" if len(branch.labels) > 1 else "()"
    return f"COUNT {{ (n){_arrow('', branch.relationship, branch.direction)}{end} }}"


# $id string -> node map, counts list in the order of COUNT_KEYS[label]. One row or none. The degree store answers
# whatever the degree, except for types with several labels at the other end, whose neighbors' labels are read.
COUNTS: dict[str, str] = {
    label: f"MATCH (n:{label} {{id: $id}}) RETURN properties(n) AS node, ["
    + ", ".join(_count(branch, end) for branch in branches for end in branch.labels)
    + "] AS counts"
    for label, branches in BRANCHES.items()
}
COUNT_KEYS: dict[str, tuple[tuple[Branch, str], ...]] = {
    label: tuple((branch, end) for branch in branches for end in branch.labels) for label, branches in BRANCHES.items()
}


# A row comes after the cursor when it is older than $until, or as old and its number is below that of the last one
# shown; $after holds for each branch the number below which rows of $until are left, 0 for none.
_AFTER = "r.last_seen_at >= $since AND r.last_seen_at <= $until AND (r.last_seen_at < $until OR id(r) < $after[{name}])"
_ROW = "{{branch: {name}, number: id(r), relation: properties(r), label: labels(m)[0], id: m.id}}"
_TOP = f"""
  MATCH (n){{arrow}}(m) WHERE {_AFTER}
  WITH r, m ORDER BY r.last_seen_at DESC, type(r), id(r) DESC LIMIT $limit
  RETURN null AS walked, collect({_ROW}) AS rows, true AS whole"""
# `whole`: the page is filled, or the index ended; else the entries walked were too few and `_TOP` must answer.
_WALK = f"""
  CALL () {{{{
    MATCH (s)-[r:{{relationship}}]->(d) USING INDEX r:{{relationship}}(last_seen_at) WHERE {_AFTER}
    WITH s, r, d ORDER BY r.last_seen_at DESC LIMIT $budget[{{name}}]
    RETURN s, r, d
  }}}}
  WITH count(r) AS walked, collect(CASE WHEN {{near}} = n THEN {{{{r: r, m: {{far}}}}}} END)[..$limit] AS found
  WITH walked < $budget[{{name}}] OR size(found) = $limit AS whole, found
  UNWIND CASE WHEN found = [] THEN [null] ELSE found END AS pair
  WITH whole, pair.r AS r, pair.m AS m
  RETURN {{name}} AS walked, collect(CASE WHEN r IS NOT NULL THEN {_ROW} END) AS rows, whole"""


def page_statement(label: str, branches: Iterable[Branch], walked: Iterable[Branch] = ()) -> str:
    """Return the statement that reads a page from a node: once for each direction, once for each walked branch.

    Its text is short, for a server that has just started plans it within the time limit too.

    $id string, $since and $until integer (epoch seconds, inclusive), $after {branch: integer}, $limit integer,
    $budget {branch: integer} for the walked -> walked branch or null, rows list, whole boolean.
    Bounded: $limit rows from each direction and each walked branch.
    """
    walked, parts = list(walked), []
    for direction in ("in", "out"):
        types = "|".join(b.relationship for b in branches if b.direction == direction and b not in walked)
        if types:
            parts.append(_TOP.format(name=f"type(r) + '_{direction}'", arrow=_arrow("r", types, direction)))
    for branch in walked:
        near, far = ("s", "d") if branch.direction == "out" else ("d", "s")
        parts.append(_WALK.format(name=f"'{branch.name}'", relationship=branch.relationship, near=near, far=far))
    union = "\n  UNION ALL".join(parts)
    return f"MATCH (n:{label} {{id: $id}})\nCALL (n) {{{union}\n}}\nRETURN walked, rows, whole"


# For each type: $since, $until, $limit, $after integer as above -> one row a relationship, newest first. Bounded by
# $limit; walks the time index from $until down.
NEWEST: dict[str, str] = {
    name: f"""
MATCH (s)-[r:{name}]->(d) USING INDEX r:{name}(last_seen_at)
WHERE r.last_seen_at >= $since AND r.last_seen_at <= $until AND (r.last_seen_at < $until OR id(r) < $after)
WITH s, r, d ORDER BY r.last_seen_at DESC LIMIT $limit
RETURN id(r) AS number, properties(r) AS relation, s.id AS src, d.id AS dst, labels(s)[0] AS src_label,
  labels(d)[0] AS dst_label
"""
    for name in RELATIONSHIPS
}

_ANY = "|".join(RELATIONSHIPS)
# How two nodes are linked is a question about what was delivered: through a ring, two of its members always are.
_LANDED = "|".join(LANDED_RELATIONSHIPS)
_PATH = (
    "MATCH (a:{a} {{id: $a}}), (b:{b} {{id: $b}}) MATCH p = {function}((a)-[:{any}*..{hops}]-(b)) "
    "RETURN [n IN nodes(p) | {{label: labels(n)[0], id: n.id}}] AS nodes, "
    "[i IN range(0, length(p) - 1) | {{relationship: type(relationships(p)[i]), "
    "forward: startNode(relationships(p)[i]) = nodes(p)[i], relation: properties(relationships(p)[i])}}] AS steps "
    "LIMIT $limit"
)


def path_statement(label_a: str, label_b: str, max_hops: int, *, every: bool) -> str:
    """Return the statement for one shortest path, or for all of them; it passes through a ring only to or from one.

    $a, $b, string; $limit integer -> nodes list, steps list. Bounded by hops, $limit and the time limit.
    """
    function = "allShortestPaths" if every else "shortestPath"
    types = _ANY if Label.RING in (label_a, label_b) else _LANDED
    return _PATH.format(a=label_a, b=label_b, function=function, any=types, hops=int(max_hops))


# $a, $b string, $limit integer -> total, rows list. Reads every neighbor of the node with the smaller degree once.
_COMMON = f"""
MATCH (a:{{a}} {{{{id: $a}}}}), (b:{{b}} {{{{id: $b}}}})
WITH a, b, COUNT {{{{ (a)--() }}}} <= COUNT {{{{ (b)--() }}}} AS a_is_smaller
WITH a, b, CASE WHEN a_is_smaller THEN a ELSE b END AS small, CASE WHEN a_is_smaller THEN b ELSE a END AS large
MATCH (small)-[:{_ANY}]-(m)
WITH DISTINCT a, b, m, large WHERE m <> a AND m <> b AND EXISTS {{{{ (m)-[:{_ANY}]-(large) }}}}
WITH a, b, m ORDER BY labels(m)[0], m.id
WITH a, b, collect(m) AS common
RETURN size(common) AS total, [m IN common[..$limit] | {{{{label: labels(m)[0], id: m.id,
  with_a: COLLECT {{{{ MATCH (a)-[r:{_ANY}]-(m) RETURN DISTINCT type(r) AS name ORDER BY name }}}},
  with_b: COLLECT {{{{ MATCH (b)-[r:{_ANY}]-(m) RETURN DISTINCT type(r) AS name ORDER BY name }}}}}}}}] AS rows
"""


def common_statement(label_a: str, label_b: str) -> str:
    """Return the statement for the nodes next to both of two nodes."""
    return _COMMON.format(a=label_a, b=label_b)


# $id string, $limit integer -> ring map, total integer, members list. One row or none; reads all members of one ring.
RING = f"""
MATCH (r:{Label.RING} {{id: $id}})
RETURN properties(r) AS ring, COUNT {{ (r)<-[:MEMBER_OF]-() }} AS total, COLLECT {{
  MATCH (m:{Label.PERSON})-[of:MEMBER_OF]->(r)
  WITH m, of ORDER BY of.role <> 'core', of.role <> 'member', coalesce(of.score, -1) DESC,
    of.last_seen_at DESC, m.id LIMIT $limit
  RETURN {{id: m.id, relation: properties(of)}}
}} AS members
"""

RING_ORDERS: dict[str, str] = {"score": "score", "exposure": "exposure_cny", "newest": "last_seen_at"}


def rings_statement(order: str) -> str:
    """Return the statement for the list of rings by one of `RING_ORDERS`, ties by the other two, then by id.

    $status, $typology string or null, $min_score float or null, $limit integer -> total, rows list. Bounded: $limit
    rows come back, without evidence; all rings are sorted, and a lender has thousands, not millions.
    """
    first = RING_ORDERS[order]
    names = [first, *(name for name in RING_ORDERS.values() if name != first)]
    by = ", ".join(f"coalesce(r.{name}, -1) DESC" for name in names)
    return f"""
MATCH (r:{Label.RING})
WHERE ($status IS NULL OR r.status = $status) AND ($typology IS NULL OR r.typology = $typology)
  AND ($min_score IS NULL OR r.score >= $min_score)
WITH r ORDER BY {by}, r.id
WITH collect(r) AS found
RETURN size(found) AS total, [r IN found[..$limit] | r {{.*, evidence: null}}] AS rows
"""


# What binds the members of a ring whatever its evidence says; a person has few of each. Address books and calls do
# not belong here: whose entries matter, the evidence says.
BINDING: tuple[str, ...] = tuple(
    name for name in RELATIONSHIPS
    if name in ("USES_PHONE", "USES_DEVICE", "LIVES_AT", "WORKS_AT", "PAID_WITH", "SEEN_ON", "GUARANTEES",
                "SAME_PERSON", "RELATED_TO", "OWNS_ACCOUNT")
)  # fmt: skip
_EDGE_ROW = "properties(e) AS relation, s.id AS src, d.id AS dst, labels(s)[0] AS src_label, labels(d)[0] AS dst_label"


def _any_label(end: str) -> str:
    return "|".join(dict.fromkeys(getattr(edge, end).value for edge in EDGES if not edge.derived))


# $id string, $members integer, $limit integer, $named list of [type, src id, dst id] -> relationship, relation, src,
# dst and their labels, named boolean. First the named relationships that are there; then those of the first members
# (core first, as in `RING`) that end in another member or in a node that two of them share, widest shared first.
# Bounded by the list and by $limit: an end is sought by its id in the index of each label, a named relationship found
# from the end with fewer, and the `BINDING` relationships of $members persons are read. One branch for each type
# would say the same and take ten times as long to plan.
RING_LINKS = f"""
UNWIND $named AS step
WITH step, COLLECT {{ MATCH (x:{_any_label("src")} {{id: step[1]}}) RETURN x }} AS sources,
  COLLECT {{ MATCH (x:{_any_label("dst")} {{id: step[2]}}) RETURN x }} AS targets
UNWIND sources AS s UNWIND targets AS d
MATCH (s)-[e:{"|".join(LANDED_RELATIONSHIPS)}]->(d) WHERE type(e) = step[0]
RETURN type(e) AS relationship, {_EDGE_ROW}, true AS named
UNION ALL
MATCH (:{Label.RING} {{id: $id}})<-[of:MEMBER_OF]-(m:{Label.PERSON})
WITH m ORDER BY of.role <> 'core', of.role <> 'member', coalesce(of.score, -1) DESC, of.last_seen_at DESC,
  m.id LIMIT $members
WITH collect(m) AS members
UNWIND members AS s MATCH (s)-[e:{"|".join(BINDING)}]->(d)
WITH members, d, collect(e) AS found, count(DISTINCT s) AS sharing WHERE sharing > 1 OR d IN members
ORDER BY sharing DESC, d.id UNWIND found AS e WITH e, startNode(e) AS s, endNode(e) AS d LIMIT $limit
RETURN type(e) AS relationship, {_EDGE_ROW}, false AS named
"""


# $ids list -> one row a node that is there, its map. Bounded by the list.
GATHER_NODES: dict[str, str] = {
    n.label.value: f"UNWIND $ids AS id MATCH (n:{n.label} {{id: id}}) RETURN properties(n) AS node" for n in NODES
}
# $pairs list of [src id, dst id] -> one row a relationship that is there. Bounded by the list: a pair of nodes has at
# most one relationship of a type, found from the end with fewer.
GATHER_EDGES: dict[tuple[str, str, str], str] = {
    (e.relationship, e.src.value, e.dst.value): (
        f"UNWIND $pairs AS pair MATCH (s:{e.src} {{id: pair[0]}}) MATCH (d:{e.dst} {{id: pair[1]}}) "
        f"MATCH (s)-[r:{e.relationship}]->(d) RETURN properties(r) AS relation, s.id AS src, d.id AS dst, "
        f"'{e.src}' AS src_label, '{e.dst}' AS dst_label"
    )
    for e in EDGES
}

# $prefix string, $limit integer -> id. A seek in the index of the label's unique ids, bounded by $limit.
STARTING: dict[str, str] = {
    n.label.value: f"MATCH (n:{n.label}) WHERE n.id STARTS WITH $prefix RETURN n.id AS id ORDER BY n.id LIMIT $limit"
    for n in NODES
}

# No parameters -> night, text of a date. One row, or none before the first load.
NIGHT = "MATCH (load:Load {id: 'current'}) RETURN load.night AS night"
