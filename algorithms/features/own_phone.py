"""What the applicant's own number and address book say: whom it calls, whom it lists, and who else does."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from algorithms.features.context import Context, micros
from algorithms.features.shared_nodes import ratio, shaped
from algorithms.features.timeline import DAY_US, spark_counts_before

MONTH_US = 30 * DAY_US


def first_two(uses: DataFrame, name: str) -> DataFrame:
    """Return who was first on each node, and when a second person came.

    With these "was anyone else on it before T?" is answered without pairing persons.

    Args:
        uses: `node`, `person` (together the key), `at`.

    Returns:
        `node` (key), `<name>_person`, `<name>_at`, `<name>_second_at` (null while there is one person).
    """
    order = Window.partitionBy("node").orderBy("at", "person")
    ranked = uses.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= 2)
    first = F.col("rank") == 1
    return ranked.groupBy("node").agg(
        F.max(F.when(first, F.col("person"))).alias(f"{name}_person"),
        F.max(F.when(first, F.col("at"))).alias(f"{name}_at"),
        F.max(F.when(~first, F.col("at"))).alias(f"{name}_second_at"),
    )


def others(name: str) -> Column:
    """Return 1 where another person than `person` was on the node before `at` (`first_two`), else 0."""
    alone = F.col(f"{name}_person") == F.col("person")
    came_at = F.when(alone, F.col(f"{name}_second_at")).otherwise(F.col(f"{name}_at"))
    return F.coalesce(came_at < F.col("at"), F.lit(False)).cast("long")


def _owners(context: Context) -> DataFrame:
    return context.uses.where("kind = 'phone'").select("node", "person", "at")


def agents(context: Context, numbers: DataFrame) -> DataFrame:
    """Return who called one of `numbers` in the 30 days before an application: `node`, `person` (the key), `at`.

    `at` is the first such application: from then on the call is one before applying.
    """
    applied = context.applications.where("phone IS NOT NULL").select("phone", "person", "at")
    calls = context.rows("calls").where("direction = 'out'")
    calls = calls.select("phone", F.col("other_phone").alias("node"), micros("started_at").alias("called_at"))
    before = (
        calls.join(numbers, "node", "left_semi")
        .join(applied, "phone")
        .where((F.col("called_at") < F.col("at")) & (F.col("called_at") >= F.col("at") - MONTH_US))
    )
    return before.groupBy("node", "person").agg(F.min("at").alias("at"))


def counterparts(context: Context, asked: DataFrame) -> DataFrame:
    """Return each number an application's own number had calls with: `application_id`, `node` (together the key).

    Also `person`, `at`, and the calls before `at`: `calls`, `outs`, `calls_30d`, `outs_30d`.
    """
    calls = context.rows("calls").select(
        "phone", F.col("other_phone").alias("node"), "direction", micros("started_at").alias("called_at")
    )
    mine = asked.where("phone IS NOT NULL").select("application_id", "person", "at", "phone")
    before = mine.join(calls, "phone").where("called_at < at")
    out = (F.col("direction") == "out").cast("long")
    late = (F.col("called_at") >= F.col("at") - MONTH_US).cast("long")
    return before.groupBy("application_id", "person", "at", "node").agg(
        F.count("*").alias("calls"), F.sum(out).alias("outs"),
        F.sum(late).alias("calls_30d"), F.sum(out * late).alias("outs_30d"),
    )  # fmt: skip


def call_features(context: Context, met: DataFrame) -> DataFrame:
    """Return the family "Calls of the own number": one row per `application_id` with a call before its moment.

    Args:
        met: `counterparts`.
    """
    called_before = context.keep(agents(context, met.select("node").distinct()))
    joined = met.join(first_two(_owners(context), "owner"), "node", "left")
    joined = joined.join(first_two(called_before, "agent"), "node", "left")
    told = joined.withColumn("is_applicant", others("owner")).withColumn(
        "is_agent", others("agent") * (F.col("outs_30d") > 0).cast("long")
    )
    behind = told.where("is_agent = 1").select("application_id", "person", "at", F.col("node").alias("key"))
    # Only numbers that several persons called have anything to count.
    shared = called_before.join(behind.select(F.col("key").alias("node")).distinct(), "node", "left_semi")
    changes = shaped(shared.withColumnRenamed("node", "key").withColumn("neighbor", F.lit(1)))
    each = spark_counts_before(changes, behind, ["application_id"], {})
    most = each.groupBy("application_id").agg(F.max("neighbor").alias("agent_max"))
    summed = told.groupBy("application_id").agg(
        F.sum("calls_30d").alias("call_30d_count"),
        F.count("*").alias("call_counterpart_count"),
        F.sum((F.col("calls_30d") > 0).cast("long")).alias("call_counterpart_30d_count"),
        (F.sum("outs") / F.sum("calls")).alias("call_out_ratio"),
        (F.sum("is_applicant") / F.count("*")).alias("call_applicant_ratio"),
        F.sum("outs_30d").alias("outs_30d"),
        F.sum(F.col("outs_30d") * F.col("is_agent")).alias("agent_outs"),
        F.sum("is_agent").alias("agent_numbers"),
    )
    out = F.col("outs_30d") > 0
    return summed.join(most, "application_id", "left").select(
        "application_id", "call_30d_count", "call_counterpart_count", "call_counterpart_30d_count", "call_out_ratio",
        "call_applicant_ratio",
        ratio(F.col("agent_outs"), F.col("outs_30d")).alias("call_agent_30d_ratio"),
        F.when(out, F.col("agent_numbers")).alias("call_agent_number_30d_count"),
        F.when(out, F.coalesce("agent_max", F.lit(0))).alias("call_agent_applicant_max_count"),
    )  # fmt: skip


def contact_features(context: Context, asked: DataFrame, listed: DataFrame, met: DataFrame) -> DataFrame:
    """Return the family "Contacts": one row per `application_id` whose person had a contact before its moment."""
    emergencies = listed.where("emergency_at IS NOT NULL")
    emergencies = emergencies.select("node", "person", F.col("emergency_at").alias("at"))
    # Who lists a number is there already: only numbers with a second lister have anything to tell.
    several = listed.groupBy("node").count().where("count > 1").select("node")
    listers = listed.join(several, "node", "left_semi").select("node", "person", "at")
    book = listed.withColumnRenamed("at", "listed_at")
    mine = asked.select("application_id", "person", "at").join(book, "person").where("listed_at < at")
    facts = (
        first_two(_owners(context), "owner")
        .join(first_two(listers, "lister"), "node", "full")
        .join(first_two(emergencies, "namer"), "node", "full")
    )
    calls = met.select("application_id", "node", F.lit(1).alias("called"))
    told = mine.join(facts, "node", "left").join(calls, ["application_id", "node"], "left")
    named = F.coalesce(F.col("emergency_at") < F.col("at"), F.lit(False)).cast("long")
    summed = told.groupBy("application_id").agg(
        F.count("*").alias("contact_count"),
        F.sum(others("owner")).alias("contact_applicant_count"),
        (F.sum(others("owner")) / F.count("*")).alias("contact_applicant_ratio"),
        (F.sum(others("lister")) / F.count("*")).alias("contact_shared_ratio"),
        (F.sum(F.coalesce("called", F.lit(0))) / F.count("*")).alias("called_ratio"),
        F.sum(named).alias("emergency_contact_count"),
        F.sum(named * others("owner")).alias("emergency_applicant_count"),
        F.sum(named * others("namer")).alias("emergency_shared_count"),
    )
    with_calls = met.select("application_id", F.lit(True).alias("has_calls")).distinct()
    called = F.when(F.col("has_calls"), F.col("called_ratio")).alias("contact_called_ratio")
    return summed.join(with_calls, "application_id", "left").select("*", called).drop("called_ratio", "has_calls")


def phone_age(context: Context, asked: DataFrame) -> DataFrame:
    """Return `phone_age_days` per `application_id`: of the newest report before its moment that names an opening."""
    reports = context.rows("phones").select(
        "phone", micros("opened_at").alias("opened"), micros("observed_at").alias("seen")
    )
    mine = asked.where("phone IS NOT NULL").select("application_id", "at", "phone").join(reports, "phone")
    newest = mine.where("seen < at AND opened < at").groupBy("application_id", "at")
    opened = newest.agg(F.max(F.struct("seen", "opened"))["opened"].alias("opened"))
    return opened.select("application_id", ((F.col("at") - F.col("opened")) / DAY_US).alias("phone_age_days"))
