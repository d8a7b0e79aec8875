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
# # A first look at the graph
#
# What `make demo` left in the local Neo4j: how much of what, the surest ring and why it is one, a person's surroundings
# as a networkx graph with its groups, and the same question asked with py2neo. Ids are tokens; no name or number is
# shown anywhere.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import networkx as nx
import polars as pl
from neo4j import Result, RoutingControl

from algorithms.communities.ego import ego_network, partition
from graph.notebook import py2neo_graph
from graph.reader import GraphReader
from graph.server import connect
from graph.settings import Neo4jSettings, PlatformSettings

if Path.cwd().name == "notebooks":
    os.chdir("..")
driver = connect(Neo4jSettings(), PlatformSettings().cache)
reader = GraphReader(driver, timeout_s=30)
nodes, relationships = reader.totals()

# %% [markdown]
# ## How much of what

# %%
figure, sides = plt.subplots(1, 2, figsize=(11, 4))
for side, counts, title in zip(sides, (nodes, relationships), ("nodes", "relationships"), strict=True):
    shown = sorted((count, name) for name, count in counts.items() if count)
    side.barh([name for _, name in shown], [count for count, _ in shown])
    side.set(xscale="log", title=f"{sum(counts.values()):,} {title}")
figure.tight_layout()

# %% [markdown]
# ## The rings of last night, surest first

# %%
rings = reader.rings(order="score", limit=20).rows
pl.DataFrame(
    {
        "ring": [r.id for r in rings], "score": [r.score for r in rings], "typology": [r.typology for r in rings],
        "persons": [r.size for r in rings], "status": [r.status for r in rings],
        "exposure_cny": [r.exposure_cny for r in rings],
    }
)  # fmt: skip

# %% [markdown]
# Why is the first one a ring? Every sentence rests on nodes and relationships of the graph.

# %%
ring = reader.ring(rings[0].id)
for evidence in ring.evidence:
    print("-", evidence.text)
for member in ring.members[:3]:
    print(member.person_id, member.role, member.score)

# %% [markdown]
# ## What binds the ring
#
# Whatever at least two of its persons touch: devices, cards, addresses, networks, numbers they use or list. The
# official driver turns an answer into a data frame.

# %%
SHARED = """
MATCH (p:Person)-[:MEMBER_OF]->(:Ring {id: $ring})
MATCH (p)-[r]-(thing) WHERE NOT thing:Ring AND NOT thing:Person
WITH thing, collect(DISTINCT p.id) AS persons, collect(DISTINCT type(r)) AS types
WHERE size(persons) > 1
WITH thing, persons, types ORDER BY size(persons) DESC, thing.id LIMIT 60
UNWIND persons AS person
RETURN person AS src, thing.id AS dst, labels(thing)[0] AS label, types
"""
shared = driver.execute_query(SHARED, ring=ring.id, routing_=RoutingControl.READ, result_transformer_=Result.to_df)
shared.groupby("label").agg(links=("dst", "size"), things=("dst", "nunique"))

# %%
ego = ego_network(pl.from_pandas(shared[["src", "dst"]]), shared.src[0], radius=4)
groups = partition(ego)  # python-louvain
label = dict(zip(shared.dst, shared.label, strict=True))
persons, things = [n for n in ego if n not in label], [n for n in ego if n in label]
place = nx.spring_layout(ego, seed=1)
figure, side = plt.subplots(figsize=(9, 7))
nx.draw_networkx_edges(ego, place, ax=side, alpha=0.3)
for kind, shape, size in ((persons, "o", 260), (things, "s", 50)):
    colors = [groups[node] for node in kind]
    nx.draw_networkx_nodes(
        ego, place, kind, node_color=colors, node_shape=shape, node_size=size, cmap="tab10", vmin=0, vmax=9, ax=side
    )
busy = sorted(things, key=ego.degree, reverse=True)[:12]
nx.draw_networkx_labels(ego, place, {node: label[node] for node in busy}, font_size=8, ax=side)
side.set_title(f"{len(persons)} persons (circles) and {len(things)} things that bind them (squares), color: group")
_ = side.axis("off")

# %% [markdown]
# ## The newest relations of one of them, and the counts before one asks for them

# %%
layer = reader.layer("Person", ring.members[0].person_id, limit=10)
print(f"{layer.total:,} relationships in all")
pl.DataFrame(
    {"type": [c.relationship for c in layer.counts], "direction": [str(c.direction) for c in layer.counts],
     "count": [c.count for c in layer.counts]}
)  # fmt: skip

# %%
pl.DataFrame(
    {"seen": [row.last_seen_at for row in layer.page.rows], "type": [row.relationship for row in layer.page.rows],
     "other": [row.id for row in layer.page.rows]}
)  # fmt: skip

# %% [markdown]
# ## The same with py2neo
#
# py2neo is no longer maintained, so the product uses the official driver; for notebooks that know it already it works.

# %%
py2neo_graph(Neo4jSettings(), PlatformSettings().cache).run(
    "MATCH (p:Person)-[m:MEMBER_OF]->(r:Ring) RETURN r.typology AS typology, count(DISTINCT r) AS rings, "
    "count(p) AS persons ORDER BY persons DESC"
).to_data_frame()

# %%
driver.close()
