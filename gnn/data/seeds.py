"""When it became known how an application went, and the table of applications to learn from and to score.

A fact counts from the later of its event and its first delivery, and only while a row that says so stands at the moment
of the store: a verdict taken back, or a payment reported late, corrects the past.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F

from gnn.data.intervals import DAY_US, View, collected
from gnn.data.store import NEVER
from graph.lake import has_table, version

FACTS: tuple[str, ...] = ("fraud", "normal", "missed", "paid")
GRACE_US = 7 * DAY_US  # an instalment is missed when it is unpaid so long after it was due
_FEATURES = "application_graph"
_KEYS = ("applicant_id", "person_id", "applied_at", "applied_on", "by_delivery")
_INSTALMENTS = {"application_id": pl.String, "applicant_id": pl.String, "missed": pl.Int64, "paid": pl.Int64}
_VERDICTS = {"applicant_id": pl.String, "fact": pl.String, "confirmed": pl.Int64, "since": pl.Int64}


def verdicts(view: View) -> pl.DataFrame:
    """Return the verdicts that stand: `applicant_id`, `fact` (fraud, normal), `confirmed` (the key), `since`."""
    rows = view.rows(view.lake.raw("labels"), "confirmed_at")
    if rows is None:
        return pl.DataFrame(schema=_VERDICTS)
    key = ("applicant_id", F.col("label").alias("fact"), F.unix_micros("confirmed_at").alias("confirmed"))
    told = rows.groupBy(*key).agg(F.min("since").alias("since"), F.max("until").alias("until"))
    return collected(told.where(F.col("until") == NEVER).drop("until"))


def through_persons(said: pl.DataFrame, persons: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return verdicts as known of persons, and of every applicant of the person.

    Args:
        said: `verdicts`.
        persons: `applicant_id`, `person_id`, `since`, `until`.

    Returns:
        Two tables of `person_id` or `applicant_id`, `fact`, `confirmed`, `since`, `until`: from when until when the
        verdict could be traced to them. A verdict on the applicant itself needs no person.
    """
    who = persons.rename({"since": "since_then", "until": "until_then"})
    of_persons = _during(said.with_columns(until=pl.lit(NEVER)).join(who, "applicant_id")).drop("applicant_id")
    others = _during(of_persons.join(who, "person_id")).drop("person_id")
    own = said.with_columns(until=pl.lit(NEVER))
    return of_persons, pl.concat([own, others.select(own.columns)])


def _during(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows narrowed to the time of the person they were joined with."""
    both = rows.with_columns(
        since=pl.max_horizontal("since", "since_then"), until=pl.min_horizontal("until", "until_then")
    )
    return both.filter(pl.col("since") < pl.col("until")).drop("since_then", "until_then")


def instalments(view: View) -> pl.DataFrame:
    """Return how the first instalment of each loan went: `application_id`, `applicant_id`, `missed`, `paid`.

    Each is when it became known, null if it is not: `missed` is unpaid a week after it was due, `paid` is paid in full.
    The first is the one due first of those that stand; one due before the loan was paid out is none.
    """
    loans = view.rows(view.lake.raw("loans"), "disbursed_at")
    dues = view.rows(view.lake.raw("repayments"), None)
    if loans is None or dues is None:
        return pl.DataFrame(schema=_INSTALMENTS)
    out = F.max(F.when(F.col("until") == NEVER, F.unix_micros("disbursed_at"))).alias("disbursed")
    loan = ("loan_id", "application_id", "applicant_id")
    funded = loans.groupBy(*loan).agg(F.min("since").alias("funded"), out)
    whole = F.coalesce(F.col("paid_cny") >= F.col("due_cny"), F.lit(True))
    limit = F.col("due") + F.lit(GRACE_US)
    rows = dues.select(
        "loan_id", F.unix_micros("due_at").alias("due"), F.when(whole, F.unix_micros("paid_at")).alias("paid"),
        "since", "until",
    )  # fmt: skip
    late = F.col("paid").isNull() | (F.col("paid") > limit)
    missed, stands = F.greatest("since", limit), F.col("until") == NEVER
    first_told = rows.groupBy("loan_id", "due").agg(
        F.min(F.when(late & (missed < F.col("until")), missed)).alias("missed"),
        F.min(F.when(F.col("paid").isNotNull(), F.greatest("since", "paid"))).alias("paid"),
        F.max(stands & late).alias("is_missed"),
        F.max(stands & F.col("paid").isNotNull()).alias("is_paid"),
        F.max(stands).alias("stands"),
    )
    first_told = first_told.where("stands").join(funded.where("disbursed IS NOT NULL"), "loan_id")
    first = first_told.where(F.col("due") >= F.col("disbursed")).groupBy(*loan).agg(
        F.min_by(F.struct("missed", "paid", "is_missed", "is_paid", "funded"), "due").alias("_")
    )  # fmt: skip
    return collected(first.select(*loan[1:], *(_known(name, view.at_us) for name in ("missed", "paid"))))


def _known(fact: str, at: int) -> Column:
    since = F.greatest(f"_.{fact}", "_.funded")
    return F.when(F.col(f"_.is_{fact}") & (since <= at), since).alias(fact)


def first_known(facts: pl.DataFrame, key: str, ids: pl.Series) -> NDArray[np.int64]:
    """Return when each of `FACTS` was first known of each of `ids`, int64 (ids, facts), `NEVER` if it was not.

    Args:
        facts: the key, `fact`, `since`, any number of rows.
        ids: unique.
    """
    found = np.full((len(ids), len(FACTS)), NEVER, np.int64)
    first = facts.drop_nulls().group_by(key, "fact").agg(pl.col("since").min())
    at = pl.DataFrame({key: ids}).with_row_index("row").join(first, key)
    column = at["fact"].replace_strict({name: n for n, name in enumerate(FACTS)}, return_dtype=pl.Int64)
    found[at["row"].to_numpy(), column.to_numpy()] = at["since"].to_numpy()
    return found


def by_fact(told: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return `instalments` as one row for each fact that is known: the key, `fact`, `since`."""
    long = told.unpivot(["missed", "paid"], index=key, variable_name="fact", value_name="since")
    return long.drop_nulls()


def seeds(view: View, told: pl.DataFrame, persons: pl.DataFrame, heard: pl.DataFrame) -> pl.DataFrame:
    """Return the applications known at the view's moment, in order of `at`, then `application_id` (key).

    Columns `applicant_id`; `person_id` (null: not known yet); `node`, its row among Application; `at`, when it was made
    (microseconds since 1970 UTC); `label`, 1 fraud, 0 normal, −1 unknown, by the latest verdict on any applicant who is
    now the same person, of two at once the worse; `label_since`, from when that was known, `NEVER` if it is not; and
    the features of `LAKE/features/application_graph`, null without a row there, yes and no as 1 and 0.

    Args:
        told: `application_id`, `applicant_id`, `node`, `at`.
        persons: `applicant_id`, `person_id`, `since`, `until`.
        heard: verdicts by applicant (`through_persons`).
    """
    now = pl.col("until") == NEVER
    person = persons.filter(now).group_by("applicant_id").agg(pl.col("person_id").min())
    verdict = heard.filter(now).group_by("applicant_id", "fact", "confirmed").agg(pl.col("since").min())
    fraud = (pl.col("fact") == "fraud").cast(pl.Int8)
    latest = verdict.with_columns(label=fraud).sort("confirmed", "label").group_by("applicant_id").last()
    latest = latest.select("applicant_id", "label", label_since="since")
    whole = told.join(person, "applicant_id", "left").join(latest, "applicant_id", "left")
    whole = whole.with_columns(pl.col("label").fill_null(-1), pl.col("label_since").fill_null(NEVER))
    order = ("application_id", "applicant_id", "person_id", "node", "at", "label", "label_since")
    whole = whole.select(order)
    features = _graph_features(view)
    if features is not None:
        whole = whole.join(features, "application_id", "left")
    return whole.sort("at", "application_id")


def _graph_features(view: View) -> pl.DataFrame | None:
    path = view.lake.features(_FEATURES)
    if not has_table(path):
        return None
    pinned = view.versions.setdefault(str(path.relative_to(view.lake.root)), version(path))
    table: pa.Table = DeltaTable(path, version=pinned).to_pyarrow_table()
    rows = pl.DataFrame(pl.from_arrow(table)).sort("applied_on").unique("application_id", keep="last")
    return rows.drop(_KEYS, strict=False).with_columns(pl.col(pl.Boolean).cast(pl.Int8))
