"""Figures of candidate groups: what the rules of `rules/rings.yml` may ask about, one row a group."""

from __future__ import annotations

import numpy as np
import polars as pl

from algorithms.rings.conduct import FACTS, log_bayes_factor
from algorithms.rings.groups import Groups
from algorithms.rings.linking import pairs

_TOP = ("employer", "address", "network", "channel", "device")
_PAIR_LIMIT = 60  # persons at a node up to which its pairs are looked at inside a group
# Of one family's evidence, in ln. What people do with the money weighs more than how they look when they ask for it.
_CAPS = {"verdict": 6.0, "repayment": 6.0, "phone": 4.0, "calls": 4.0, "form": 2.0}


def conduct_figures(groups: Groups, people: pl.DataFrame, rates: dict[str, float]) -> pl.DataFrame:
    """Return for each group and fact how many of the known show it, and the evidence: `<fact>_count`, `_known`, `_ln`.

    `conduct` sums the evidence, the most telling fact of each family alone; groups made of defaulters (views that
    begin with `marked_`) get none: what chose them, and all that goes with it, is no evidence.
    """
    rows = groups.members.join(people.select("person", *(f.name for f in FACTS)), on="person")
    told = rows.group_by("group").agg(
        *(pl.col(f.name).sum().cast(pl.Float64).alias(f"{f.name}_count") for f in FACTS),
        *(pl.col(f.name).count().cast(pl.Float64).alias(f"{f.name}_known") for f in FACTS),
    )
    told = groups.table.select("group", "view").join(told, on="group", how="left")
    marked = told["view"].str.starts_with("marked_").to_numpy()
    best: dict[str, np.ndarray] = {}
    for fact in FACTS:
        ln = log_bayes_factor(
            told[f"{fact.name}_count"].to_numpy(), told[f"{fact.name}_known"].to_numpy(), rates[fact.name], fact.active
        )
        ln = np.where(marked, np.minimum(ln, 0.0), np.clip(ln, -_CAPS[fact.family], _CAPS[fact.family]))
        told = told.with_columns(pl.Series(f"{fact.name}_ln", ln))
        if fact.family in best:
            most = np.abs(ln) > np.abs(best[fact.family])
            best[fact.family] = np.where(most, ln, best[fact.family])
        else:
            best[fact.family] = ln
    return told.drop("view").with_columns(
        *(pl.Series(f"{family}_evidence", ln) for family, ln in best.items()),
        conduct=pl.Series(np.sum(list(best.values()), axis=0)),
    )


def time_figures(groups: Groups, people: pl.DataFrame, history_days: float) -> pl.DataFrame:
    """Return group, span_days (first to last first-application), burst (ln), begun_at, latest_at.

    `burst` is how much likelier the times are if the group applied within its span than if each member applied at any
    time of the history: (n - 2) ln(history / span), the two ends being what the span was chosen by.
    """
    rows = groups.members.join(people.select("person", "applied_at"), on="person")
    told = rows.group_by("group").agg(
        begun_at=pl.col("applied_at").min(), latest_at=pl.col("applied_at").max(), dated=pl.col("applied_at").count()
    )
    span = (pl.col("latest_at") - pl.col("begun_at")).dt.total_seconds() / 86_400
    apart = (history_days / pl.col("span_days").clip(lower_bound=1 / 24)).log().clip(lower_bound=0)
    told = told.with_columns(span_days=span)
    # Unsigned: a group of one dated person must not have a burst of 2**32 - 1.
    steps = (pl.col("dated").cast(pl.Int64) - 2).clip(lower_bound=0)
    return told.with_columns(burst=(steps * apart).fill_null(0.0)).drop("dated")


def shared_figures(groups: Groups, stars: pl.DataFrame) -> pl.DataFrame:
    """Return group and, for employer, address, network, channel and device, the share of members at the most common.

    `<what>_top_ratio`, and `own_device_ratio`: members with a handset nobody outside a household (two persons) uses.
    """
    told = groups.table.select("group", "persons")
    for what in _TOP:
        beside = groups.members.join(stars.filter(pl.col("view") == what).select("person", "node"), on="person")
        top = (
            beside.group_by("group", "node").agg(n=pl.col("person").n_unique()).group_by("group").agg(pl.col("n").max())
        )
        told = (
            told.join(top, on="group", how="left")
            .with_columns((pl.col("n").fill_null(0) / pl.col("persons")).alias(f"{what}_top_ratio"))
            .drop("n")
        )
    return told.drop("persons")


def star_figures(groups: Groups, stars: pl.DataFrame, usual: pl.DataFrame) -> pl.DataFrame:
    """Return group and, for groups beside one node: node_persons, node_share_ratio (members among them), usual_persons
    (99 % of the view's nodes have no more), events_mean, listed_ratio."""
    table = groups.table.with_columns(star=pl.col("view").str.strip_prefix("marked_"))
    sizes = stars.select("view", "node", "node_persons").unique()
    told = table.join(sizes, left_on=["star", "node"], right_on=["view", "node"], how="left")
    told = told.join(usual, left_on="star", right_on="view", how="left")
    beside = groups.members.join(table.select("group", "star", "node"), on="group").join(
        stars, left_on=["star", "node", "person"], right_on=["view", "node", "person"]
    )
    means = beside.group_by("group").agg(
        events_mean=pl.col("events").mean(), listed_ratio=pl.col("listed").fill_null(False).mean()
    )
    return told.join(means, on="group", how="left").select(
        "group", "node_persons", "usual_persons", "events_mean", "listed_ratio",
        node_share_ratio=pl.col("persons") / pl.col("node_persons"),
    )  # fmt: skip


def excess_figures(groups: Groups, stars: pl.DataFrame, base: float) -> pl.DataFrame:
    """Return group, excess, for groups of defaulters beside one node: evidence (ln) that the node has too many."""
    marked = groups.table.filter(pl.col("view").str.starts_with("marked_")).select(
        "group", "node", star=pl.col("view").str.strip_prefix("marked_")
    )
    nodes = stars.select("view", "node", "node_known", "node_marked").unique()
    rows = marked.join(nodes, left_on=["star", "node"], right_on=["view", "node"])
    ln = log_bayes_factor(
        rows["node_marked"].cast(pl.Float64).to_numpy(), rows["node_known"].cast(pl.Float64).to_numpy(), base, 0.5
    )
    return rows.select("group", excess=pl.Series(ln))


def inner_figures(groups: Groups, stars: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Return group and the share of members tied to another member: by kin, calls (30 s and more), handset, money, …"""
    linked = pairs(stars.filter(pl.col("view").is_in(["device", "sim", "own_phone", "bank_card", "identity"])), 12)
    views = {"handset": ["device"], "card": ["sim"], "same_human": ["own_phone", "bank_card", "identity"]}
    kinds = {
        "kin": ["kin", "emergency"], "talk": ["call"], "money": ["transfer", "guarantee"], "twin": ["same_person"],
        "friend": ["friend"],
    }  # fmt: skip
    edges = [linked.filter(pl.col("view").is_in(v)).select("a", "b", kind=pl.lit(name)) for name, v in views.items()]
    for name, of in kinds.items():
        rows = ties.filter(pl.col("kind").is_in(of))
        if name == "talk":
            rows = rows.filter(pl.col("seconds") >= 30 * pl.col("events"))
        edges.append(rows.select(
            a=pl.min_horizontal("src", "dst").cast(pl.UInt32), b=pl.max_horizontal("src", "dst").cast(pl.UInt32),
            kind=pl.lit(name),
        ))  # fmt: skip
    every = pl.concat([e.select(pl.col("a", "b").cast(pl.UInt32), "kind") for e in edges]).unique()
    small = groups.members.join(groups.table.select("group", "persons"), on="group").filter(pl.col("persons") <= 400)
    inside = (
        small.select("group", a="person")
        .join(every, on="a")
        .join(small.select("group", b="person"), on=["group", "b"], how="semi")
    )
    touched = pl.concat([inside.select("group", "kind", person="a"), inside.select("group", "kind", person="b")])
    shares = touched.group_by("group", "kind").agg(n=pl.col("person").n_unique())
    wide = shares.pivot(on="kind", index="group", values="n") if len(shares) else shares.select("group").unique()
    told = groups.table.select("group", "persons").join(wide, on="group", how="left")
    names = [*views, *kinds]
    told = told.with_columns(pl.lit(0).alias(n) for n in names if n not in told.columns)
    return told.select("group", *((pl.col(n).fill_null(0) / pl.col("persons")).alias(f"{n}_ratio") for n in names))


def own_device_figures(groups: Groups, stars: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Return group, own_device_ratio: members who also use a handset that at most two persons use."""
    crowded = stars.filter((pl.col("view") == "device") & (pl.col("node_persons") > 2))
    shared = crowded.group_by("person").agg(crowded=pl.col("node").n_unique())
    told = people.select("person", "handsets").join(shared, on="person", how="left")
    own = told.select("person", own=pl.col("handsets") > pl.col("crowded").fill_null(0))
    return groups.members.join(own, on="person").group_by("group").agg(own_device_ratio=pl.col("own").mean())
