"""The relationships of the graph that lie around ring members: what a sentence of evidence points to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.rings.snapshot import Snapshot
from graph.schema import EDGE_BY_TABLE

_BESIDE = (
    "uses_phone", "uses_device", "paid_with", "lives_at", "works_at", "seen_on", "person_submitted",
    "person_owns_account", "lists_contact",
)  # fmt: skip
_BETWEEN = ("person_guarantees", "same_person", "related_to")
_BEYOND = ("referred_by", "device_holds_sim", "has_phone", "funded")
_ACROSS = ("called", "transferred")


@dataclass(frozen=True, order=True)
class Link:
    """One relationship of the graph, as read aloud, with the labels of its ends."""

    relationship: str
    src_label: str
    src: str
    dst_label: str
    dst: str

    def as_dict(self) -> dict[str, str]:
        """Return what evidence says of it."""
        return {"relationship": self.relationship, "src": self.src, "dst": self.dst}


def links_around(snapshot: Snapshot, persons: list[str], nodes: list[str]) -> pl.DataFrame:
    """Return the relationships beside `persons`, and the second steps from there to `nodes` or to another of them.

    Columns relationship, src_label, src, dst_label, dst. An address book's entry counts if two of the persons have it
    or if it is another person's own number.
    """
    spark = snapshot.spark
    who = F.broadcast(spark.createDataFrame([(p,) for p in persons], "id string"))
    named = F.broadcast(spark.createDataFrame([(n,) for n in nodes], "id string"))

    def table(name: str) -> DataFrame:
        edge = EDGE_BY_TABLE[name]
        return snapshot.edges(name).select(
            F.lit(edge.relationship).alias("relationship"), F.lit(str(edge.src)).alias("src_label"), "src",
            F.lit(str(edge.dst)).alias("dst_label"), "dst",
        )  # fmt: skip

    def ends_in(rows: DataFrame, end: str, ids: DataFrame) -> DataFrame:
        return rows.join(ids.withColumnRenamed("id", end), end, "left_semi").select(*_COLUMNS)

    beside = {name: ends_in(table(name), "src", who).persist() for name in _BESIDE}
    own = beside["uses_phone"].select(F.col("dst").alias("id")).distinct()
    shared = beside["lists_contact"].groupBy("dst").agg(F.countDistinct("src").alias("n")).where("n >= 2")
    wanted = shared.select(F.col("dst").alias("id")).union(own).union(named).distinct()
    beside["lists_contact"] = ends_in(beside["lists_contact"], "dst", wanted)
    reached = reduce(lambda a, b: a.union(b), (rows.select(F.col("dst").alias("id")) for rows in beside.values()))
    steps = reached.union(named).distinct().persist()
    parts = [*beside.values()]
    parts += [ends_in(ends_in(table(name), "src", who), "dst", who) for name in _BETWEEN]
    parts += [ends_in(table(name), "src", steps) for name in _BEYOND]
    ours = own.union(beside["person_owns_account"].select(F.col("dst").alias("id"))).union(named).distinct().persist()
    parts += [ends_in(ends_in(table(name), "src", ours), "dst", ours) for name in _ACROSS]
    found = reduce(lambda a, b: a.unionByName(b), parts).distinct()
    return pl.DataFrame(pl.from_arrow(found.toArrow()))


_COLUMNS = ["relationship", "src_label", "src", "dst_label", "dst"]


class Links:
    """Ways of at most two relationships, found in the links around ring members."""

    def __init__(self, found: pl.DataFrame):
        self._at: dict[str, list[Link]] = defaultdict(list)
        for row in found.select(_COLUMNS).sort(_COLUMNS).iter_rows():
            link = Link(*row)
            self._at[link.src].append(link)
            self._at[link.dst].append(link)

    def at(self, node: str) -> list[Link]:
        """Return the links that touch a node."""
        return self._at.get(node, [])

    def ways(self, person: str, node: str, most: int = 3) -> list[Link]:
        """Return the links of the shortest ways from a person to a node, one step or two; a few if there are many."""
        near = self.at(person)
        direct = [link for link in near if node in (link.src, link.dst)]
        if direct:
            return direct[:most]
        found: list[Link] = []
        for first in near:
            middle = first.dst if first.src == person else first.src
            second = [link for link in self.at(middle) if node in (link.src, link.dst)]
            if second:
                found += [first, *second[:most]]
            if len(found) >= 2 * most:
                break
        return found

    def shared(self, persons: Iterable[str], most: int = 12) -> tuple[list[str], list[Link]]:
        """Return the nodes that two or more of the persons touch, most shared and rarest kind first, and the links."""
        inside = set(persons)
        touch: dict[str, list[Link]] = defaultdict(list)
        direct: list[Link] = []
        for person in sorted(inside):
            for link in self.at(person):
                other = link.dst if link.src == person else link.src
                if other in inside:
                    direct.append(link)
                else:
                    touch[other].append(link)
        several = {n: v for n, v in touch.items() if len({x.src for x in v} & inside) >= 2}
        order = sorted(several, key=lambda n: (_COMMON.get(several[n][0].relationship, 0), -len(several[n]), n))[:most]
        links = sorted(set(direct)) + [link for n in order for link in several[n]]
        return order, links


_COMMON = {"SEEN_ON": 2, "WORKS_AT": 2, "LISTS_CONTACT": 1, "LIVES_AT": 1, "SUBMITTED": 3}
