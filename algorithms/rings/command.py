"""`python -m algorithms rings`: the rings as of a day, found again and listed."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from algorithms.rings.rules import RULES, read_rules
from algorithms.rings.run import find_rings
from graph.lake import Lake, has_table
from graph.spark import SparkOnDemand


class NoGraphError(Exception):
    """The lake holds no graph; the text says what to run."""


def run(lake: Lake, day: date, console: Console, rules: Path | None) -> None:
    """Find the rings as of the end of `day`, write them to the lake and print how many there are.

    Raises:
        NoGraphError: no night has run on this lake.
        RulesError: the rules file cannot be used.
    """
    if not has_table(lake.graph("applicant_person")):
        raise NoGraphError(
            f"Rings need a graph, and {lake.root} holds none. Run a night first: python -m jobs nightly run --help."
        )
    read = read_rules(rules or RULES)
    at = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) - timedelta(microseconds=1)
    spark = SparkOnDemand("rings", console)
    try:
        told = find_rings(spark(), lake, day, at, lake.staging / "rings", rules=read)
    finally:
        spark.stop()
        shutil.rmtree(lake.staging / "rings", ignore_errors=True)
    table = Table("typology", "rings", title=f"Rings as of {day}")
    for typology, count in told["typology"].items():
        table.add_row(typology, f"{count:,}")
    console.print(table)
    said = ", ".join(f"{count:,} {status}" for status, count in told["status"].items()) or "none"
    console.print(f"{told['rows_out']:,} rings with {told['persons']:,} persons: {said}.")
