"""The rows that lost-contact repair looks at, as they were known at a moment; everything passes `graph.as_of`."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Self

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from graph import as_of
from graph.lake import Lake, has_table
from graph.schema import EDGE_BY_TABLE
from graph.tables import edge_events_struct

_RAW = {
    "applications": ("applied_at", "applicant_id string, application_id string, id_number string, name string, "
                     "birth_date string, phone string, bank_card string, iccid string, applied_at timestamp"),
    "phones": ("observed_at", "phone string, holder_id_number string, iccid string, imei string, opened_at timestamp, "
               "closed_at timestamp, observed_at timestamp"),
    "devices": ("event_at", "applicant_id string, iccid string, event_at timestamp"),
    "calls": ("started_at", "phone string, started_at timestamp, duration_s bigint"),
    "contact_attempts": ("attempted_at", "attempt_id string, loan_id string, applicant_id string, phone string, "
                         "attempted_at timestamp, outcome string"),
    "loans": ("disbursed_at", "loan_id string, applicant_id string, status string, disbursed_at timestamp"),
    "repayments": (None, "loan_id string, due_at timestamp, due_cny double, paid_at timestamp, paid_cny double"),
    "labels": ("confirmed_at", "applicant_id string, label string, confirmed_at timestamp"),
}  # fmt: skip


_PERSONS_IN_A_PLACE = 60_000  # with some million calls and half a million candidates, which are looked up in memory


class Records:
    """Rows known at `at` (inclusive), persons in place of applicants; a source never delivered has no rows.

    Used in a `with`, at whose end what was kept by a column is let go.
    """

    def __init__(self, spark: SparkSession, lake: Lake, at: datetime):
        self.spark, self.lake, self.at = spark, lake, as_of.utc(at)
        self._places = 0  # in which rows are put together; 0: few are asked about, and none are
        self._read: dict[str, DataFrame] = {}  # to ask a table's log for its files takes longer than small tables do
        self._held: list[DataFrame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for rows in self._held:
            rows.unpersist()

    def keep(self, rows: DataFrame, by: str | None = None) -> DataFrame:
        """Return `rows`, computed once, here and now: several steps read them.

        Args:
            by: a column by which rows are put `together` where many are expected, and held until the end or until they
                are unpersisted. All others are cut off from how they were made: their plans are shorter.
        """
        if by is None or not self._places:
            return rows.localCheckpoint()
        kept = self.together(rows, by).persist()
        self._held.append(kept)
        kept.count()
        return kept

    def together(self, rows: DataFrame, by: str) -> DataFrame:
        """Return `rows`, where many are expected, with equal values of a column in one place: the same for all rows
        that this is asked of, so that joining and grouping by the column moves none of them.
        """
        return rows.repartition(self._places, by) if self._places else rows

    @cached_property
    def persons(self) -> DataFrame:
        """`applicant_id` (key), `person_id`."""
        if not as_of.exists(self.lake, "applicant_person"):
            return self.spark.createDataFrame([], "applicant_id string, person_id string")
        table = self.spark.read.format("delta").load(str(self.lake.graph("applicant_person")))
        return self.keep(as_of.visible(table, self.at).select("applicant_id", "person_id"))

    def raw(self, source: str) -> DataFrame:
        """Return the rows of a landing source, with `person_id` where they name an applicant."""
        if source in self._read:
            return self._read[source]
        event_at, columns = _RAW[source]
        rows = as_of.raw(self.spark, self.lake, source, event_at, self.at)
        names = [column.split()[0] for column in columns.split(", ")]
        rows = self.spark.createDataFrame([], columns) if rows is None else rows.select(*names)
        rows = rows.join(self.persons, "applicant_id") if "applicant_id" in names else rows
        self._read[source] = self.keep(rows) if source == "applications" else rows  # it is asked again and again
        return self._read[source]

    def events(self, table: str) -> DataFrame:
        """Return the dated rows behind an edge table."""
        if table not in self._read:
            edge = EDGE_BY_TABLE[table]
            at = F.coalesce("at", F.col("delivered_on").cast("timestamp"))
            if not as_of.exists(self.lake, f"{table}_events"):
                self._read[table] = self.spark.createDataFrame([], edge_events_struct(edge))
            else:
                self._read[table] = as_of.events(self.spark, self.lake, edge, self.at).withColumn("at", at)
        return self._read[table]

    @cached_property
    def attempts(self) -> DataFrame:
        """One row an attempt: `person_id` of the loan's borrower, `loan_id`, `phone`, `at`, `outcome`."""
        of_loan = self.raw("loans").select("loan_id", F.col("person_id").alias("borrower"))
        rows = self.raw("contact_attempts").join(of_loan, "loan_id", "left")
        told = rows.select(
            F.coalesce("borrower", "person_id").alias("person_id"), "loan_id", "phone",
            F.col("attempted_at").alias("at"), "outcome",
        )  # fmt: skip
        return self.keep(told)

    @cached_property
    def own_numbers(self) -> DataFrame:
        """One row each time a number was stated or reported as a person's: `person_id`, `phone`, `at`, `held_from`,
        `held_to` (of carriers' reports, else null), `answered`.

        A number on which a borrower answered is theirs too, unless somebody else stated it or they list it as a
        contact's.
        """
        told = self.events("uses_phone").select(
            F.col("src").alias("person_id"), F.col("dst").alias("phone"), "at", "held_from", "held_to"
        )
        answered = self.attempts.where("outcome = 'right_person'").select("person_id", "phone", "at")
        listed = self.events("lists_contact").select(F.col("src").alias("person_id"), F.col("dst").alias("phone"))
        alone = answered.join(told.select("phone"), "phone", "left_anti").join(
            listed, ["person_id", "phone"], "left_anti"
        )
        none = F.lit(None).cast("timestamp")
        alone = alone.withColumns({"held_from": none, "held_to": none, "answered": F.lit(True)})
        return self.keep(told.withColumn("answered", F.lit(False)).unionByName(alone))

    @cached_property
    def talks(self) -> DataFrame:
        """Every call, seen from both its ends: `phone`, `other`, `at`, `seconds`, `out`.

        A call that stands in both parties' logs is there twice.
        """
        calls = self.events("called").select("src", "dst", "at", F.col("duration_s").alias("seconds"))
        out = calls.select(F.col("src").alias("phone"), F.col("dst").alias("other"), "at", "seconds", F.lit(True))
        into = calls.select(F.col("dst").alias("phone"), F.col("src").alias("other"), "at", "seconds", F.lit(False))
        return out.union(into).toDF("phone", "other", "at", "seconds", "out")

    def expect_many(self, persons: int) -> None:
        """Prepare for questions about very many persons: put rows together by what they are asked by, and all calls by
        their numbers, instead of looking through them at every question.
        """
        usual = int(str(self.spark.conf.get("spark.sql.shuffle.partitions")))
        self._places = max(usual, persons // _PERSONS_IN_A_PLACE + 1)
        self.talks = self.keep(self.talks, by="phone")

    def talks_of(self, rows: DataFrame) -> DataFrame:
        """Return `rows`, which have a `phone`, beside each call of it as `talks` tells it."""
        return self.talks.join(rows.hint("shuffle_hash") if self._places else rows, "phone")

    @cached_property
    def phone_kinds(self) -> DataFrame:
        """Return `phone` (key) and `kind`: `mobile`, `landline`, `service`, `foreign`; the latest said of it."""
        if not as_of.exists(self.lake, "phone_events"):
            return self.spark.createDataFrame([], "phone string, kind string")
        rows = self.spark.read.format("delta").load(str(self.lake.graph("phone_events")))
        known = as_of.visible(rows, self.at).where("kind IS NOT NULL")
        latest = F.max(F.struct("at", "delivered_on", "kind"))["kind"]
        return known.groupBy(F.col("id").alias("phone")).agg(latest.alias("kind"))

    @cached_property
    def barred(self) -> DataFrame:
        """Return `id` of nodes that must not lead anywhere: all of the newest registry of hubs up to the day.

        Also those of which nothing honest explains why so many share them, such as an agent's number; a person's word
        that a node is no hub counts, as it does for rings.
        """
        path = self.lake.results("hubs")
        if not has_table(path):
            return self.spark.createDataFrame([], "id string")
        rows = self.spark.read.format("delta").load(str(path)).where(F.col("as_of_date") <= F.lit(self.at.date()))
        newest = rows.agg(F.max("as_of_date").alias("as_of_date"))
        named = rows.join(newest, "as_of_date").where("override IS NULL OR override <> 'not_hub'")
        return self.keep(named.select("id").distinct())

    @cached_property
    def ring_members(self) -> DataFrame:
        """Return `ring_id`, `person_id` of the rings found on the newest day up to this one that stand."""
        if not (has_table(self.lake.results("ring_members")) and has_table(self.lake.results("rings"))):
            return self.spark.createDataFrame([], "ring_id string, person_id string")
        day = F.lit(self.at.date())
        read = self.spark.read.format("delta")
        rings = read.load(str(self.lake.results("rings"))).where(F.col("as_of_date") <= day)
        members = read.load(str(self.lake.results("ring_members"))).where(F.col("as_of_date") <= day)
        newest = rings.agg(F.max("as_of_date").alias("as_of_date"))
        standing = rings.join(newest, "as_of_date").where("status <> 'dissolved' AND score >= 0.5")
        return members.join(standing.select("as_of_date", "ring_id"), ["as_of_date", "ring_id"]).select(
            "ring_id", "person_id"
        )
