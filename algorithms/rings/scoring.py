"""Figures, rules and scores of all candidate groups in one table."""

from __future__ import annotations

import polars as pl

from algorithms.rings import conduct, figures
from algorithms.rings.groups import Groups
from algorithms.rings.reference import Reference
from algorithms.rings.rules import Rules


def with_node_figures(stars: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Add to each row of the stars what its node is like: node_persons, node_known, node_marked (persons)."""
    told = people.select(
        "person", known=pl.col("missed_first_payment").is_not_null() | pl.col("fraud_confirmed").is_not_null(),
        marked=conduct.is_marked(),
    )  # fmt: skip
    nodes = (
        stars.join(told, on="person")
        .group_by("view", "node")
        .agg(node_persons=pl.len(), node_known=pl.col("known").sum(), node_marked=pl.col("marked").sum())
    )
    return stars.join(nodes, on=["view", "node"])


def scored_groups(
    groups: Groups,
    people: pl.DataFrame,
    stars: pl.DataFrame,
    ties: pl.DataFrame,
    hubs: pl.DataFrame,
    rules: Rules,
    usual: Reference,
) -> pl.DataFrame:
    """Return one row a group with every figure, `structure`, `rule`, `remark`, `conduct`, `logit`.

    Args:
        stars: from `with_node_figures`.
        hubs: node, hub_kind: nodes that an honest reason explains.
    """
    rows = groups.table
    for part in (
        figures.conduct_figures(groups, people, usual.rates),
        figures.time_figures(groups, people, usual.history_days),
        figures.shared_figures(groups, stars),
        figures.star_figures(groups, stars, usual.usual),
        figures.inner_figures(groups, stars, ties),
        figures.own_device_figures(groups, stars, people),
        figures.excess_figures(groups, stars, usual.marked),
    ):
        rows = rows.join(part, on="group", how="left")
    rows = rows.join(usual.priors, on="view", how="left")
    rows = rows.join(hubs.select("node", "hub_kind").unique("node"), on="node", how="left")
    return rules.scored(rows)
