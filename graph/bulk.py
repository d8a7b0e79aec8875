"""Full load: import files become a new store beside the serving one; publishing it is one rename.

`import_dir` holds one folder per table of `graph.schema`, with CSV parts without a header:
`nodes/<table>/part-*` and `edges/<table>/part-*`, plain or `.gz`, in the column order of `node_columns` and
`edge_columns`. The first column of a node, and the two of an edge, are the 64-bit integers that stand for ids
during the import (xxhash64 of the id); they are not stored. Should two ids ever meet in one integer, the importer
refuses the file. Times are epoch seconds. Empty fields are absent properties, `""` is an empty string, a quote within a
quoted field is doubled (Spark: `option("escape", '"')`), and no field holds a line end.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from neo4j import Driver
from rich.console import Console

from graph.java import ServerError
from graph.schema import EDGES, NODES, EdgeType, NodeType, Value
from graph.server import LocalServer, free_port
from graph.writer import ensure_schema, write_load

_BUILDING = ".building"
_IMPORT_HEAP = "1500m"  # the importer asks for a little over 1 GiB at 10**7 relationships; the rest lies off the heap
_CSV_TYPE = {
    "string": "STRING", "long": "LONG", "double": "DOUBLE", "boolean": "BOOLEAN", "timestamp": "LONG", "date": "LONG",
}  # fmt: skip
_COUNTS = {n.table: f"MATCH (n:{n.label}) RETURN count(n) AS count" for n in NODES} | {
    e.table: f"MATCH (:{e.src})-[r:{e.relationship}]->() RETURN count(r) AS count" for e in EDGES
}


class LoadMismatchError(Exception):
    """A store holds other counts than the lake; the message names the table and both counts."""


class ImportFilesError(Exception):
    """The import files cannot make a store; the message says which and why."""


@dataclass(frozen=True)
class StoreCounts:
    """What a new store holds: rows per table, in total, and how long the importer alone and the whole build took."""

    name: str
    nodes: dict[str, int]
    edges: dict[str, int]
    import_seconds: float
    seconds: float


def node_columns(node_type: NodeType) -> list[str]:
    """Return the header of a node table's import files, in column order."""
    key = f":ID({node_type.label}){{id-type:long}}"
    return [key, "id:STRING", "first_seen_at:LONG", "last_seen_at:LONG", *_value_columns(node_type.values)]


def edge_columns(edge_type: EdgeType) -> list[str]:
    """Return the header of an edge table's import files, in column order; `weight` stays in the lake."""
    ends = [f":START_ID({edge_type.src})", f":END_ID({edge_type.dst})"]
    return [*ends, "first_seen_at:LONG", "last_seen_at:LONG", "event_count:LONG", *_value_columns(edge_type.properties)]


def build_store(
    server: LocalServer, import_dir: Path, name: str, expected: Mapping[str, int], load: Mapping[str, object]
) -> StoreCounts:
    """Make the store `name` from import files and return its counts; the serving store is not touched.

    A store gets its name only when it is whole: imported, constrained, counted and cleanly stopped. What
    an earlier build left behind when it was killed is removed first.

    Args:
        server: the local server whose home gets the store; it may run.
        import_dir: CSV parts, see the module.
        name: a new name, for example the night and a digest; the serving store's name is refused.
        expected: rows per table as counted in the lake; a table that is not listed must be empty.
        load: properties of the one `Load` node, for example night and digest.

    Raises:
        LoadMismatchError: a label or relationship type has another count than expected.
        ImportFilesError: no nodes at all, or the importer refused a file.
        ServerError: the server's side failed.
    """
    begun = time.monotonic()
    if name in (server.linked_store(), server.linked_store("previous")):
        raise ServerError(f"Store {name!r} is in use; a full load needs a new name.")
    building = name + _BUILDING
    folder = server.store_path(building)
    temporary = LocalServer(server.settings.model_copy(update={"port": free_port()}), server.cache, store=building)
    with server.exclusive("build", "Another full load builds a store here; wait for it or end it."):
        remove_leftovers(server)
        try:
            server.prepare_store(building)
            shutil.rmtree(server.store_path(name), ignore_errors=True)  # built earlier, never published
            _check_space(import_dir, folder)
            with Console(stderr=True).status(f"Neo4j imports {import_dir}"):
                import_seconds = _import(server, import_dir, building)
            temporary.start()
            with temporary.driver() as driver:
                ensure_schema(driver)
                counts = count_tables(driver)
                _compare(counts, expected)
                write_load(driver, load)  # last: a store that has it is whole
            temporary.stop()
            os.replace(folder, server.store_path(name))
        finally:
            temporary.stop()
            shutil.rmtree(folder, ignore_errors=True)
    nodes = {n.table: counts[n.table] for n in NODES}
    edges = {e.table: counts[e.table] for e in EDGES}
    return StoreCounts(name, nodes, edges, import_seconds, time.monotonic() - begun)


def publish(server: LocalServer, name: str) -> None:
    """Let `server` serve the store `name`, keep the one before for `rollback`, and delete older ones.

    Killed at any step, the next start serves the old store or the new one, whole. If the new one does not start,
    the old one serves again.

    Raises:
        ServerError: there is no such store, or it does not start.
    """
    if not server.store_path(name).is_dir():
        raise ServerError(f"Store {name!r} was needed in {server.home / 'stores'} and is not there: build it first.")
    old = server.linked_store()
    if old != name:
        server.stop()
        if old is not None:
            server.link_store(old, "previous")
        server.link_store(name)
    try:
        server.start()
    except ServerError:
        if old is not None and old != name:
            server.stop()
            server.link_store(old)
            server.start()
        raise
    kept = {name, server.linked_store("previous")}
    for folder in (server.home / "stores").iterdir():
        if folder.name not in kept and not folder.name.endswith(_BUILDING):
            shutil.rmtree(folder)


def rollback(server: LocalServer) -> str:
    """Serve the store that served before the last `publish`, and return its name; twice is back again.

    Raises:
        ServerError: there is no earlier store.
    """
    previous = server.linked_store("previous")
    if previous is None or previous == server.linked_store():
        raise ServerError("There is no earlier store to go back to: one full load has been published so far.")
    publish(server, previous)
    return previous


def count_tables(driver: Driver) -> dict[str, int]:
    """Return rows per table as Neo4j counts them; each comes from its count store, whatever the size."""
    counts = {}
    for table, statement in _COUNTS.items():
        counts[table] = int(driver.execute_query(statement).records[0]["count"])
    return counts


def remove_leftovers(server: LocalServer) -> None:
    """Stop and remove what builds that were killed left in the home of `server`."""
    for folder in (server.home / "stores").glob(f"*{_BUILDING}"):
        server.end_admin(folder.name)
        LocalServer(server.settings, server.cache, store=folder.name).stop()
        shutil.rmtree(folder)


def _value_columns(values: tuple[Value, ...]) -> list[str]:
    return [f"{value.name}:{_CSV_TYPE[value.type]}" for value in values]


def _import(server: LocalServer, import_dir: Path, store: str) -> float:
    """Run the importer into an empty store and return its seconds."""
    known = {f"nodes/{n.table}" for n in NODES} | {f"edges/{e.table}" for e in EDGES}
    if unknown := {str(path.parent.relative_to(import_dir)) for path in import_dir.glob("*/*/part-*")} - known:
        raise ImportFilesError(f"{import_dir} holds {sorted(unknown)}, which graph/schema.py does not list.")
    headers = server.home / "run" / f"headers-{store}"
    headers.mkdir(parents=True, exist_ok=True)
    nodes = [(n.label, _specs(n.table, node_columns(n), import_dir / "nodes", headers)) for n in NODES]
    edges = [(e.relationship, _specs(e.table, edge_columns(e), import_dir / "edges", headers)) for e in EDGES]
    sources = [f"--nodes={label}={files}" for label, files in nodes if files]
    if not sources:
        raise ImportFilesError(f"Node rows were needed in {import_dir / 'nodes'}/<table>/part-* and there are none.")
    sources += [f"--relationships={relationship}={files}" for relationship, files in edges if files]
    report = server.home / "logs" / f"import-{store}.report"
    options = [
        "--strict=true", "--bad-tolerance=0", "--skip-bad-relationships=false", "--skip-duplicate-nodes=false",
        "--high-parallel-io=on", f"--threads={os.cpu_count() or 1}", f"--report-file={report}",
        f"--max-off-heap-memory={psutil.virtual_memory().available // 2}",
    ]  # fmt: skip
    begun = time.monotonic()
    try:
        server.admin(store, ["database", "import", "full", "neo4j", *options, *sources], heap=_IMPORT_HEAP)
    except ServerError as error:
        raise ImportFilesError(f"The importer refused the files in {import_dir}. {error}") from None
    finally:
        shutil.rmtree(headers, ignore_errors=True)
    return time.monotonic() - begun


def _specs(table: str, columns: list[str], folder: Path, headers: Path) -> str | None:
    """Write the header of one table and return the importer's list of its files, or None where it has no rows."""
    parts = sorted(path for path in (folder / table).glob("part-*") if path.stat().st_size)
    if not parts:
        return None
    header = headers / f"{table}.csv"
    header.write_text(",".join(columns) + "\n")
    return ",".join(str(path) for path in [header, *parts])


def _check_space(import_dir: Path, stores: Path) -> None:
    # A store takes about as much as its plain CSV; gzip hides a factor of up to 8.
    sizes = [path.stat().st_size * (8 if path.suffix == ".gz" else 1) for path in import_dir.rglob("part-*")]
    needed, free = 2 * sum(sizes), shutil.disk_usage(stores).free
    if free < needed:
        raise ServerError(
            f"A new store needs about {needed / 1e9:,.1f} GB in {stores} and its disk has {free / 1e9:,.1f} GB free. "
            "Make room, or set NEO4J_HOME to a folder on a larger disk."
        )


def _compare(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    wrong = [t for t in found.keys() | expected.keys() if found.get(t, 0) != expected.get(t, 0)]
    if wrong:
        pairs = [f"{t}: {expected.get(t, 0):,} in the lake and {found.get(t, 0):,} in Neo4j" for t in sorted(wrong)]
        raise LoadMismatchError(
            f"The new store does not hold what the lake holds ({', '.join(pairs)}). It was removed and the "
            "old one still serves. Write the import files anew and load again."
        )
