"""The night in one Spark session, each stage recorded, resumed and repeated safely.

ingest → graph → hubs → rings → features → drift → scores → leads → load → report.

A stage begins by writing down the version of every Delta table it may change. If it is cut off, the next run puts
the tables back to those versions and does the stage anew, so that a night ends whole however often it was killed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import structlog
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from rich.console import Console

from graph import load
from graph.bulk import count_tables
from graph.failures import sentence
from graph.lake import Lake, has_table, row_count, version
from graph.ledger import Ledger
from graph.progress import task_bar
from graph.schema import EDGES
from graph.server import LocalServer, connect
from ingest import graph_tables
from ingest.run import ingest
from ingest.sources import SOURCES
from jobs import conclusions, contacts
from jobs.choices import LoadHow
from jobs.night import Night

log = structlog.get_logger()


_FULL_ABOVE = 0.05  # of the edges changed: beyond it a new store is faster than writing the difference


Spark = Callable[[], SparkSession]
Stage = Callable[[Spark, Night, Ledger], dict[str, Any]]


def _ingest(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    report = ingest(spark, night.lake, night.landing, night.day, night.mapping, night.keys)
    night.ingested = report
    reasons: dict[str, int] = {}
    for file in report.files:
        for reason, count in file.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "files": len(report.files),
        "unknown_files": report.unknown,
        "rows_in": sum(f.rows_in for f in report.files),
        "rows_out": sum(f.rows_accepted for f in report.files),
        "rows_duplicate": sum(f.rows_duplicate for f in report.files),
        "rows_quarantined": sum(f.rows_quarantined for f in report.files),
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1])),
        "touched": sorted(report.touched),
        "bytes": sum(f.file.bytes for f in report.files),
    }


def _graph(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    previous = ledger.last_done("graph")
    touched = set(ledger.touched_since(previous.run if previous else 0))
    if previous and previous.night < night.day.isoformat():
        touched |= come_true(night.lake, replace(night, day=date.fromisoformat(previous.night)).at)
    tables = graph_tables.build(spark(), night.lake, night.at, touched) if touched else graph_tables.counts(night.lake)
    return {"touched": sorted(touched), "tables": tables, "rows_out": sum(tables.values())}


def come_true(lake: Lake, then: datetime) -> set[str]:
    """Return the sources with events dated after `then`: delivered ahead of their time, they count from now on."""
    found = set()
    for source in (s for s in SOURCES.values() if has_table(lake.raw(s.name))):
        bounds = pa.table(DeltaTable(lake.raw(source.name)).get_add_actions(flatten=True))  # from the log alone
        name = f"max.{source.event_at}"
        latest = bounds[name].to_pylist() if name in bounds.column_names else []
        if any(at is not None and at > then for at in latest):
            found.add(source.name)
    return found


def _load(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    if night.how == LoadHow.NONE:
        return {"how": "none"}
    local = None
    if night.neo4j.uri is None:
        local = LocalServer(night.neo4j, night.cache)
        local.start()
    with connect(night.neo4j, night.cache) as driver:
        held = load.loaded_versions(driver, night.lake)
        in_neo4j = count_tables(driver)
    tables = load.versions(night.lake)
    if held == tables and night.how != LoadHow.FULL:
        return {"how": "unchanged", **_compared(night, in_neo4j)}
    ledger.check_fence(night.run)
    how = night.how
    if how == LoadHow.FULL and local is None:
        raise LoadChoiceError(
            "A full load builds a store for the local server, and NEO4J_URI names another one. Use --load incremental "
            "there, or unset NEO4J_URI."
        )
    if how == LoadHow.AUTO:
        whole = local and (held is None or _much_changed(spark(), night.lake, held, tables))
        how = LoadHow.FULL if whole else LoadHow.INCREMENTAL
    if how == LoadHow.FULL:
        assert local is not None
        counts = load.full_load(spark(), night.lake, local, night.day.isoformat(), night.lake.staging / "import")
        told: dict[str, Any] = {"how": how, "import_seconds": round(counts.import_seconds, 1)}
    else:
        settings, cache = night.neo4j.model_copy(), night.cache
        changes = load.incremental_load(spark(), night.lake, lambda: connect(settings, cache), night.day.isoformat())
        told = {"how": how, "changes": vars(changes)}
    with connect(night.neo4j, night.cache) as driver:
        return told | _compared(night, count_tables(driver))


class LoadChoiceError(Exception):
    """The load asked for cannot be done on this server."""


class CountsDifferError(Exception):
    """Neo4j does not hold what the lake holds; the text names the table and both counts."""


def _compared(night: Night, in_neo4j: dict[str, int]) -> dict[str, Any]:
    in_lake = graph_tables.counts(night.lake)
    wrong = [t for t in in_neo4j if in_neo4j[t] != in_lake.get(t, 0)]
    if wrong:
        said = ", ".join(f"{t}: {in_lake.get(t, 0):,} in the lake, {in_neo4j[t]:,} in Neo4j" for t in wrong)
        raise CountsDifferError(
            f"Neo4j does not hold what the lake holds ({said}). Run the night again with --load full, or empty the "
            "server at NEO4J_URI and run it again."
        )
    return {"neo4j_equals_lake": True, "rows_out": sum(in_neo4j.values())}


def _much_changed(spark: SparkSession, lake: Lake, held: dict[str, int], tables: dict[str, int]) -> bool:
    total = changed = 0
    for edge in (e for e in EDGES if e.table in tables):
        total += row_count(lake.graph(edge.table))
        if load.moved(edge, held, tables):
            changed += load.changes(spark, lake, edge, held, tables).count()
    return changed > _FULL_ABOVE * total


def _report(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    rows = [
        {
            "night": night.day, "run": night.run, "stage": stage,
            **{name: told.get(name) for name in ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")},
            "seconds": float(told["seconds"]),
            "details": json.dumps({k: v for k, v in told.items() if not k.startswith("rows_") and k != "seconds"}),
        }
        for stage, told in night.told.items()
    ]  # fmt: skip
    write_deltalake(night.lake.results("night_report"), pa.Table.from_pylist(rows, schema=REPORT), mode="append")
    return {"rows_out": len(rows)}


REPORT = pa.schema(
    [("night", pa.date32()), ("run", pa.int64()), ("stage", pa.string())]
    + [(name, pa.int64()) for name in ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")]
    + [("seconds", pa.float64()), ("details", pa.string())]
)

STAGES: tuple[tuple[str, Stage], ...] = (
    ("ingest", _ingest), ("graph", _graph), ("hubs", conclusions.hubs), ("rings", conclusions.rings),
    ("features", conclusions.features), ("drift", conclusions.drifted), ("scores", conclusions.scores),
    ("leads", contacts.leads), ("load", _load), ("report", _report),
)  # fmt: skip


SAID = {
    "ingest": "landing files are read, checked and tokenized",
    "graph": "rows are folded into nodes and edges",
    "hubs": "nodes that many share are told from those that bind a ring",
    "rings": "rings are found, named and explained",
    "features": "what was known around each new application",
    "drift": "the night is compared with those before it",
    "scores": "the champion scores new applications and is watched",
    "leads": "numbers that may reach borrowers who fell silent",
    "load": "Neo4j gets the graph",
    "report": "the night is written down",
}


def run_night(spark: Spark, night: Night, ledger: Ledger, console: Console) -> dict[str, dict[str, Any]]:
    """Run the stages of one night in order and return what each told; safe to repeat.

    Raises:
        NightRunningError: another night is running.
        Any error of a stage, after it was written to the ledger; the next run resumes with that stage.
    """
    sessions: dict[str, SparkSession] = {}

    def on_demand() -> SparkSession:
        sessions["spark"] = spark()
        return sessions["spark"]

    with ledger.lease() as run:
        night.run = run
        _undo_unfinished(night, ledger)
        for position, (name, stage) in enumerate(STAGES):
            begun = time.monotonic()
            versions = _delta_versions(night.lake)
            digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:16]
            ledger.begin(run, position, name, night.day.isoformat(), digest, {"versions": versions}, night.command)
            log.info("stage begins", stage=name, night=night.day.isoformat(), run=run)
            try:
                with task_bar(console, f"{name}: {SAID[name]}", lambda: sessions.get("spark")):
                    counts = stage(on_demand, night, ledger)
            except BaseException as error:
                told = {"versions": versions, "cause": sentence(error)}
                ledger.end(run, name, time.monotonic() - begun, told, type(error).__name__)
                raise
            seconds = round(time.monotonic() - begun, 2)
            night.told[name] = counts | {"seconds": seconds}
            ledger.end(run, name, seconds, counts)
            log.info("stage ends", stage=name, seconds=seconds, rows_out=counts.get("rows_out"))
    return night.told


def _delta_versions(lake: Lake) -> dict[str, int]:
    return {str(path.relative_to(lake.root)): version(path) for path in lake.tables()}


def _undo_unfinished(night: Night, ledger: Ledger) -> None:
    """Put the lake back to where the newest unfinished stage began; nothing to do after a whole night."""
    newest = next(iter(ledger.records(1)), None)
    if newest is None or newest.state == "done":
        return
    then: dict[str, int] = newest.counts.get("versions", {})
    for name, now in _delta_versions(night.lake).items():
        path = night.lake.root / name
        if name not in then:
            shutil.rmtree(path)
        elif now != then[name]:
            DeltaTable(path).restore(then[name])
    log.info("unfinished stage undone", stage=newest.stage, run=newest.run)
