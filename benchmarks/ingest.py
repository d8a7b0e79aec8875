"""`make bench-ingest`: files to tables, both loads and the analyst's first question, at about 10⁶ and 10⁷ edges.

One run measures everything on one world: MB/s and rows/s of each stage, relationships/s of the importer, of the whole
full load and of the UNWIND load into an empty server, the time of a node's layer, and peak memory.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from neo4j import Driver
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.machine import PeakMemory, description
from graph import load, writer
from graph.lake import Lake
from graph.reader import GraphReader
from graph.schema import EDGE_BY_TABLE, EDGES, NODE_BY_LABEL
from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings, SparkSettings
from graph.spark import spark_session
from graph.tokens import Keys
from ingest import graph_tables
from ingest.files import landing_files
from ingest.landing import parts, stage
from ingest.mapping import Mapping
from ingest.raw import merge, merge_vault
from ingest.sources import SOURCES
from ingest.synthetic import write_world

APPLICANTS = {"1e6": 4_200, "1e7": 42_000}
UNWIND_EDGES = 400_000
QUESTIONS = 500
RESULTS = Path(__file__).parent / "results" / "ingest.json"


def _timed(step: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.monotonic()
    result = step()
    return time.monotonic() - begun, result


def measure(spark: SparkSession, applicants: int, folder: Path, cache: Path) -> dict[str, Any]:
    """Run one world through every stage below `folder` and return the figures."""
    write_world(spark, folder, applicants=applicants, nights=1, seed=11, compress=False)
    landing, lake, keys = folder / "landing", Lake(folder / "lake"), folder / "keys.json"
    Keys.create(keys)
    day = max(date.fromisoformat(path.name) for path in landing.iterdir())
    files = [file for file, _ in landing_files(landing, Mapping(), day) if file]
    mb = sum(file.bytes for file in files) / 1e6
    out: dict[str, Any] = {"applicants": applicants, "raw_mb": round(mb, 1)}

    seconds, counted = _timed(lambda: stage(spark, parts(spark, files, Mapping()), Mapping(), lake.staging, keys))
    rows = sum(part.read for part in counted)
    out["typed_rows"] = _rates(seconds, rows, mb)
    sources = sorted({file.source for file in files})
    seconds, _ = _timed(lambda: [merge(spark, lake, SOURCES[source], keys) for source in sources])
    out["merge_into_lake"] = _rates(seconds, rows, mb)
    seconds, vaulted = _timed(lambda: merge_vault(spark, lake))
    out["vault"] = {"values": vaulted, "seconds": round(seconds, 1)}
    at = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    seconds, tables = _timed(lambda: graph_tables.build(spark, lake, at, set(sources)))
    edges = sum(tables[edge.table] for edge in EDGES if edge.table in tables)
    out["edges"], out["nodes"] = edges, sum(tables.values()) - edges
    out["graph_tables"] = {"seconds": round(seconds, 1), "edges_per_s": round(edges / seconds)}

    server = LocalServer(
        Neo4jSettings(uri=None, home=folder / "neo4j", port=free_port(), heap="1g", page_cache="2g"), cache
    )
    try:
        seconds, counts = _timed(lambda: load.full_load(spark, lake, server, day.isoformat(), folder / "import"))
        out["full_load"] = {
            "seconds": round(seconds, 1),
            "relationships_per_s": round(edges / seconds),
            "importer_seconds": round(counts.import_seconds, 1),
            "importer_relationships_per_s": round(edges / counts.import_seconds),
        }
        with server.driver() as driver:
            out["layer"] = _layers(driver, spark, lake)
    finally:
        server.stop()
    out["unwind_load"] = _unwind(spark, lake, folder, cache, at)
    out["full_over_unwind"] = round(
        out["full_load"]["relationships_per_s"] / out["unwind_load"]["relationships_per_s"], 1
    )
    out["importer_over_unwind"] = round(
        out["full_load"]["importer_relationships_per_s"] / out["unwind_load"]["relationships_per_s"], 1
    )
    return out


def _rates(seconds: float, rows: int, mb: float) -> dict[str, float]:
    return {
        "seconds": round(seconds, 1),
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "mb_per_s": round(mb / seconds, 1),
    }


def _layers(driver: Driver, spark: SparkSession, lake: Lake) -> dict[str, Any]:
    """Time the counts and the newest 200 neighbors of random nodes, and of the ten busiest phones."""
    reader = GraphReader(driver)
    asked: list[tuple[str, str]] = []
    for label in ("Person", "Phone", "Device"):
        table = spark.read.format("delta").load(str(lake.graph(NODE_BY_LABEL[label].table)))
        ids = [row["id"] for row in table.select("id").orderBy(F.xxhash64("id")).limit(QUESTIONS // 3).collect()]
        asked += [(label, node) for node in ids]
    random.Random(1).shuffle(asked)
    hubs = driver.execute_query(
        "MATCH (p:Phone) RETURN p.id AS id, COUNT { (p)--() } AS degree ORDER BY degree DESC LIMIT 10"
    ).records
    for label, node in asked[:50]:
        reader.layer(label, node)
    times = sorted(_timed(lambda pair=pair: reader.layer(*pair))[0] for pair in asked)  # type: ignore[misc]
    busy = sorted(_timed(lambda row=row: reader.layer("Phone", row["id"]))[0] for row in hubs for _ in range(5))  # type: ignore[misc]
    return {
        "nodes": len(times),
        "p50_ms": round(times[len(times) // 2] * 1e3, 1),
        "p95_ms": round(times[int(len(times) * 0.95)] * 1e3, 1),
        "busiest_degree": hubs[0]["degree"],
        "busiest_p95_ms": round(busy[int(len(busy) * 0.95)] * 1e3, 1),
    }


def _unwind(spark: SparkSession, lake: Lake, folder: Path, cache: Path, at: datetime) -> dict[str, Any]:
    """Load part of the address books into an empty server with the driver, nodes first and untimed."""
    server = LocalServer(
        Neo4jSettings(uri=None, home=folder / "unwind", port=free_port(), heap="1g", page_cache="1g"), cache
    )
    edge = EDGE_BY_TABLE["lists_contact"]
    try:
        server.start()
        table = spark.read.format("delta").load(str(lake.graph(edge.table)))
        rows = [row.asDict() for row in load.stored(table, edge).orderBy("src").limit(UNWIND_EDGES).collect()]
        with server.driver() as driver:
            writer.ensure_schema(driver)
            for end, label in (("src", edge.src), ("dst", edge.dst)):
                node = NODE_BY_LABEL[label]
                ids = [
                    {"id": value, "first_seen_at": 0, "last_seen_at": 0} for value in sorted({row[end] for row in rows})
                ]
                plain = [record | {value.name: None for value in node.values} for record in ids]
                writer.upsert_nodes(driver, node, plain)
            seconds, _ = _timed(lambda: writer.upsert_edges(driver, edge, rows))
            again, changes = _timed(lambda: writer.upsert_edges(driver, edge, rows))
    finally:
        server.stop()
    return {
        "relationships": len(rows),
        "relationships_per_s": round(len(rows) / seconds),
        "again_relationships_per_s": round(len(rows) / again),
        "again_changes": vars(changes),
    }


def main(sizes: str = "1e6,1e7", keep: Path | None = None) -> None:
    """Measure the given sizes and write the results."""
    platform = PlatformSettings()
    results: dict[str, Any] = {"machine": description(), "measured_on": date.today().isoformat(), "sizes": {}}
    root = keep or Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    settings = SparkSettings(driver_memory="6g", local_dir=root / "spark")
    spark = spark_session("bench-ingest", settings, platform)
    try:
        for size in sizes.split(","):
            with PeakMemory() as memory:
                figures = measure(spark, APPLICANTS[size], root / size, platform.cache)
            results["sizes"][size] = figures | {"peak_memory_gb": memory.peak_gb}
            typer.echo(json.dumps(results["sizes"][size], indent=1))
            if keep is None:
                shutil.rmtree(root / size)
    finally:
        spark.stop()
        if keep is None:
            shutil.rmtree(root, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    typer.echo(f"written to {RESULTS}")


if __name__ == "__main__":
    typer.run(main)
