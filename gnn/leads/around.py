"""The contact events around the borrowers looked for, as arrays; bounded, and what was left out is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from algorithms.leads.contact_events import KINDS, ContactEvents
from algorithms.leads.links import LinkQuestion

BORROWERS = 2_000  # a night, the most recently lost first
CALLS, CONTACTS = 300_000, 200_000  # those of old numbers, then the newest; what 2,000 borrowers have about them
_EVENT = {"src": pl.String, "dst": pl.String, "kind": pl.Int8, "at": pl.Float64, "duration_s": pl.Float64}


@dataclass(frozen=True)
class Around:
    """What is known around the borrowers.

    Attributes:
        events: calls with an end among the borrowers' old numbers, the candidates, and those who talked with them;
            address book entries between any two of the numbers in these calls, or candidates.
        old: `person_id`, `phone`, `silent_from`, `failing_since` (epoch seconds), the most recently lost first.
        candidates: `person_id`, `phone`, `own`.
        counts: `borrowers`, and how much was left out of each.
    """

    events: ContactEvents
    old: pl.DataFrame
    candidates: pl.DataFrame
    counts: dict[str, int]


def around(asked: LinkQuestion, *, borrowers: int = BORROWERS, calls: int = CALLS, contacts: int = CONTACTS) -> Around:
    """Return the events around the borrowers, no more than the bounds; one second's rows in the order of their ends."""
    times = ("silent_from", "failing_since")
    whole = _frame(asked.old.select("person_id", "phone", *((F.unix_micros(c) / 1e6).alias(c) for c in times)))
    people = whole.group_by("person_id").agg(pl.col("failing_since").max())
    kept = people.sort("failing_since", "person_id", descending=[True, False]).head(borrowers).with_row_index("turn")
    old = whole.join(kept.select("person_id", "turn"), on="person_id").sort("turn", "phone")
    found = _frame(asked.candidates).join(kept.select("person_id"), on="person_id", how="semi")
    seeds = pl.concat([old["phone"], found["phone"]]).unique().sort()
    spark = asked.calls.sparkSession
    said = spark.createDataFrame(pl.DataFrame({"phone": seeds}).to_arrow())
    met = [
        asked.calls.join(said.withColumnRenamed("phone", a), a, "left_semi").select(F.col(b).alias("phone"))
        for a, b in (("src", "dst"), ("dst", "src"))
    ]
    near = said.unionByName(met[0]).unionByName(met[1]).distinct().localCheckpoint()
    mine = _either(asked.calls, near).withColumn("at", F.unix_micros("at") / 1e6).localCheckpoint()
    theirs = spark.createDataFrame(pl.DataFrame({"phone": old["phone"].unique().sort()}).to_arrow())
    called, calls_out = _newest(mine, theirs, calls)
    there = pl.concat([seeds, called["src"], called["dst"]]).unique().sort()
    nodes = spark.createDataFrame(pl.DataFrame({"phone": there}).to_arrow())
    books = asked.contacts
    for end in ("src", "dst"):
        books = books.join(nodes.withColumnRenamed("phone", end), end, "left_semi")
    books = books.withColumns({"at": F.unix_micros("at") / 1e6, "duration_s": F.lit(0)}).localCheckpoint()
    listed, contacts_out = _newest(books, theirs, contacts)
    rows = pl.concat([_of_kind(called, "call"), _of_kind(listed, "contact")])
    counts = {
        "borrowers": len(kept), "borrowers_left_out": len(people) - len(kept), "calls": len(called),
        "calls_left_out": calls_out, "contacts": len(listed), "contacts_left_out": contacts_out,
    }  # fmt: skip
    return Around(events_of(rows), old.drop("turn"), found.sort("person_id", "phone"), counts)


def events_of(rows: pl.DataFrame) -> ContactEvents:
    """Return rows of `src`, `dst`, `kind` (place in `KINDS`), `at` and `duration_s` as events, whatever their order."""
    kept = rows.select(*_EVENT).filter(pl.col("src") != pl.col("dst")).sort("at", "src", "dst", "kind", "duration_s")
    ends = np.concatenate([kept["src"].to_numpy(), kept["dst"].to_numpy()]).astype(np.str_)
    names, places = np.unique(ends, return_inverse=True)
    return ContactEvents(
        names, places[: len(kept)].astype(np.int64), places[len(kept) :].astype(np.int64),
        kept["kind"].to_numpy().astype(np.int8), kept["at"].to_numpy().astype(np.float64),
        kept["duration_s"].to_numpy().astype(np.float64), len(rows) - len(kept),
    )  # fmt: skip


def _either(calls: DataFrame, near: DataFrame) -> DataFrame:
    ends = [near.select(F.col("phone").alias(end), F.lit(True).alias(f"near_{end}")) for end in ("src", "dst")]
    both = calls.join(ends[0], "src", "left").join(ends[1], "dst", "left")
    return both.where("near_src OR near_dst").select("src", "dst", "at", "duration_s")


def _newest(rows: DataFrame, theirs: DataFrame, most: int) -> tuple[pl.DataFrame, int]:
    """Return the rows, of too many those of `theirs` and then the newest, and how many there are beside them.

    Who fell silent long ago has no new calls: without the old ones nothing would be known of the circle.
    """
    count = rows.count()
    if count > most:
        for end in ("src", "dst"):
            rows = rows.join(theirs.select(F.col("phone").alias(end), F.lit(True).alias(f"old_{end}")), end, "left")
        first = F.coalesce("old_src", "old_dst", F.lit(False))
        rows = rows.orderBy(F.desc(first), F.desc("at"), "src", "dst", "duration_s").limit(most)
    return _frame(rows.select("src", "dst", "at", "duration_s")), max(count - most, 0)


def _of_kind(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    of = rows.with_columns(kind=pl.lit([str(k) for k in KINDS].index(kind), pl.Int8))
    return of.select(pl.col(name).cast(dtype) for name, dtype in _EVENT.items())


def _frame(rows: DataFrame) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(rows.toArrow()))
