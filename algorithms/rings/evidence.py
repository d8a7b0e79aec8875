"""Why a ring is one: sentences that point to nodes and relationships, and what the score would be without a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from algorithms.rings.conduct import FACTS
from algorithms.rings.groups import binder
from algorithms.rings.links import Link, Links
from algorithms.rings.merging import Ring
from algorithms.rings.rules import Rules, sentence

MOST_LINKS = 60  # of one sentence; a ring of hundreds is told by its first members
_FALLS = 0.05  # of the score: less is not worth a sentence
_TELLING = 1.0  # ln: a fact three times likelier in a ring than elsewhere is worth a sentence
_FACT_LINKS = {
    "phone": ("USES_PHONE",),
    "calls": ("USES_PHONE",),
    "form": ("SUBMITTED",),
    "repayment": ("SUBMITTED", "FUNDED"),
    "verdict": (),
}
_CALLED = {"device": "handset", "sim": "SIM card", "agent": "number", "network": "network", "bank_card": "bank card",
           "address": "address", "employer": "employer", "employer_phone": "employer's number", "channel": "channel",
           "own_phone": "number", "handset_batch": "batch of handsets"}  # fmt: skip


def _item(text: str, nodes: list[str], links: list[Link]) -> dict[str, Any]:
    kept = list(dict.fromkeys(links))[:MOST_LINKS]
    return {"text": text, "nodes": list(dict.fromkeys(nodes)), "relationships": [link.as_dict() for link in kept]}


def _rested(group: Mapping[str, Any], members: list[str], links: Links) -> tuple[list[str], list[Link]]:
    """Return the nodes and links that a group rests on: its one node, or what its persons share."""
    node = binder(str(group["view"]), str(group["node"]))
    if node is not None:
        return [node], [link for person in members for link in links.ways(person, node)]
    if group["view"] == "handset_batch":
        found = [x for p in members for x in links.at(p) if x.relationship == "USES_DEVICE" and x.src == p]
        return [], found
    return links.shared(members)


def ring_evidence(
    ring: Ring, people: pl.DataFrame, links: Links, rules: Rules, without: Mapping[tuple[str, ...], float], score: float
) -> list[dict[str, Any]]:
    """Return the ring's evidence: {text, nodes, relationships}, the strongest sentence first.

    Every relationship named is one of `links`, so it exists as of the day. One sentence for each typology rule that
    holds, for each telling fact, for each remark, and for what the score would be without what carries the ring.

    Args:
        without: score of what is left of the ring when nodes are taken away, by nodes.
    """
    rows = people[ring.members]
    members = rows["person_id"].to_list()
    items: list[dict[str, Any]] = []
    told: set[int] = set()
    for group in ring.groups:
        if group["rule"] is None or group["rule"] in told or group["logit"] < 0.25 * ring.logit:
            continue
        told.add(group["rule"])
        nodes, found = _rested(group, members, links)
        items.append(_item(sentence(rules.typologies[group["rule"]].says, group), nodes, found))
    items += _facts(ring, rows, links)
    best = pl.DataFrame([ring.groups[0]], infer_schema_length=None)
    for rule in rules.remarks:
        if best.select(rule.holds()).item():
            items.append(_item(sentence(rule.says, ring.groups[0]), [], []))
    return items + _counterfactuals(ring, members, links, without, score)


def _facts(ring: Ring, rows: pl.DataFrame, links: Links) -> list[dict[str, Any]]:
    best, items, families = ring.groups[0], [], set()
    for fact in sorted(FACTS, key=lambda f: -best[f"{f.name}_ln"]):
        if best[f"{fact.name}_ln"] < _TELLING or fact.family in families:
            continue
        families.add(fact.family)
        text = fact.says.format(count=len(rows.filter(rows[fact.name])), known=rows[fact.name].count())
        showing = rows.filter(pl.col(fact.name).fill_null(False))["person_id"].to_list()
        kinds = _FACT_LINKS[fact.family]
        found = [link for p in showing for link in links.at(p) if link.relationship in kinds and link.src == p]
        if "FUNDED" in kinds:
            found += [x for link in list(found) for x in links.at(link.dst) if x.relationship == "FUNDED"]
        items.append(_item(text[0].upper() + text[1:] + ".", showing, found))
    return items


def _counterfactuals(
    ring: Ring, members: list[str], links: Links, without: Mapping[tuple[str, ...], float], score: float
) -> list[dict[str, Any]]:
    items = []
    views = {str(g["node"]): str(g["view"]) for g in reversed(ring.groups)}
    for nodes, rest in sorted(without.items(), key=lambda pair: pair[1]):
        there = [node for node in nodes if links.at(node)]
        if score - rest < _FALLS or not there:
            continue
        name = next((_CALLED[views[n]] for n in nodes if views.get(n) in _CALLED), "node")
        found = [link for person in members for node in there for link in links.ways(person, node)]
        items.append(_item(f"Without this {name} the score falls from {score:.2f} to {rest:.2f}.", there, found))
    if without and not items:
        least = min(without.values())
        items.append(
            _item(f"No single node carries it: without any one of them the score is {least:.2f} or more.", [], [])
        )
    return items


def member_evidence(person: str, row: Mapping[str, Any], ring: Ring, links: Links) -> list[dict[str, Any]]:
    """Return why a person is in the ring: what ties them to its nodes, and the facts known of them."""
    items = []
    seen: set[str] = set()
    for group in ring.groups:
        node = binder(str(group["view"]), str(group["node"]))
        name = _CALLED.get(str(group["view"]).removeprefix("marked_"), "node")
        if node is None or name in seen:
            continue
        if found := links.ways(person, node):
            seen.add(name)
            items.append(_item(f"Tied to the {name} that {group['persons']} of the ring share.", [node], found))
        if len(items) == 3:
            break
    facts = [fact for fact in FACTS if row[fact.name]]
    if facts:
        text = "; ".join(_OF_ONE[fact.name] for fact in facts)
        items.append(_item(text[0].upper() + text[1:] + ".", [person], []))
    return items


_OF_ONE = {
    "fraud_confirmed": "confirmed fraud", "missed_payment": "stopped paying",
    "missed_first_payment": "never paid the first instalment",
    "new_phone": "number opened within 30 days of applying", "silent": "number hardly ever calls",
    "few_counterparts": "number talks to fewer than five others", "thin_book": "fewer than twenty contacts",
    "uncalled_emergency": "never called the emergency contact", "night": "applied between midnight and six",
    "flawless_form": "left no field of the form empty",
}  # fmt: skip
