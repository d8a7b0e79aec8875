"""Neo4j Graph Data Science in `benchmarks.algorithms`: a throwaway Neo4j that imports, projects, finds and hands back.

The library is for this comparison only: its jars (set `gds` of the lock) join a server of its own under a temporary
folder, never the product's. A small graph goes the same way first, so that Java has loaded what it needs.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from neo4j import Driver

from graph.jars import JarError, fetch
from graph.java import ServerError, find_java
from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings

_HEAP = "4g"
_IMPORT_HEAP = "1500m"
_THREADS = min(os.cpu_count() or 1, 4)  # without a licence it uses 4 at most
_STORE = "gds"
_ROWS = 100_000  # labels in one record of the answer

_PROJECT = "CALL gds.graph.project($graph, $graph, $links, {readConcurrency: $threads})"
_METHODS = {
    "components": "CALL gds.wcc.mutate($graph, {mutateProperty: 'component', concurrency: $threads})",
    "communities": "CALL gds.leiden.mutate($graph, {mutateProperty: 'community', concurrency: $threads})",
}
# $graph, $property string, $rows integer -> ids, labels: lists of equal length, $rows to a record.
_LABELS = """
CALL gds.graph.nodeProperty.stream($graph, $property) YIELD nodeId, propertyValue
RETURN nodeId / $rows AS part, collect(gds.util.asNode(nodeId).id) AS ids, collect(propertyValue) AS labels
"""


class _Server(LocalServer):
    """The local Neo4j with the library beside it."""

    def _write_conf(self, store: str, name: str) -> Path:
        plugins = fetch("gds", self.cache.absolute())[0].parent  # a set has a folder of its own
        folder = super()._write_conf(store, name)
        with (folder / "neo4j.conf").open("a") as conf:
            conf.write(f"server.directories.plugins={plugins}\ndbms.security.procedures.unrestricted=gds.*\n")
        return folder

    def _write_args(self, path: Path, options: Sequence[str], main: str, arguments: Sequence[str]) -> None:
        super()._write_args(path, options, main, arguments)
        jars = os.pathsep.join(str(jar) for jar in fetch("gds", self.cache.absolute()))
        path.write_text(path.read_text().replace('"-cp"\n"', f'"-cp"\n"{jars}{os.pathsep}', 1))


class _Clock:
    """Seconds, and CPU seconds of this process and of Java, by part."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self.java: psutil.Process | None = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun, worked = time.monotonic(), self._cpu()
        yield
        seconds, cpu = time.monotonic() - begun, self._cpu() - worked
        self.parts[name] = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}

    def _cpu(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() + ended.ru_utime + ended.ru_stime
        return cpu + (sum(self.java.cpu_times()[:2]) if self.java else 0.0)


def contender(task: str, path: Path, out: Path) -> Callable[[], dict[str, Any]]:
    """Return the run from the file of edges to the file of labels; its figures leave out start and warming."""
    cache = PlatformSettings().cache
    try:
        fetch("server", cache)
        fetch("gds", cache)
        find_java()
    except (JarError, ServerError) as error:
        raise SystemExit(f"Neo4j GDS was not measured: {str(error).split('. ')[0]}.") from None
    settings = Neo4jSettings(uri=None, home=out.with_suffix(".neo4j"), port=free_port(), heap=_HEAP, page_cache="1g")
    server = _Server(settings, cache, store=_STORE)
    server.prepare_store(_STORE)

    def run() -> dict[str, Any]:
        clock = _Clock()
        with clock.part("import"):
            _import(server, path, server.home / "import")
        try:
            with clock.part("start"):
                server.start()
                clock.java = psutil.Process(server.status().pid)
            with server.driver() as driver:
                with clock.part("warm"):
                    _find(driver, _Clock(), task, "Warm", out)
                _find(driver, clock, task, "Node", out)
        finally:
            clock.java = None
            server.stop()
            shutil.rmtree(server.home)
        counted = [figures for name, figures in clock.parts.items() if name not in ("start", "warm")]
        return {
            **{unit: round(sum(part[unit] for part in counted), 3) for unit in ("seconds", "cpu_seconds")},
            # The larger of importer and server, in KiB as Linux counts.
            "java_peak_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9, 2),
            "heap": _HEAP,
            "parts": clock.parts,
        }

    return run


def _import(server: LocalServer, path: Path, folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(3)
    warm = pl.DataFrame({end: random.integers(0, 1_000, 10_000) for end in ("src", "dst")})
    sources = []
    for label, edges in (("Node", pl.read_parquet(path)), ("Warm", warm)):
        nodes, links = folder / f"{label}.csv", folder / f"{label}-links.csv"
        last = edges.select(pl.max_horizontal(pl.col("src").max(), pl.col("dst").max())).item()
        pl.DataFrame({f"id:ID({label}){{id-type:long}}": range(last + 1)}).write_csv(nodes)
        edges.rename({"src": f":START_ID({label})", "dst": f":END_ID({label})"}).write_csv(links)
        sources += [f"--nodes={label}={nodes}", f"--relationships=LINKS_{label}={links}"]
    options = ["--high-parallel-io=on", f"--max-off-heap-memory={psutil.virtual_memory().available // 2}"]
    server.admin(_STORE, ["database", "import", "full", "neo4j", *options, *sources], heap=_IMPORT_HEAP)


def _find(driver: Driver, clock: _Clock, task: str, graph: str, out: Path) -> None:
    label = "component" if task == "components" else "community"
    orientation = "NATURAL" if task == "components" else "UNDIRECTED"  # Leiden takes nothing else
    with driver.session() as session:
        links = {f"LINKS_{graph}": {"orientation": orientation}}
        with clock.part("project"):
            session.run(_PROJECT, graph=graph, links=links, threads=_THREADS).consume()
        with clock.part(task):
            session.run(_METHODS[task], graph=graph, threads=_THREADS).consume()
        with clock.part("write"):
            records = session.run(_LABELS, graph=graph, property=label, rows=_ROWS)
            frames = [pl.DataFrame({"id": row["ids"], label: row["labels"]}) for row in records]
            pl.concat(frames).sort("id").write_parquet(out)
