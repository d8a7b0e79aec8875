"""Links between two persons of a snapshot, and how much each says (`algorithms.weights` has the formula)."""

from __future__ import annotations

import math
from datetime import datetime

import polars as pl

from algorithms.weights import MOST, Parameters

LINK_VIEWS = ("device", "sim", "own_phone", "bank_card", "identity")
LINK_TIES = ("emergency", "guarantee", "transfer", "same_person", "kin")
LINK_PERSONS = 6
KIN_LISTERS = 6  # of one number as kin: beyond it the number is known for another reason
# The relation of `rules/weights.yml` that a view, or a kind of tie, is.
RELATION_OF = {
    "device": "uses_device", "sim": "holds_sim", "own_phone": "uses_phone", "bank_card": "paid_with",
    "identity": "same_person", "address": "lives_at", "employer": "works_at", "employer_phone": "has_phone",
    "network": "seen_on", "contact": "lists_contact", "emergency": "direct_contact", "kin": "direct_contact",
    "friend": "direct_contact", "call": "called", "guarantee": "guarantees", "transfer": "transferred",
    "same_person": "same_person", "related": "related_to",
}  # fmt: skip


def pairs(stars: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return the pairs of persons (a < b) beside one node, with view and node, for nodes of at most `limit` persons."""
    small = stars.with_columns(n=pl.len().over("view", "node")).filter(pl.col("n") <= limit)
    both = small.select("view", "node", "n", a="person").join(
        small.select("view", "node", b="person"), on=["view", "node"]
    )
    return both.filter(pl.col("a") < pl.col("b"))


def kin_links(stars: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs (a, b) who both call one number kin or emergency contact, where few do."""
    near = stars.filter((pl.col("view") == "contact") & pl.col("listed"))
    return pairs(near, KIN_LISTERS).select("a", "b").unique()


def strong_links(stars: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs (a < b) linked by what few people share: handsets, cards, own numbers, money, close kin."""
    linked = pairs(stars.filter(pl.col("view").is_in(LINK_VIEWS)), LINK_PERSONS).select("a", "b")
    tied = ties.filter(pl.col("kind").is_in(LINK_TIES)).select(
        a=pl.min_horizontal("src", "dst"), b=pl.max_horizontal("src", "dst")
    )
    return pl.concat([linked, tied, kin_links(stars)], how="vertical_relaxed").unique().sort("a", "b")


def mutual_links(ties: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs (a < b) who list each other's numbers."""
    listed = ties.filter(pl.col("kind").is_in(["contact", "friend", "kin", "emergency"])).select("src", "dst").unique()
    both = listed.join(listed.select(src="dst", dst="src"), on=["src", "dst"], how="semi")
    return both.filter(pl.col("src") < pl.col("dst")).select(a="src", b="dst").sort("a", "b")


def same_human(stars: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs (a < b) of customer numbers that seem to be one human: one id number, own number or card."""
    twins = pairs(stars.filter(pl.col("view").is_in(["identity", "own_phone", "bank_card"])), LINK_PERSONS)
    same = ties.filter(pl.col("kind") == "same_person").select(
        a=pl.min_horizontal("src", "dst"), b=pl.max_horizontal("src", "dst")
    )
    return pl.concat([twins.select("a", "b"), same], how="vertical_relaxed").unique()


def weighted_links(
    stars: pl.DataFrame, ties: pl.DataFrame, chosen: pl.DataFrame, parameters: Parameters, at: datetime
) -> pl.DataFrame:
    """Return the pairs of `chosen` (a < b) with the weight of all that links them.

    weight = 1 - product over the pieces of evidence of (1 - base x rarity x recency), as in `algorithms.weights`, of
    the relations the snapshot holds. The result is ordered by a, b.
    """
    views = [view for view in RELATION_OF if view in set(stars["view"].unique())]
    shared = pairs(stars.filter(pl.col("view").is_in(views)), parameters.pair_cap).join(
        chosen, on=["a", "b"], how="semi"
    )
    near = shared.join(stars.select("view", "node", "last_at", a="person"), on=["view", "node", "a"]).join(
        stars.select("view", "node", other="last_at", b="person"), on=["view", "node", "b"]
    )
    at_nodes = near.select(
        "a", "b", relation=pl.col("view").replace_strict(RELATION_OF),
        seen=pl.min_horizontal("last_at", "other"), rarity=math.log(2) / pl.col("n").cast(pl.Float64).log(),
    )  # fmt: skip
    direct = ties.select(
        a=pl.min_horizontal("src", "dst"), b=pl.max_horizontal("src", "dst"),
        relation=pl.col("kind").replace_strict({**RELATION_OF, "contact": "direct_contact"}),
        seen="first_at", rarity=pl.lit(1.0),
    ).join(chosen, on=["a", "b"], how="semi")  # fmt: skip
    pieces = pl.concat([at_nodes, direct], how="vertical_relaxed")
    base = {name: told.base for name, told in parameters.relations.items()}
    half_life = {name: told.half_life_days for name, told in parameters.relations.items()}
    age = (
        pl.lit(at).dt.replace_time_zone(None) - pl.col("seen").dt.replace_time_zone(None)
    ).dt.total_seconds() / 86_400
    fresh = (-age.clip(lower_bound=0) / pl.col("relation").replace_strict(half_life) * math.log(2)).exp()
    strength = (pl.col("relation").replace_strict(base) * pl.col("rarity") * fresh).clip(upper_bound=MOST)
    logs = pieces.select("a", "b", log=(-strength).log1p()).sort("a", "b", "log")
    return logs.group_by("a", "b", maintain_order=True).agg(weight=-(pl.col("log").sum().exp() - 1)).sort("a", "b")
