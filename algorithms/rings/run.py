"""The night's rings: detect, name, explain, and write them to the lake, for people and for Neo4j."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.rings import reference
from algorithms.rings.detection import Detection, detect
from algorithms.rings.evidence import member_evidence, ring_evidence
from algorithms.rings.groups import binder
from algorithms.rings.lineage import Descent, descend
from algorithms.rings.links import Links, links_around
from algorithms.rings.merging import Ring
from algorithms.rings.results import (
    HITS,
    MEMBERS,
    RINGS,
    SOCIETIES,
    known_counterfactuals,
    rows_before,
    write_counterfactuals,
    write_day,
    write_graph,
)
from algorithms.rings.rules import Rules, read_rules
from algorithms.rings.snapshot import Snapshot
from algorithms.weight_fitting import written_weights
from graph.lake import Lake, has_table

REMEMBERED_DAYS = 30  # a ring not seen for so long is born anew


def known_rings(lake: Lake, day: date) -> tuple[dict[str, frozenset[str]], pl.DataFrame]:
    """Return the members of each ring on the last night that saw it, within a month, and the history of all rings."""
    since = day - timedelta(days=REMEMBERED_DAYS)
    history = rows_before(lake.results("rings"), day, ["ring_id", "as_of_date", "status", "parent_ids", "born_on"])
    members = rows_before(lake.results("ring_members"), day, ["ring_id", "as_of_date", "person_id"], since)
    if not len(members):
        return {}, history
    last = members.filter(pl.col("as_of_date") == pl.col("as_of_date").max().over("ring_id"))
    return {r: frozenset(p) for r, p in last.group_by("ring_id").agg("person_id").iter_rows()}, history


def hub_nodes(lake: Lake, day: date) -> pl.DataFrame:
    """Return node, hub_kind: the hubs of the newest registry up to `day` that must not join groups."""
    schema = {"node": pl.String, "hub_kind": pl.String}
    path = lake.results("hubs")
    if not has_table(path):
        return pl.DataFrame(schema=schema)
    rows = pl.DataFrame(
        pl.from_arrow(
            DeltaTable(path).to_pyarrow_table(
                columns=["id", "kind", "joins", "as_of_date"], filters=[("as_of_date", "<=", day)]
            )
        )
    )
    newest = rows.filter((pl.col("as_of_date") == pl.col("as_of_date").max()) & ~pl.col("joins"))
    return newest.select(node="id", hub_kind="kind")


def find_rings(
    spark: SparkSession,
    lake: Lake,
    day: date,
    at: datetime,
    folder: Path,
    *,
    folded: bool = False,
    rules: Rules | None = None,
) -> dict[str, Any]:
    """Find the rings as of `at`, write them for `day`, and return how many there are by status and typology.

    Writes `LAKE/results/{rings,ring_members,ring_rules,ring_reference,ring_without,societies}` (that day's rows are
    replaced) and, where the graph stands as of that day too, `LAKE/graph/{ring,member_of}` (for Neo4j). The same lake
    and day give the same rows. Rings whose surroundings last night knows are not looked at again.

    Args:
        folder: where the snapshot is put; replaced.
        folded: the lake's own edge tables stand as of `at`.

    Raises:
        RulesError: the rules file cannot be used.
    """
    rules = rules or read_rules()
    snapshot = Snapshot(spark, lake, at, folded)
    tables = snapshot.write(folder)
    before = rows_before(lake.results("societies"), day, ["person_id", "society", "as_of_date"])
    if len(before):
        before = before.filter(pl.col("as_of_date") == pl.col("as_of_date").max()).select("person_id", "society")
    weights = written_weights(lake, day)
    standing = reference.standing(lake.results("ring_reference"), day, rules, weights)
    found = detect(tables, hub_nodes(lake, day), rules, at, weights, before, standing)
    found.found_before = known_counterfactuals(lake.results("ring_without"), day)
    looked = len(found.found_before)
    old, history = known_rings(lake, day)
    ids = found.people["person_id"].to_list()
    members = [frozenset(ids[p] for p in ring.members) for ring in found.rings]
    descents, gone = descend(old, members, day.isoformat())
    binders = {binder(str(g["view"]), str(g["node"])) for ring in found.rings for g in ring.groups}
    nodes = sorted(node for node in binders if node is not None)
    around = links_around(snapshot, sorted(frozenset().union(*members)), nodes) if members else None
    links = Links(around) if around is not None else None
    ring_rows, member_rows = [], []
    for ring, descent in zip(found.rings, descents, strict=True):
        assert links is not None
        row, of_it = _rows(found, ring, descent, links, day)
        ring_rows.append(row)
        member_rows += of_it
    born: dict[str, date] = dict(history.select("ring_id", "born_on").iter_rows()) if len(history) else {}
    for row in ring_rows:
        row["born_on"] = born.get(row["ring_id"]) or day
    alive = _alive(history)
    dissolved = [_dissolved(d, day, born.get(d.ring_id), rules) for d in gone if d.ring_id in alive]
    write_day(lake.results("rings"), day, ring_rows + dissolved, RINGS)
    write_day(lake.results("ring_members"), day, member_rows, MEMBERS)
    reference.keep(lake.results("ring_reference"), day, found.usual, rules, weights)
    write_counterfactuals(lake.results("ring_without"), day, {key: found.found_before[key] for key in found.asked})
    write_day(lake.results("ring_rules"), day, rule_hits(found, day), HITS)
    societies = [
        {"as_of_date": day, "person_id": p, "society": int(s)} for p, s in zip(ids, found.societies, strict=True)
    ]
    write_day(lake.results("societies"), day, societies, SOCIETIES)
    if folded:
        write_graph(lake, ring_rows, member_rows, history, day)
    statuses = pl.Series([r["status"] for r in ring_rows + dissolved], dtype=pl.String).value_counts()
    kinds = pl.Series([r["typology"] for r in ring_rows], dtype=pl.String).value_counts()
    return {
        "rows_in": len(found.groups.table),
        "rows_out": len(ring_rows),
        "persons": len(member_rows),
        "status": dict(sorted(statuses.iter_rows())),
        "typology": dict(sorted(kinds.iter_rows())),
        "rules_version": rules.version,
        "looked_at_anew": len(found.found_before) - looked,
        "reference_of": found.usual.at.date().isoformat(),
    }


def _alive(history: pl.DataFrame) -> set[str]:
    """Return the rings whose last row is not that they dissolved."""
    if not len(history):
        return set()
    last = history.sort("as_of_date").group_by("ring_id", maintain_order=True).agg(pl.col("status").last())
    return set(last.filter(pl.col("status") != "dissolved")["ring_id"])


def _rows(
    found: Detection, ring: Ring, descent: Descent, links: Links, day: date
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = found.people[ring.members]
    best, score = ring.groups[0], found.score(ring.logit)
    views = max(ring.seen_in.values(), default=1)
    members = []
    for row in rows.iter_rows(named=True):
        share = ring.seen_in.get(row["person"], 0) / views
        members.append(
            {
                "ring_id": descent.ring_id, "as_of_date": day, "person_id": row["person_id"],
                "role": "core" if share >= 0.5 else "member", "score": round(score * (0.5 + 0.5 * share), 6),
                "evidence": member_evidence(row["person_id"], row, ring, links), "first_seen_at": row["applied_at"],
            }
        )  # fmt: skip
    members += _agents(found, ring, descent, links, day, score)
    whole = {
        "ring_id": descent.ring_id, "as_of_date": day, "status": descent.status, "parent_ids": list(descent.parents),
        "score": round(score, 6), "size": len(ring.members), "typology": found.rules.typologies[best["rule"]].name,
        "first_seen_at": rows["applied_at"].min(), "exposure_cny": round(float(rows["exposure_cny"].sum()), 2),
        "evidence": ring_evidence(ring, found.people, links, found.rules, found.without(ring), score),
        "born_on": day, "last_seen_at": rows["last_applied_at"].max(), "rules_version": found.rules.version,
    }  # fmt: skip
    return whole, members


def _agents(
    found: Detection, ring: Ring, descent: Descent, links: Links, day: date, score: float
) -> list[dict[str, Any]]:
    """Return a member row for whoever's own number is the agent's: suspected, and never counted in the ring's size."""
    inside = set(found.people[ring.members]["person_id"])
    agents: dict[str, str] = {}
    for group in ring.groups:
        if group["view"] == "agent":
            for link in links.at(str(group["node"])):
                if link.relationship == "USES_PHONE" and link.src not in inside:
                    agents.setdefault(link.src, str(group["node"]))
    return [
        {
            "ring_id": descent.ring_id, "as_of_date": day, "person_id": person, "role": "suspected_agent",
            "score": round(score * 0.5, 6), "first_seen_at": None,
            "evidence": [{"text": "Uses the number that the ring was in touch with before applying.", "nodes": [node],
                          "relationships": [x.as_dict() for x in links.at(node) if x.src == person]}],
        }
        for person, node in sorted(agents.items())
    ]  # fmt: skip


def _dissolved(descent: Descent, day: date, born_on: date | None, rules: Rules) -> dict[str, Any]:
    where = f" Its members are now in {', '.join(descent.parents)}." if descent.parents else ""
    text = f"Nothing holds this ring together any more as of {day}.{where}"
    return {
        "ring_id": descent.ring_id, "as_of_date": day, "status": "dissolved", "parent_ids": list(descent.parents),
        "score": 0.0, "size": 0, "typology": None, "first_seen_at": None, "exposure_cny": 0.0,
        "evidence": [{"text": text, "nodes": [], "relationships": []}], "born_on": born_on or day,
        "last_seen_at": None, "rules_version": rules.version,
    }  # fmt: skip


def rule_hits(found: Detection, day: date) -> list[dict[str, Any]]:
    """Return for each rule how many groups and rings it held for, and the share of confirmed fraud it met.

    `fraud_ratio` is over the persons of those rings who have a verdict, and null where none has one.
    """
    rows = []
    rules = [(rule, True) for rule in found.rules.typologies] + [(rule, False) for rule in found.rules.remarks]
    hold = found.scored.select(*(rule.holds().alias(str(i)) for i, (rule, _) in enumerate(rules)))
    for i, (rule, _) in enumerate(rules):
        groups = set(found.scored["group"].filter(hold[str(i)]))
        rings = [r for r in found.rings if any(g["group"] in groups for g in r.groups)]
        persons = found.people[sorted({p for r in rings for p in r.members})]
        known = persons["fraud_confirmed"].drop_nulls()
        rows.append(
            {
                "as_of_date": day, "rules_version": found.rules.version, "rule": rule.name, "groups": len(groups),
                "rings": len(rings), "persons_with_verdict": len(known),
                "fraud_ratio": float(known.mean()) if len(known) else None,  # type: ignore[arg-type]
            }
        )  # fmt: skip
    return rows
