"""Edge weights with a meaning, and the person-to-person links they make: how much a link says, as of a time.

weight = base(relation) x rarity(persons at the node) x recency(last seen) x reciprocity x (0 at a hub, else 1)

Rarity ln 2 / ln(persons) is Adamic and Adar 2003, "Friends and neighbors on the Web", scaled so that a node of two
persons counts whole. `algorithms.weight_fitting` learns the bases from labels; `rules/weights.yml` holds the defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from algorithms.hubs.beside import beside, held, owners, seen
from algorithms.hubs.bridges import barred
from graph.as_of import utc
from graph.lake import Lake

DEFAULTS = Path(__file__).parent / "rules" / "weights.yml"
DAY_S = 86_400
MOST = 0.99  # of one piece of evidence: nothing is certain, and ln(1 - weight) stays finite
SHARED = (
    "uses_device", "holds_sim", "uses_phone", "paid_with", "owns_account", "lives_at", "works_at", "has_phone",
    "seen_on", "lists_contact",
)  # fmt: skip
DIRECT = ("direct_contact", "called", "guarantees", "same_person", "related_to", "transferred")
_EVIDENCE = "src string, dst string, relation string, nodes array<string>, strength double"


class WeightsFileError(Exception):
    """The file of weights cannot be used; the text says what is wrong with it."""


class RelationWeight(BaseModel):
    """Base and half-life of one relation, and the labeled pairs behind the base (0 where it is the default)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base: float = Field(gt=0, lt=1)
    half_life_days: float = Field(gt=0)
    pairs: int = 0
    positive_pairs: int = 0
    source: Literal["default", "fitted"] = "default"


class Parameters(BaseModel):
    """All that the formula needs; `relations` by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    pair_cap: int = Field(ge=2)
    reciprocity_bonus: float = Field(ge=0)
    minimum_pairs: int = Field(ge=1)
    prior_pairs: float = Field(gt=0)
    relations: dict[str, RelationWeight]


def defaults(path: Path = DEFAULTS) -> Parameters:
    """Return the parameters of a file.

    Raises:
        WeightsFileError: a relation is missing or unknown, or a value is out of its range.
    """
    try:
        found = Parameters.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise WeightsFileError(f"{path.name} holds no weights: {error}") from error
    wanted = {*SHARED, *DIRECT}
    if wanted != set(found.relations):
        raise WeightsFileError(
            f"{path.name} lacks {sorted(wanted - set(found.relations))} and names "
            f"{sorted(set(found.relations) - wanted)}, which are no relations. Give each relation of the formula once."
        )
    return found


def rarity(persons: Column) -> Column:
    """Return ln 2 / ln(persons): 1 for a node of two persons or fewer, 0.63 for three, 0.09 for 3,000."""
    return F.lit(math.log(2)) / F.log(F.greatest(persons, F.lit(2)).cast("double"))


def recency(last_seen_at: Column, at: datetime, half_life_days: Column | float) -> Column:
    """Return 2^(-age / half-life), the age from `last_seen_at` to `at`: 1 for a link seen at `at`."""
    age = F.unix_timestamp(F.lit(utc(at))) - F.unix_timestamp(last_seen_at)
    half_life = half_life_days if isinstance(half_life_days, Column) else F.lit(half_life_days)
    return F.pow(F.lit(2.0), -F.greatest(age, F.lit(0)) / (half_life * DAY_S))


def weights(
    edges: DataFrame, relation: str, at: datetime, hubs: DataFrame, parameters: Parameters | None = None
) -> DataFrame:
    """Return an edge table with `weight` replaced by the formula's; no row is dropped, one at a hub has weight 0.

    Args:
        edges: `src`, `dst`, `last_seen_at` as of `at`; where the relation is one of `SHARED`, `src` is a person and
            `dst` the node that persons share, and all the node's edges must be there for its rarity.
        relation: a name in `rules/weights.yml`.
        hubs: what `algorithms.hubs.registry.hubs` returned.
    """
    known = parameters or defaults()
    if relation not in known.relations:
        raise ValueError(
            f"{relation} has no weight; relations are {sorted(known.relations)}. Add it to the weights file."
        )
    weight = F.lit(known.relations[relation].base) * recency(
        F.col("last_seen_at"), at, known.relations[relation].half_life_days
    )
    rows = edges.drop("weight")
    if relation in SHARED:
        sizes = rows.groupBy("dst").agg(F.countDistinct("src").alias("_persons"))
        rows = rows.join(sizes, "dst")
        weight = weight * rarity(F.col("_persons"))
    if relation == "called":
        back = rows.select(F.col("src").alias("dst"), F.col("dst").alias("src"), F.lit(1.0).alias("_back")).distinct()
        rows = rows.join(back, ["src", "dst"], "left")
        weight = weight * (1 + F.coalesce("_back", F.lit(0.0)) * known.reciprocity_bonus)
    for end in ("src", "dst"):
        rows = rows.join(
            F.broadcast(barred(hubs).select(F.col("id").alias(end), F.lit(True).alias(f"_{end}_hub"))), end, "left"
        )
    open_ = F.col("_src_hub").isNull() & F.col("_dst_hub").isNull()
    weighted = rows.withColumn("weight", F.when(open_, F.least(weight, F.lit(MOST))).otherwise(F.lit(0.0)))
    return weighted.select(*(name for name in edges.columns if name != "weight"), "weight")


@dataclass(frozen=True)
class Evidence:
    """`links`: one row per pair, relation and node (`src` < `dst`); `stars`: nodes too large for pairs.

    `links` has `src`, `dst`, `relation`, `nodes` array, `strength` (the formula without its base). `stars` has
    `relation`, `node`, `persons`: more than the cap and no hub; views of stars look at them.
    """

    links: DataFrame
    stars: DataFrame


def evidence(
    spark: SparkSession, lake: Lake, at: datetime, hubs: DataFrame, parameters: Parameters | None = None
) -> Evidence:
    """Return what links persons as of `at`; no link goes through a hub that may not join."""
    known = parameters or defaults()
    shut = F.broadcast(barred(hubs).select("id").localCheckpoint())
    # Computed once and cut off from their plans, which are long.
    places = beside(spark, lake, at, SHARED).join(shut, "id", "left_anti").localCheckpoint()
    sizes = places.groupBy("via", "id").agg(F.count("*").alias("persons")).where(F.col("persons") >= 2)
    stars = sizes.where(F.col("persons") > known.pair_cap).select(
        F.col("via").alias("relation"), F.col("id").alias("node"), "persons"
    )
    shared = places.join(sizes.where(F.col("persons") <= known.pair_cap), ["via", "id"])
    one = shared.select("via", "id", "persons", F.col("person_id").alias("src"), F.col("last_seen_at").alias("a"))
    two = shared.select("via", "id", F.col("person_id").alias("dst"), F.col("last_seen_at").alias("b"))
    pairs = one.join(two, ["via", "id"]).where(F.col("src") < F.col("dst"))
    # Seen together last when the earlier of the two was last there.
    fresh = recency(F.least("a", "b"), at, _by_relation(F.col("via"), known))
    at_nodes = pairs.select(
        "src", "dst", F.col("via").alias("relation"), F.array("id").alias("nodes"),
        (rarity(F.col("persons")) * fresh).alias("strength"),
    )  # fmt: skip
    parts = [at_nodes, *(part.localCheckpoint() for part in _direct(spark, lake, at, shut, known))]
    return Evidence(reduce(DataFrame.unionByName, parts), stars)


def person_links(
    spark: SparkSession, lake: Lake, at: datetime, hubs: DataFrame, parameters: Parameters | None = None
) -> DataFrame:
    """Return weighted links between persons: `src` < `dst` (key), `weight` in (0, 1), `relations`, `nodes` (sorted).

    weight = 1 - product over the pieces of evidence of (1 - base x strength): several weak links make a strong one,
    and none makes it certain. Pairs are made at nodes of 2 to `pair_cap` persons; larger ones are hubs or
    `Evidence.stars`.
    A direct link (a call, a guarantee, a transfer) names the phones or accounts it went through as `nodes`.
    """
    known = parameters or defaults()
    return combined(evidence(spark, lake, at, hubs, known).links, known)


def combined(links: DataFrame, parameters: Parameters) -> DataFrame:
    """Return the pairs of `Evidence.links` with their weights; the order of the rows does not change a digit."""
    bases = {name: relation.base for name, relation in parameters.relations.items()}
    piece = F.log1p(-F.least(_looked_up(F.col("relation"), bases) * F.col("strength"), F.lit(MOST)))
    pieces = F.array_sort(F.collect_list(piece))  # a sum of doubles depends on the order of the rows
    return (
        links.groupBy("src", "dst")
        .agg(
            (-F.expm1(F.aggregate(pieces, F.lit(0.0), lambda total, x: total + x))).alias("weight"),
            F.array_sort(F.collect_set("relation")).alias("relations"),
            F.array_sort(F.array_distinct(F.flatten(F.collect_list("nodes")))).alias("nodes"),
        )
        .select("src", "dst", "weight", "relations", "nodes")
    )


def _looked_up(name: Column, values: dict[str, float]) -> Column:
    pairs = [F.lit(x) for item in sorted(values.items()) for x in item]
    return F.element_at(F.create_map(*pairs), name)


def _by_relation(name: Column, parameters: Parameters) -> Column:
    return _looked_up(name, {n: r.half_life_days for n, r in parameters.relations.items()})


def _paired(rows: DataFrame, relation: str, at: datetime, known: Parameters, factor: Column) -> DataFrame:
    """Return evidence of rows with `a`, `b` (persons), `nodes`, `last_seen_at`, one per unordered pair and nodes."""
    strength = factor * recency(F.col("last_seen_at"), at, known.relations[relation].half_life_days)
    return (
        rows.where(F.col("a") != F.col("b"))
        .select(
            F.least("a", "b").alias("src"), F.greatest("a", "b").alias("dst"), F.lit(relation).alias("relation"),
            F.array_sort("nodes").alias("nodes"), strength.alias("strength"),
        )
        .groupBy("src", "dst", "relation", "nodes")
        .agg(F.max("strength").alias("strength"))
    )  # fmt: skip


def _direct(spark: SparkSession, lake: Lake, at: datetime, shut: DataFrame, known: Parameters) -> list[DataFrame]:
    found = [_contacts(spark, lake, at, shut, known), _calls(spark, lake, at, shut, known)]
    for relation, table in (
        ("guarantees", "person_guarantees"), ("same_person", "same_person"), ("related_to", "related_to"),
    ):  # fmt: skip
        rows = seen(spark, lake, table, at)
        if rows is not None:
            score = F.max("score") if "score" in rows.columns else F.lit(1.0)
            folded = rows.groupBy(F.col("src").alias("a"), F.col("dst").alias("b")).agg(
                F.max("at").alias("last_seen_at"), score.alias("score")
            )
            folded = folded.withColumn("nodes", F.array().cast("array<string>"))
            found.append(_paired(folded, relation, at, known, F.coalesce("score", F.lit(1.0))))
    found.append(_transfers(spark, lake, at, shut, known))
    return [part for part in found if part is not None]


def _contacts(spark: SparkSession, lake: Lake, at: datetime, shut: DataFrame, known: Parameters) -> DataFrame | None:
    """One lists the other's own number; a number in very many books says little about each."""
    books, own = seen(spark, lake, "lists_contact", at), owners(spark, lake, at)
    if books is None or own is None:
        return None
    mine = own.select(F.col("phone").alias("dst"), F.col("person_id").alias("b")).join(
        shut.select(F.col("id").alias("dst")), "dst", "left_anti"
    )
    entries = books.groupBy("src", "dst").agg(F.max("at").alias("last_seen_at"))
    listed = entries.join(mine.select("dst").distinct(), "dst", "left_semi")
    sizes = listed.groupBy("dst").agg((F.count("*") + 1).alias("persons"))
    rows = listed.join(sizes, "dst").join(mine, "dst").select(
        F.col("src").alias("a"), "b", F.array("dst").alias("nodes"), "last_seen_at", "persons"
    )  # fmt: skip
    return _paired(rows, "direct_contact", at, known, rarity(F.col("persons")))


def _calls(spark: SparkSession, lake: Lake, at: datetime, shut: DataFrame, known: Parameters) -> DataFrame | None:
    """Calls between own numbers, while they were theirs; both ways says more."""
    calls, own = seen(spark, lake, "called", at), owners(spark, lake, at)
    if calls is None or own is None:
        return None
    one_way = calls.groupBy("src", "dst").agg(F.min("at").alias("first"), F.max("at").alias("last"))
    pairs = one_way.groupBy(F.least("src", "dst").alias("x"), F.greatest("src", "dst").alias("y")).agg(
        F.min("first").alias("first"), F.max("last").alias("last"), (F.count("*") == 2).alias("both")
    )
    for end, person in (("x", "a"), ("y", "b")):
        pairs = pairs.join(shut.select(F.col("id").alias(end)), end, "left_anti")
        holders = own.withColumnRenamed("phone", end).withColumnRenamed("person_id", person)
        pairs = pairs.join(holders, end).where(held("first", "last")).drop("held_from", "held_to")
    factor = F.when(F.col("both"), F.lit(1 + known.reciprocity_bonus)).otherwise(F.lit(1.0))
    rows = pairs.withColumn("nodes", F.array("x", "y")).withColumnRenamed("last", "last_seen_at")
    return _paired(rows, "called", at, known, factor)


def _transfers(spark: SparkSession, lake: Lake, at: datetime, shut: DataFrame, known: Parameters) -> DataFrame | None:
    paid, owned = seen(spark, lake, "transferred", at), seen(spark, lake, "person_owns_account", at)
    if paid is None or owned is None:
        return None
    rows = paid.groupBy("src", "dst").agg(F.max("at").alias("last_seen_at"))
    for end, person in (("src", "a"), ("dst", "b")):
        rows = rows.join(shut.select(F.col("id").alias(end)), end, "left_anti")
        theirs = owned.select(F.col("dst").alias(end), F.col("src").alias(person)).distinct()
        rows = rows.join(theirs, end)
    return _paired(rows.withColumn("nodes", F.array("src", "dst")), "transferred", at, known, F.lit(1.0))
