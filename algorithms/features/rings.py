"""Whether the applicant was in a ring by the newest result of an earlier day."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from algorithms.features.context import Context
from graph.lake import Lake, has_table

_MEMBERS = "ring_id string, as_of_date date, person_id string, score double"
_RINGS = "ring_id string, as_of_date date, score double, size long"


def _read(spark: SparkSession, path: Path, columns: str) -> DataFrame:
    names = [column.split()[0] for column in columns.split(", ")]
    if not has_table(path):
        return spark.createDataFrame([], columns)
    return spark.read.format("delta").load(str(path)).select(*names)


def with_ring_date(spark: SparkSession, lake: Lake, applications: DataFrame) -> DataFrame:
    """Return `applications` with `ring_date`: the newest result before `applied_on`, null where there is none.

    The result of the day itself saw the hours after the application.
    """
    dates = _read(spark, lake.results("rings"), _RINGS).select("as_of_date")
    dates = dates.unionByName(_read(spark, lake.results("ring_members"), _MEMBERS).select("as_of_date")).distinct()
    days = applications.select("applied_on").distinct().join(dates, F.col("as_of_date") < F.col("applied_on"))
    newest = days.groupBy("applied_on").agg(F.max("as_of_date").alias("ring_date"))
    return applications.join(newest, "applied_on", "left")


def memberships(spark: SparkSession, lake: Lake) -> DataFrame:
    """Return each member's ring by date, the ring where its score is highest: `person_id`, `ring_date` (the key).

    Also `ring_member_score`, and `ring_score` and `ring_size_count`, null where `rings` lacks the ring.
    """
    members = _read(spark, lake.results("ring_members"), _MEMBERS).withColumnRenamed("score", "ring_member_score")
    rings = _read(spark, lake.results("rings"), _RINGS).select(
        "ring_id", "as_of_date", F.col("score").alias("ring_score"), F.col("size").cast("long").alias("ring_size_count")
    )
    best = F.max(F.struct("ring_member_score", "ring_id", "ring_score", "ring_size_count")).alias("best")
    joined = members.join(rings, ["ring_id", "as_of_date"], "left")
    return joined.groupBy("person_id", F.col("as_of_date").alias("ring_date")).agg(best).select(
        "person_id", "ring_date", "best.ring_member_score", "best.ring_score", "best.ring_size_count"
    )  # fmt: skip


def ring_features(context: Context, asked: DataFrame) -> DataFrame:
    """Return the family "Rings": one row per `application_id`.

    Args:
        asked: `application_id`, `person_id` (null: not known before) and `ring_date`.
    """
    found = memberships(context.spark, context.lake).withColumn("in_ring", F.lit(True))
    known = F.col("ring_date").isNotNull() & F.col("person_id").isNotNull()
    return asked.join(found, ["person_id", "ring_date"], "left").select(
        "application_id",
        F.when(known, F.coalesce("in_ring", F.lit(False))).alias("ring_member"),
        "ring_member_score",
        "ring_score",
        "ring_size_count",
    )
