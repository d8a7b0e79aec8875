"""What ring detection looks at, as of a moment: small Parquet tables made by Spark, read by polars.

Everything passes through `graph.as_of`. What only one person touches joins nobody and stays in the lake, so that the
snapshot grows with what is shared, not with what was delivered.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from pathlib import Path

import polars as pl
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from graph import as_of
from graph.lake import Lake
from graph.schema import EDGE_BY_TABLE, NODE_BY_LABEL
from graph.tables import edge_events_struct, edge_struct

MAX_PERSONS = 20_000  # at one node: beyond it a node says nothing about who belongs together
MAX_LISTED = 10  # persons who list one number: beyond it a shared contact links nobody
BEFORE_DAYS = 14  # calls counted as made just before applying
BOOK_HASHES = 64  # of an address book; the estimate of its overlap with another has a standard error of 0.06
MIN_BOOK = 10  # numbers in an address book worth comparing
_OPTIONAL = (
    "id_number", "name", "gender", "birth_date", "phone", "device_id", "imei", "iccid", "ip", "wifi_bssid",
    "address", "employer", "employer_phone", "bank_card", "channel", "product", "amount_cny",
)  # fmt: skip
KIN = ("spouse", "parent", "child", "sibling", "relative")


class Snapshot:
    """The tables as of `at` (inclusive), not yet computed; `write` computes and saves them."""

    def __init__(self, spark: SparkSession, lake: Lake, at: datetime, folded: bool = False):
        """Args:
        folded: the lake's own edge tables stand as of `at`, as they do at the end of its newest night.
        """
        self.spark, self.lake, self.at, self.folded = spark, lake, as_of.utc(at), folded
        self._persons = as_of.visible(self._graph("applicant_person"), at).select("applicant_id", "person_id")
        self._made: dict[str, DataFrame] = {}

    def _graph(self, table: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.lake.graph(table)))

    def _empty(self, columns: str | StructType) -> DataFrame:
        return self.spark.createDataFrame([], columns)

    def _raw(self, source: str, event_at: str | None, columns: str) -> DataFrame:
        """Return the visible rows of a source, with a person for each applicant; without rows where never delivered."""
        rows = as_of.raw(self.spark, self.lake, source, event_at, self.at)
        if rows is None:
            return self._empty(columns)
        return rows.join(self._persons, "applicant_id") if "person_id" in columns else rows

    def edges(self, table: str) -> DataFrame:
        """Return an edge table as of the moment; without rows where the lake has none."""
        if table not in self._made:
            edge = EDGE_BY_TABLE[table]
            if not as_of.exists(self.lake, f"{table}_events"):
                self._made[table] = self._empty(edge_struct(edge))
            elif self.folded:
                self._made[table] = self._graph(table)
            else:  # several tables read it
                edges = as_of.edges(self.spark, self.lake, edge, self.at)
                self._made[table] = edges.persist(StorageLevel.DISK_ONLY)
        return self._made[table]

    def applications(self) -> DataFrame:
        """One row an application: person_id, application_id (key), applied_at, amount_cny, channel, blanks (fields)."""
        columns = "person_id string, applicant_id string, application_id string, applied_at timestamp, " + ", ".join(
            f"{name} {'double' if name == 'amount_cny' else 'string'}" for name in _OPTIONAL
        )
        rows = self._raw("applications", "applied_at", columns)
        blanks: Column = reduce(lambda a, b: a + b, (F.col(name).isNull().cast("int") for name in _OPTIONAL))
        told = rows.select("application_id", "applied_at", "amount_cny", "channel", blanks.alias("blanks"))
        links = self.edges("person_submitted").select(
            F.col("src").alias("person_id"), F.col("dst").alias("application_id"), "first_seen_at"
        )
        return links.join(told, "application_id", "left").select(
            "person_id", "application_id", F.coalesce("applied_at", "first_seen_at").alias("applied_at"),
            "amount_cny", "channel", "blanks",
        )  # fmt: skip

    def own_phones(self) -> DataFrame:
        """One row a person and own number: person_id, phone, since; opened_at where a carrier reported it."""
        opened = (
            self._raw("phones", "observed_at", "phone string, opened_at timestamp")
            .groupBy("phone")
            .agg(F.max("opened_at").alias("opened_at"))
        )
        uses = self.edges("uses_phone").select(F.col("src").alias("person_id"), F.col("dst").alias("phone"),
                                                F.col("first_seen_at").alias("since"))  # fmt: skip
        return uses.join(opened, "phone", "left")

    def loans(self) -> DataFrame:
        """One row a loan: person_id, principal_cny, paid_cny, missed (instalments unpaid a week or more after falling
        due), first_missed (the first one is among them), paid (instalments paid)."""
        loans = self._raw("loans", "disbursed_at", "person_id string, loan_id string, principal_cny double")
        due = self._raw(
            "repayments", None, "loan_id string, due_at timestamp, paid_at timestamp, due_cny double, paid_cny double"
        )
        now = F.lit(self.at)
        paid = F.col("paid_at").isNotNull() & (F.col("paid_at") <= now)
        late = (F.col("due_at") <= now - F.expr("INTERVAL 7 DAYS")) & ~paid
        told = due.groupBy("loan_id").agg(
            F.sum(late.cast("int")).alias("missed"),
            F.sum(paid.cast("int")).alias("paid"),
            F.min(F.struct("due_at", late.alias("late")))["late"].alias("first_missed"),
            F.sum(F.when(paid, F.coalesce("paid_cny", "due_cny"))).alias("paid_cny"),
        )
        return loans.join(told, "loan_id", "left").select(
            "person_id", "loan_id", "principal_cny", F.coalesce("paid_cny", F.lit(0.0)).alias("paid_cny"),
            F.coalesce("missed", F.lit(0)).alias("missed"), F.coalesce("paid", F.lit(0)).alias("paid"),
            F.coalesce("first_missed", F.lit(False)).alias("first_missed"),
        )  # fmt: skip

    def labels(self) -> DataFrame:
        """One row a person with a verdict: person_id, fraud (the latest verdict)."""
        rows = self._raw("labels", "confirmed_at", "person_id string, label string, confirmed_at timestamp")
        latest = F.max(F.struct("confirmed_at", "label"))["label"]
        return rows.groupBy("person_id").agg((latest == "fraud").alias("fraud"))

    def behavior(self) -> DataFrame:
        """One row a person: contacts_listed, emergencies_listed, emergencies_called, calls, phones_called, handsets."""
        listed = self.edges("lists_contact")
        own = self.edges("uses_phone").select(F.col("src").alias("person_id"), F.col("dst").alias("phone"))
        called = self.edges("called")
        talks = called.select(F.col("src").alias("phone"), F.col("dst").alias("other"), "event_count").union(
            called.select("dst", "src", "event_count")
        )
        mine = talks.join(own, "phone")
        calls = mine.groupBy("person_id").agg(
            F.sum("event_count").alias("calls"), F.countDistinct("other").alias("phones_called")
        )
        named = listed.where("emergency").select(F.col("src").alias("person_id"), F.col("dst").alias("other"))
        reached = named.join(mine.select("person_id", "other").distinct(), ["person_id", "other"], "left_semi")
        parts = [
            listed.groupBy(F.col("src").alias("person_id")).agg(F.count("*").alias("contacts_listed")),
            named.groupBy("person_id").agg(F.count("*").alias("emergencies_listed")),
            reached.groupBy("person_id").agg(F.count("*").alias("emergencies_called")),
            calls,
            self.edges("uses_device").groupBy(F.col("src").alias("person_id")).agg(F.count("*").alias("handsets")),
        ]
        return reduce(lambda a, b: a.join(b, "person_id", "full_outer"), parts)

    def stars(self) -> DataFrame:
        """One row a shared node and person beside it: view, node, person_id, first_at, last_at, events.

        `listed` says of an agent's number whether the person's address book names it, of a contact whether it is named
        as kin or for emergencies, and is null in other views. Only nodes that at least two and at most `MAX_PERSONS`
        persons touch; contacts at most `MAX_LISTED`.
        """
        device = self.edges("uses_device")
        parts = {
            "device": device, "own_phone": self.edges("uses_phone"), "bank_card": self.edges("paid_with"),
            "address": self.edges("lives_at"), "employer": self.edges("works_at"),
            "network": self.edges("seen_on"),
        }  # fmt: skip
        stars = [
            rows.select(F.lit(view).alias("view"), F.col("dst").alias("node"), F.col("src").alias("person_id"),
                        F.col("first_seen_at").alias("first_at"), F.col("last_seen_at").alias("last_at"),
                        F.col("event_count").alias("events"), F.lit(None).cast("boolean").alias("listed"))
            for view, rows in parts.items()
        ]  # fmt: skip
        listed = self.edges("lists_contact").withColumn("kin", F.col("emergency") | F.col("relation").isin(*KIN))
        stars.append(listed.select(F.lit("contact").alias("view"), F.col("dst").alias("node"),
                                   F.col("src").alias("person_id"), F.col("first_seen_at").alias("first_at"),
                                   F.col("last_seen_at").alias("last_at"), F.col("event_count").alias("events"),
                                   F.coalesce("kin", F.lit(False)).alias("listed")))  # fmt: skip
        stars += [self._channels(), self._sims(), *self._stated(), self._batches(device), self._agents()]
        every = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), stars)
        shared = every.groupBy("view", "node").agg(F.countDistinct("person_id").alias("persons"))
        most = F.when(F.col("view") == "contact", MAX_LISTED).otherwise(MAX_PERSONS)
        shared = shared.where((F.col("persons") >= 2) & (F.col("persons") <= most)).drop("persons")
        return every.join(shared, ["view", "node"])

    def _star(self, view: str, rows: DataFrame, node: str, at: str) -> DataFrame:
        return (
            rows.where(F.col(node).isNotNull())
            .groupBy(F.lit(view).alias("view"), F.col(node).alias("node"), "person_id")
            .agg(F.min(at).alias("first_at"), F.max(at).alias("last_at"), F.count("*").alias("events"))
        )

    def _channels(self) -> DataFrame:
        by = self.edges("person_submitted").select(F.col("src").alias("person_id"), F.col("dst").alias("application"))
        referred = self.edges("referred_by").select(F.col("src").alias("application"), "dst", "first_seen_at")
        return self._star("channel", by.join(referred, "application"), "dst", "first_seen_at")

    def _sims(self) -> DataFrame:
        columns = "person_id string, iccid string, at timestamp"
        rows = [
            self._raw(source, at, columns.replace(" at ", f" {at} ")).select(
                "person_id", "iccid", F.col(at).alias("at")
            )
            for source, at in (("applications", "applied_at"), ("devices", "event_at"))
        ]
        return self._star("sim", rows[0].union(rows[1]), "iccid", "at")

    def _stated(self) -> list[DataFrame]:
        """What applicants state that is no node beside them: the employer's number, the id number."""
        columns = "person_id string, employer_phone string, id_number string, applied_at timestamp"
        rows = self._raw("applications", "applied_at", columns)
        views = {"employer_phone": "employer_phone", "identity": "id_number"}
        return [self._star(view, rows, column, "applied_at") for view, column in views.items()]

    def _batches(self, device: DataFrame) -> DataFrame:
        node = NODE_BY_LABEL["Device"]
        own = as_of.own_rows(self.spark, self.lake, node, self.at)
        if own is None or "batch" not in own.columns:
            return self._empty(
                "view string, node string, person_id string, first_at timestamp, last_at timestamp, events bigint"
            )
        batch = (
            own.where(F.col("batch").isNotNull()).groupBy(F.col("id").alias("dst")).agg(F.max("batch").alias("batch"))
        )
        return self._star(
            "handset_batch",
            device.select(F.col("src").alias("person_id"), "dst", "first_seen_at").join(batch, "dst"),
            "batch",
            "first_seen_at",
        )

    def _agents(self) -> DataFrame:
        """Numbers in touch with an applicant's own number in the days before applying."""
        events = (
            as_of.visible(self._graph("called_events"), self.at)
            if as_of.exists(self.lake, "called_events")
            else self._empty(edge_events_struct(EDGE_BY_TABLE["called"]))
        )
        first = self.edges("person_submitted").groupBy(F.col("src").alias("person_id")).agg(
            F.min("first_seen_at").alias("applied_at")
        )  # fmt: skip
        own = self.edges("uses_phone").select(F.col("src").alias("person_id"), F.col("dst").alias("phone"))
        mine = own.join(first, "person_id")
        both = events.select(F.col("src").alias("phone"), F.col("dst").alias("other"), "at").union(
            events.select("dst", "src", "at")
        )
        near = both.join(mine, "phone").where(
            (F.col("at") <= F.col("applied_at"))
            & (F.col("at") >= F.col("applied_at") - F.expr(f"INTERVAL {BEFORE_DAYS} DAYS"))
        )
        listed = self.edges("lists_contact").select(
            F.col("src").alias("person_id"), F.col("dst").alias("node"), F.lit(True).alias("listed")
        )
        return self._star("agent", near, "other", "at").join(listed, ["person_id", "node"], "left")

    def ties(self) -> DataFrame:
        """One row a direct tie: src, dst (persons, as read aloud), kind, events, seconds, first_at.

        Kinds: emergency, kin, friend, contact (src lists dst's own number), call (own number to own number), guarantee,
        transfer (src's account to dst's), same_person, related.
        """
        own = self.edges("uses_phone").select(F.col("dst").alias("phone"), F.col("src").alias("dst"))
        listed = self.edges("lists_contact").withColumnRenamed("dst", "phone").join(own, "phone")
        relation = (
            F.when(F.col("emergency"), "emergency")
            .when(F.col("relation").isin(*KIN), "kin")
            .when(F.col("relation") == "address_book", "contact")
            .otherwise("friend")
        )
        called = self.edges("called").select(
            F.col("src").alias("a"), F.col("dst").alias("b"), "event_count", "duration_s", "first_seen_at"
        )
        callers = self.edges("uses_phone").select(F.col("dst").alias("a"), F.col("src").alias("src"))
        answerers = self.edges("uses_phone").select(F.col("dst").alias("b"), F.col("src").alias("dst"))
        owners = self.edges("person_owns_account").select(
            F.col("src").alias("person_id"), F.col("dst").alias("account")
        )
        paid = self.edges("transferred").select(
            F.col("src").alias("a"), F.col("dst").alias("b"), "event_count", "first_seen_at"
        )
        payers = owners.select(F.col("account").alias("a"), F.col("person_id").alias("src"))
        payees = owners.select(F.col("account").alias("b"), F.col("person_id").alias("dst"))
        nothing = F.lit(0).cast("long")
        parts = [
            listed.select(
                "src", "dst", relation.alias("kind"), "event_count", nothing.alias("seconds"), "first_seen_at"
            ),
            called.join(callers, "a")
            .join(answerers, "b")
            .select("src", "dst", F.lit("call"), "event_count", "duration_s", "first_seen_at"),
            paid.join(payers, "a")
            .join(payees, "b")
            .select("src", "dst", F.lit("transfer"), "event_count", nothing, "first_seen_at"),
        ]
        for table, kind in (
            ("person_guarantees", "guarantee"),
            ("same_person", "same_person"),
            ("related_to", "related"),
        ):
            parts.append(self.edges(table).select("src", "dst", F.lit(kind), "event_count", nothing, "first_seen_at"))
        every = reduce(lambda a, b: a.union(b), parts).where("src != dst")
        return every.groupBy("src", "dst", "kind").agg(
            F.sum("event_count").alias("events"),
            F.sum("seconds").alias("seconds"),
            F.min("first_seen_at").alias("first_at"),
        )

    def books(self) -> DataFrame:
        """One row an address book: person_id, numbers, and its MinHash (Broder 1997), `BOOK_HASHES` 64-bit minima."""
        listed = self.edges("lists_contact").select(F.col("src").alias("person_id"), "dst")
        minima = [F.min(F.xxhash64(F.col("dst"), F.lit(i))).alias(f"h{i}") for i in range(BOOK_HASHES)]
        books = listed.groupBy("person_id").agg(F.count("*").alias("numbers"), *minima)
        return books.where(F.col("numbers") >= MIN_BOOK).select(
            "person_id", "numbers", F.array(*(f"h{i}" for i in range(BOOK_HASHES))).alias("minhash")
        )

    def write(self, folder: Path) -> Tables:
        """Compute and save every table below `folder`, replacing what was there, and return it to polars."""
        shutil.rmtree(folder, ignore_errors=True)
        makers: dict[str, Callable[[], DataFrame]] = {
            "applications": self.applications, "own_phones": self.own_phones, "loans": self.loans,
            "labels": self.labels, "behavior": self.behavior, "stars": self.stars, "ties": self.ties,
            "books": self.books,
        }  # fmt: skip
        for name, make in makers.items():
            make().write.parquet(str(folder / name))
        return Tables(folder)


class Tables:
    """The saved tables of a snapshot, each a polars frame."""

    def __init__(self, folder: Path):
        self.folder = folder

    def read(self, name: str) -> pl.DataFrame:
        """Return one table; times in UTC."""
        return pl.read_parquet(self.folder / name / "*.parquet")
