"""What a model of links is asked about the candidates of the silent, and what it answers: the column `link`.

Models live in `gnn`, which this package does not know: the night hands one in as `Links`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.leads.records import Records


@dataclass(frozen=True)
class LinkQuestion:
    """What was known on the night; nothing is computed before it is asked for. Hubs and service numbers are left out.

    Attributes:
        at: the night's moment; no row is of later.
        calls: `src`, `dst`, `at`, `duration_s`; one row a call, whoever logged it. A number's calls after it passed
            on from a borrower are its next holder's, and are not here.
        contacts: `src`, `dst`, `at`: the number of an address book's owner, and a number in it.
        old: `person_id`, `phone` (together the key), `silent_from`, `failing_since`: the borrowers looked for.
        candidates: `person_id`, `phone` (together the key), `own`: it may be the borrower's own new number.
    """

    at: datetime
    calls: DataFrame
    contacts: DataFrame
    old: DataFrame
    candidates: DataFrame


@dataclass(frozen=True)
class LinkAnswer:
    """What a model says.

    Attributes:
        rows: `person_id`, `phone` (together the key), `link`: ln of how much likelier than the borrower's average
            candidate the number is to be the next contact. A candidate without a row is one it knows nothing of.
        counts: what the stage tells of it: why it says nothing, what was left out.
    """

    rows: pl.DataFrame
    counts: dict[str, Any]


class Links(Protocol):
    """A model that says whom a number will be in touch with next; it never fails a night."""

    def __call__(self, asked: LinkQuestion, /) -> LinkAnswer:
        """Return what the model says of the candidates."""


ROWS = {"person_id": pl.String, "phone": pl.String, "link": pl.Float64}


def with_links(
    records: Records, people: DataFrame, old: DataFrame, known: DataFrame, links: Links | None
) -> tuple[DataFrame, dict[str, Any]]:
    """Return `known` with the column `link`, 0 where nothing is known, and the model's counts.

    Args:
        people: `candidates.silent_people`; `old`: `candidates.old_numbers`.
        known: `evidence.lead_evidence`.
        links: None: there is no model.
    """
    if links is None:
        return known.withColumn("link", F.lit(0.0)), {}
    said = links(_question(records, people, old, known))
    if not len(said.rows):
        return known.withColumn("link", F.lit(0.0)), said.counts
    rows = records.spark.createDataFrame(said.rows.select(*ROWS).to_arrow())
    told = known.join(rows, ["person_id", "phone"], "left").withColumn("link", F.coalesce("link", F.lit(0.0)))
    return told, said.counts


def _question(records: Records, people: DataFrame, old: DataFrame, known: DataFrame) -> LinkQuestion:
    services = records.phone_kinds.where("kind = 'service'").select(F.col("phone").alias("id"))
    out = records.barred.unionByName(services).distinct()
    # One number may have been that of several who went silent; while it was anybody's of them, its calls count.
    theirs = old.groupBy("phone").agg(
        F.when(F.count("held_to") == F.count("*"), F.max("held_to")).alias("held_to")
    ).where("held_to IS NOT NULL")  # fmt: skip
    calls = records.events("called").select("src", "dst", "at", F.coalesce("duration_s", F.lit(0)).alias("duration_s"))
    for end in ("src", "dst"):
        calls = calls.join(out.withColumnRenamed("id", end), end, "left_anti")
        held = theirs.withColumnRenamed("phone", end)
        calls = calls.join(held, end, "left").where("held_to IS NULL OR at < held_to").drop("held_to")
    # A borrower's book belongs to the old numbers, anybody else's to the number stated last.
    stated = records.own_numbers.where("NOT answered").join(people, "person_id", "left_anti").groupBy("person_id").agg(
        F.max(F.struct("at", "phone"))["phone"].alias("phone")
    )  # fmt: skip
    owners = stated.unionByName(old.select("person_id", "phone")).toDF("src", "number")
    listed = records.events("lists_contact").select("src", "dst", "at").join(owners, "src")
    contacts = listed.select(F.col("number").alias("src"), "dst", "at")
    for end in ("src", "dst"):
        contacts = contacts.join(out.withColumnRenamed("id", end), end, "left_anti")
    borrowers = people.select("person_id", "silent_from")
    return LinkQuestion(
        records.at, calls.select("src", "dst", "at", "duration_s").distinct(), contacts.distinct(),
        old.join(borrowers, "person_id").select("person_id", "phone", "silent_from", "failing_since"),
        known.select("person_id", "phone", "own"),
    )  # fmt: skip
