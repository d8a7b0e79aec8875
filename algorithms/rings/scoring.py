"""Figures, rules and scores of all candidate groups in one table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from algorithms.rings import conduct, figures
from algorithms.rings.groups import Groups
from algorithms.rings.rules import Rules

RING_PERSONS = 8  # of a usual ring: most have 3-12 persons
RING_VIEWS = 5  # in which rings are seen first
HIGHEST_PRIOR = -1.0


@dataclass(frozen=True)
class Reference:
    """What is usual in the whole snapshot: what a group is held against.

    `rates`: each fact's share of the persons of whom it is known. `marked`: share of known persons who never paid or
    are confirmed fraud. `usual`: view, usual_persons (99 % of the view's nodes have no more). `priors`: view, prior.
    """

    rates: dict[str, float]
    marked: float
    usual: pl.DataFrame
    priors: pl.DataFrame
    history_days: float


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


def reference(groups: Groups, people: pl.DataFrame, stars: pl.DataFrame) -> Reference:
    """Return what is usual in a snapshot.

    The prior of a view is ln(odds) that one of its groups is a ring, before anything is known of it: there are about
    as many rings as confirmed fraud leads to expect (`RING_PERSONS` each; 1 % of all persons where there are no
    verdicts), shared out over `RING_VIEWS` views. A view with many groups has many that are none.
    """
    verdicts = people["fraud_confirmed"].drop_nulls()
    share = ((verdicts.sum() or 0) + 1) / (len(verdicts) + 100)
    expected = max(1.0, len(people) * share / RING_PERSONS / RING_VIEWS)
    priors = (
        groups.table.group_by("view")
        .agg(n=pl.len())
        .select("view", prior=(expected / pl.col("n")).log().clip(upper_bound=HIGHEST_PRIOR))
    )
    known = people.filter(pl.col("missed_first_payment").is_not_null() | pl.col("fraud_confirmed").is_not_null())
    marked = (known.filter(conduct.is_marked()).height + 0.5) / (known.height + 1)
    sizes = (
        stars.unique(["view", "node"])
        .group_by("view")
        .agg(usual_persons=pl.col("node_persons").quantile(0.99, "higher"))
    )
    times = people["applied_at"].drop_nulls()
    first, last = times.min(), times.max()
    days = (
        (last - first).total_seconds() / 86_400 if isinstance(first, datetime) and isinstance(last, datetime) else 1.0
    )
    return Reference(conduct.base_rates(people), marked, sizes, priors, max(days, 1.0))


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
