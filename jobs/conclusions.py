"""The stages between graph and Neo4j: hubs, rings, features, drift. Each is left alone when its inputs are the same.

What goes in is named by a digest of the versions of the tables read, so that a night that was cut off goes on where it
was, and a night that brings nothing new changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.drift.figures import report
from algorithms.drift.monitor import drift
from algorithms.features.build import build
from algorithms.hubs.registry import write_hubs
from algorithms.rings.rules import RULES
from algorithms.rings.run import find_rings
from graph.lake import Lake, has_table, version
from graph.schema import TABLES
from jobs.ledger import Ledger
from jobs.night import Night

Spark = Callable[[], SparkSession]


def _digest(lake: Lake, day: date, rules: list[Path]) -> str:
    landed = [lake.graph(t.table) for t in TABLES if not t.derived] + [lake.results("hub_overrides")]
    versions = {path.name: version(path) for path in landed if has_table(path)}
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rules]
    said = json.dumps([day.isoformat(), versions, texts], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _unless_same(stage: str, night: Night, ledger: Ledger, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do the work unless the stage's last good run had the same inputs, or the night is for the graph alone."""
    if night.graph_only:
        return {"how": "left out"}
    inputs = _digest(night.lake, night.day, sorted(RULES.parent.glob("*.yml")))
    last = ledger.last_done(stage)
    if last is not None and last.counts.get("inputs") == inputs:
        return {"how": "unchanged", "inputs": inputs}
    return work() | {"inputs": inputs}


def hubs(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Write the registry of hubs."""

    def work() -> dict[str, Any]:
        kinds = write_hubs(spark(), night.lake, night.day, night.at)
        return {"rows_out": sum(kinds.values()), "kinds": kinds}

    return _unless_same("hubs", night, ledger, work)


def rings(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Find and name the rings."""

    def work() -> dict[str, Any]:
        snapshot = night.lake.staging / "rings"
        told = find_rings(spark(), night.lake, night.day, night.at, snapshot, folded=True)
        shutil.rmtree(snapshot)
        return told

    return _unless_same("rings", night, ledger, work)


def features(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Write the features of the applications that this night's deliveries brought or changed."""

    def work() -> dict[str, Any]:
        done = (
            r for r in ledger.records(10_000) if (r.stage, r.state) == ("features", "done") and "inputs" in r.counts
        )
        last = next(done, None)
        days = applied_days(night.lake, date.fromisoformat(last.night) if last else None, night.day)
        if days is None:
            return {"how": "no new applications"}
        written = build(spark(), night.lake, *days)
        return {"rows_out": written["application_graph"], "days": [day.isoformat() for day in days]}

    return _unless_same("features", night, ledger, work)


def applied_days(lake: Lake, after: date | None, until: date) -> tuple[date, date] | None:
    """Return the first and last day (UTC) on which the applications were submitted that were read since `after`.

    Args:
        after: the night whose features were written last; what it read counts again, for it may have read more since.
        until: tonight, inclusive.
    """
    path, files = lake.raw("applications"), lake.results("landing_files")
    if not has_table(path) or not has_table(files):
        return None
    read = DeltaTable(files).to_pyarrow_table(columns=["source", "night", "delivered_on"]).to_pylist()
    deliveries = {
        row["delivered_on"]
        for row in read
        if row["source"] == "applications" and row["night"] <= until and (after is None or row["night"] >= after)
    }
    if not deliveries:
        return None
    filters = [("delivered_on", "in", sorted(deliveries))]
    rows = DeltaTable(path).to_pyarrow_table(columns=["applied_at"], filters=filters)
    if not len(rows):
        return None
    ends = pc.min_max(rows["applied_at"]).as_py()
    return ends["min"].date(), ends["max"].date()


def drifted(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Compare the night with those before it."""

    def work() -> dict[str, Any]:
        return report(drift(spark(), night.lake, night.day, night.at))

    return _unless_same("drift", night, ledger, work)
