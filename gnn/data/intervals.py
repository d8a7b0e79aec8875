"""From when until when each row of the lake was known: the same rule as `graph.as_of`, for every time at once.

A row counts as of T exactly where since ≤ T < until: `since` is its event or the midnight (UTC) of its delivery,
whichever is later, `until` the midnight of the delivery that ended it. Times are microseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gnn.data.store import ALWAYS, NEVER, Relation, relation
from graph import as_of
from graph.lake import Lake, has_table, version
from graph.schema import EdgeType, Label

DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_PERSONS = "applicant_id string, person_id string, since bigint, until bigint"


def micros(at: datetime) -> int:
    """Return a time as whole microseconds since 1970 UTC; a time without a zone is taken as UTC."""
    moment = as_of.utc(at)
    return int(moment.replace(microsecond=0).timestamp()) * _SECOND_US + moment.microsecond


def timed(rows: DataFrame, event_at: str | None, by_delivery: bool) -> DataFrame:
    """Return `rows` with `since` (inclusive) and `until` (exclusive, `NEVER` while the row stands), bigint.

    Args:
        rows: has `delivered_on` date, `ended_on` date or null, and the event column.
        event_at: the timestamp that dates a row; null there, or None, leaves the delivery alone.
        by_delivery: False takes the rows that stand today, by their event time; without one they are `ALWAYS` known.
    """
    event = F.lit(None).cast("bigint") if event_at is None else F.unix_micros(event_at)
    if not by_delivery:
        standing = rows.where(F.col("ended_on").isNull())
        return standing.withColumns({"since": F.coalesce(event, F.lit(ALWAYS)), "until": F.lit(NEVER)})
    since = F.greatest(event, _midnight("delivered_on"))  # of the two that are not null
    return rows.withColumns({"since": since, "until": F.coalesce(_midnight("ended_on"), F.lit(NEVER))})


def _midnight(day: str) -> Column:
    return F.unix_date(day).cast("bigint") * F.lit(DAY_US)


def islands(rows: pl.DataFrame) -> pl.DataFrame:
    """Return maximal intervals: those of one (`src`, `dst`) that overlap or touch become one.

    Args:
        rows: `src`, `dst`, `since`, `until` (int64), none empty.

    Returns:
        The same columns, no two intervals of a pair touching. The order of rows is free.
    """
    several = rows.select(pl.struct("src", "dst").is_duplicated()).to_series()
    if not several.any():
        return rows
    pair = ["src", "dst"]
    met = rows.filter(several).sort("src", "dst", "since")
    reached = pl.col("until").cum_max().shift(1).over(pair)
    apart = (pl.col("since") > reached).fill_null(True)  # null: the pair's first
    merged = met.with_columns(island=apart.cum_sum()).group_by([*pair, "island"])
    whole = merged.agg(pl.col("since").min(), pl.col("until").max()).drop("island")
    return pl.concat([rows.filter(~several), whole])


@dataclass
class View:
    """A lake seen from a moment: rows known by then, and no knowledge that one of them will end.

    Attributes:
        at: inclusive.
        by_delivery: False sets delivery dates aside (see `timed`).
        versions: of each table read so far, by its path in the lake: later reads see the same rows.
    """

    spark: SparkSession
    lake: Lake
    at: datetime
    by_delivery: bool
    versions: dict[str, int] = field(default_factory=dict)

    @cached_property
    def at_us(self) -> int:
        """Return the moment in microseconds since 1970 UTC."""
        return micros(self.at)

    def rows(self, path: Path, event_at: str | None) -> DataFrame | None:
        """Return the rows of a table known at some time up to the moment, `timed`; None where there is no table.

        A `delete` in a raw table is no row; what it ended has ended.
        """
        if not has_table(path):
            return None
        name = str(path.relative_to(self.lake.root))
        pinned = self.versions.setdefault(name, version(path))
        rows = self.spark.read.format("delta").option("versionAsOf", pinned).load(str(path))
        if self.by_delivery:  # by partition: files of later nights are not opened
            rows = rows.where(F.col("delivered_on") <= F.lit(as_of.utc(self.at).date()))
        if "op" in rows.columns:
            rows = rows.where(F.col("op") == "upsert")
        return self.cut(timed(rows, event_at, self.by_delivery))

    def cut(self, rows: DataFrame) -> DataFrame:
        """Return the rows whose interval had begun at the moment; an end that is still to come is `NEVER`."""
        until = F.when(F.col("until") > self.at_us, F.lit(NEVER)).otherwise(F.col("until"))
        known = (F.col("since") < F.col("until")) & (F.col("since") <= self.at_us)
        return rows.where(known).withColumn("until", until)

    @cached_property
    def persons(self) -> DataFrame:
        """Who was which person when: `applicant_id`, `person_id`, `since`, `until`; computed once."""
        rows = self.rows(self.lake.graph("applicant_person"), "at")
        if rows is None:
            return self.spark.createDataFrame([], _PERSONS)
        return rows.select("applicant_id", "person_id", "since", "until").localCheckpoint()

    def edges(self, edge: EdgeType) -> DataFrame:
        """Return the intervals in which each pair was joined, persons in place of applicants.

        Columns `src`, `dst`, `until` (together the key) and `since`. Intervals of a pair may still overlap: those that
        end together are one already, `islands` merges the others.
        """
        rows = self.rows(self.lake.graph(f"{edge.table}_events"), "at")
        assert rows is not None, edge.table
        rows = rows.select("src", "dst", "since", "until")
        for end, label in (("src", edge.src), ("dst", edge.dst)):
            if label == Label.PERSON:
                other = "dst" if end == "src" else "src"
                rows = rows.join(self.persons.withColumnsRenamed(
                    {"applicant_id": end, "since": "person_since", "until": "person_until"}
                ), end).select(
                    F.col("person_id").alias(end), other, F.greatest("since", "person_since").alias("since"),
                    F.least("until", "person_until").alias("until"),
                ).where(F.col("since") < F.col("until"))  # fmt: skip
        return rows.groupBy("src", "dst", "until").agg(F.min("since").alias("since"))


def collected(rows: DataFrame) -> pl.DataFrame:
    """Return a Spark table's rows here, through Arrow."""
    return pl.DataFrame(pl.from_arrow(rows.toArrow()))


def sliced(rows: DataFrame, key: str, slices: int) -> list[DataFrame]:
    """Return `rows` in parts by the hash of `key`: a part fits the driver where the whole would not."""
    if slices == 1:
        return [rows]
    part = F.pmod(F.xxhash64(key), F.lit(slices))
    return [rows.where(part == n) for n in range(slices)]


@dataclass
class Numbers:
    """Ids of each label numbered as they come, so that strings of one relation at a time are held."""

    def __post_init__(self) -> None:
        self._known: dict[str, pl.DataFrame] = {}
        self._lock = Lock()

    def of(self, label: str, ids: pl.Series) -> NDArray[np.uint32]:
        """Return a number for each id, the same whenever the id comes."""
        asked = ids.alias("id").to_frame()
        with self._lock:
            known = self._known.get(label, pl.DataFrame(schema={"id": pl.String, "n": pl.UInt32}))
            fresh = asked.unique().join(known, "id", "anti").with_row_index("n", offset=len(known)).select("id", "n")
            known = self._known[label] = pl.concat([known, fresh.cast({"n": pl.UInt32})])
        return asked.join(known, "id", "left", maintain_order="left")["n"].to_numpy()

    def ranked(self) -> dict[str, tuple[pl.Series, NDArray[np.int64]]]:
        """Return for each label its ids, ascending, and the row of each number among them."""
        found = {}
        for label, known in self._known.items():
            in_order = known.sort("id")
            rows = np.empty(len(known), np.int64)
            rows[in_order["n"].to_numpy()] = np.arange(len(known))
            found[label] = (in_order["id"], rows)
        return found


@dataclass(frozen=True)
class Edges:
    """Edges between numbered nodes: `rows` has `src`, `dst`, `since`, `until`. `both_ways`: messages go back too."""

    name: str
    src: str
    dst: str
    rows: pl.DataFrame
    both_ways: bool = False

    def relations(self, nodes: dict[str, NDArray[np.int64]]) -> list[Relation]:
        """Return the relation, and the one in the other direction, where `nodes` tells each number's row."""
        since, until = self.rows["since"].to_numpy(), self.rows["until"].to_numpy()
        source = nodes[self.src][self.rows["src"].to_numpy()]
        target = nodes[self.dst][self.rows["dst"].to_numpy()]
        made = [relation(self.name, self.src, self.dst, (source, target), len(nodes[self.dst]), since, until)]
        if self.both_ways:
            ends, count = (target, source), len(nodes[self.src])
            made.append(relation(f"rev_{self.name}", self.dst, self.src, ends, count, since, until))
        return made
