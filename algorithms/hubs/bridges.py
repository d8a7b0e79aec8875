"""The policy on hubs as tables: edges without the bridges that hubs would make, and who stands beside each hub."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Unbridged:
    """`edges` as they came, less those that touch a hub; `beside`, those that do: `hub`, `kind`, `node`, their columns.

    Together they are all the edges that came in. An edge between two hubs stands beside each of them.
    """

    edges: DataFrame
    beside: DataFrame


def barred(hubs: DataFrame) -> DataFrame:
    """Return `id` and `kind` of the hubs that must not join groups, one row each."""
    return hubs.where(~F.col("joins")).select("id", "kind")


def without_hub_bridges(edges: DataFrame, hubs: DataFrame) -> Unbridged:
    """Split an edge table into what may join groups and what only stands beside a hub.

    Args:
        edges: `src`, `dst` and any other columns.
        hubs: what `algorithms.hubs.registry.hubs` returned.
    """
    hub = F.broadcast(barred(hubs))
    free = edges
    for end in ("src", "dst"):
        free = free.join(hub.select(F.col("id").alias(end)), end, "left_anti")
    beside = [
        edges.join(hub, F.col(end) == F.col("id"))
        .withColumn("hub", F.col("id"))
        .withColumn("node", F.col(other))
        .select("hub", "kind", "node", *edges.columns)
        for end, other in (("src", "dst"), ("dst", "src"))
    ]
    return Unbridged(free.select(*edges.columns), beside[0].unionByName(beside[1]))
