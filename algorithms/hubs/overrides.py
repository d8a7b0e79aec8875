"""A person's word on a node: appended, never changed; the last word as of a time counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from algorithms.hubs.policy import HubKind, Override
from graph.as_of import utc
from graph.lake import Lake, has_table

_ROW = pa.schema(
    [(name, pa.string()) for name in ("id", "override", "kind", "user", "reason")] + [("at", pa.timestamp("us", "UTC"))]
)


class OverrideError(Exception):
    """An override lacks what makes it one; the text says what was found and what to do."""


def override(
    lake: Lake,
    id: str,
    word: Override,
    user: str,
    reason: str,
    kind: HubKind | None = None,
    at: datetime | None = None,
) -> None:
    """Append one row to `LAKE/results/hub_overrides`: id, word, kind (null: as the rules say), who, why, when.

    Raises:
        OverrideError: an empty id, user or reason, or a kind for a node that is no hub.
    """
    missing = [name for name, value in (("id", id), ("user", user), ("reason", reason)) if not value.strip()]
    if missing:
        raise OverrideError(
            f"An override needs an id, a user and a reason; empty: {', '.join(missing)}. Give them all."
        )
    if word == "not_hub" and kind is not None:
        raise OverrideError(f"A node that is no hub has no kind; found {kind}. Leave the kind out, or say `hub`.")
    row = {
        "id": id, "override": word, "kind": kind and str(kind), "user": user, "reason": reason,
        "at": utc(at or datetime.now(UTC)),
    }  # fmt: skip
    write_deltalake(lake.results("hub_overrides"), pa.Table.from_pylist([row], schema=_ROW), mode="append")


def overrides(spark: SparkSession, lake: Lake, at: datetime) -> DataFrame:
    """Return the last word on each node at `at` (inclusive): `id` (key), `override`, `override_kind`, `why`, `who`."""
    shape = "id string, override string, override_kind string, why string, who string"
    if not has_table(lake.results("hub_overrides")):
        return spark.createDataFrame([], shape)
    rows = spark.read.format("delta").load(str(lake.results("hub_overrides"))).where(F.col("at") <= F.lit(utc(at)))
    word = F.max(F.struct("at", "override", "kind", "reason", "user")).alias("last")
    return rows.groupBy("id").agg(word).select(
        "id", F.col("last.override").alias("override"), F.col("last.kind").alias("override_kind"),
        F.col("last.reason").alias("why"), F.col("last.user").alias("who"),
    )  # fmt: skip
