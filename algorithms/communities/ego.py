"""The neighborhood of one node as a networkx graph with its groups, small enough for a screen."""

from __future__ import annotations

from collections.abc import Hashable

import community as louvain
import networkx as nx
import polars as pl

from algorithms.communities.arrays import BadEdgesError

MOST_NODES = 2_000


def ego_network(edges: pl.DataFrame, center: Hashable, radius: int = 1) -> nx.Graph:
    """Return what lies within `radius` steps of the center, with all edges among it; weights summed, loops dropped.

    Raises:
        BadEdgesError: the edges do not name the center, or more than `MOST_NODES` nodes lie within reach.
    """
    weight = pl.col("weight") if "weight" in edges.columns else pl.lit(1.0).alias("weight")
    rows = edges.select("src", "dst", weight)
    reached = pl.DataFrame({"id": [center]}, schema={"id": rows["src"].dtype})
    if not rows.filter((pl.col("src") == center) | (pl.col("dst") == center)).height:
        raise BadEdgesError("The edges do not name this center; take an id of src or dst.")
    for _ in range(radius):
        out = rows.join(reached, left_on="src", right_on="id", how="semi").select(pl.col("dst").alias("id"))
        back = rows.join(reached, left_on="dst", right_on="id", how="semi").select(pl.col("src").alias("id"))
        reached = pl.concat([reached, out, back]).unique()
        if reached.height > MOST_NODES:
            raise BadEdgesError(
                f"{reached.height:,} nodes lie within {radius} steps, more than {MOST_NODES:,}; take a smaller radius."
            )
    inside = rows.join(reached, left_on="src", right_on="id", how="semi")
    inside = inside.join(reached, left_on="dst", right_on="id", how="semi").filter(pl.col("src") != pl.col("dst"))
    graph = nx.Graph()
    graph.add_nodes_from(reached["id"].sort())
    for src, dst, value in inside.sort("src", "dst", "weight").iter_rows():
        before = graph.get_edge_data(src, dst, {"weight": 0.0})["weight"]
        graph.add_edge(src, dst, weight=before + value)
    return graph


def partition(ego: nx.Graph, seed: int = 0) -> dict[Hashable, int]:
    """Return the group of each node by python-louvain; the same for the same graph and seed."""
    return dict(louvain.best_partition(ego, random_state=seed)) if ego.number_of_edges() else dict.fromkeys(ego, 0)
