"""What `python -m algorithms communities` does, apart from the words of the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
from rich.console import Console

from algorithms.communities.agreement import agreement
from algorithms.communities.arrays import BadEdgesError, MethodMissingError
from algorithms.communities.edge_files import read_edges, read_frame
from algorithms.communities.engine import METHODS, LocalEngine


def run(
    file: Path,
    out: Path,
    console: Console,
    *,
    truth: Path | None,
    nodes: Path | None,
    method: str,
    engine: str,
    resolution: float,
    seed: int,
) -> None:
    """Write id, community of the edges in `file`, and print what was found and how far it agrees with the truth.

    Raises:
        CommunitiesError: a file, a column, an id or a weight cannot be used, or the method is not there.
    """
    if method not in METHODS:
        raise MethodMissingError(f"There is no method {method}; choose one of {', '.join(METHODS)}.")
    if engine not in ("local", "spark"):
        raise MethodMissingError(f"There is no engine {engine}; choose local or spark.")
    if not 0 < resolution < float("inf"):
        raise BadEdgesError(f"--resolution must be above 0; {resolution} was given.")
    if seed < 0:
        raise BadEdgesError(f"--seed must not be negative; {seed} was given.")
    if not out.name.endswith((".csv", ".parquet")):
        raise BadEdgesError(f"--out must end in .csv or .parquet; {out.name} was given.")
    if not out.absolute().parent.is_dir():
        raise BadEdgesError(f"There is no folder {out.absolute().parent} for --out; make it first.")
    known = None if truth is None else read_frame(truth, ("id", "community"))
    if engine == "local":
        table = read_edges(file, nodes)
        found = LocalEngine().communities_of(table, method=method, resolution=resolution, seed=seed)
    else:
        found = _on_spark(file, nodes, method)
    if out.name.endswith(".csv"):
        found.write_csv(out)
    else:
        found.write_parquet(out)
    console.print(f"{found['community'].n_unique():,} communities of {found.height:,} ids in {out}")
    if known is None:
        return
    figures = agreement(found, known)
    console.print(f"NMI {figures.nmi:.4f}  ARI {figures.ari:.4f}  pairwise F1 {figures.pairwise_f1:.4f}")
    left = [f"{figures.only_truth:,} only in the truth"] * bool(figures.only_truth)
    left += [f"{figures.only_found:,} only in the graph"] * bool(figures.only_found)
    console.print(f"over {figures.compared:,} ids" + (f"; left out: {', '.join(left)}" if left else ""))


def _on_spark(file: Path, nodes: Path | None, method: str) -> pl.DataFrame:
    from algorithms.communities.spark_engine import SparkEngine
    from graph.settings import PlatformSettings, SparkSettings
    from graph.spark import spark_session

    # Read by the same code, so that both engines refuse the same files; Spark's own reader pads short lines.
    columns = read_frame(file, ("src", "dst"), ("weight",))
    further = None if nodes is None else read_frame(nodes, ("id",))
    with tempfile.TemporaryDirectory() as folder:
        spark = spark_session("communities", SparkSettings(), PlatformSettings(), ("spark", "graphframes"))
        try:
            columns.write_parquet(f"{folder}/edges.parquet")
            edges, named = spark.read.parquet(f"{folder}/edges.parquet"), None
            if further is not None:
                further.write_parquet(f"{folder}/nodes.parquet")
                named = spark.read.parquet(f"{folder}/nodes.parquet")
            found = SparkEngine(spark, f"{folder}/checkpoints").communities(edges, named, method=method)
            table = pl.from_arrow(found.toArrow())
        finally:
            spark.stop()
    assert isinstance(table, pl.DataFrame)
    return table.sort("id")
