"""What is known of each candidate number, side by side: one row for each borrower and number, from all roads.

Who may not be asked is taken out here: hubs and service numbers, members of rings, and people known as fraudsters.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from algorithms.leads import candidates
from algorithms.leads.candidates import KIN
from algorithms.leads.records import Records

ALIVE_DAYS = 30  # within which a number in use talks with somebody
_OWN = "identity IS NOT NULL OR handset_at IS NOT NULL OR book_count > 0 OR circle_count IS NOT NULL"


def lead_evidence(records: Records, people: DataFrame, old: DataFrame) -> DataFrame:
    """Return all that is known of each candidate number.

    Args:
        people: `candidates.silent_people`.
        old: `candidates.old_numbers`.

    Returns:
        `person_id`, `phone` (together the key), `own` (the number may be the borrower's own; else somebody to ask),
        the columns of the roads, `via_<road>` with the nodes it leads over, and: `failed_tries`,
        `invalid`, `refused` of earlier attempts on it, `alive`, `touch_count` (answered calls with the old numbers
        since they failed), `new_touch_count` (with a number that may be the borrower's new one), `passed_on` (the
        number changed hands since it was known), `mutual` (its owner lists the borrower too), `role` of who is asked,
        and of the borrower: `failed_others` (failed tries on other people), `refusing_others`.
    """
    partners = records.keep(candidates.circle(records, old), by="person_id")
    entries = records.keep(candidates.entries_of(records, old))
    roads = (
        candidates.same_handset(records, people), candidates.same_human(records, people),
        candidates.friends_books(records, people, entries), candidates.calling_circle(records, people, partners),
    )  # fmt: skip
    named = zip(candidates.ROADS, roads, strict=True)
    on_road = [records.keep(road.withColumnRenamed("via", f"via_{name}")) for name, road in named]
    parts = [candidates.talked(partners), *(records.together(road, "person_id") for road in on_road)]
    every = candidates.side_by_side(parts, candidates.listed(records, people))
    rows = records.keep(candidates.worth_a_look(every).where("phone LIKE 'tel_%'"), by="person_id")
    partners.unpersist()
    numbers, sparse = _of_numbers(records, rows, entries)
    found = rows.join(numbers, ["person_id", "phone"]).join(sparse, ["person_id", "phone"], "left")
    found = found.where("NOT coalesce(dishonest, false)")
    found = found.withColumn("own", F.coalesce(F.expr(_OWN), F.lit(False)) & ~_somebody_elses())
    told = found.join(_touch(records, found, people), ["person_id", "phone"], "left")
    told = told.join(_others(records, people), "person_id", "left")
    known_at = F.greatest("named_at", "last_at", "handset_at", "identity_at")
    counts = (
        "failed_tries", "touch_count", "new_touch_count", "failed_others", "refusing_others", "calls", "answered",
        "outs", "ins", "working",
    )  # fmt: skip
    flags = ("invalid", "refused", "mutual", "listed", "emergency")
    known = told.withColumns(
        {name: F.coalesce(F.col(name), F.lit(0)) for name in counts}
        | {name: F.coalesce(F.col(name), F.lit(False)) for name in flags}
        | {
            "alive": F.col("alive_at").isNotNull(),
            "passed_on": F.coalesce(F.col("changed_hands_at") > known_at, F.lit(False)),
            "share": F.coalesce("share", F.lit(0.0)),
            "role": _role(),
        }
    ).drop("alive_at", "changed_hands_at", "stated_by_other", "dishonest")
    kept = records.keep(known, by="person_id")
    for done in (rows, numbers):
        done.unpersist()
    return kept


def _somebody_elses() -> Column:
    """Whether the number is another person's, whatever else speaks for the borrower, unless an identity proves it.

    Another person stated it, the borrower listed it, or it talked with the old number before that failed: a spouse who
    puts her card into the borrower's handset is no borrower.
    """
    known = F.coalesce("stated_by_other", F.lit(False)) | F.coalesce("listed", F.lit(False))
    return (known | F.coalesce(F.col("calls") > 0, F.lit(False))) & F.col("identity").isNull()


def _days_ago(records: Records, days: int) -> Column:
    return F.lit(records.at) - F.expr(f"INTERVAL {days} DAYS")


def _role() -> Column:
    """Return who the number's holder is to the borrower: `family`, `colleague`, `friend`, `other`; by calls if unnamed.

    A number called on working days only is taken for a colleague's, one called mostly outside of them for a friend's.
    """
    n = F.coalesce("calls", F.lit(0))
    working = F.coalesce(F.col("working") / F.greatest(n, F.lit(1)), F.lit(0.0))
    return (
        F.when(F.col("relation").isin(*KIN), "family")
        .when(F.col("relation").isin("colleague", "friend"), F.col("relation"))
        .when((n >= 5) & (working >= 0.8), "colleague")
        .when((n >= 5) & (working <= 0.5), "friend")
        .otherwise("other")
    )


def _of_numbers(records: Records, rows: DataFrame, entries: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return what is known of the numbers themselves, both with the key `person_id`, `phone`.

    Returns:
        `alive_at` and `changed_hands_at` of every candidate but services and hubs, kept by person; and of those of whom
        any of it is known: `stated_by_other`, `dishonest`, `mutual`, `failed_tries`, `invalid`, `refused`.
    """
    services = records.phone_kinds.where("kind = 'service'").select("phone")
    out = services.unionByName(records.barred.select(F.col("id").alias("phone"))).distinct()
    pairs = records.keep(rows.select("person_id", "phone").join(out, "phone", "left_anti"), by="phone")
    asked = pairs.select("phone").distinct()
    dense = pairs.join(_life(records, asked), "phone", "left").join(_passed_on(records, asked), "phone", "left")
    numbers = records.keep(dense, by="person_id")
    sparse = records.keep(candidates.side_by_side([_owners(records, pairs, entries), _tries(records, pairs)]))
    pairs.unpersist()
    return numbers, sparse


def _owners(records: Records, pairs: DataFrame, entries: DataFrame) -> DataFrame:
    """What is known of others who stated a candidate number: `stated_by_other`, `dishonest` (one of them is a member of
    a ring or a known fraudster), `mutual` (one of them lists one of the borrower's numbers).
    """
    owners = records.own_numbers.select(F.col("person_id").alias("owner"), "phone").distinct()
    latest = (
        records.raw("labels").groupBy("person_id").agg(F.max(F.struct("confirmed_at", "label"))["label"].alias("label"))
    )
    frauds = latest.where("label = 'fraud'").select(F.col("person_id").alias("owner"))
    rings = records.ring_members.select(F.col("person_id").alias("owner"))
    bad = frauds.unionByName(rings).distinct().withColumn("bad", F.lit(True))
    lists = entries.select("owner", "person_id").distinct().withColumn("lists", F.lit(True))
    others = pairs.join(owners, "phone").where("owner <> person_id")
    each = others.join(bad, "owner", "left").join(lists, ["owner", "person_id"], "left")
    return each.groupBy("person_id", "phone").agg(
        F.lit(True).alias("stated_by_other"), F.max("bad").alias("dishonest"), F.max("lists").alias("mutual")
    )


def _tries(records: Records, pairs: DataFrame) -> DataFrame:
    """What attempts on a number for this borrower ended in, and whether its holder ever refused, whoever called."""
    all_of = records.attempts.select("phone", "at", "outcome", F.col("person_id").alias("for_person"))
    mine = F.col("for_person") == F.col("person_id")
    return (
        pairs.join(all_of, "phone")
        .groupBy("person_id", "phone")
        .agg(
            F.sum((mine & (F.col("outcome") == "no_answer")).cast("int")).alias("failed_tries"),
            (F.max(F.struct("at", "outcome"))["outcome"] == "invalid_number").alias("invalid"),
            F.max(F.col("outcome") == "refused").alias("refused"),
        )
    )


def _others(records: Records, people: DataFrame) -> DataFrame:
    """How many other people were tried in vain for a borrower since last heard of, and how many ever refused."""
    asked = people.select("person_id", "ever", "confirmed_at")
    tries = records.attempts.join(asked, "person_id").where(~F.array_contains("ever", F.col("phone")))
    in_vain = F.col("outcome").isin("no_answer", "invalid_number") & (F.col("at") > F.col("confirmed_at"))
    refused = F.when(F.col("outcome") == "refused", F.col("phone"))
    each = tries.groupBy("person_id", "phone").agg(
        F.max(in_vain.cast("int")).alias("in_vain"), F.max(refused.isNotNull().cast("int")).alias("refused"),
        F.max((~F.col("outcome").isin("no_answer", "invalid_number")).cast("int")).alias("answered"),
    )  # fmt: skip
    return each.groupBy("person_id").agg(
        F.sum(F.col("in_vain") * (1 - F.col("answered"))).alias("failed_others"),
        F.sum("refused").alias("refusing_others"),
    )


def _life(records: Records, asked: DataFrame) -> DataFrame:
    """When a number last talked, if it did lately."""
    lately = (F.col("seconds") > 0) & (F.col("at") >= _days_ago(records, ALIVE_DAYS))
    return records.talks_of(asked).where(lately).groupBy("phone").agg(F.max("at").alias("alive_at"))


def _touch(records: Records, found: DataFrame, people: DataFrame) -> DataFrame:
    """Answered calls of a number, since the silence, with what may be the borrower's new number."""
    strong = "identity IS NOT NULL OR handset_persons <= 2 OR book_count >= 1 OR circle_count >= 4"
    new = found.where(f"own AND ({strong})").select("person_id", F.col("phone").alias("new")).distinct()
    new = records.keep(new.join(people.select("person_id", "silent_from"), "person_id"))
    talks = records.talks_of(new.withColumnRenamed("new", "phone")).where("seconds > 0 AND at > silent_from")
    met = talks.distinct()  # a call in both logs is one
    return met.groupBy("person_id", F.col("other").alias("phone")).agg(F.count("*").alias("new_touch_count"))


def _passed_on(records: Records, asked: DataFrame) -> DataFrame:
    """When a number was last closed or opened anew, as carriers reported."""
    reports = records.raw("phones").join(asked, "phone")
    return reports.groupBy("phone").agg(F.max(F.greatest("closed_at", "opened_at")).alias("changed_hands_at"))
