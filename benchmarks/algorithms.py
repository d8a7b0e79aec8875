"""`make bench-algorithms`: components and communities from Parquet to Parquet, ours and others', at 10⁶ to 10⁸ edges.

The graph: groups of 50 nodes in random places, ten edges a node, 70 % of them within the group, the rest anywhere.
Each contender runs in a process of its own. `seconds` run from the file to the written file in a process that has
loaded its libraries (for ours compiled code, for GraphFrames a running session); `process_seconds` count the start too,
and `cpu_seconds` are those that its own process worked on all cores, which other work on the machine does not stretch.
Neo4j GDS (benchmarks/gds.py) begins with its import; its `seconds` leave out the server's start, its `parts` show it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks import gds
from benchmarks.machine import PeakMemory, description

RESULTS = Path(__file__).parent / "results" / "algorithms.json"
CHART = Path(__file__).parents[1] / "docs" / "img" / "communities.svg"
SIZES = {"1e6": 10**6, "1e7": 10**7, "1e8": 10**8}
# The most edges each is given, so that all of it ends within the hour; raise one to see more of it.
MOST = {"ours": 10**8, "networkit": 10**7, "igraph": 10**7, "leidenalg": 10**6, "graphframes": 10**6, "gds": 10**7}
TASKS = {
    "components": ("ours", "networkit", "igraph", "graphframes", "gds"),
    "communities": ("ours", "networkit", "igraph", "leidenalg", "gds"),
}
_CHUNK, _GROUP, _WITHIN, _DEGREE = 5_000_000, 50, 0.7, 10

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def write_graph(path: Path, edges: int, n: int, seed: int) -> None:
    """Write `edges` rows of src, dst as uint32 below `n`; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(1).permutation(n).astype(np.uint32)
    schema = pa.schema([("src", pa.uint32()), ("dst", pa.uint32())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as file:
        for begin in range(0, edges, _CHUNK):
            count = min(_CHUNK, edges - begin)
            src, within = rng.integers(0, n, count), rng.random(count) < _WITHIN
            near = np.minimum(src // _GROUP * _GROUP + rng.integers(0, _GROUP, count), n - 1)
            dst = np.where(within, near, rng.integers(0, n, count))
            file.write_table(pa.table({"src": places[src], "dst": places[dst]}, schema))


def _arrays(path: Path) -> tuple[Any, Any, int]:
    table = pq.read_table(path)
    src, dst = table["src"].to_numpy(), table["dst"].to_numpy()
    return src, dst, int(max(src.max(), dst.max())) + 1


def _write(labels: Any, out: Path, name: str) -> None:
    values = np.asarray(labels)
    pq.write_table(pa.table({"id": np.arange(len(values), dtype=np.uint32), name: values}), out)


def _ours(task: str, path: Path, out: Path) -> Callable[[], None]:
    from algorithms.communities.edge_files import read_edges
    from algorithms.communities.engine import LocalEngine

    def run(source: Path = path, target: Path = out) -> None:
        engine, table = LocalEngine(), read_edges(source)
        found = engine.components_of(table) if task == "components" else engine.communities_of(table, method="leiden")
        found.write_parquet(target)

    _warm(run, out)
    return run


def _warm(run: Callable[[Path, Path], None], out: Path) -> None:
    """Let numba load its compiled code."""
    small = out.with_suffix(".warm.parquet")
    write_graph(small, 10_000, 1_000, 3)
    run(small, out)


def _networkit(task: str, path: Path, out: Path) -> Callable[[], None]:
    import networkit as nk

    nk.setNumberOfThreads(2)

    def run() -> None:
        src, dst, n = _arrays(path)
        # From uint32 it reads beyond the arrays.
        graph = nk.GraphFromCoo((src.astype(np.uint64), dst.astype(np.uint64)), n=n)
        del src, dst
        method = (
            nk.components.ConnectedComponents(graph) if task == "components" else nk.community.ParallelLeiden(graph)
        )
        method.run()
        _write(method.getPartition().getVector(), out, "component" if task == "components" else "community")

    return run


def _igraph(task: str, path: Path, out: Path) -> Callable[[], None]:
    import igraph

    def run() -> None:
        src, dst, n = _arrays(path)
        graph = igraph.Graph(n, np.column_stack([src, dst]))
        found = graph.connected_components() if task == "components" else graph.community_multilevel()
        _write(found.membership, out, "component" if task == "components" else "community")

    return run


def _leidenalg(task: str, path: Path, out: Path) -> Callable[[], None]:
    import igraph
    import leidenalg

    def run() -> None:
        src, dst, n = _arrays(path)
        graph = igraph.Graph(n, np.column_stack([src, dst]))
        found = leidenalg.find_partition(graph, leidenalg.ModularityVertexPartition, seed=1)
        _write(found.membership, out, "community")

    return run


def _graphframes(task: str, path: Path, out: Path) -> Callable[[], None]:
    from graphframes import GraphFrame
    from pyspark.sql import functions as F

    from graph.settings import PlatformSettings, SparkSettings
    from graph.spark import spark_session

    settings = SparkSettings(local_dir=out.parent / "spark")
    spark = spark_session("benchmark", settings, PlatformSettings(), ("spark", "graphframes"))
    spark.sparkContext.setCheckpointDir(str(out.parent / "checkpoints"))
    spark.range(10).count()

    def run() -> None:
        edges = spark.read.parquet(str(path)).select(F.col("src").cast("long"), F.col("dst").cast("long"))
        ids = edges.select(F.col("src").alias("id")).union(edges.select("dst")).distinct()
        GraphFrame(ids, edges).connectedComponents().write.parquet(str(out))

    return run


_CONTENDERS = {
    "ours": _ours,
    "networkit": _networkit,
    "igraph": _igraph,
    "leidenalg": _leidenalg,
    "graphframes": _graphframes,
    "gds": gds.contender,
}
_IN_JAVA = ("graphframes", "gds")


def _delta(path: Path, out: Path) -> Callable[[], None]:
    """Yesterday's labels and the new edges in, today's labels out."""
    from algorithms.communities import local

    def run(added: Path = path, target: Path = out) -> None:
        labels = pq.read_table(added.with_suffix(".yesterday"))["component"].to_numpy()
        src, dst, n = _arrays(added)
        _write(local.updated_components(labels, src, dst, max(n, len(labels))), target, "component")

    small = out.with_suffix(".small.parquet")
    write_graph(small, 1_000, 100, 3)
    pq.write_table(pa.table({"component": np.arange(100, dtype=np.uint32)}), small.with_suffix(".yesterday"))
    run(small, out)
    return run


@app.command()
def one(task: str, contender: str, path: Path, out: Path) -> None:
    """Measure one contender and print its figures as JSON."""
    run = _delta(path, out) if task == "delta" else _CONTENDERS[contender](task, path, out)
    # A look at all processes takes some milliseconds, a core's fifth at 100 a second: seldom enough for Java's minutes.
    with PeakMemory(every_s=0.5 if contender in _IN_JAVA else 0.01) as memory:
        begun, worked = time.monotonic(), time.process_time()
        own = run() or {}
        seconds, cpu = time.monotonic() - begun, time.process_time() - worked
    figures = {"seconds": round(seconds, 3), "peak_gb": memory.peak_gb}
    if contender not in _IN_JAVA:  # whose work is done in another process
        figures["cpu_seconds"] = round(cpu, 3)
    print(json.dumps(figures | own))


def _judged(task: str, path: Path, out: Path) -> dict[str, Any]:
    """Return the number of groups found, and their modularity, by one measure for all."""
    from algorithms.communities.contraction import modularity
    from algorithms.communities.edge_files import read_edges

    found = pl.read_parquet(out / "*.parquet" if out.is_dir() else out)
    labels = found["component" if task != "communities" else "community"]
    figures: dict[str, Any] = {"groups": labels.n_unique()}
    if task == "communities":
        table = read_edges(path)
        numbers = np.zeros(table.n, np.uint32)
        numbers[found["id"].to_numpy()] = labels.rank("dense").to_numpy() - 1
        figures["modularity"] = round(modularity(table.graph(), numbers), 4)
    return figures


def _measured(task: str, contender: str, path: Path, folder: Path) -> dict[str, Any]:
    out = folder / f"{task}-{contender}.out"
    load = {"load_average_before": round(os.getloadavg()[0], 1)}
    command = [sys.executable, "-m", "benchmarks.algorithms", "one", task, contender, str(path), str(out)]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    process = time.monotonic() - begun
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:200]}
    figures = json.loads(done.stdout.strip().splitlines()[-1]) | {"process_seconds": round(process, 1)} | load
    return figures | _judged(task, path, out)


def _ours_beside(task: str, path: Path, folder: Path) -> dict[str, Any]:
    """Measure ours once more, so that a ratio is of the same minutes."""
    figures = _measured(task, "ours", path, folder)
    return {f"ours_in_the_same_run_{unit}": figures[unit] for unit in ("seconds", "cpu_seconds") if unit in figures}


def _delta_cell(edges: int, path: Path, folder: Path, full: float) -> dict[str, Any]:
    """Measure 1 % more edges from yesterday's labels, and hold the result against a full run."""
    from algorithms.communities import union_find
    from algorithms.communities.edge_files import read_edges

    added = folder / "added.parquet"
    write_graph(added, edges // 100, edges // _DEGREE, 2)
    yesterday = added.with_suffix(".yesterday")
    (folder / "components-ours.out").rename(yesterday)
    figures = _measured("delta", "ours", added, folder)
    both = [read_edges(path), read_edges(added)]
    ends = ((src, dst) for table in both for src, dst, _ in table.batches())
    again = union_find.components(ends, max(table.n for table in both))
    found = pq.read_table(folder / "delta-ours.out")["component"].to_numpy()
    return figures | {
        "equal_to_full": bool(np.array_equal(found, again)),
        "of_full": round(figures["seconds"] / full, 3),
    }


@app.command("all")
def everything(
    sizes: Annotated[str, typer.Option(help="Which of 1e6, 1e7, 1e8, with commas between")] = "1e6,1e7,1e8",
    only: Annotated[str, typer.Option(help="Contenders, with commas between; all by default")] = "",
) -> None:
    """Measure what is asked for, keep it beside what was measured before, and draw the chart."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"sizes": {}}
    results["machine"] = description()
    for size in sizes.split(","):
        edges = SIZES[size]
        cell = results["sizes"].setdefault(size, {})
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = folder / "edges.parquet"
            write_graph(path, edges, edges // _DEGREE, 1)
            for task, contenders in TASKS.items():
                for contender in contenders:
                    if only and contender not in only.split(","):
                        continue
                    skipped = {"skipped": f"given at most {MOST[contender]:.0e} edges"}
                    fits = edges <= MOST[contender]
                    found = _measured(task, contender, path, folder) if fits else skipped
                    if contender == "gds" and "seconds" in found:
                        found |= _ours_beside(task, path, folder)
                    cell.setdefault(task, {})[contender] = found
                    print(size, task, contender, cell[task][contender], flush=True)
                    if contender == "ours" and task == "components":
                        cell["delta"] = _delta_cell(edges, path, folder, cell[task]["ours"]["seconds"])
                        print(size, "delta", cell["delta"], flush=True)
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    draw(results)


def draw(results: dict[str, Any]) -> None:
    """Draw seconds over edges, one line a contender, both scales logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "communities"  # the same file from the same figures
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, (task, contenders) in zip(axes, TASKS.items(), strict=True):
        for contender in contenders:
            points = [
                (SIZES[size], cell[task][contender]["seconds"])
                for size, cell in sorted(results["sizes"].items())
                if "seconds" in cell.get(task, {}).get(contender, {})
            ]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=contender)
        axis.set(xscale="log", yscale="log", title=task, xlabel="edges")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    axes[0].set_ylabel("seconds, Parquet to Parquet")
    figure.tight_layout()
    CHART.parent.mkdir(exist_ok=True)
    figure.savefig(CHART, metadata={"Date": None})


if __name__ == "__main__":
    app()
