"""The night's stage: states of contact, owners of numbers, candidates and leads, as of the day, written to the lake."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from algorithms.leads import blend, candidates, evidence, ownership, state
from algorithms.leads.leads import Law, leads, named
from algorithms.leads.learning import learned
from algorithms.leads.links import Links, with_links
from algorithms.leads.records import Records
from graph.lake import Lake, has_table

MANY = 50_000  # persons asked about, from which it pays to put rows in order first
_CANDIDATE = ("person_id", "phone", "own", "role", "terms", "x", "x0", "right", "reach", "probability", "harm", "score")


def find_leads(
    spark: SparkSession,
    lake: Lake,
    day: date,
    at: datetime,
    law: Law,
    made_here: pl.DataFrame | None = None,
    links: Links | None = None,
) -> dict[str, Any]:
    """Find the leads of all borrowers who fell silent, as of `at`, and return counts.

    Writes, in place of the day's rows: `LAKE/results/contact_states` (key `loan_id`), `results/phone_ownership` (key
    `person_id`, `phone`; the persons with a loan overdue or called about), `features/lead_candidates` (key
    `person_id`, `phone`: what tomorrow's weights are learned from) and `results/leads` (key `loan_id`, `rank`), each
    with `as_of_date`.

    Args:
        made_here: calls of the work queue, from which the weights are learned beside those that the lender delivered.
        links: what says who will be in touch with whom next; without it the term `link` is 0.

    Raises:
        algorithms.leads.blend.LeadRulesError: the rules cannot be used.
    """
    rules = blend.read_rules()
    with Records(spark, lake, at) as records:
        weights = learned(records, rules, made_here)
        loans = records.keep(state.asked_loans(records))
        asked = records.keep(loans.select("person_id").distinct())
        persons = asked.count()
        if not persons and not has_table(lake.results("contact_states")):
            return dict.fromkeys(("loans_looked_for", "loans_with_lead", "loans_allowed", "rows_out"), 0) | {
                "states": {}
            }
        if persons >= MANY:
            records.expect_many(persons)
        owners = records.keep(ownership.phone_ownership(records, asked))
        states = records.keep(state.contact_states(records, loans, owners))
        people = records.keep(candidates.silent_people(states, owners))
        old = records.keep(candidates.old_numbers(people, owners))
        known = evidence.lead_evidence(records, people, old)
        records.talks.unpersist()
        linked, said = with_links(records, people, old, known, links)
        told = records.keep(blend.terms(linked, rules), by="person_id")  # one projection of both is too long to compile
        known.unpersist()
        ranked = records.keep(blend.ranked(told, rules, weights.weights), by="person_id")
        told.unpersist()
        found = records.keep(leads(named(ranked, rules), states, records.attempts, law, at))
        _save(with_proof(states), lake, "contact_states", day)
        _save(told_of(owners), lake, "phone_ownership", day)
        kept = ranked.withColumn("terms", F.lit(rules.digest)).select(*_CANDIDATE)
        _write(kept, str(lake.features("lead_candidates")), day)
        _save(found, lake, "leads", day)
        return counts(states, found) | {"learned_from": weights.borrowers} | ({"links": said} if said else {})


def counts(states: DataFrame, found: DataFrame) -> dict[str, Any]:
    """Return how many loans are in which state, how many are looked for, and how many have a lead, may be called."""
    by_state = {row["state"]: int(row["count"]) for row in states.groupBy("state").count().collect()}
    sums = found.groupBy("loan_id").agg(F.max(F.col("allowed").cast("int")).alias("allowed"), F.count("*").alias("n"))
    told = sums.agg(F.count("*"), F.sum("allowed"), F.sum("n")).collect()[0]
    return {
        "states": dict(sorted(by_state.items())), "loans_looked_for": states.where("silent").count(),
        "loans_with_lead": int(told[0]), "loans_allowed": int(told[1] or 0), "rows_out": int(told[2] or 0),
    }  # fmt: skip


def with_proof(states: DataFrame) -> DataFrame:
    """Return the states as they are written: `numbers` with the new ones among them, and `proof` as JSON text."""
    since = F.date_format("first_failed_at", "yyyy-MM-dd")
    failed = F.concat(
        F.col("failed_count").cast("string"), F.lit(" failed calls to own numbers, the first on "), since, F.lit(".")
    )
    life = F.concat(F.lit("The last sign of life is of "), F.date_format("life_at", "yyyy-MM-dd"), F.lit("."))
    empty = F.array().cast("array<string>")
    items = F.array_compact(
        F.array(
            F.when(
                F.col("failed_count") > 0,
                F.struct(
                    failed.alias("text"),
                    F.coalesce("failed_numbers", empty).alias("nodes"),
                    empty.alias("relationships"),
                ),
            ),
            F.when(
                F.col("life_at").isNotNull(),
                F.struct(life.alias("text"), F.array("person_id").alias("nodes"), empty.alias("relationships")),
            ),
        )
    )
    return states.withColumn("proof", F.to_json(items)).withColumn(
        "numbers", F.array_union(F.coalesce("numbers", empty), F.coalesce("new_numbers", empty))
    )


def told_of(owners: DataFrame) -> DataFrame:
    """Return the ownership of numbers as it is written: with what Neo4j is told of each, `owner_until` and
    `owner_probability`, rounded so that a day that brings nothing changes little there.
    """
    return owners.withColumns({"owner_until": F.col("held_to"), "owner_probability": F.round("probability", 2)})


def _save(rows: DataFrame, lake: Lake, table: str, day: date) -> None:
    _write(rows, str(lake.results(table)), day)


def _write(rows: DataFrame, path: str, day: date) -> None:
    dated = rows.withColumn("as_of_date", F.lit(day)).coalesce(4)
    writer = dated.write.format("delta").mode("overwrite").option("replaceWhere", f"as_of_date = '{day.isoformat()}'")
    writer.option("mergeSchema", "true").partitionBy("as_of_date").save(path)  # a later version may tell more
