"""Staged rows merged into `LAKE/raw`: each kept once, each version of a key with the deliveries it held for.

`row_key` names what a row is about (its key columns, or the whole row), `row_digest` what it says. The latest
delivery of a key wins; an older version keeps its place with `ended_on`, the delivery that ended it. A delete is a
version too. What was kept, repeated or in conflict is counted for each file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import DateType, StringType, StructType

from graph.lake import Lake, has_table, row_count, version
from graph.tokens import Keys
from graph.vault import seal
from ingest.cleaning import row_schema
from ingest.landing import REJECT_SCHEMA
from ingest.sources import Source


@dataclass
class MergeCounts:
    """Rows by file: of the `staged`, `accepted` are new in the lake, `conflicts` quarantined, the rest repeats."""

    staged: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)


def raw_schema(source: Source) -> StructType:
    """Return the columns of a raw table: the typed ones, then `row_key`, `row_digest`, `ended_on`."""
    return (
        from_arrow_schema(row_schema(source))
        .add("row_key", StringType())
        .add("row_digest", StringType())
        .add("ended_on", DateType())
    )


def _hash(columns: list[Column]) -> Column:
    """128 bits of two chained xxHash64 as hexadecimal text: a name for content, not a secret (values are tokens)."""
    first, second = F.xxhash64(*columns), F.xxhash64(F.lit("second half"), *columns)
    return F.lower(F.concat(F.lpad(F.hex(first), 16, "0"), F.lpad(F.hex(second), 16, "0")))


def keyed(rows: DataFrame, source: Source) -> DataFrame:
    """Add `row_key` and `row_digest`. Null and empty never meet: each null is hashed with its column's number."""
    names = [name for name in source.columns if name != "op"]
    content: list[Column] = []
    for number, name in enumerate(names):
        content.append(
            F.coalesce(F.col(name).cast("string"), F.lit(f"\0{number}")) if name in source.key else F.col(name)
        )
        if name not in source.key:
            content.append(F.when(F.col(name).isNull(), F.lit(number)))
    digest = _hash(content)
    if not source.key:
        return rows.withColumn("row_digest", digest).withColumn("row_key", F.col("row_digest"))
    return rows.withColumn("row_digest", digest).withColumn("row_key", _hash([F.col(name) for name in source.key]))


def merge(spark: SparkSession, lake: Lake, source: Source, keys: Path) -> MergeCounts:
    """Merge the staged rows of one source into its raw table and its quarantine; return the counts by file."""
    staged_path = lake.staging / source.name / "rows"
    counts = MergeCounts()
    if staged_path.is_dir():
        typed = from_arrow_schema(row_schema(source))
        staged = keyed(spark.read.schema(typed).parquet(str(staged_path)), source)
        by_file = staged.groupBy("source_file").count().collect()
        counts.staged = Counter({row["source_file"]: row["count"] for row in by_file})
        deletes = staged.where(F.col("op") == "delete").limit(1).count() > 0
        if source.key or deletes or _meets_history(spark, lake.raw(source.name), staged):
            _merge_versions(spark, lake, source, staged, keys, counts)
        else:
            _merge_rows(spark, lake, source, staged, counts)
    _append_rejects(spark, lake, source)
    return counts


def _meets_history(spark: SparkSession, path: Path, staged: DataFrame) -> bool:
    """Whether a staged row is known as ended, as deleted or from a later delivery; others are new or plain repeats."""
    if not has_table(path):
        return False
    oldest = staged.agg(F.min("delivered_on")).first()
    assert oldest is not None
    known = _load(spark, path).select("row_key", "op", "ended_on", F.col("delivered_on").alias("known_on"))
    gone = F.col("ended_on").isNotNull() | (F.col("op") == "delete")
    known = known.where(gone | (F.col("known_on") > F.lit(oldest[0])))
    if known.limit(1).count() == 0:
        return False
    met = staged.select("row_key", "delivered_on").join(known, "row_key")
    return met.where(gone | (F.col("known_on") > F.col("delivered_on"))).limit(1).count() > 0


def _load(spark: SparkSession, path: Path) -> DataFrame:
    return spark.read.format("delta").load(str(path))


def _whole(rows: DataFrame, source: Source) -> DataFrame:
    """Give rows of a lake that is older than a derived column that column, as null: what a row says has not changed."""
    wanted = raw_schema(source)
    return rows.select(
        *(F.col(f.name) if f.name in rows.columns else F.lit(None).cast(f.dataType).alias(f.name) for f in wanted)
    )


def _append(rows: DataFrame, path: Path) -> None:
    # New columns, as of a newer version of this program, widen the table; older rows hold null there.
    table = rows.write.format("delta").mode("append").option("mergeSchema", "true")
    table.partitionBy("delivered_on").save(str(path))


def _merge_rows(spark: SparkSession, lake: Lake, source: Source, staged: DataFrame, counts: MergeCounts) -> None:
    """Whole-row sources without deletes: a row seen before is a repeat, the others are appended."""
    # Repeats are found on the hashes alone; only they take the slow way through a sort.
    repeated = staged.groupBy("row_key").agg(F.count("*").alias("n")).where(F.col("n") > 1).select("row_key")
    repeated = repeated.persist()
    if repeated.limit(1).count():
        order = Window.partitionBy("row_key").orderBy("delivered_on", "source_file", "line")
        kept = staged.join(repeated, "row_key", "left_semi").withColumn("n", F.row_number().over(order))
        staged = staged.join(repeated, "row_key", "left_anti").unionByName(kept.where("n = 1").drop("n"))
    path = lake.raw(source.name)
    if has_table(path):
        span = staged.agg(F.min(source.event_at), F.max(source.event_at)).first()
        assert span is not None
        known = _load(spark, path).where(F.col(source.event_at).between(span[0], span[1])).select("row_key")
        staged = staged.join(known, "row_key", "left_anti")
    rows = staged.withColumn("ended_on", F.lit(None).cast("date"))
    before = version(path) if has_table(path) else -1
    _append(_ordered(rows, source), path)
    repeated.unpersist()
    counts.accepted = _added_by_file(spark, path, before)


def _ordered(rows: DataFrame, source: Source) -> DataFrame:
    return rows.select(*raw_schema(source).fieldNames())


def _rows_by_file(rows: DataFrame) -> Counter[str]:
    """Count landing rows, not versions: one delete may end many rows."""
    counted = rows.groupBy("source_file").agg(F.countDistinct("line").alias("n")).collect()
    return Counter({row["source_file"]: row["n"] for row in counted})


def _added_by_file(spark: SparkSession, path: Path, before: int) -> Counter[str]:
    after = _load(spark, path).groupBy("source_file").count().collect()
    counts = Counter({row["source_file"]: row["count"] for row in after})
    if before >= 0:
        old = spark.read.format("delta").option("versionAsOf", before).load(str(path)).groupBy("source_file").count()
        counts.subtract({row["source_file"]: row["count"] for row in old.collect()})
    return +counts


def _merge_versions(
    spark: SparkSession, lake: Lake, source: Source, staged: DataFrame, keys: Path, counts: MergeCounts
) -> None:
    """Sources with a key, or with deletes: rebuild the versions of every key that the delivery touches."""
    path = lake.raw(source.name)
    staged = staged.withColumn("ended_on", F.lit(None).cast("date")).withColumn("fresh", F.lit(True))
    known = _whole(_load(spark, path), source) if has_table(path) else spark.createDataFrame([], raw_schema(source))
    known = known.withColumn("fresh", F.lit(False))
    staged = staged.select(*known.columns)
    staged = _resolved_deletes(source, staged, known).persist()
    affected = known.join(staged.select("row_key").distinct(), "row_key", "left_semi")
    repeat = Window.partitionBy("row_key", "row_digest", "op", "delivered_on").orderBy("fresh", "source_file", "line")
    rows = affected.unionByName(staged).withColumn("n", F.row_number().over(repeat)).where("n = 1").drop("n")
    # Two contents of one key in one delivery: a delete comes last, else the later event, else the smaller digest.
    # What was beaten once stays beaten, though the row that beat it may have been a repeat and not be here.
    lost = F.col("ended_on").eqNullSafe(F.col("delivered_on"))
    day = Window.partitionBy("row_key", "delivered_on").orderBy(
        lost, F.col("op").asc(), F.col(source.event_at).desc_nulls_last(), F.col("row_digest")
    )
    ranked = rows.withColumn("rank", F.row_number().over(day)).withColumn("winner", F.first("op").over(day))
    beaten = ranked.where((F.col("rank") > 1) | lost).drop("rank")
    # Two contents at once cannot both be true. What a delete of the same delivery ends was true and never held; so
    # is a row of the lake that loses to a file of its own day, read later.
    conflicts = beaten.where("fresh AND winner = 'upsert'").drop("winner")
    beaten = beaten.where("NOT (fresh AND winner = 'upsert')").drop("winner")
    ranked = ranked.drop("winner")
    rows = ranked.where((F.col("rank") == 1) & ~lost).drop("rank")
    history = Window.partitionBy("row_key").orderBy("delivered_on")
    says = F.struct("row_digest", "op")
    rows = rows.withColumn("says_before", F.lag(says).over(history))
    rows = rows.where(F.col("says_before").isNull() | (F.col("says_before") != says) | ~F.col("fresh"))
    rows = rows.withColumn("ended_on", F.lead("delivered_on").over(history)).drop("says_before")
    rows = rows.unionByName(beaten.withColumn("ended_on", F.col("delivered_on"))).persist()
    fresh = rows.where("fresh").drop("fresh")
    counts.accepted, counts.conflicts = _rows_by_file(fresh), _rows_by_file(conflicts)
    if counts.conflicts:
        _append_conflicts(spark, lake, source, conflicts, keys)
    if not has_table(path):
        _append(_ordered(fresh, source), path)
    else:
        # An event time never moves, so a version is found again by its key, content, op and delivery.
        target = DeltaTable.forPath(spark, str(path)).alias("old")
        same = " AND ".join(f"old.{c} = new.{c}" for c in ("row_key", "row_digest", "op", "delivered_on"))
        values = {name: f"new.{name}" for name in _ordered(fresh, source).columns}
        (
            target.merge(rows.drop("fresh").alias("new"), same)
            .withSchemaEvolution()
            .whenMatchedUpdate("NOT (old.ended_on <=> new.ended_on)", {"ended_on": "new.ended_on"})
            .whenNotMatchedInsert(values=values)
            .execute()
        )
    rows.unpersist()
    staged.unpersist()


def _resolved_deletes(source: Source, staged: DataFrame, known: DataFrame) -> DataFrame:
    """Put in place of a partly filled delete the delete of each row that agrees with it on the columns it fills."""
    if source.key:
        return staged
    deletes = staged.where(F.col("op") == "delete")
    names = [name for name in source.columns if name != "op"]
    filled = F.concat_ws(",", *(F.when(F.col(name).isNotNull(), F.lit(name)) for name in names))
    patterns = [row[0] for row in deletes.select(filled).distinct().collect()]
    if not patterns:
        return staged
    live = known.unionByName(staged).where(F.col("op") == "upsert")
    ends = deletes.withColumn("pattern", filled)
    parts = [staged.where(F.col("op") == "upsert")]
    for pattern in patterns:
        on = pattern.split(",") if pattern else []
        if len(on) == len(names) or not on:
            parts.append(deletes.where(filled == pattern))
            continue
        place = [F.col(name) for name in on]
        these = ends.where(F.col("pattern") == pattern).select(
            *place,
            F.col("delivered_on").alias("deleted_on"),
            F.col("source_file").alias("by_file"),
            F.col("line").alias("by_line"),
        )
        hit = live.join(these, on).where(F.col("delivered_on") <= F.col("deleted_on"))
        hit = hit.withColumns(
            {
                "op": F.lit("delete"),
                "delivered_on": F.col("deleted_on"),
                "source_file": F.col("by_file"),
                "line": F.col("by_line"),
                "fresh": F.lit(True),
                "ended_on": F.lit(None).cast("date"),
            }
        )
        parts.append(hit.select(*staged.columns).dropDuplicates(["row_key", "delivered_on"]))
    return reduce(lambda a, b: a.unionByName(b), parts)


def _append_conflicts(spark: SparkSession, lake: Lake, source: Source, conflicts: DataFrame, keys: Path) -> None:
    names = [name for name in source.columns if name != "op"]
    told = conflicts.select(
        "source_file",
        "line",
        "delivered_on",
        F.to_json(F.struct(*(F.col(n).cast("string").alias(n) for n in names))).alias("row"),
    )

    def sealed(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        held = Keys.read(keys)
        for batch in batches:
            rows = batch.to_pylist()
            yield pa.RecordBatch.from_pylist(
                [
                    {
                        "source_file": row["source_file"],
                        "line": row["line"],
                        "reason": "key_conflict",
                        "column": None,
                        "row_kept": False,
                        "delivered_on": row["delivered_on"],
                        "original": seal(held, f"quarantine:{row['source_file']}:{row['line']}", row["row"]),
                    }
                    for row in rows
                ],
                schema=REJECT_SCHEMA,
            )

    _append(told.mapInArrow(sealed, from_arrow_schema(REJECT_SCHEMA)), lake.quarantine(source.name))


def _append_rejects(spark: SparkSession, lake: Lake, source: Source) -> None:
    path = lake.staging / source.name / "rejects"
    if path.is_dir():
        _append(spark.read.schema(from_arrow_schema(REJECT_SCHEMA)).parquet(str(path)), lake.quarantine(source.name))


def merge_vault(spark: SparkSession, lake: Lake) -> int:
    """Add the sealed values of tokens the vault does not hold yet; return how many."""
    path = lake.staging / "vault"
    if not path.is_dir():
        return 0
    fresh = spark.read.schema("token string, sealed binary").parquet(str(path))
    before = 0
    if has_table(lake.vault):
        before = row_count(lake.vault)
        fresh = fresh.join(_load(spark, lake.vault).select("token"), "token", "left_anti")
    # Sorted by token, so that a reader skips all but one file of each night by the file's own bounds.
    one = fresh.dropDuplicates(["token"]).repartitionByRange("token").sortWithinPartitions("token")
    one.write.format("delta").mode("append").save(str(lake.vault))
    return row_count(lake.vault) - before
