# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A data set as of a day
#
# Everything a model may learn from, as it was known at a moment: by when things happened and by when the lender was
# told. For a lake of your own set `OWN_LAKE`, its last night and how it was filled, two cells below; without it a small
# synthetic one is made, with more fraud and more verdicts than a lender has, so that there is something to learn.

# %%
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from rich.console import Console

from algorithms.features.build import build as build_features
from gnn.data.lake import build as build_store
from gnn.data.store import NEVER, open_store
from gnn.sampling.pyg import node_loader
from gnn.sampling.temporal import TemporalSampler
from gnn.training.parts import read_seeds, with_repayment
from graph import as_of
from graph.lake import Lake
from graph.schema import EDGES
from graph.spark import SparkOnDemand
from ingest import graph_tables
from ingest.mapping import Mapping
from ingest.run import ingest
from ingest.synthetic import write_world

if Path.cwd().name == "notebooks":
    os.chdir("..")
HOME = Path(os.environ.get("NOTEBOOK_HOME", ".local/notebooks"))
spark = SparkOnDemand("notebook", Console(quiet=True))

# %% [markdown]
# ## A lake, and as of when
#
# Of the synthetic one two nights are delivered: the whole history on the first, as a lender's first load does, and a
# day's news on the second. About two minutes.

# %%
OWN_LAKE = None  # Path("/path/to/lake")
LAST_NIGHT = date(2026, 6, 30)
BY_DELIVERY = False  # True for a lake that was filled night by night
lake = Lake(OWN_LAKE or HOME / "lake")


def end_of(day):
    return datetime.combine(day, datetime.max.time(), UTC)


if OWN_LAKE is None and not lake.root.exists():
    write_world(
        None, HOME, applicants=3_000, nights=2, seed=5, book_median=12, book_p99=60, labeled_share=0.9,
        fraud_among_labeled=0.1, labeled_fraud_share=0.9, label_delay_days=(10, 45),
    )  # fmt: skip
    report = ingest(spark, lake, HOME / "landing", LAST_NIGHT, Mapping(), HOME / "keys.json")
    graph_tables.build(spark(), lake, end_of(LAST_NIGHT), report.touched)
    # What was known around each application. In a lender's lake the nights have written it already.
    build_features(spark(), lake, date(2025, 1, 1), LAST_NIGHT, by_delivery=False)

# %% [markdown]
# ## What did we know at the end of a day?
#
# `graph.as_of` is the one door to the lake's past. It gives the edges whose events had happened and had been delivered.

# %%
uses_phone = next(edge for edge in EDGES if edge.relationship == "USES_PHONE")
for days in (0, 1, 2):
    at = end_of(LAST_NIGHT) - timedelta(days=days)
    print(f"{at:%Y-%m-%d}: {as_of.edges(spark(), lake, uses_phone, at).count():,} edges {uses_phone.relationship}")

# %% [markdown]
# Before the first delivery nothing at all was known. To train on such a history one sets delivery dates aside
# (`by_delivery=False`): each row then counts from its event on. For a lake that was filled night by night leave it at
# `True`.
#
# ## The graph as arrays
#
# For every relation the edges by the node they end in, in order of time, memory-mapped. Less than a minute.

# %%
STORE = HOME / "store"
build_store(spark(), lake, end_of(LAST_NIGHT), STORE, by_delivery=BY_DELIVERY)

# %%
spark.stop()
store = open_store(STORE)
print(store)
pl.DataFrame({"relation": [" ".join(r.key) for r in store.relations], "edges": [len(r) for r in store.relations]}).sort(
    "edges", descending=True
).head(12)

# %% [markdown]
# ## Seeds: one row for each application, at the minute it was made
#
# `label` is 1, 0, or −1 where nothing is known at the store's day, `label_since` when it became known. Beside verdicts
# there is repayment: whether the first instalment was missed.

# %%
seeds = read_seeds(STORE)
repaid = with_repayment(seeds, store)


def by_month(rows):  # counts of a month's applications
    month = pl.from_epoch("at", "us").dt.truncate("1mo").alias("month")
    known = (pl.col("label") >= 0).sum().alias("known")
    return rows.group_by(month).agg(pl.len().alias("applications"), known, (pl.col("label") == 1).sum().alias("ones"))


by_month(seeds).join(by_month(repaid), "month", suffix="_missed").sort("month")

# %% [markdown]
# Labels come late: one who trains on the last month finds hardly any. That is the truth of the day, not a gap to fill.

# %%
late = [
    (rows["label_since"] - rows["at"]).filter((rows["label"] >= 0) & (rows["label_since"] < NEVER)) / 86_400e6
    for rows in (seeds, repaid)
]
plt.hist(late, bins=40, label=["verdict", "first instalment"])
plt.xlabel("days from application to label")
plt.ylabel("applications")
_ = plt.legend()
# %% [markdown]
# ## A neighborhood as of the minute
#
# The sampler never returns an edge later than the seed's time, at any hop. The same application asked about a month
# later sees more; asked about at its own minute it sees the same forever.

# %%
sampler = TemporalSampler(store, [15, 10])
row, at = seeds.select("node", "at").row(len(seeds) // 2)
for days in (0, 30, 90):
    batch = sampler.sample("Application", np.array([row]), np.array([at + days * 86_400_000_000]))
    latest = max(int(store.relations[e.relation].since[e.position].max()) for e in batch.edges if len(e.position))
    print(
        f"{days:3} days after: {sum(len(n.rows) for n in batch.nodes.values()):5,} nodes, newest edge "
        f"{(latest - at) / 86_400e6:+.1f} days from the application"
    )

# %% [markdown]
# ## PyTorch Geometric
#
# Batches come through PyG's own loader, so any of its models can be trained on them.

# %%
loader = node_loader(store, sampler, "Application", seeds["node"].to_torch(), seeds["at"].to_torch(), batch_size=64)
batch = next(iter(loader))
print({label: tuple(batch[label].x.shape) for label in batch.node_types if "x" in batch[label]})
print(f"{len(batch.edge_types)} relations, {sum(batch[kind].edge_index.shape[1] for kind in batch.edge_types):,} edges")
