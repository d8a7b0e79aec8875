"""`make demo`: a small synthetic world through one whole night, and what to look at. A second run changes nothing."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

from neo4j import Record
from rich.console import Console

from algorithms.contact.settings import QueueSettings
from explorer.demo import run_demo
from graph.lake import Lake
from graph.ledger import Ledger
from graph.server import connect
from graph.settings import Neo4jSettings, PlatformSettings
from graph.spark import SparkOnDemand
from ingest.mapping import Mapping
from ingest.synthetic import write_world
from jobs.night import Night
from jobs.nightly import run_night
from jobs.summary import summary

APPLICANTS, NIGHTS, SEED = 2_000, 2, 7

# The surest ring and two of its persons: what an analyst would begin with.
_SUREST_RING = """
MATCH (ring:Ring)<-[:MEMBER_OF]-(person:Person)
WITH ring, person ORDER BY ring.score DESC, ring.id, person.id
WITH ring, collect(person.id) AS persons ORDER BY ring.score DESC, ring.id LIMIT 1
RETURN ring.id AS id, ring.typology AS typology, persons
"""


def world(spark: SparkOnDemand, folder: Path, console: Console) -> Path:
    """Return the landing folder of the demo's world; written once, whole, and found again later."""
    whole = folder / "world.json"
    wanted = {"applicants": APPLICANTS, "nights": NIGHTS, "seed": SEED}
    if not whole.exists() or json.loads(whole.read_text()) != wanted:
        session = spark()
        with console.status(f"{APPLICANTS:,} applicants and their calls are invented"):
            write_world(session, folder, **wanted)
        whole.write_text(json.dumps(wanted))
    return folder / "landing"


def demo(console: Console, folder: Path = Path(".local/demo")) -> None:
    """Run the demo's night and print what to look at."""
    platform, neo4j = PlatformSettings(), Neo4jSettings()
    folder.mkdir(parents=True, exist_ok=True)
    lake = Lake(folder / "lake")
    lake.root.mkdir(exist_ok=True)
    spark = SparkOnDemand("demo", console)
    try:
        landing = world(spark, folder, console)
        day = max(date.fromisoformat(path.name) for path in landing.iterdir())
        night = Night(day, landing, lake, platform.keys.absolute(), Mapping(), neo4j, platform.cache,
                      models=folder / "models")  # fmt: skip
        told = run_night(spark, night, Ledger(f"sqlite:///{lake.root / 'ledger.sqlite'}"), console)
    finally:
        spark.stop()
    console.print(summary(datetime.combine(day, datetime.min.time()), told))
    with connect(neo4j, platform.cache) as driver:
        ring = driver.execute_query(_SUREST_RING).records[0]
    console.print(_pointers(ring, landing, day, lake), soft_wrap=True)
    url = QueueSettings().url(lake.root)
    console.print(run_demo(url, lake.root, folder / "models", folder, ring["id"]), soft_wrap=True, markup=False)


def _pointers(ring: Record, landing: Path, day: date, lake: Lake) -> str:
    people = ring["persons"]
    python = ".venv/bin/python"
    return f"""
The graph is in Neo4j at bolt://127.0.0.1:{Neo4jSettings().port} (user neo4j, password in .local/neo4j/password).

On the command line:
  1. The rings of the night, and why the surest one ({ring["typology"]}, {len(people)} persons) is one:
     {python} -m graph rings
     {python} -m graph show ring:{ring["id"]}
  2. How two of its persons are linked:
     {python} -m graph path person:{people[0]} person:{people[-1]}
  3. Which number to call next about a borrower who went silent, and why (between 8:00 and 22:00 in China):
     CREDIT_GRAPH_LAKE={lake.root} {python} -m algorithms leads next --user you

The same night again changes nothing:
     make nightly DATE={day} LANDING={landing} LAKE={lake.root}
Stop the database: {python} -m graph server stop"""
