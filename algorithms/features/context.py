"""What was known on a day, as plain relations: who used what since when, who was labeled, who owed.

All of it is cut by delivery here, through `graph.as_of`; the cut by event time is each application's own and is made
where the relations are joined to it. Times are microseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from algorithms.features.catalogue import KINDS
from graph import as_of
from graph.lake import Lake

_TYPES = {
    "applications": "applicant_id string, application_id string, applied_at timestamp, phone string, device_id string, "
    "imei string, iccid string, ip string, wifi_bssid string, address string, employer string, employer_phone string, "
    "bank_card string, channel string",
    "devices": "applicant_id string, device_id string, imei string, iccid string, ip string, wifi_bssid string, "
    "event_at timestamp",
    "contacts": "applicant_id string, contact_phone string, emergency boolean, captured_at timestamp",
    "calls": "phone string, other_phone string, direction string, started_at timestamp",
    "labels": "applicant_id string, label string, confirmed_at timestamp",
    "loans": "loan_id string, applicant_id string, disbursed_at timestamp",
    "repayments": "loan_id string, due_at timestamp, due_cny double, paid_at timestamp, paid_cny double",
    "phones": "phone string, opened_at timestamp, observed_at timestamp",
}


def micros(column: str) -> Column:
    """Return a timestamp column as microseconds since 1970 UTC."""
    return F.unix_micros(F.col(column))


def key(kind: str | Column, node: Column) -> Column:
    """Return the name of a node of a kind; the same token may be an own number and a contact."""
    return F.concat(F.lit(kind) if isinstance(kind, str) else kind, F.lit("|"), node)


def stacked(rows: DataFrame, columns: dict[str, str], *kept: str) -> DataFrame:
    """Return one row (`kind`, `node`, `kept`) for each kind whose column is filled."""
    pairs = F.array(*(F.struct(F.lit(k).alias("kind"), F.col(c).alias("node")) for k, c in columns.items()))
    return (
        rows.select(*kept, F.explode(pairs).alias("_"))
        .select(*kept, "_.kind", "_.node")
        .where(F.col("node").isNotNull())
    )


def named(applications: DataFrame, *kept: str) -> DataFrame:
    """Return the nodes that applications name: `kind`, `node` and `kept`."""
    return stacked(applications, {kind.name: kind.column for kind in KINDS}, *kept)


def as_state(changes: DataFrame) -> DataFrame:
    """Return when each person enters (+1) and leaves (−1) a state that several overlapping reasons hold open.

    Args:
        changes: `person`, `at`, `change`: reasons opened (+1) and closed (−1).

    Returns:
        `person`, `at` (together the key), `change`.
    """
    history = Window.partitionBy("person").orderBy("at")
    open_now = F.sum("n").over(history.rowsBetween(Window.unboundedPreceding, 0)) > 0
    held = changes.groupBy("person", "at").agg(F.sum("change").alias("n")).withColumn("held", open_now.cast("long"))
    moved = F.col("held") - F.lag("held", 1, 0).over(history)
    return held.select("person", "at", moved.alias("change")).where(F.col("change") != 0)


@dataclass
class Context:
    """The lake as delivered by the day of `at`. Persons stand for applicants; nothing is cut by event time."""

    spark: SparkSession
    lake: Lake
    at: datetime

    @staticmethod
    def keep(rows: DataFrame) -> DataFrame:
        """Return `rows`, computed once, here and now: several features read them.

        Cut off from how they were made, because Spark plans every further step over the whole of that: minutes for
        few rows. They are freed with the last reference; if an executor takes its part with it, the build fails.
        """
        return rows.localCheckpoint()

    def rows(self, source: str) -> DataFrame:
        """Return the versions of a source's rows that stood, the columns of the contract; empty if undelivered."""
        names = [column.split()[0] for column in _TYPES[source].split(", ")]
        found = as_of.raw(self.spark, self.lake, source, None, self.at)
        return self.spark.createDataFrame([], _TYPES[source]) if found is None else found.select(*names)

    @cached_property
    def persons(self) -> DataFrame:
        """`applicant_id` (key), `person_id`."""
        if not as_of.exists(self.lake, "applicant_person"):
            return self.spark.createDataFrame([], "applicant_id string, person_id string")
        table = self.spark.read.format("delta").load(str(self.lake.graph("applicant_person")))
        return as_of.visible(table, self.at, None).select("applicant_id", "person_id")

    def with_person(self, rows: DataFrame) -> DataFrame:
        """Return `rows` with `person_id`, null while unknown, and `person`, a name that is then the applicant's own."""
        alone = F.concat(F.lit("applicant|"), F.col("applicant_id"))
        return rows.join(self.persons, "applicant_id", "left").withColumn("person", F.coalesce("person_id", alone))

    def of_persons(self, source: str) -> DataFrame:
        """Return `rows(source)` with `person` in place of the applicant."""
        return self.with_person(self.rows(source)).drop("applicant_id", "person_id")

    @cached_property
    def applications(self) -> DataFrame:
        """`applications` with `person` and `at`."""
        return self.keep(self.of_persons("applications").withColumn("at", micros("applied_at")))

    @cached_property
    def uses(self) -> DataFrame:
        """First use of each node by each person: `kind`, `node`, `person` (together the key), `at`; no `listed_by`."""
        columns = {k.name: k.column for k in KINDS if k.name != "listed_by"}
        seen = {k.name: k.column for k in KINDS if "devices" in k.sources}
        devices = self.of_persons("devices").withColumn("at", micros("event_at"))
        both = [stacked(self.applications, columns, "person", "at"), stacked(devices, seen, "person", "at")]
        whole = reduce(DataFrame.unionByName, both)
        return self.keep(whole.groupBy("kind", "node", "person").agg(F.min("at").alias("at")))

    def listed(self, asked: DataFrame) -> DataFrame:
        """Return who lists the numbers that matter to `asked`: those its persons list, and its own numbers.

        Books are the longest of all sources, and a night asks about few of their numbers.

        Returns:
            `person`, `node` (together the key), `at`, `emergency_at` (null: never).
        """
        at = micros("captured_at")
        entries = self.of_persons("contacts").withColumnRenamed("contact_phone", "node")
        mine = entries.join(asked.select("person").distinct(), "person", "left_semi").select("node")
        numbers = mine.unionByName(asked.select(F.col("phone").alias("node"))).distinct()
        by_person = entries.join(numbers, "node", "left_semi").groupBy("person", "node")
        emergency = F.min(F.when(F.col("emergency"), at))
        return self.keep(by_person.agg(F.min(at).alias("at"), emergency.alias("emergency_at")))

    @cached_property
    def states(self) -> DataFrame:
        """Changes of what was known of a person: `person`, `at`, `fraud`, `loan`, `overdue` (−1, 0, 1)."""
        parts = {"fraud": self._fraud(), "loan": self._loan(), "overdue": self._overdue()}
        wide = [rows.select("person", "at", F.col("change").cast("long").alias(name)) for name, rows in parts.items()]
        whole = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), wide)
        return self.keep(whole.fillna(0))

    def _fraud(self) -> DataFrame:
        """The newest verdict on an applicant holds; a person is fraud while one of its applicants is."""
        verdicts = self.with_person(self.rows("labels").withColumn("at", micros("confirmed_at")))
        history = Window.partitionBy("applicant_id").orderBy("at")
        fraud = (F.col("label") == "fraud").cast("long")
        moved = verdicts.withColumn("fraud", fraud).withColumn(
            "change", F.col("fraud") - F.lag("fraud", 1, 0).over(history)
        )
        return as_state(moved.select("person", "at", "change"))

    def _loan(self) -> DataFrame:
        first = self.of_persons("loans").groupBy("person").agg(F.min(micros("disbursed_at")).alias("at"))
        return first.withColumn("change", F.lit(1))

    def _overdue(self) -> DataFrame:
        """An instalment is open from its due date until it is paid in full; one due before its loan is none."""
        paid_all = F.coalesce(F.col("paid_cny") >= F.col("due_cny"), F.lit(True))
        dues = (
            self.of_persons("loans")
            .join(self.rows("repayments"), "loan_id")
            .where(F.col("due_at") >= F.col("disbursed_at"))
            .select("person", micros("due_at").alias("due"), F.when(paid_all, micros("paid_at")).alias("paid"))
            .where(F.col("paid").isNull() | (F.col("paid") > F.col("due")))
        )
        opened = dues.select("person", F.col("due").alias("at"), F.lit(1).alias("change"))
        closed = dues.where("paid IS NOT NULL").select("person", F.col("paid").alias("at"), F.lit(-1).alias("change"))
        return as_state(opened.unionByName(closed))
