"""Components proven by the edges: GraphFrames has been silently wrong when a checkpoint was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.communities.arrays import Flags, Ids, WrongComponentsError


def check_components(table: DataFrame, ids: DataFrame, edges: DataFrame) -> None:
    """Return where the table (id, component) is right: every id once, no edge between two, as many as there must be.

    No edge between two components means that none was torn apart; the right number means that none was merged. The
    number is that of the ids less the edges of a spanning forest, which each partition thins out before the last joins
    what is left.

    Args:
        ids: all ids, once each.
        edges: src, dst; no loops.

    Raises:
        WrongComponentsError: any of the three does not hold.
    """
    counted = table.agg(F.count("*"), F.countDistinct("id"), F.countDistinct("component"), F.count("component")).head()
    assert counted is not None
    rows, distinct, components, filled = counted
    needed = ids.count()
    again = "Run it again with a checkpoint folder that all executors reach and nothing empties."
    if not rows == distinct == filled == needed:
        raise WrongComponentsError(
            f"{needed:,} ids need one component each; {rows:,} rows for {distinct:,} ids came back. {again}"
        )
    of = {end: table.select(F.col("id").alias(end), F.col("component").alias(f"of_{end}")) for end in ("src", "dst")}
    torn = edges.select("src", "dst").join(of["src"], "src").join(of["dst"], "dst").where("of_src <> of_dst").count()
    if torn:
        raise WrongComponentsError(f"{torn:,} edges join two components; none may. {again}")
    # Arrow has its own text and numbers; the forest only counts, so ids go through as they are.
    schema = edges.select("src", "dst").schema
    forest = edges.select("src", "dst").mapInArrow(spanning_forest, schema)
    expected = needed - forest.coalesce(1).mapInArrow(spanning_forest, schema).count()
    if components != expected:
        raise WrongComponentsError(f"The edges make {expected:,} components; {components:,} came back. {again}")


def spanning_forest(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Return edges of the batches that join all that they join, and none that closes a circle."""
    tables = [pa.Table.from_batches([batch]) for batch in batches if batch.num_rows]
    if not tables:
        return
    edges = pl.from_arrow(pa.concat_tables(tables))
    assert isinstance(edges, pl.DataFrame)
    ids = pl.concat([edges["src"].alias("id"), edges["dst"].alias("id")]).unique().to_frame().with_row_index("number")
    ends = [
        edges.select(pl.col(c).alias("id")).join(ids, on="id", maintain_order="left")["number"] for c in ("src", "dst")
    ]
    kept = edges.filter(pl.Series(_joins(ends[0].to_numpy(), ends[1].to_numpy(), len(ids))))
    yield from kept.to_arrow().cast(tables[0].schema).to_batches()


@njit(cache=True)
def _joins(src: Ids, dst: Ids, n: int) -> Flags:
    """Return for each edge whether it joins two parts that the edges before it left apart."""
    parent, joins = np.arange(n), np.zeros(len(src), np.bool_)
    for i in range(len(src)):
        a, b = np.int64(src[i]), np.int64(dst[i])
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        joins[i] = a != b
        parent[max(a, b)] = min(a, b)
    return joins
