"""Whole nights with all ten stages, into a real Neo4j; minutes each, so part of `make drill`."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from neo4j import Driver
from pyspark.sql import SparkSession
from rich.console import Console

from graph.lake import Lake, version
from graph.ledger import Ledger
from graph.server import LocalServer
from ingest.mapping import Mapping
from ingest.synthetic import write_world
from jobs.choices import LoadHow
from jobs.night import Night
from jobs.nightly import run_night
from tests.notebooks.running import run

DAYS = date(2026, 6, 29), date(2026, 6, 30)
CONCLUDED = ("hubs", "rings", "features", "drift", "leads")


def _rings(driver: Driver) -> dict[str, frozenset[str]]:
    asked = "MATCH (p:Person)-[:MEMBER_OF]->(r:Ring) RETURN r.id AS ring, collect(p.id) AS members"
    found = driver.execute_query(asked)
    return {row["ring"]: frozenset(row["members"]) for row in found.records}


def _members(lake: Lake, day: date) -> dict[str, frozenset[str]]:
    rows = pl.DataFrame(pl.from_arrow(DeltaTable(lake.results("ring_members")).to_pyarrow_table()))
    of_day = rows.filter(pl.col("as_of_date") == day).group_by("ring_id").agg("person_id")
    return {ring: frozenset(persons) for ring, persons in of_day.iter_rows()}


@pytest.mark.drill
@pytest.mark.timeout(1_500)
def test_two_whole_nights_put_the_rings_into_neo4j_under_the_same_names(
    spark: SparkSession, neo4j_server: LocalServer, tmp_path: Path
) -> None:
    write_world(
        None, tmp_path, applicants=2_000, nights=2, seed=3, book_median=12, book_p99=60, fraud_among_labeled=0.05
    )
    lake = Lake(tmp_path / "lake")
    lake.root.mkdir()
    ledger = Ledger(f"sqlite:///{lake.root / 'ledger.sqlite'}")

    def night(day: date) -> dict:
        of = Night(day, tmp_path / "landing", lake, tmp_path / "keys.json", Mapping(), neo4j_server.settings,
                   neo4j_server.cache, LoadHow.AUTO, models=tmp_path / "models")  # fmt: skip
        return run_night(lambda: spark, of, ledger, Console(quiet=True))

    first = night(DAYS[0])
    assert all(name in first for name in CONCLUDED)
    assert first["scores"]["how"] == "no champion"
    assert first["leads"]["loans_looked_for"] >= first["leads"]["loans_with_lead"] > 0
    assert first["leads"]["queued"] > 0
    assert first["load"]["neo4j_equals_lake"]
    with neo4j_server.driver() as driver:
        yesterday = _rings(driver)
    assert yesterday
    assert yesterday == _members(lake, DAYS[0])

    second = night(DAYS[1])
    assert second["load"]["neo4j_equals_lake"]
    assert second["rings"]["reference_of"] == DAYS[0].isoformat()  # held against the same as yesterday
    with neo4j_server.driver() as driver:
        today = _rings(driver)
    assert today == _members(lake, DAYS[1])
    untouched = [ring for ring, members in yesterday.items() if members in today.values()]
    assert untouched
    assert all(today.get(ring) == yesterday[ring] for ring in untouched)

    versions = {str(path): version(path) for path in lake.tables() if path.name != "night_report"}
    again = night(DAYS[1])
    assert all(again[name]["how"] in ("unchanged", "no new applications") for name in CONCLUDED)
    assert again["load"]["how"] == "unchanged"
    assert {str(path): version(path) for path in lake.tables() if path.name != "night_report"} == versions

    run("01-first-look.ipynb", {"NEO4J_URI": neo4j_server.uri, "NEO4J_PASSWORD": neo4j_server.password()})
