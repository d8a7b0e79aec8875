"""Weights from what became of earlier leads: whom a call to which candidate brought back, and whom none did.

Only what was known at the moment is learned from: candidates as they were on their night, attempts made and told since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.leads.blend import LeadRules, fit
from algorithms.leads.records import Records
from graph.lake import has_table

WITHIN_DAYS = 30  # of a call to somebody else, in which the borrower's own answer is put down to it
GIVEN_UP_DAYS = 60  # after the first call to a candidate, without an answer: nobody of them was right


@dataclass(frozen=True)
class Learned:
    """Weights in the order of `LeadRules.names`, and from how many borrowers they were learned."""

    weights: NDArray[np.float64]
    borrowers: int


def learned(records: Records, rules: LeadRules, made_here: pl.DataFrame | None = None) -> Learned:
    """Return the weights as of the records' moment; those of the rules where too little is known.

    Args:
        made_here: calls of the work queue with the columns `applicant_id`, `phone`, `attempted_at`, `outcome`
            (`algorithms.contact.feedback.attempts_made_here`), beside those that the lender delivered.
    """
    path = records.lake.features("lead_candidates")
    if not has_table(path):
        return Learned(rules.weights, 0)
    table = records.spark.read.format("delta").load(str(path)).where(F.col("as_of_date") < F.lit(records.at.date()))
    table = table.where(F.col("terms") == rules.digest)
    attempts = records.attempts.select("person_id", "phone", "at", "outcome")
    if made_here is not None and len(made_here):
        ours = made_here.select("applicant_id", "phone", at="attempted_at", outcome="outcome")
        rows = records.spark.createDataFrame(ours.to_pandas()).join(records.persons, "applicant_id")
        attempts = (
            attempts.unionByName(rows.select(*attempts.columns)).where(F.col("at") <= F.lit(records.at)).distinct()
        )
    # Of the nights that named a number, the last before it was called; of a borrower, the first of these. Few were
    # called, and only they come to this process.
    tries = table.select("person_id", "phone", "as_of_date").join(attempts, ["person_id", "phone"])
    tries = tries.where(F.to_date("at") > F.col("as_of_date"))
    last = tries.groupBy("person_id", "phone", "at").agg(F.max("as_of_date").alias("as_of_date"))
    nights = last.groupBy("person_id").agg(F.min(F.struct("at", "as_of_date"))["as_of_date"].alias("as_of_date"))
    nights = records.keep(nights)
    known = _frame(
        table.join(nights, ["person_id", "as_of_date"]).select("person_id", "phone", "as_of_date", "x", "x0")
    )
    sets = choices(known, _frame(attempts.join(nights, "person_id", "left_semi")), records.at.date())
    if not len(sets):
        return Learned(rules.weights, 0)
    numbered = sets["person_id"].rank("dense").to_numpy().astype(np.int64) - 1
    x, x0 = (np.array(sets[name].to_list(), np.float64) for name in ("x", "x0"))
    x, x0 = np.pad(x, ((0, 0), (x0.shape[1], 0))), np.pad(x0, ((0, 0), (0, x.shape[1])))  # in the order of all weights
    return Learned(fit(x, x0, numbered, sets["chosen"].to_numpy(), rules), int(numbered[-1]) + 1)


def choices(candidates: pl.DataFrame, attempts: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return the candidates of borrowers of whom it is known how it ended, `chosen` beside the right one.

    A candidate was right if the borrower answered on it, or answered anywhere within `WITHIN_DAYS` of a call to it
    that somebody took. Nobody was right where `GIVEN_UP_DAYS` have passed since the first call to a candidate. A
    borrower counts once: by the first night of which a candidate was called.

    Args:
        candidates: person_id, phone, as_of_date, and any columns to keep.
        attempts: person_id, phone, at (UTC), outcome, of the same borrowers, to any number.
        day: the day until which is known.
    """
    tries = candidates.select("person_id", "phone", "as_of_date").join(attempts, on=["person_id", "phone"])
    tries = tries.filter(pl.col("at").dt.date() > pl.col("as_of_date"))
    if not len(tries):
        return candidates.head(0).with_columns(chosen=pl.lit(False))
    # Of the nights that knew the number, the last before it was called.
    tries = tries.filter(pl.col("as_of_date") == pl.col("as_of_date").max().over("person_id", "phone", "at"))
    first = tries.sort("at", "phone").group_by("person_id").agg(
        night=pl.col("as_of_date").first(), first_at=pl.col("at").min()
    )  # fmt: skip
    answers = attempts.filter(pl.col("outcome") == "right_person").select("person_id", answered_at="at")
    there = tries.filter(pl.col("outcome") == "right_person").select("person_id", "phone", "at")
    through = tries.filter(pl.col("outcome") == "third_person").join(answers, on="person_id").filter(
        (pl.col("answered_at") > pl.col("at")) & (pl.col("answered_at") <= pl.col("at") + timedelta(days=WITHIN_DAYS))
    )  # fmt: skip
    right = pl.concat([there, through.select("person_id", "phone", "at")]).sort("at", "phone")
    right = right.group_by("person_id", maintain_order=True).agg(right_phone=pl.col("phone").first())
    given_up = pl.lit(day) >= pl.col("first_at").dt.date() + timedelta(days=GIVEN_UP_DAYS)
    ended = first.join(right, on="person_id", how="left")
    never = ended.join(answers.select("person_id").unique(), on="person_id", how="anti").filter(given_up)
    known = pl.concat([ended.filter(pl.col("right_phone").is_not_null()), never]).unique("person_id")
    sets = candidates.join(known, left_on=["person_id", "as_of_date"], right_on=["person_id", "night"])
    chosen = (pl.col("phone") == pl.col("right_phone")).fill_null(False)
    return sets.with_columns(chosen=chosen).sort("person_id", "phone").drop("first_at", "right_phone")


def _frame(rows: DataFrame) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(rows.toArrow()))
