"""Whose number is it still? Numbers are given up, sold on to strangers, and shared; each has its interval.

The chance that a number is still its person's falls with the time since anything last confirmed it, and with every
sign that it changed hands: a carrier's closing, a later opening, another person who states it, strangers who answer,
a new card in another handset, silence, and a circle of callers that has nothing in common with the one before.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from algorithms.leads.records import Records

YEARLY_CHANGE = 0.10  # share of people who change their number in a year; the mobile market's churn, assumed
SILENT_DAYS = 90  # without a call or another proof; about as long carriers let a closed number rest
OTHERS = 50  # persons who stated a number, the last ones, that are looked at; more share it for another reason
MIN_CIRCLE = 5  # partners before and after, without which two circles are not compared
# What is left of the chance that the number is still theirs, by sign; our own choice, to be outweighed by reports.
LEFT = {
    "closed": 0.02, "opened_later": 0.02, "invalid": 0.05, "stated_by_other": 0.3, "stranger_answers": 0.4,
    "new_card_and_handset": 0.5, "new_card": 0.9, "silent": 0.7, "other_circle": 0.2,
}  # fmt: skip


def phone_ownership(records: Records, asked: DataFrame) -> DataFrame:
    """Return the own numbers of persons with the interval in which they held them.

    Args:
        asked: `person_id` (key).

    Returns:
        `person_id`, `phone` (together the key), `known_from` (when it was first said to be theirs), `held_from`,
        `held_to` (null while nothing ends it), `confirmed_at` (when they last stated it or answered on it; of a number
        that only carriers report, `known_from`), `probability` that it is still theirs at the moment, and `why`: the
        signs against it, keys of `LEFT`.
    """
    own = records.own_numbers.join(asked, "person_id", "left_semi")
    reported = F.col("held_from").isNotNull() | F.col("held_to").isNotNull()
    held = own.groupBy("person_id", "phone").agg(
        F.min(F.coalesce("held_from", "at")).alias("held_from"),
        F.min("at").alias("known_from"),
        F.max(F.when(~reported, F.col("at"))).alias("stated_at"),
        F.max(F.when(reported, F.struct("at", "held_to")))["held_to"].alias("closed_at"),
        F.collect_set("held_from").alias("opened_as_theirs"),
    )
    held = records.keep(held.join(_reached(records, held), ["person_id", "phone"], "left"))
    held = held.withColumn("confirmed_at", F.coalesce(F.greatest("stated_at", "reached_at"), "known_from"))
    told = (
        held.join(_reports(records, held), ["person_id", "phone"], "left")
        .join(_others(records, held), ["person_id", "phone"], "left")
        .join(_calls(records, held), ["person_id", "phone"], "left")
    )
    now = F.lit(records.at)
    long_ago = now - F.expr(f"INTERVAL {SILENT_DAYS} DAYS")
    ends = {
        "closed": F.coalesce(F.col("closed_at") >= F.col("confirmed_at"), F.lit(False))
        | F.coalesce("reported_closed", F.lit(False)),
        "opened_later": F.col("opened_later_at").isNotNull(),
    }
    signs: dict[str, Column] = {
        **ends,
        "invalid": F.coalesce("invalid", F.lit(False)),
        "stated_by_other": F.col("other_at").isNotNull(),
        "stranger_answers": F.coalesce("strangers", F.lit(0)) >= 2,
        "new_card_and_handset": F.coalesce(F.col("new_card") & F.col("new_handset"), F.lit(False)),
        "new_card": F.coalesce(F.col("new_card") & ~F.coalesce("new_handset", F.lit(False)), F.lit(False)),
        "silent": F.col("talked_at").isNotNull() & (F.greatest("talked_at", "confirmed_at") < long_ago),
        "other_circle": F.coalesce(
            (F.col("circle_before") >= MIN_CIRCLE) & (F.col("circle_after") >= MIN_CIRCLE)
            & (F.col("circle_both") <= 0.05 * F.least("circle_before", "circle_after")), F.lit(False),
        ),
    }  # fmt: skip
    years = (F.unix_micros(now) - F.unix_micros("confirmed_at")) / (365.25 * 86_400e6)
    chance: Column = F.exp(-YEARLY_CHANGE * F.greatest(years, F.lit(0.0)))
    for sign, holds in signs.items():
        chance = chance * F.when(holds, F.lit(LEFT[sign])).otherwise(F.lit(1.0))
    closed = F.when(F.col("closed_at") >= F.col("confirmed_at"), F.col("closed_at"))
    ended = F.least(closed, "reported_closed_at", "opened_later_at", "other_at")
    return told.select(
        "person_id", "phone", "known_from", "held_from", ended.alias("held_to"), "confirmed_at",
        chance.alias("probability"),
        F.array_compact(F.array(*(F.when(holds, F.lit(sign)) for sign, holds in signs.items()))).alias("why"),
    )  # fmt: skip


def _reached(records: Records, held: DataFrame) -> DataFrame:
    """What calls to a person's own numbers said: when they were last reached there, and what came after."""
    tries = records.attempts.join(held.select("person_id", "phone", "stated_at"), ["person_id", "phone"])
    reached = F.max(F.when(F.col("outcome") == "right_person", F.col("at")))
    sums = tries.groupBy("person_id", "phone").agg(
        reached.alias("reached_at"),
        F.collect_list(F.struct("at", "outcome")).alias("tries"),
    )
    since = F.filter("tries", lambda t: F.col("reached_at").isNull() | (t["at"] > F.col("reached_at")))
    last = F.element_at(F.sort_array(since), -1)["outcome"]
    return sums.select(
        "person_id", "phone", "reached_at",
        F.size(F.filter(since, lambda t: t["outcome"] == "third_person")).alias("strangers"),
        (F.size(since) > 0) & (last == "invalid_number"),
    ).toDF("person_id", "phone", "reached_at", "strangers", "invalid")  # fmt: skip


def _reports(records: Records, held: DataFrame) -> DataFrame:
    """What carriers reported of a number after it was last confirmed: closed, opened anew, another card or handset."""
    reports = records.raw("phones").join(held.select("person_id", "phone", "confirmed_at", "opened_as_theirs"), "phone")
    another = (F.col("opened_at") > F.col("confirmed_at")) & ~F.array_contains("opened_as_theirs", F.col("opened_at"))
    later = F.col("observed_at") > F.col("confirmed_at")
    newest_before = F.max(F.when(~later, F.struct("observed_at", "iccid", "imei")))
    newest_after = F.max(F.when(later, F.struct("observed_at", "iccid", "imei")))
    sums = reports.groupBy("person_id", "phone").agg(
        F.min(F.when(another, F.col("opened_at"))).alias("opened_later_at"),
        F.max(F.when(F.col("closed_at") >= F.col("confirmed_at"), F.col("closed_at"))).alias("reported_closed_at"),
        newest_before.alias("before"),
        newest_after.alias("after"),
    )
    return sums.select(
        "person_id", "phone", "opened_later_at", "reported_closed_at",
        F.col("reported_closed_at").isNotNull().alias("reported_closed"),
        (F.col("after.iccid") != F.col("before.iccid")).alias("new_card"),
        (F.col("after.imei") != F.col("before.imei")).alias("new_handset"),
    )  # fmt: skip


def _others(records: Records, held: DataFrame) -> DataFrame:
    """When another person stated the number after it was last confirmed: `other_at`; not one of the same id number."""
    known = records.raw("applications").where("id_number IS NOT NULL")
    ids = known.groupBy("person_id").agg(F.collect_set("id_number").alias("ids"))
    mine = held.select("person_id", "phone", "confirmed_at").join(ids, "person_id", "left")
    hubs = records.barred.select(F.col("id").alias("phone"))
    stated = records.own_numbers.where("held_from IS NULL AND held_to IS NULL").join(hubs, "phone", "left_anti")
    theirs = stated.groupBy(F.col("person_id").alias("other_person"), "phone").agg(F.max("at").alias("at"))
    turn = F.row_number().over(Window.partitionBy("phone").orderBy(F.desc("at"), "other_person"))
    theirs = theirs.withColumn("turn", turn).where(f"turn <= {OTHERS}").drop("turn")
    others_ids = ids.select(F.col("person_id").alias("other_person"), F.col("ids").alias("other_ids"))
    pairs = mine.join(theirs, "phone").where("other_person <> person_id AND at > confirmed_at")
    same = F.coalesce(F.arrays_overlap("ids", "other_ids"), F.lit(False))
    pairs = pairs.join(others_ids, "other_person", "left").where(~same)
    return pairs.groupBy("person_id", "phone").agg(F.min("at").alias("other_at"))


def _calls(records: Records, held: DataFrame) -> DataFrame:
    """When the number last talked, and how far its circle after the last confirmation is that of before."""
    per_partner = (
        records.talks_of(held.select("person_id", "phone", "confirmed_at"))
        .where("seconds > 0")
        .groupBy("person_id", "phone", "other")
        .agg(
            F.max("at").alias("talked_at"),
            F.max((F.col("at") <= F.col("confirmed_at")).cast("int")).alias("before"),
            F.max((F.col("at") > F.col("confirmed_at")).cast("int")).alias("after"),
        )
    )
    return per_partner.groupBy("person_id", "phone").agg(
        F.max("talked_at").alias("talked_at"),
        F.sum("before").alias("circle_before"),
        F.sum("after").alias("circle_after"),
        F.sum(F.col("before") * F.col("after")).alias("circle_both"),
    )
