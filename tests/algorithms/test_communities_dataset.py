"""Community recovery on `credit-sim-zh` of `../shared/data`: better than plain Louvain in the same run."""

from __future__ import annotations

from pathlib import Path

import networkit as nk
import numpy as np
import polars as pl
import pytest

from algorithms.communities.agreement import agreement
from algorithms.communities.edge_files import edge_table
from algorithms.communities.engine import LocalEngine
from algorithms.communities.measures import networkit_graph

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDER = DATA / "credit-sim-zh"
PAIRS = ("shared_device", "shared_employer", "shared_phone_num", "is_relative", "shared_via_employer_phone_num")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{DATA.name} of the shared folder is not here")


def test_the_default_method_recovers_communities_better_than_plain_louvain() -> None:
    edges = pl.concat(
        pl.read_csv(FOLDER / f"{name}_relationship.csv").select(pl.nth(0).alias("src"), pl.nth(1).alias("dst"))
        for name in PAIRS
    )
    known = pl.read_csv(FOLDER / "com.dat", has_header=False, new_columns=["person", "community"])
    truth = known.select(pl.format("p_{}", "person").alias("id"), "community")
    table = edge_table(edges)
    plain = nk.community.PLM(networkit_graph(table.graph(), weighted=False), par="none")
    plain.run()
    theirs = agreement(table.keyed("community", np.array(plain.getPartition().getVector())), truth)
    ours = agreement(LocalEngine().communities(edges), truth)
    assert ours.compared == theirs.compared
    assert ours.nmi > theirs.nmi + 0.2
    assert ours.ari > theirs.ari
    assert ours.pairwise_f1 > theirs.pairwise_f1
