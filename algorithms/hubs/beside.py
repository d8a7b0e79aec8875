"""Which persons stand beside which node, and since when: one row for each person, node and way of touching it.

The registry of hubs counts them; `algorithms.weights` makes pairs of persons of them. All as of a time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from graph import as_of
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE, Label

BESIDE = "via string, label string, id string, person_id string, first_seen_at timestamp, last_seen_at timestamp"


def seen(spark: SparkSession, lake: Lake, table: str, at: datetime) -> DataFrame | None:
    """Return an edge's events known at `at`: `src`, `dst`, values, `at` (never null); None where the lake has none."""
    if not as_of.exists(lake, f"{table}_events"):
        return None
    rows = as_of.events(spark, lake, EDGE_BY_TABLE[table], at)
    return rows.withColumn("at", F.coalesce("at", F.col("delivered_on").cast("timestamp")))


def persons(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame:
    """Return `applicant_id`, `person_id` as known at `at`."""
    rows = spark.read.format("delta").load(str(lake.graph("applicant_person")))
    return as_of.visible(rows, at).select("applicant_id", "person_id")


def owners(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
    """Return `person_id`, `phone`, `held_from`, `held_to` (null: not known): whose number it was, and when.

    Key (`person_id`, `phone`). A recycled number has several owners; `held_to` is its latest known end.
    """
    rows = seen(spark, lake, "uses_phone", at)
    if rows is None:
        return None
    return rows.groupBy(F.col("src").alias("person_id"), F.col("dst").alias("phone")).agg(
        F.min("held_from").alias("held_from"), F.max("held_to").alias("held_to")
    )


def _folded(rows: DataFrame, via: str, label: Label, person: str, node: str) -> DataFrame:
    pairs = rows.where(F.col(person).isNotNull() & F.col(node).isNotNull())
    folded = pairs.groupBy(F.col(node).alias("id"), F.col(person).alias("person_id")).agg(
        F.min("at").alias("first_seen_at"), F.max("at").alias("last_seen_at")
    )
    return folded.select(
        F.lit(via).alias("via"), F.lit(str(label)).alias("label"), "id", "person_id", "first_seen_at", "last_seen_at"
    )


def _edge(table: str, label: Label) -> Callable[[SparkSession, Lake, datetime], DataFrame | None]:
    def made(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
        rows = seen(spark, lake, table, at)
        return None if rows is None else _folded(rows, table, label, "src", "dst")

    return made


def _stated(spark: SparkSession, lake: Lake, at: datetime, source: str, event_at: str, column: str) -> DataFrame | None:
    """Rows of a source as person, node, `at`: the row says who used what, where edges would say it by a detour."""
    rows = as_of.raw(spark, lake, source, event_at, at)
    if rows is None:
        return None
    return rows.join(persons(spark, lake, at), "applicant_id").select(
        "person_id", F.col(column).alias("node"), F.col(event_at).alias("at")
    )


def _has_phone(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
    rows = _stated(spark, lake, at, "applications", "applied_at", "employer_phone")
    return None if rows is None else _folded(rows, "has_phone", Label.PHONE, "person_id", "node")


def _holds_sim(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
    parts = [
        _stated(spark, lake, at, source, event_at, "iccid")
        for source, event_at in (("applications", "applied_at"), ("devices", "event_at"))
    ]
    cards, own = seen(spark, lake, "phone_holds_sim", at), owners(spark, lake, at)
    if cards is not None and own is not None:
        on_number = cards.join(own, cards["src"] == own["phone"])
        parts.append(on_number.select("person_id", F.col("dst").alias("node"), "at"))
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return _folded(reduce(DataFrame.unionByName, known), "holds_sim", Label.SIM, "person_id", "node")


def _referred_by(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
    submitted, referred = seen(spark, lake, "person_submitted", at), seen(spark, lake, "referred_by", at)
    if submitted is None or referred is None:
        return None
    who = submitted.select(F.col("src").alias("person_id"), F.col("dst").alias("application"))
    rows = referred.select(F.col("src").alias("application"), F.col("dst").alias("node"), "at")
    return _folded(rows.join(who.distinct(), "application"), "referred_by", Label.CHANNEL, "person_id", "node")


def _called(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame | None:
    """Persons whose own number called the node, or was called by it."""
    calls, own = seen(spark, lake, "called", at), owners(spark, lake, at)
    if calls is None or own is None:
        return None
    ends = [
        calls.groupBy(F.col(a).alias("phone"), F.col(b).alias("node")).agg(
            F.min("at").alias("first"), F.max("at").alias("last")
        )
        for a, b in (("src", "dst"), ("dst", "src"))
    ]
    theirs = ends[0].unionByName(ends[1]).join(own, "phone").where(held("first", "last"))
    dated = theirs.select("person_id", "node", F.explode(F.array("first", "last")).alias("at"))
    return _folded(dated, "called", Label.PHONE, "person_id", "node")


def held(first: str, last: str) -> Column:
    """Return whether a number's interval, as far as it is known, meets the time from `first` to `last`."""
    began = F.col("held_from").isNull() | (F.col("held_from") <= F.col(last))
    return began & (F.col("held_to").isNull() | (F.col("held_to") >= F.col(first)))


# How a person may touch a node that others may touch too, and the node's label.
VIAS: dict[str, Callable[[SparkSession, Lake, datetime], DataFrame | None]] = {
    "uses_device": _edge("uses_device", Label.DEVICE),
    "holds_sim": _holds_sim,
    "uses_phone": _edge("uses_phone", Label.PHONE),
    "paid_with": _edge("paid_with", Label.BANK_CARD),
    "lives_at": _edge("lives_at", Label.ADDRESS),
    "works_at": _edge("works_at", Label.COMPANY),
    "has_phone": _has_phone,
    "seen_on": _edge("seen_on", Label.NETWORK),
    "lists_contact": _edge("lists_contact", Label.PHONE),
    "called": _called,
    "referred_by": _referred_by,
    "owns_account": _edge("person_owns_account", Label.ACCOUNT),
}
HUB_VIAS = tuple(via for via in VIAS if via != "owns_account")


def beside(spark: SparkSession, lake: Lake, at: datetime, vias: tuple[str, ...] = HUB_VIAS) -> DataFrame:
    """Return persons beside nodes as of `at`: columns `BESIDE`, key (`via`, `id`, `person_id`), no nulls.

    `has_phone` is the employer's number a person stated; `holds_sim` a card seen in the person's handset or on the
    person's number; `called` either direction; `uses_phone` makes the person an owner of the number.
    """
    parts = [part for via in vias if (part := VIAS[via](spark, lake, at)) is not None]
    return reduce(DataFrame.unionByName, parts) if parts else spark.createDataFrame([], BESIDE)
