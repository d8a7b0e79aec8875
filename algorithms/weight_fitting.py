"""Bases of edge weights from labels known as of a day: does a link of this kind carry fraud from one to the other?

Taken are pairs of labeled persons of whom at least one is fraud: pairs of two honest persons say nothing about what
a link to fraud means. A logistic regression (Cox 1958) tells how likely the other is fraud too, from the strength of
each relation between them, against p0, the share of fraud among the labeled, at no link at all:

    logit P(both fraud) = b0 + sum over relations of b(r) x strength(r)
    seen(r) = (P(r at strength 1) - p0) / (1 - p0)          the chance of going together beyond chance, in [0.01, 0.99]
    base(r) = (pairs(r) x seen(r) + prior x default(r)) / (pairs(r) + prior)          shrunk to the default

A relation with fewer than `minimum_pairs` such pairs keeps its default.
"""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression

from algorithms.hubs.features import verdicts
from algorithms.weights import MOST, Parameters, RelationWeight, defaults, evidence
from graph.lake import Lake, has_table

LEAST = 0.01
_TABLE = pa.schema([
    ("as_of_date", pa.date32()), ("relation", pa.string()), ("base", pa.float64()), ("half_life_days", pa.float64()),
    ("pairs", pa.int64()), ("positive_pairs", pa.int64()), ("source", pa.string()),
])  # fmt: skip


def labeled_pairs(links: DataFrame, known: DataFrame) -> DataFrame:
    """Return `src`, `dst`, `relation`, `strength` (summed over nodes), `both`: two labels, one fraud.

    Args:
        links: `Evidence.links`.
        known: `person_id`, `fraud`: the verdicts known at the time.
    """
    rows = links.select("src", "dst", "relation", "strength")
    for end in ("src", "dst"):
        rows = rows.join(known.select(F.col("person_id").alias(end), F.col("fraud").alias(f"{end}_fraud")), end)
    some = rows.where(F.col("src_fraud") | F.col("dst_fraud"))
    both = (F.col("src_fraud") & F.col("dst_fraud")).alias("both")
    return some.groupBy("src", "dst", "relation", both).agg(F.sum("strength").alias("strength"))


def fitted(
    parameters: Parameters, relations: list[str], strength: np.ndarray, both: np.ndarray, fraud_ratio: float
) -> Parameters:
    """Return the parameters with the bases that labeled pairs speak for, shrunk to those given.

    Args:
        relations: name of each column of `strength`.
        strength: float64, shape (P, R), summed strength of each relation in each pair.
        both: bool, shape (P,), whether both are fraud.
        fraud_ratio: share of fraud among labeled persons, in (0, 1).
    """
    pairs = (strength > 0).sum(axis=0)
    positive = (strength[both] > 0).sum(axis=0)
    counted = {
        name: parameters.relations[name].model_copy(update={"pairs": int(n), "positive_pairs": int(k)})
        for name, n, k in zip(relations, pairs, positive, strict=True)
    }
    enough = np.flatnonzero(pairs >= parameters.minimum_pairs)
    if len(enough) and 0 < fraud_ratio < 1:
        # As many pairs without a link as with one, at the share of fraud there is: they hold the intercept.
        x = np.vstack([strength, np.zeros((2, strength.shape[1]))])
        y = np.concatenate([both, [True, False]])
        weight = np.concatenate([np.ones(len(both)), len(both) * np.array([fraud_ratio, 1 - fraud_ratio])])
        model = LogisticRegression(max_iter=1_000).fit(x, y, sample_weight=weight)
        for place in enough:
            name = relations[place]
            chance = 1 / (1 + np.exp(-(model.intercept_[0] + model.coef_[0, place])))
            seen = float(np.clip((chance - fraud_ratio) / (1 - fraud_ratio), LEAST, MOST))
            prior, n = parameters.prior_pairs, float(pairs[place])
            base = (n * seen + prior * parameters.relations[name].base) / (n + prior)
            counted[name] = counted[name].model_copy(update={"base": round(base, 6), "source": "fitted"})
    return parameters.model_copy(update={"relations": {**parameters.relations, **counted}})


def fit(
    spark: SparkSession, lake: Lake, at: datetime, hubs: DataFrame, parameters: Parameters | None = None
) -> Parameters:
    """Return the parameters fitted on the verdicts known at `at` (inclusive), with the pairs behind each relation."""
    start = parameters or defaults()
    known = verdicts(spark, lake, at).localCheckpoint()
    share = known.agg(F.avg(F.col("fraud").cast("double"))).collect()[0][0]
    if not share:
        return start
    rows = labeled_pairs(evidence(spark, lake, at, hubs, start).links, known).toPandas()
    relations = sorted(start.relations)
    if rows.empty:
        return start
    table = rows.pivot_table(index=["src", "dst", "both"], columns="relation", values="strength", fill_value=0.0)
    table = table.reindex(columns=relations, fill_value=0.0).sort_index()
    both = table.index.get_level_values("both").to_numpy(dtype=bool)
    return fitted(start, relations, table.to_numpy(dtype=np.float64), both, float(share))


def write_weights(lake: Lake, day: date, parameters: Parameters) -> int:
    """Write a day's parameters to `LAKE/results/edge_weights` in place of that day's rows; return how many relations.

    Key (`as_of_date`, `relation`). `pairs` and `positive_pairs` are the labeled pairs seen; `source` is `default` or
    `fitted`.
    """
    rows = [
        {"as_of_date": day, "relation": name, **relation.model_dump()}
        for name, relation in sorted(parameters.relations.items())
    ]
    path = lake.results("edge_weights")
    predicate = f"as_of_date = '{day.isoformat()}'" if has_table(path) else None
    write_deltalake(path, pa.Table.from_pylist(rows, schema=_TABLE), mode="overwrite", predicate=predicate)
    return len(rows)


def written_weights(lake: Lake, day: date) -> Parameters:
    """Return the newest parameters written for a day not after `day`; the defaults where there are none."""
    start, path = defaults(), lake.results("edge_weights")
    if not has_table(path):
        return start
    rows = [row for row in DeltaTable(path).to_pyarrow_table().to_pylist() if row["as_of_date"] <= day]
    newest = max((row["as_of_date"] for row in rows), default=None)
    found = {
        row["relation"]: RelationWeight(**{k: v for k, v in row.items() if k not in ("as_of_date", "relation")})
        for row in rows
        if row["as_of_date"] == newest and row["relation"] in start.relations
    }
    return start.model_copy(update={"relations": {**start.relations, **found}})


def registered_hubs(spark: SparkSession, lake: Lake, day: date) -> DataFrame:
    """Return the newest registry of hubs of a day not after `day`: `id`, `kind`, `joins`; without rows if none."""
    path = lake.results("hubs")
    if not has_table(path):
        return spark.createDataFrame([], "id string, kind string, joins boolean")
    rows = spark.read.format("delta").load(str(path)).where(F.col("as_of_date") <= F.lit(day))
    newest = rows.agg(F.max("as_of_date")).collect()[0][0]
    return rows.where(F.col("as_of_date") == F.lit(newest)).select("id", "kind", "joins")
