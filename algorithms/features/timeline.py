"""Running totals on a key, read as of many moments at once: the one place where a feature looks at time.

What happens on a key (a shared node, a person) is a list of dated changes; a question is a key and a moment. Sorted by
time and added up, each question is answered by the newest change strictly before it, so that a hub with a million
persons costs a sort and not a million pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MEASURES = ("neighbor", "fraud", "loan", "overdue", "application")
DAY_US = 86_400_000_000

Windows = Mapping[str, tuple[str, int]]


def counts_before(changes: pl.DataFrame, asked: pl.DataFrame, windows: Windows) -> pl.DataFrame:
    """Return `asked` with the totals of its key strictly before its moment, without the asker's own part.

    Args:
        changes: `key`, `person`, `at` (microseconds since 1970 UTC), and a signed change for each of `MEASURES`.
        asked: `key`, `person` (whose own changes do not count), `at`, and any columns to keep.
        windows: new column → (measure, microseconds before `at`): the total of the window, its start included.

    Returns:
        Also each measure's total, `persons` (`neighbor` with the asker's own part) and `first_at`, the first arrival
        of anyone on the key, null where there was none before the moment.
    """
    changes = changes.sort("at")
    totals = [pl.col(measure).cast(pl.Int64).cum_sum() for measure in MEASURES]
    everyone = changes.select("key", "at", *(total.over("key") for total in totals))
    alone = changes.select("key", "person", "at", *(total.over("key", "person") for total in totals))

    def total(before: int) -> pl.DataFrame:
        questions = asked.select("row", "key", "person", at=pl.col("at") - before).sort("at")
        newest = {"on": "at", "strategy": "backward", "allow_exact_matches": False, "check_sortedness": False}
        found = questions.join_asof(everyone, by="key", **newest)  # type: ignore[arg-type]
        found = found.join_asof(alone, by=["key", "person"], suffix="_own", **newest)  # type: ignore[arg-type]
        known = {measure: pl.col(measure).fill_null(0) for measure in MEASURES}
        return found.select(
            "row",
            known["neighbor"].alias("persons"),
            *((known[m] - pl.col(f"{m}_own").fill_null(0)).alias(m) for m in MEASURES),
        ).sort("row")

    asked = asked.with_row_index("row")
    now = total(0)
    answers = [now.drop("row")]
    for before in sorted({width for _, width in windows.values()}):
        then = total(before)
        of_width = [(name, measure) for name, (measure, width) in windows.items() if width == before]
        answers.append(pl.DataFrame([(now[measure] - then[measure]).alias(name) for name, measure in of_width]))
    first = changes.filter(pl.col("neighbor") > 0).group_by("key").agg(first_at=pl.col("at").min())
    met = asked.join(first, "key", "left", maintain_order="left").with_columns(
        first_at=pl.when(pl.col("first_at") < pl.col("at")).then("first_at")
    )
    return pl.concat([met.drop("row"), *answers], how="horizontal")


def _bucket(windows: Windows, kept: Sequence[str], changes: pa.Table, asked: pa.Table) -> pa.Table:
    """Answer the questions of one bucket of keys."""
    mine, questions = (pl.DataFrame(pl.from_arrow(table)) for table in (changes, asked))
    found = counts_before(mine, questions, windows)
    answer = found.select(*kept, "first_at", "persons", *MEASURES, *windows).to_arrow()
    types = [pa.string() if name in kept else pa.int64() for name in answer.column_names]
    return answer.cast(pa.schema(list(zip(answer.column_names, types, strict=True))))


def partitions(rows: DataFrame) -> int:
    """Return into how many parts the session shuffles."""
    return int(str(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))


def spark_counts_before(changes: DataFrame, asked: DataFrame, kept: Sequence[str], windows: Windows) -> DataFrame:
    """Return `counts_before` over Spark tables; the keys of a bucket are worked on together by one task.

    Args:
        kept: string columns of `asked` that name the question; the result has them, `first_at`, `persons`, the
            measures and the windows, all long.
    """
    from pyspark.sql import functions as F

    # One bucket a task: questions and changes of a key always meet, and Python is called a few times only.
    bucket = F.pmod(F.xxhash64("key"), F.lit(partitions(changes))).alias("bucket")
    left = changes.select(bucket, "key", "person", "at", *MEASURES)
    right = asked.select(bucket, *dict.fromkeys([*kept, "key", "person", "at"]))
    schema = ", ".join(
        [*(f"{name} string" for name in kept)]
        + [f"{name} long" for name in ("first_at", "persons", *MEASURES, *windows)]
    )
    grouped = left.groupBy("bucket").cogroup(right.groupBy("bucket"))
    return grouped.applyInArrow(partial(_bucket, windows, list(kept)), schema)
