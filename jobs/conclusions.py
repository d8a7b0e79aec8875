"""The stages between graph and Neo4j: hubs, rings, features, drift, scores. Same inputs, and a stage is left alone.

What goes in is named by a digest of the versions of the tables read, so that a night that was cut off goes on where it
was, and a night that brings nothing new changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import structlog
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from algorithms.drift.figures import report
from algorithms.drift.monitor import drift
from algorithms.features.build import build
from algorithms.hubs.registry import write_hubs
from algorithms.rings.rules import RULES
from algorithms.rings.run import find_rings
from graph.failures import sentence
from graph.lake import Lake, has_table, version
from graph.ledger import Ledger
from graph.schema import TABLES
from jobs.night import Night

log = structlog.get_logger()

Spark = Callable[[], SparkSession]


def _digest(lake: Lake, day: date, rules: list[Path], more: Sequence[Path] = (), said: str = "") -> str:
    landed = [lake.graph(t.table) for t in TABLES if not t.derived] + [lake.results("hub_overrides")]
    versions = {path.name: version(path) for path in [*landed, *more] if has_table(path)}
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rules]
    whole = json.dumps([day.isoformat(), versions, texts, *([said] if said else [])], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def unless_same(
    stage: str,
    night: Night,
    ledger: Ledger,
    work: Callable[[], dict[str, Any]],
    more: Sequence[Path] = (),
    said: str = "",
) -> dict[str, Any]:
    """Do the work unless the stage's last good run had the same inputs, or the night is for the graph alone.

    Args:
        more: tables that the stage reads beside those of the graph.
        said: what else its outcome depends on.
    """
    if night.graph_only:
        return {"how": "left out"}
    inputs = _digest(night.lake, night.day, sorted(RULES.parent.glob("*.yml")), more, said)
    last = ledger.last_done(stage)
    if last is not None and last.counts.get("inputs") == inputs:
        return {"how": "unchanged", "inputs": inputs}
    return work() | {"inputs": inputs}


def hubs(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Write the registry of hubs."""

    def work() -> dict[str, Any]:
        kinds = write_hubs(spark(), night.lake, night.day, night.at)
        return {"rows_out": sum(kinds.values()), "kinds": kinds}

    return unless_same("hubs", night, ledger, work)


def rings(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Find and name the rings."""

    def work() -> dict[str, Any]:
        snapshot = night.lake.staging / "rings"
        told = find_rings(spark(), night.lake, night.day, night.at, snapshot, folded=True)
        shutil.rmtree(snapshot)
        return told

    return unless_same("rings", night, ledger, work)


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

    return unless_same("features", night, ledger, work)


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

    return unless_same("drift", night, ledger, work)


def scores(spark: Spark, night: Night, ledger: Ledger) -> dict[str, Any]:
    """Let the champion score what came with the night, and watch it; without one nothing is imported or started.

    A champion that cannot score, for example because it was trained on other relations, is an alarm and stops no night.
    """
    if night.graph_only:
        return {"how": "left out"}
    from gnn import night as scoring

    try:
        found = scoring.champion(night.models)
        if found is None:
            return {"how": "no champion"}
        version, ledger_head = found
        if lacking := scoring.not_installed():
            said = f"{version} needs {' and '.join(lacking)}, which are not installed. Run make models, then the night."
            return {"how": "models are not installed", "status": "alarm", "sentences": [said]}

        def work() -> dict[str, Any]:
            return scoring.score_and_watch(spark(), night.lake, night.models, version, night.day, night.at)

        read = [night.lake.raw(source) for source in _OUTCOMES] + [night.lake.features("application_graph")]
        return unless_same("scores", night, ledger, work, read, f"{version} {ledger_head}")
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        log.warning("champion cannot score", error=type(error).__name__)
        return {"how": "not scored", "status": "alarm", "sentences": [text]}


_OUTCOMES = ("applications", "labels", "loans", "repayments")
