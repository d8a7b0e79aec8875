"""Scored groups to rings: views of one ring become one, and members that do not fit are let go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from algorithms.rings.conduct import FACTS
from algorithms.rings.groups import MIN_PERSONS, Groups

LOWEST_LOGIT = -3.0  # below it a group is not worth a line: a score of 0.18
_SAME = 0.5  # of the smaller group's persons: two views of one ring
_UNFIT = -1.5  # ln: a member whose behavior is so much likelier outside the ring does not belong


@dataclass
class Ring:
    """One ring: its members (numbers), the groups that show it (figures, best first), how well each member fits."""

    members: list[int]
    groups: list[dict[str, Any]]
    fit: dict[int, float] = field(default_factory=dict)
    seen_in: dict[int, int] = field(default_factory=dict)

    @property
    def logit(self) -> float:
        """ln(odds) of the best group."""
        return float(self.groups[0]["logit"])


def rings(scored: pl.DataFrame, groups: Groups, people: pl.DataFrame, rates: dict[str, float]) -> list[Ring]:
    """Return the rings, most certain first; each person is in one at most.

    The best group begins a ring. A group that shares half of its persons with it is another view of it: it adds to
    the evidence, and to the members when it is sure enough itself.
    """
    worth = scored.filter(pl.col("logit") >= LOWEST_LOGIT).sort(
        ["logit", "persons", "view", "node", "group"], descending=[True, True, False, False, False]
    )
    inside = groups.members.join(worth.select("group"), on="group", how="semi")
    persons: dict[int, list[int]] = dict(inside.group_by("group").agg(pl.col("person").sort()).rows())
    ring_of: dict[int, int] = {}
    found: list[Ring] = []
    for row in worth.rows(named=True):
        members = persons[row["group"]]
        owners = Counter(ring_of[p] for p in members if p in ring_of)
        if owners:
            which, shared = owners.most_common(1)[0]
            ring = found[which]
            if shared >= _SAME * min(len(members), len(ring.members)):
                ring.groups.append(row)
                sure = row["structure"] is not None and row["logit"] >= 0.5 * ring.logit > 0
                if sure and shared >= _SAME * len(members):
                    for person in members:
                        if person not in ring_of:
                            ring_of[person] = which
                            ring.members.append(person)
                for person in members:
                    if ring_of.get(person) == which:
                        ring.seen_in[person] = ring.seen_in.get(person, 0) + 1
                continue
        free = [p for p in members if p not in ring_of]
        if row["structure"] is None or len(free) < max(MIN_PERSONS, 0.7 * len(members)):
            continue
        ring_of.update(dict.fromkeys(free, len(found)))
        found.append(Ring(free, [row], seen_in=dict.fromkeys(free, 1)))
    for ring in found:
        _prune(ring, people, rates)
    return [ring for ring in found if len(ring.members) >= MIN_PERSONS]


def _prune(ring: Ring, people: pl.DataFrame, rates: dict[str, float]) -> None:
    """Let go of members whose behavior speaks against the ring more than it could by chance."""
    rows = people[sorted(ring.members)]
    fit = np.zeros(len(rows))
    for fact in FACTS:
        values = rows[fact.name]
        known = values.count()
        if not known or ring.groups[0][f"{fact.name}_ln"] <= 0:
            continue
        inside, base = (float(values.sum() or 0) + 0.5) / (known + 1), rates[fact.name]
        if inside <= base:
            continue
        told = values.to_list()
        for i, value in enumerate(told):
            if value is not None:
                fit[i] += np.log(inside / base) if value else np.log((1 - inside) / (1 - base))
    kept = fit >= min(_UNFIT, float(np.median(fit)))
    wide = ring.groups[0]["view"] in ("channel", "network", "employer", "employer_phone", "address")
    people_kept = [int(p) for p, keep in zip(rows["person"], kept, strict=True) if keep or not wide]
    if len(people_kept) >= MIN_PERSONS:
        ring.members = people_kept
    else:
        ring.members = [int(p) for p in rows["person"]]
    ring.fit = dict(zip((int(p) for p in rows["person"]), fit.tolist(), strict=True))
