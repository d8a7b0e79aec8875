"""Can the borrower of a loan be reached? Who is called lost must be proven lost, for only then may others be asked.

Lost means: each of the borrower's own numbers gave out since the borrower was last reached (it is invalid, failed
several times in a row, or failed once and its carrier says that it was closed), and the borrower has given no sign of
life since the first of these failures: no call in the number's own log, no log-in with a known card, no payment. A call
to the number in somebody else's log is none: it says who is still in touch.

Silent means: overdue and without a sign of life since, proven or not. For the silent one may look ahead; only for the
lost one may call.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from algorithms.leads.records import Records

UNCALLED_DAYS = 30  # overdue, from which a borrower whom nobody called yet is looked for
FAILURES = 3  # in a row, on each own number; the strictest of the policies at hand
OWN = 0.5  # chance that a number is still theirs, from which it must have failed as well
UNSEEN_DAYS = 60  # before the first failure: when the silence is taken to have begun where no sign of life is known
KNOWN_CARD_DAYS = 30  # before the first failure: a card seen since then may be the new one of who went silent
_DECEASED = ("deceased", "dead", "died", "死亡", "身故")
COLUMNS = (
    "loan_id", "applicant_id", "person_id", "state", "silent", "overdue_cny", "overdue_since", "last_reached_at",
    "silent_from", "failing_since", "lost_since", "numbers", "new_numbers", "failed_numbers", "failed_count",
    "first_failed_at", "last_failed_at", "life_at",
)  # fmt: skip


def contact_states(records: Records, loans: DataFrame, ownership: DataFrame) -> DataFrame:
    """Return the state of contact of each loan that is overdue or was called about.

    Args:
        loans: `asked_loans`.
        ownership: of their persons, as `phone_ownership` returns it.

    Returns:
        One row a loan: `loan_id` (key) and the columns of `COLUMNS`. `state` is `reachable`, `doubtful`, `lost`,
        `refused`, `deceased` or `unknown`. `silent`: whether to look for the borrower, then `silent_from` says since
        when nothing was heard and `failing_since` when the first call failed (the first instalment, where none was
        made); `lost_since`: when the last proof came, null unless lost. `numbers` are the borrower's
        own as known before the first failure, `failed_numbers` those of them that gave out, `new_numbers` those that
        became known since and were not tried yet.
    """
    people = _people(records, ownership, loans)
    told = loans.drop("overdue_since").join(people, "person_id", "left")
    right, refused = F.col("last_right_at"), F.col("last_refused_at")
    proven = F.coalesce("all_failed", F.lit(False))
    alive = F.coalesce(F.col("life_at") > F.col("since"), F.lit(False))
    failures = F.coalesce("failed_count", F.lit(0))
    state = (
        F.when(F.lower("status").isin(*_DECEASED), "deceased")
        .when(refused.isNotNull() & (right.isNull() | (refused >= right)), "refused")
        .when(proven & ~alive, "lost")
        .when(proven | (failures >= FAILURES), "doubtful")
        .when(right >= F.lit(records.at) - F.expr("INTERVAL 90 DAYS"), "reachable")
        .when(right.isNotNull() | (failures > 0), "doubtful")
        .otherwise("unknown")
    )
    long_due = F.col("since") <= F.lit(records.at) - F.expr(f"INTERVAL {UNCALLED_DAYS} DAYS")
    called = F.col("state").isin("lost", "doubtful") | ((F.col("state") == "unknown") & long_due)
    looked_for = F.coalesce((F.col("overdue_cny") > 0) & ~alive & called, F.lit(False))
    unseen = F.col("since") - F.expr(f"INTERVAL {UNSEEN_DAYS} DAYS")
    return (
        told.withColumn("state", state)
        .withColumn("silent", looked_for)
        .withColumn("silent_from", F.when(looked_for, F.coalesce("life_before_at", unseen)))
        .withColumn("failing_since", F.when(looked_for, F.col("since")))
        .withColumn("lost_since", F.when(F.col("state") == "lost", F.col("proven_at")))
        .withColumn("last_reached_at", F.greatest("last_right_at", "last_refused_at"))
        .select(*COLUMNS)
    )


def asked_loans(records: Records) -> DataFrame:
    """Return the loans that are overdue or were called about: `loan_id` (key), persons, `status`, `overdue_cny`,
    `overdue_since`, `called`.
    """
    now = F.lit(records.at)
    dues = records.raw("repayments")
    paid = F.coalesce(F.col("paid_at") <= now, F.lit(False))
    part = F.when(paid, F.coalesce("paid_cny", "due_cny")).otherwise(F.lit(0.0))  # an instalment may be paid in part
    owed = F.when(F.col("due_at") < now, (F.col("due_cny") - part).cast("decimal(28,2)"))
    sums = dues.withColumn("owed", owed).where("owed > 0").groupBy("loan_id").agg(
        F.sum("owed").cast("double").alias("overdue_cny"), F.min("due_at").alias("overdue_since")
    )  # fmt: skip
    called = records.attempts.select("loan_id", F.lit(True).alias("called")).distinct()
    loans = records.raw("loans").select("loan_id", "applicant_id", "person_id", "status")
    return (
        loans.join(sums, "loan_id", "left").join(called, "loan_id", "left")
        .withColumn("overdue_cny", F.coalesce("overdue_cny", F.lit(0.0)))
        .withColumn("called", F.coalesce("called", F.lit(False)))
        .where("overdue_cny > 0 OR called")
    )  # fmt: skip


def _people(records: Records, ownership: DataFrame, loans: DataFrame) -> DataFrame:
    """One row a person: when last reached, whether every number that counts gave out, and signs of life.

    `since`: the first failure; where nothing was tried, when the oldest instalment fell due.
    """
    own = ownership.select("person_id", "phone", F.lit(True).alias("own"))
    tries = records.attempts.join(own, ["person_id", "phone"], "left")
    # A debtor reached on anybody's number is reached; a refusal is the debtor's on an own number only.
    last = tries.groupBy("person_id").agg(
        F.max(F.when(F.col("outcome") == "right_person", F.col("at"))).alias("last_right_at"),
        F.max(F.when(F.col("own") & (F.col("outcome") == "refused"), F.col("at"))).alias("last_refused_at"),
    )
    heard = F.greatest("last_right_at", "last_refused_at")
    failed = (
        tries.where("own").join(last, "person_id")
        .where(heard.isNull() | (F.col("at") > heard))
        .groupBy("person_id", "phone")
        .agg(F.sort_array(F.collect_list(F.struct("at", "outcome"))).alias("tries"))
    )  # fmt: skip
    owing = loans.groupBy("person_id").agg(F.min("overdue_since").alias("overdue_since"))
    numbers = owing.join(ownership, "person_id", "left").join(failed, ["person_id", "phone"], "left")
    first = F.min(F.element_at("tries", 1)["at"]).over(Window.partitionBy("person_id"))
    numbers = numbers.withColumn("first_failed_at", first).withColumn(
        "since", F.coalesce("first_failed_at", "overdue_since")
    )
    tried = F.col("tries").isNotNull()
    n = F.when(tried, F.size("tries")).otherwise(0)
    invalid = F.element_at("tries", -1)["outcome"] == "invalid_number"
    closed = F.arrays_overlap("why", F.array(F.lit("closed"), F.lit("opened_later")))
    gave_out = F.coalesce(tried & (invalid | (n >= FAILURES) | closed), F.lit(False))
    nth: Column = F.when(n >= FAILURES, F.element_at("tries", FAILURES)["at"]).otherwise(
        F.element_at("tries", -1)["at"]
    )
    # A number that became known after those that failed were last confirmed is the next to try, not one that failed.
    confirmed = F.max(F.when(tried, F.col("confirmed_at"))).over(Window.partitionBy("person_id"))
    numbers = numbers.withColumn("tried_confirmed_at", F.coalesce(confirmed, "overdue_since"))
    fresh = ~tried & (F.col("known_from") > F.col("tried_confirmed_at"))
    # A number that passed on to somebody else is no longer a way to the borrower, unless it was tried.
    counts = tried | (~fresh & (F.col("probability") >= OWN))
    sums = numbers.groupBy("person_id").agg(
        F.sort_array(F.collect_set(F.when(counts, F.col("phone")))).alias("numbers"),
        F.sort_array(F.collect_set(F.when(fresh, F.col("phone")))).alias("new_numbers"),
        F.sort_array(F.collect_set(F.when(gave_out, F.col("phone")))).alias("failed_numbers"),
        F.min(F.when(counts, gave_out)).alias("all_failed"),
        F.max(F.when(gave_out, nth)).alias("proven_at"),
        F.sum(n).alias("failed_count"),
        F.first("first_failed_at").alias("first_failed_at"),
        F.max(F.element_at("tries", -1)["at"]).alias("last_failed_at"),
        F.first("since").alias("since"),
        F.first("overdue_since").alias("overdue_since"),
    )
    sums = records.keep(sums.join(last, "person_id", "left"))
    old = ownership.join(sums.select("person_id", "new_numbers"), "person_id").where(
        ~F.array_contains("new_numbers", F.col("phone"))
    )
    return sums.join(_life(records, sums, old), "person_id", "left")


def _life(records: Records, people: DataFrame, ownership: DataFrame) -> DataFrame:
    """When a person gave a sign of life: `life_at`, the last one; `life_before_at`, the last before `since`.

    Calls in an old number's own log, while nothing says that it passed on; log-ins with a card that was there long
    before, or with an unnamed one; payments.
    """
    first = people.select("person_id", "since")
    theirs = ownership.where("NOT array_contains(why, 'other_circle')").select("person_id", "phone", "held_to")
    logged = records.raw("calls").where("duration_s > 0").join(theirs, "phone")
    logged = logged.where("held_to IS NULL OR started_at < held_to")
    calls = logged.select("person_id", F.col("started_at").alias("at"))
    seen = records.raw("devices").join(first, "person_id").select(
        "person_id", "iccid", F.col("event_at").alias("at"), "since"
    )  # fmt: skip
    cards = seen.where("iccid IS NOT NULL").select("person_id", "iccid", "at")
    applied = records.raw("applications").where("iccid IS NOT NULL").select("person_id", "iccid", "applied_at")
    known = cards.union(applied).groupBy("person_id", "iccid").agg(F.min("at").alias("card_from"))
    seen = seen.join(known, ["person_id", "iccid"], "left").where(
        f"iccid IS NULL OR since IS NULL OR card_from < since - INTERVAL {KNOWN_CARD_DAYS} DAYS"
    )
    paid = (
        records.raw("repayments").where(F.col("paid_at") <= F.lit(records.at))
        .join(records.raw("loans").select("loan_id", "person_id"), "loan_id")
        .select("person_id", F.col("paid_at").alias("at"))
    )  # fmt: skip
    signs = calls.unionByName(seen.select("person_id", "at")).unionByName(paid).join(first, "person_id")
    before = F.col("since").isNull() | (F.col("at") <= F.col("since"))
    return signs.groupBy("person_id").agg(
        F.max("at").alias("life_at"), F.max(F.when(before, F.col("at"))).alias("life_before_at")
    )
