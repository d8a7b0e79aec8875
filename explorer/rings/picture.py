"""The picture of a ring: who is in it, what binds them, which part each sentence of the evidence rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from explorer.canvas.elements import edge_key, label_word, node_key, type_word
from explorer.masking import may_see_link, may_see_node, short
from explorer.rights import Reader
from explorer.rings.places import places
from explorer.words import moment, say
from graph.answers import Edge, End
from graph.rings import Evidence, Member, Ring
from graph.schema import Label

BUDGET = 300  # elements of one picture
_MEMBERS = 100  # drawn: whoever comes after them would leave no room for what binds them
_WIDE = 1.45  # a screen is wider than high
_ASKED = 200  # relationships beyond those that the evidence names
Step = tuple[str, str, str]


@dataclass(frozen=True)
class Lit:
    """A sentence, and the keys of what lights up with it: `drawn` of the `named` parts that it rests on."""

    text: str
    keys: tuple[str, ...]
    drawn: int
    named: int


@dataclass(frozen=True)
class Picture:
    """What is drawn, and how much is not; `edges` are all relationships known, drawn or not."""

    elements: list[dict[str, Any]]
    edges: tuple[Edge, ...]
    drawn: tuple[Edge, ...]
    ends: tuple[tuple[End, tuple[float, float]], ...]
    evidence: tuple[Lit, ...]
    of_member: dict[str, tuple[Lit, ...]]
    members_left: int
    links_left: int


def named_steps(ring: Ring) -> list[Step]:
    """Return the relationships that a ring's evidence names, each once: its own first, then its members'."""
    items = [*ring.evidence, *(item for member in ring.members for item in member.evidence)]
    return list(dict.fromkeys(step for item in items for step in steps_of(item)))


def steps_of(item: Evidence) -> list[Step]:
    """Return the relationships that a sentence names; what is no relationship is left out."""
    found = [told for told in item.relationships if isinstance(told, dict)]
    return [
        (str(told["relationship"]), str(told["src"]), str(told["dst"]))
        for told in found
        if {"relationship", "src", "dst"} <= told.keys()
    ]


def asked_links() -> int:
    """Return how many relationships beyond the named are worth asking for."""
    return _ASKED


def picture(user: Reader | None, ring: Ring, named: Iterable[Edge], binding: Iterable[Edge]) -> Picture:
    """Return the picture of a ring for a reader: what the evidence names, in its order, then what binds besides."""
    shown = [member for member in ring.members if may_see_node(user, Label.PERSON)][:_MEMBERS]
    known = {edge_key(e.relationship, e.src, e.dst): e for e in [*named, *binding] if _visible(user, e)}
    people = {End(Label.PERSON.value, member.person_id) for member in ring.members}
    ends = {End(Label.PERSON.value, member.person_id): None for member in shown}
    drawn: dict[str, Edge] = {}
    room = BUDGET - len(ends)
    for key, edge in known.items():
        fresh = {edge.src, edge.dst} - ends.keys()
        if fresh & people or 1 + len(fresh) > room:  # a member who is not drawn stays so
            continue
        ends |= dict.fromkeys(end for end in (edge.src, edge.dst) if end in fresh)
        drawn[key] = edge
        room -= 1 + len(fresh)
    roles = {End(Label.PERSON.value, member.person_id): member for member in shown}
    where = _places(ends, roles, drawn.values())
    nodes = {node_key(end.label, end.id): end for end in ends}
    elements = [_node(end, roles.get(end), where[key]) for key, end in nodes.items()]
    elements += [_link(key, edge) for key, edge in drawn.items()]
    return Picture(
        elements, tuple(known.values()), tuple(drawn.values()),
        tuple((end, where[key]) for key, end in nodes.items()),
        tuple(_lit(item, nodes.values(), drawn.values()) for item in ring.evidence),
        {m.person_id: tuple(_lit(item, nodes.values(), drawn.values()) for item in m.evidence) for m in ring.members},
        (ring.total or len(ring.members)) - len(shown), len(known) - len(drawn),
    )  # fmt: skip


def _visible(user: Reader | None, edge: Edge) -> bool:
    ends = may_see_node(user, edge.src.label) and may_see_node(user, edge.dst.label)
    return ends and may_see_link(user, edge.relationship)


def _places(ends: Iterable[End], roles: Iterable[End], links: Iterable[Edge]) -> dict[str, tuple[float, float]]:
    inside = [node_key(end.label, end.id) for end in roles]
    others = [key for end in ends if (key := node_key(end.label, end.id)) not in set(inside)]
    pairs = [(node_key(e.src.label, e.src.id), node_key(e.dst.label, e.dst.id)) for e in links]
    return places(inside, others, pairs)


def _node(end: End, member: Member | None, where: tuple[float, float]) -> dict[str, Any]:
    name = short(end.id)
    told = f"{label_word(end.label)} {name}"
    data = {"id": node_key(end.label, end.id), "label": end.label, "text": label_word(end.label)}
    classes = "shared"
    if member is not None:
        classes = member.role or "member"
        told += f" · {say(f'rings.role.{classes}')}"
        data["text"] = name
    data["told"] = told
    return {"data": data, "position": {"x": where[0] * _WIDE, "y": where[1]}, "classes": classes}


def link_told(edge: Edge) -> str:
    """Return what is told of a link: between whom, what, from when to when, how often."""
    return say(
        "rings.link_told", src=short(edge.src.id), dst=short(edge.dst.id), type=type_word(edge.relationship),
        first=moment(edge.first_seen_at), last=moment(edge.last_seen_at), events=edge.event_count or 0,
    )  # fmt: skip


def _link(key: str, edge: Edge) -> dict[str, Any]:
    ends = {"source": node_key(edge.src.label, edge.src.id), "target": node_key(edge.dst.label, edge.dst.id)}
    return {"data": {"id": key, "told": link_told(edge), **ends}}


def _lit(item: Evidence, nodes: Iterable[End], links: Iterable[Edge]) -> Lit:
    """Return what lights up: the named relationships with both ends, and the named nodes, as far as they are drawn."""
    steps = set(steps_of(item))
    ids = {str(id) for id in item.nodes}
    links_lit = [e for e in links if (e.relationship, e.src.id, e.dst.id) in steps]
    keys = [edge_key(e.relationship, e.src, e.dst) for e in links_lit]
    keys += [node_key(end.label, end.id) for e in links_lit for end in (e.src, e.dst)]
    named = [end for end in nodes if end.id in ids]
    keys += [node_key(end.label, end.id) for end in named]
    return Lit(item.text, tuple(dict.fromkeys(keys)), len(links_lit) + len(named), len(steps) + len(ids))
