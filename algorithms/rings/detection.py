"""One snapshot to rings: candidate groups, their scores, what is left of a ring without one of its nodes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from algorithms.rings import conduct, merging, scoring
from algorithms.rings.groups import MIN_PERSONS, Groups, binder, candidate_groups, indexed
from algorithms.rings.merging import Ring
from algorithms.rings.reference import Reference, reference
from algorithms.rings.rules import Rules
from algorithms.rings.snapshot import Tables
from algorithms.weights import Parameters, defaults

TRIED = 3  # things of a ring without which its score is told


@dataclass
class Detection:
    """What was found in a snapshot. `people`: one row a person, `person` its number; rings: most certain first."""

    people: pl.DataFrame
    stars: pl.DataFrame
    ties: pl.DataFrame
    books: pl.DataFrame
    hubs: pl.DataFrame
    rules: Rules
    groups: Groups
    scored: pl.DataFrame
    usual: Reference
    rings: list[Ring]
    societies: NDArray[np.uint32]
    parameters: Parameters
    found_before: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def score(self, logit: float) -> float:
        """Return a score in [0, 1] from ln(odds)."""
        return float(1 / (1 + np.exp(-logit / self.rules.temperature)))

    def without(self, ring: Ring) -> dict[tuple[str, ...], float]:
        """Return for what carries a ring the score of what is left when it is away; up to `TRIED` of them.

        The ring's persons are looked at again as if the nodes did not exist: groups, figures and rules, held against
        the same reference. Names of one thing go together: a handset's app id, IMEI and batch, an employer and its
        number. 0 where no rule holds for half of the persons any more. Asked again about the same surroundings, also
        on a later night, it goes by what was found then (`found_before`).
        """
        around = _around(self, ring)
        key = around.digest(self, ring)
        if key not in self.found_before:
            rest = {}
            for nodes in _names_of_one_thing(ring, around.stars)[:TRIED]:
                left = around.stars.filter(~pl.col("node").is_in(list(nodes)))
                rest[nodes] = self._left(around, left)
            self.found_before[key] = rest
        self.asked.add(key)
        return self.found_before[key]

    def _left(self, around: Around, stars: pl.DataFrame) -> float:
        people, ties = around.people, around.ties
        found, _ = candidate_groups(stars, ties, around.books, people, self.hubs, self.parameters, self.usual.at)
        rows = scoring.scored_groups(found, people, stars, ties, self.hubs, self.rules, self.usual)
        holds = rows.filter(pl.col("structure").is_not_null() & (pl.col("persons") >= len(people) / 2))
        best = holds["logit"].max()
        return self.score(float(best)) if isinstance(best, float) else 0.0


@dataclass(frozen=True)
class Around:
    """A ring's persons and what they touch, each table with `person` numbered within the ring."""

    people: pl.DataFrame
    stars: pl.DataFrame
    ties: pl.DataFrame
    books: pl.DataFrame

    def digest(self, found: Detection, ring: Ring) -> str:
        """Return a name for all that decides what is left of the ring without one of its nodes."""
        hubs = found.hubs.filter(pl.col("node").is_in(self.stars["node"].unique().implode())).select("node", "hub_kind")
        said = hashlib.sha256(found.usual.to_json().encode() + found.rules.model_dump_json().encode())
        said.update(found.parameters.model_dump_json().encode())
        said.update(json.dumps([binder(g["view"], str(g["node"])) for g in ring.groups]).encode())
        for frame in (self.people, self.stars, self.ties, self.books, hubs):
            said.update(np.sort(frame.select(sorted(frame.columns)).hash_rows(seed=7).to_numpy()).tobytes())
        return said.hexdigest()


def _around(found: Detection, ring: Ring) -> Around:
    who = pl.DataFrame({"person": sorted(ring.members)}, schema={"person": pl.UInt32}).with_row_index("local")
    people = who.join(found.people, on="person", how="left").drop("person").rename({"local": "person"})

    def local(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
        for column in columns:
            rows = rows.join(who.rename({"person": column}), on=column).drop(column).rename({"local": column})
        return rows

    stars = _telling(local(found.stars, "person"))
    return Around(people, stars, local(found.ties, "src", "dst"), local(found.books, "person"))


def _telling(stars: pl.DataFrame) -> pl.DataFrame:
    """Return what a ring's stars can still say of it, so that a change that says nothing is none.

    A node with fewer of the ring's persons than a group needs is never asked about: how many touch it elsewhere counts
    no longer, beyond whether it is a household's. One with a single person links nobody: that there is such a node is
    kept (of handsets, each), and contacts are dropped.
    """
    rows = stars.with_columns(inside=pl.len().over("view", "node"))
    whole, few = rows.filter(pl.col("inside") >= MIN_PERSONS), rows.filter(pl.col("inside") < MIN_PERSONS)
    alone, nothing = pl.col("inside") == 1, pl.lit(None)
    few = few.filter(~alone | (pl.col("view") != "contact")).with_columns(
        node=pl.when(alone & (pl.col("view") != "device")).then(pl.format("alone-{}", "person")).otherwise("node"),
        first_at=pl.when(~alone).then("first_at"), last_at=pl.when(~alone).then("last_at"),
        events=pl.when(~alone).then("events"), listed=pl.when(alone).then(nothing).otherwise("listed"),
        node_persons=pl.col("node_persons").clip(upper_bound=MIN_PERSONS),
        node_known=pl.col("node_known") * 0, node_marked=pl.col("node_marked") * 0,
    )  # fmt: skip
    less = few.with_columns(
        node_persons=pl.when(alone & (pl.col("view") != "device")).then(2).otherwise("node_persons")
    )
    both = pl.concat([whole, less.cast(dict(whole.schema))])  # type: ignore[arg-type]
    return both.select(stars.columns).unique().sort("view", "node", "person")


_FAMILY = {"sim": "device", "handset_batch": "device", "employer_phone": "employer"}


def _names_of_one_thing(ring: Ring, stars: pl.DataFrame) -> list[tuple[str, ...]]:
    """Return the nodes that show the ring, best first, each with those of its family that the same persons touch."""
    beside = stars.filter(pl.col("view") != "contact").select(
        "node", "person", family=pl.col("view").replace(_FAMILY)
    ).unique().group_by("node", "family").agg(pl.col("person").sort())  # fmt: skip
    by_set: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    of_node: dict[str, tuple[str, tuple[int, ...]]] = {}
    for node, family, persons in beside.sort("node", "family").iter_rows():
        key = (str(family), tuple(persons))
        by_set.setdefault(key, []).append(str(node))
        of_node[str(node)] = key
    named = [node for g in ring.groups if (node := binder(g["view"], str(g["node"])))]
    return list(dict.fromkeys(tuple(by_set[of_node[node]]) for node in named if node in of_node))


def detect(
    tables: Tables,
    hubs: pl.DataFrame,
    rules: Rules,
    at: datetime,
    parameters: Parameters | None = None,
    societies: pl.DataFrame | None = None,
    standing: Reference | None = None,
) -> Detection:
    """Return the rings of a snapshot.

    Args:
        at: the snapshot's moment.
        parameters: of the links' weights; the defaults where there are none.
        hubs: node, hub_kind: nodes that an honest reason explains.
        societies: person_id, society of the night before: where the search for communities starts.
        standing: the reference of nights before; one of this snapshot takes its place when it does not fit.
    """
    parameters = parameters or defaults()
    people = conduct.persons(tables).with_row_index("person")
    stars, ties, books = indexed(tables, people)
    stars = scoring.with_node_figures(stars, people)
    initial = None
    if societies is not None and len(societies):
        known = people.select("person_id").join(societies, on="person_id", how="left")["society"]
        fresh = pl.Series(np.arange(len(people), dtype=np.int64) + (known.max() or 0) + 1)  # type: ignore[operator]
        initial = known.cast(pl.Int64).fill_null(fresh).to_numpy().astype(np.uint32)

    def asked(at: datetime) -> tuple[Groups, NDArray[np.uint32]]:
        return candidate_groups(stars, ties, books, people, hubs, parameters, at, initial)

    # Links are as old as they are at the reference's moment, so that time alone moves no community.
    groups, labels = asked(standing.at if standing else at)
    if standing is None or not standing.fits(groups, len(people), at):
        if standing is not None:
            groups, labels = asked(at)
        standing = reference(groups, people, stars, at)
    scored = scoring.scored_groups(groups, people, stars, ties, hubs, rules, standing)
    rings = merging.rings(scored, groups, people, standing.rates)
    return Detection(people, stars, ties, books, hubs, rules, groups, scored, standing, rings, labels, parameters)
