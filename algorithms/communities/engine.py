"""What every engine answers, and the local one: edge table in, table keyed by `id` out.

An edge table has src, dst and, if there, weight; ids are integers or text. Edges have no direction, loops do not count,
duplicates are one edge with their weights summed, and absent weights are 1. A table of nodes (`id`) may name nodes
without edges. No result depends on the order of the rows.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl

from algorithms.communities import measures, union_find
from algorithms.communities.arrays import BadEdgesError, Flags, MethodMissingError
from algorithms.communities.contraction import by_size
from algorithms.communities.edge_files import EdgeTable, edge_table
from algorithms.communities.leiden import leiden
from algorithms.communities.propagation import propagated

METHODS = ("map-equation", "leiden", "louvain", "label-propagation", "components")

Table = TypeVar("Table")


class Engine(Protocol[Table]):
    """One set of questions; `Table` is a polars frame for the local engine and a Spark frame for the other."""

    def components(self, edges: Table, nodes: Table | None = None) -> Table:
        """Return id, component: the smallest id of the component; integers by value, text by its UTF-8 bytes."""
        ...

    def communities(
        self,
        edges: Table,
        nodes: Table | None = None,
        *,
        method: str = ...,
        resolution: float = 1.0,
        seed: int = 0,
    ) -> Table:
        """Return id, community: numbered from 0 by size, ties by the smallest id.

        Raises:
            MethodMissingError: the engine has no such method.
        """
        ...

    def pagerank(self, edges: Table, nodes: Table | None = None) -> Table:
        """Return id, pagerank; they sum to 1."""
        ...

    def core_numbers(self, edges: Table, nodes: Table | None = None) -> Table:
        """Return id, core: the largest k such that the node lies in a part where all have k neighbors."""
        ...

    def triangles(self, edges: Table, nodes: Table | None = None) -> Table:
        """Return id, triangles."""
        ...

    def neighborhoods(self, edges: Table, pairs: Table) -> Table:
        """Return a, b, common, jaccard, overlap for each given pair (a, b); an id without edges has no neighbors."""
        ...


def turns(ids: pl.Series) -> Flags:
    """Return for each id whether it looks in the odd steps of label propagation; the same in both engines."""
    return np.array([zlib.crc32(str(one).encode()) >> 7 & 1 for one in ids.to_list()], np.bool_)


class LocalEngine:
    """networkit, numba and numpy on one machine: 10⁸ edges in a few GB."""

    def components(self, edges: pl.DataFrame, nodes: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return id, component: the smallest id of the component."""
        return self.components_of(edge_table(edges, nodes))

    def components_of(self, table: EdgeTable) -> pl.DataFrame:
        """Return what `components` does, of a table that may stream from a file."""
        labels = union_find.components(((src, dst) for src, dst, _ in table.batches()), table.n)
        return table.keyed("component", labels, values_are_nodes=True)

    def communities(
        self,
        edges: pl.DataFrame,
        nodes: pl.DataFrame | None = None,
        *,
        method: str = "map-equation",
        resolution: float = 1.0,
        seed: int = 0,
    ) -> pl.DataFrame:
        """Return id, community: numbered from 0 by size, ties by the smallest id."""
        return self.communities_of(edge_table(edges, nodes), method=method, resolution=resolution, seed=seed)

    def communities_of(
        self, table: EdgeTable, *, method: str = "map-equation", resolution: float = 1.0, seed: int = 0
    ) -> pl.DataFrame:
        """Return what `communities` does, of a table that may stream from a file.

        Raises:
            MethodMissingError: the method is not one of `METHODS`.
        """
        if method not in METHODS:
            raise MethodMissingError(f"There is no method {method}; choose one of {', '.join(METHODS)}.")
        if method == "components":
            labels = union_find.components(((src, dst) for src, dst, _ in table.batches()), table.n)
        elif method == "map-equation":
            labels = measures.map_equation(table.graph(), seed=seed)
        elif method == "label-propagation":
            labels = propagated(table.graph(), turns(table.named(np.arange(table.n, dtype=np.uint32))))
        else:
            labels = leiden(table.graph(), seed=seed, resolution=resolution, refine=method == "leiden")
        return table.keyed("community", by_size(labels))

    def pagerank(self, edges: pl.DataFrame, nodes: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return id, pagerank; they sum to 1. Weights count where the edges have them."""
        table = edge_table(edges, nodes)
        return table.keyed("pagerank", measures.pagerank(table.graph(), weighted=table.weighted))

    def core_numbers(self, edges: pl.DataFrame, nodes: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return id, core."""
        table = edge_table(edges, nodes)
        return table.keyed("core", measures.core_numbers(table.graph()))

    def triangles(self, edges: pl.DataFrame, nodes: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return id, triangles."""
        table = edge_table(edges, nodes)
        return table.keyed("triangles", measures.triangles(table.graph()))

    def neighborhoods(self, edges: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
        """Return a, b, common, jaccard, overlap for each given pair, in the order of the pairs.

        Raises:
            BadEdgesError: the pairs lack a column.
        """
        if missing := [c for c in ("a", "b") if c not in pairs.columns]:
            raise BadEdgesError(f"The pairs lack the columns {missing}; they have {pairs.columns}.")
        named = pl.concat([pairs["a"].alias("id"), pairs["b"].alias("id")]).to_frame()
        table = edge_table(edges, named)
        known = pl.DataFrame({"id": table.named(np.arange(table.n, dtype=np.uint32))}).with_row_index("number")
        ends: list[Any] = [
            pairs.select(pl.col(c).cast(known["id"].dtype).alias("id")).join(known, on="id", maintain_order="left")
            for c in ("a", "b")
        ]
        a, b = (end["number"].to_numpy() for end in ends)
        common, jaccard, overlap = measures.neighborhoods(table.graph(), a, b)
        return pairs.select("a", "b").with_columns(
            pl.Series("common", common), pl.Series("jaccard", jaccard), pl.Series("overlap", overlap)
        )
