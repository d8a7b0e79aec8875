"""The persons who share a node with the applicant, each once, and whom they in turn share nodes with.

Persons are paired only through nodes with at most `PAIR_CAP` persons before the moment. The first arrivals of every
node suffice for that, so that the work per node is bounded and no later arrival changes what is found.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from algorithms.features.catalogue import PAIR_CAP, PAIR_KINDS
from algorithms.features.context import Context, key
from algorithms.features.rings import memberships
from algorithms.features.shared_nodes import arrivals, ratio, shaped
from algorithms.features.timeline import DAY_US, spark_counts_before


def early_uses(context: Context) -> DataFrame:
    """Return the first persons of each paired node: `kind`, `node`, `person`, `came_at`.

    One more than `PAIR_CAP`, so that a hub shows itself.
    """
    order = Window.partitionBy("kind", "node").orderBy("at", "person")
    uses = context.uses.where(F.col("kind").isin(*PAIR_KINDS)).withColumn("rank", F.row_number().over(order))
    return uses.where(F.col("rank") <= PAIR_CAP + 1).select("kind", "node", "person", F.col("at").alias("came_at"))


def paired(counts: DataFrame, asked: DataFrame, uses: DataFrame) -> DataFrame:
    """Return each neighbor of each application: `application_id`, `other` (together the key), how and since when.

    Args:
        counts: `shared_nodes.node_counts`.
        uses: `early_uses`.

    Returns:
        Also `at` and `person` of the application, `kinds` shared, `came_at`: first on any node shared.
    """
    small = counts.where(F.col("kind").isin(*PAIR_KINDS) & (F.col("persons") <= PAIR_CAP))
    mine = small.select("application_id", "kind", "node").join(
        asked.select("application_id", "person", "at"), "application_id"
    )
    others = uses.withColumnRenamed("person", "other")
    met = mine.join(others, ["kind", "node"]).where("came_at < at AND other <> person")
    return met.groupBy("application_id", "person", "at", "other").agg(
        F.countDistinct("kind").alias("kinds"), F.min("came_at").alias("came_at")
    )


def known_of(context: Context, pairs: DataFrame) -> DataFrame:
    """Return what was known of each neighbor, 0 or 1: `fraud`, `loan`, `overdue`; key `application_id`, `other`."""
    changes = shaped(context.states.withColumn("key", F.col("person")).withColumn("person", F.lit("")))
    asked = pairs.select("application_id", "other", F.col("other").alias("key"), F.lit("-").alias("person"), "at")
    changes = changes.join(asked.select("key").distinct(), "key", "left_semi")
    found = spark_counts_before(changes, asked, ["application_id", "other"], {})
    return found.select("application_id", "other", "fraud", "loan", "overdue")


def onward(context: Context, pairs: DataFrame, counts: DataFrame, uses: DataFrame) -> DataFrame:
    """Return the links of each neighbor to further persons: `application_id`, `other`, `links`, `fraud_links`.

    Only over nodes that are no hubs at the moment, that the application does not name, and that the applicant had
    not been on; neighbors without such a node are absent.
    """
    own = counts.select("application_id", "kind", "node")
    theirs = (
        pairs.select("application_id", F.col("person").alias("self"), "at", F.col("other").alias("person"))
        .join(uses, "person").where("came_at < at")
        .join(own, ["application_id", "kind", "node"], "left_anti")
    )  # fmt: skip
    mine = uses.select("kind", "node", F.col("person").alias("self"), F.col("came_at").alias("self_came_at"))
    theirs = theirs.join(mine, ["kind", "node", "self"], "left").where("self_came_at IS NULL OR self_came_at >= at")
    asked = theirs.select(
        "application_id", "person", F.col("person").alias("other"), "at", key(F.col("kind"), F.col("node")).alias("key")
    )
    on_nodes = uses.select(key(F.col("kind"), F.col("node")).alias("key"), "person", F.col("came_at").alias("at"))
    on_nodes = on_nodes.join(asked.select("key").distinct(), "key", "left_semi")
    found = spark_counts_before(arrivals(on_nodes, context.states), asked, ["application_id", "other"], {})
    return (
        found.where(F.col("persons") <= PAIR_CAP)
        .groupBy("application_id", "other")
        .agg(F.sum("neighbor").alias("links"), F.sum("fraud").alias("fraud_links"))
    )


def neighbor_features(context: Context, counts: DataFrame, asked: DataFrame) -> DataFrame:
    """Return the family "Neighbors": one row per `application_id` that names a node of a paired kind.

    Args:
        counts: `shared_nodes.node_counts` of `asked`.
        asked: also has `ring_date`: `rings.with_ring_date`.
    """
    uses = context.keep(early_uses(context))
    pairs = context.keep(paired(counts, asked, uses))
    rings = memberships(context.spark, context.lake).select(
        F.col("person_id").alias("other"), "ring_date", F.lit(1).alias("in_ring")
    )
    each = (
        pairs.join(known_of(context, pairs), ["application_id", "other"])
        .join(onward(context, pairs, counts, uses), ["application_id", "other"], "left")
        .join(asked.select("application_id", "ring_date"), "application_id")
        .join(rings, ["other", "ring_date"], "left")
    )
    newest, links = F.max("came_at"), F.coalesce("links", F.lit(0))
    by_application = each.groupBy("application_id").agg(
        F.count("*").alias("n"),
        F.sum((F.col("came_at") >= F.col("at") - 30 * DAY_US).cast("long")).alias("n_30d"),
        ((F.first("at") - newest) / DAY_US).alias("neighbor_latest_days"),
        F.max("kinds").alias("neighbor_kind_max_count"),
        *(F.sum(known).alias(known) for known in ("fraud", "loan", "overdue")),
        F.coalesce(F.sum("in_ring"), F.lit(0)).alias("in_ring"),
        F.sum(links).alias("second_hop_count"),
        F.max(links).alias("second_hop_max_count"),
        F.sum(F.coalesce("fraud_links", F.lit(0))).alias("second_hop_fraud"),
    )
    names = counts.where(F.col("kind").isin(*PAIR_KINDS)).groupBy("application_id")
    hubs = names.agg(F.sum((F.col("persons") > PAIR_CAP).cast("long")).alias("hub_count"))

    def or_zero(column: str) -> Column:
        return F.coalesce(column, F.lit(0))

    return (
        hubs.join(by_application, "application_id", "left")
        .join(asked.select("application_id", "ring_date"), "application_id")
        .select(
            "application_id",
            "hub_count",
            or_zero("n").alias("neighbor_count"),
            or_zero("n_30d").alias("neighbor_30d_count"),
            "neighbor_latest_days",
            "neighbor_kind_max_count",
            or_zero("fraud").alias("neighbor_fraud_count"),
            ratio(F.col("fraud"), F.col("n")).alias("neighbor_fraud_ratio"),
            or_zero("overdue").alias("neighbor_overdue_count"),
            ratio(F.col("overdue"), F.col("loan")).alias("neighbor_overdue_ratio"),
            F.when(F.col("ring_date").isNotNull(), or_zero("in_ring")).alias("neighbor_ring_count"),
            "second_hop_count",
            ratio(F.col("second_hop_count"), F.col("n")).alias("second_hop_mean_count"),
            "second_hop_max_count",
            ratio(F.col("second_hop_fraud"), F.col("second_hop_count")).alias("second_hop_fraud_ratio"),
        )
    )
