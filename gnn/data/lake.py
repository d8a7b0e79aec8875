"""The lake as a graph store: everything known at a moment, with the times from when and until when it was known.

Beside the lake's own relationships there is what each application states. `STATES_<kind>` brings a thing's message to
the application from the moment it was made, so that a decision does not wait for the night that delivers it. Its
counterpart `rev_STATES_<kind>` waits for that delivery: nobody else finds the application earlier.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from gnn.data import own_features as own
from gnn.data.intervals import Edges, Numbers, View, collected, islands, sliced
from gnn.data.seeds import FACTS, by_fact, first_known, instalments, seeds, through_persons, verdicts
from gnn.data.store import NodeSet, Store, write_store
from graph import as_of
from graph.lake import Lake, row_count
from graph.schema import LANDED_EDGES, EdgeType, Label

SEEDS = "seeds.parquet"
_READERS = 3  # small relations wait more for Spark's plans than for work
_ROWS = 8_000_000  # that many at a time reach the driver


def build(spark: SparkSession, lake: Lake, at: datetime, folder: Path, *, by_delivery: bool = True) -> dict[str, int]:
    """Write the store of everything known at `at` (inclusive; UTC without a zone), and `folder/seeds.parquet`.

    The same rows give the same files. See `gnn.data.store` for the layout and `gnn.data.seeds` for the seeds.
    - Relationships of the lake, both ways (`USES_PHONE`, `rev_USES_PHONE`), edges as `graph.as_of` knows them at each
      time up to `at`. `STATES_<kind>` and `rev_STATES_<kind>` as above, and `STATES_person`, from the applicant's
      person to the application.
    - `Application.x` (`own_features.FEATURES`), and `known` (`seeds.FACTS`) of Application and Person.

    Args:
        by_delivery: False sets delivery dates aside and takes each row as it stands today, by its event time alone:
            only for training on a history that came in one bulk delivery.

    Returns:
        `nodes`, `edges` (each direction counted), `relations`, `seeds`, `labeled`: seeds with a verdict, and
        `unknown`: verdicts on applicants without an application, which teach nothing.

    Raises:
        NoApplicationsError: no application was known at `at`.
    """
    view = View(spark, lake, at, by_delivery)
    numbers = Numbers()
    present = [edge for edge in LANDED_EDGES if as_of.exists(lake, f"{edge.table}_events")]
    persons = islands(_as_pairs(collected(view.persons))).rename({"src": "applicant_id", "dst": "person_id"})
    applications = own.applications(view, numbers, persons)
    with ThreadPoolExecutor(_READERS) as pool:
        told, paid = pool.submit(verdicts, view), pool.submit(instalments, view)
        landed = list(pool.map(lambda edge: _edges(view, numbers, edge), present))
        said, due = told.result(), paid.result()
    ranked = numbers.ranked()
    rows = {label: order for label, (_, order) in ranked.items()}
    ids = {str(label): ranked[label][0] for label in Label if label in ranked}
    of_persons, heard = through_persons(said, persons)
    nodes = {label: NodeSet(label, len(found)) for label, found in ids.items()}
    nodes[Label.APPLICATION] = _application_nodes(applications, rows, ids, heard, due)
    nodes[Label.PERSON] = _person_nodes(ids, of_persons, due, persons)
    relations = tuple(made for edges in (*landed, *applications.edges) for made in edges.relations(rows))
    node = pl.Series("node", rows[Label.APPLICATION][applications.rows["number"].to_numpy()])
    asked = seeds(view, applications.rows.drop("number").with_columns(node), persons, heard)
    about = {"at": as_of.utc(at).isoformat(), "by_delivery": by_delivery, "lake": dict(sorted(view.versions.items()))}
    store = Store(nodes, relations, about)
    tables = {label: pa.table({"id": found.to_arrow()}) for label, found in ids.items()}
    write_store(store, folder, tables, {SEEDS: asked.to_arrow()})
    return {
        "nodes": sum(n.count for n in nodes.values()), "edges": store.edges, "relations": len(relations),
        "seeds": len(asked), "labeled": int((asked["label"] >= 0).sum()),
        "unknown": len(said.join(applications.rows, "applicant_id", "anti")),
    }  # fmt: skip


def _as_pairs(persons: pl.DataFrame) -> pl.DataFrame:
    return persons.select(pl.col("applicant_id").alias("src"), pl.col("person_id").alias("dst"), "since", "until")


def _edges(view: View, numbers: Numbers, edge: EdgeType) -> Edges:
    """Return the edges of a landed type."""
    src, dst = str(edge.src), str(edge.dst)
    slices = 1 + row_count(view.lake.graph(f"{edge.table}_events")) // _ROWS
    parts = []
    for found in map(collected, sliced(view.edges(edge), "src", slices)):
        ends = (pl.Series("src", numbers.of(src, found["src"])), pl.Series("dst", numbers.of(dst, found["dst"])))
        parts.append(islands(found.select(*ends, "since", "until")))
    return Edges(edge.relationship, src, dst, pl.concat(parts), both_ways=True)


def _application_nodes(
    applications: own.Applications, rows: dict[str, NDArray[np.int64]], ids: dict[str, pl.Series], heard: pl.DataFrame,
    due: pl.DataFrame,
) -> NodeSet:  # fmt: skip
    mine = ids[Label.APPLICATION]
    x = np.repeat(own.unknown_features(), len(mine), axis=0)
    x[rows[Label.APPLICATION][applications.rows["number"].to_numpy()]] = applications.x
    verdict = heard.group_by("applicant_id", "fact").agg(pl.col("since").min())
    verdict = applications.rows.select("application_id", "applicant_id").join(verdict, "applicant_id")
    columns = ("application_id", "fact", "since")
    facts = pl.concat([verdict.select(columns), by_fact(due, "application_id").select(columns)])
    known = first_known(facts, "application_id", mine)
    return NodeSet(str(Label.APPLICATION), len(mine), own.FEATURES, x, FACTS, known)


def _person_nodes(
    ids: dict[str, pl.Series], of_persons: pl.DataFrame, due: pl.DataFrame, persons: pl.DataFrame
) -> NodeSet:
    who = persons.rename({"since": "since_then"})
    owed = by_fact(due, "applicant_id").join(who, "applicant_id")
    owed = owed.with_columns(since=pl.max_horizontal("since", "since_then")).filter(pl.col("since") < pl.col("until"))
    columns = ("person_id", "fact", "since")
    facts = pl.concat([of_persons.select(columns), owed.select(columns)])
    mine = ids[Label.PERSON]
    return NodeSet(str(Label.PERSON), len(mine), (), None, FACTS, first_known(facts, "person_id", mine))
