"""Who else was on what an application names: counts, ages, fraud and overdue shares, bursts, for each kind of node."""

from __future__ import annotations

import polars as pl
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from algorithms.features.catalogue import AGE_DAYS, BURST_HOURS, KINDS
from algorithms.features.context import Context, key, named
from algorithms.features.timeline import DAY_US, MEASURES, spark_counts_before

HOUR_US = 3_600_000_000
WINDOWS = {f"neighbor_{days}d": ("neighbor", days * DAY_US) for days in AGE_DAYS} | {
    f"application_{name}": ("application", hours * HOUR_US) for name, hours in BURST_HOURS.items()
}


def ratio(part: Column, whole: Column) -> Column:
    """Return part / whole, null where the whole is null or 0."""
    return F.when(whole > 0, part / whole)


def shaped(changes: DataFrame) -> DataFrame:
    """Return the columns that `timeline` reads; measures the table lacks do not change."""
    measures = (F.col(m) if m in changes.columns else F.lit(0) for m in MEASURES)
    named_so = (column.cast("long").alias(m) for m, column in zip(MEASURES, measures, strict=True))
    return changes.select("key", "person", "at", *named_so)


def arrivals(uses: DataFrame, states: DataFrame) -> DataFrame:
    """Return what changes on a node: persons arrive, and are labeled, lent to, overdue, while they are on it.

    Args:
        uses: `key`, `person` (together the key), `at`: the first use.
        states: `Context.states`. What was known of a person before it came counts from its arrival.
    """
    of_users = states.withColumnRenamed("at", "since").join(uses, "person")
    told = of_users.withColumn("at", F.greatest("at", "since"))
    return shaped(uses.withColumn("neighbor", F.lit(1))).unionByName(shaped(told))


def node_counts(context: Context, asked: DataFrame, listed: DataFrame) -> DataFrame:
    """Return the totals of every node that an application names, as of its moment.

    Args:
        asked: the applications: `application_id`, `person`, `at` and the columns of `applications` that name nodes.
        listed: `Context.listed` of them.

    Returns:
        Key `application_id`, `kind`; `node`, `first_at`, `persons`, the measures and `WINDOWS`.
    """
    nodes = named(asked, "application_id", "person", "at").withColumn("key", key(F.col("kind"), F.col("node")))
    keys = nodes.select("key").distinct()
    books = listed.select(F.lit("listed_by").alias("kind"), "node", "person", "at")
    uses = context.uses.unionByName(books).withColumn("key", key(F.col("kind"), F.col("node")))
    uses = uses.join(keys, "key", "left_semi").select("key", "person", "at")
    applied = named(context.applications, "person", "at").where("kind <> 'listed_by'")
    applied = applied.withColumn("key", key(F.col("kind"), F.col("node"))).join(keys, "key", "left_semi")
    changes = arrivals(uses, context.states).unionByName(shaped(applied.withColumn("application", F.lit(1))))
    return spark_counts_before(changes, nodes, ["application_id", "kind", "node"], WINDOWS)


def shared_node_features(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the family "Shared nodes": one row per `application_id`.

    Args:
        counts: `node_counts` of whole applications, and `at`, their moment.
    """
    whole = counts.select("application_id").unique(maintain_order=True)
    for kind in KINDS:
        name, met = kind.name, pl.col("neighbor")
        columns = [met.alias(f"{name}_neighbor_count")]
        for days in AGE_DAYS:
            columns.append(pl.col(f"neighbor_{days}d").alias(f"{name}_neighbor_{days}d_count"))
            columns.append(_share(pl.col(f"neighbor_{days}d"), met).alias(f"{name}_neighbor_{days}d_ratio"))
        columns += [
            pl.col("fraud").alias(f"{name}_fraud_count"),
            _share(pl.col("fraud"), met).alias(f"{name}_fraud_ratio"),
            pl.col("overdue").alias(f"{name}_overdue_count"),
            _share(pl.col("overdue"), pl.col("loan")).alias(f"{name}_overdue_ratio"),
            ((pl.col("at") - pl.col("first_at")) / DAY_US).alias(f"{name}_first_seen_days"),
        ]
        if kind.bursts:
            columns += [pl.col(f"application_{w}").alias(f"{name}_application_{w}_count") for w in BURST_HOURS]
        of_kind = counts.filter(pl.col("kind") == name).select("application_id", *columns)
        whole = whole.join(of_kind, "application_id", "left", maintain_order="left")
    return whole


def _share(part: pl.Expr, of: pl.Expr) -> pl.Expr:
    return pl.when(of > 0).then(part / of)
