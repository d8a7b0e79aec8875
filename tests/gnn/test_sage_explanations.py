"""What features and edges add to a score of GraphSAGE."""

import numpy as np
import pytest
import torch

from gnn.data.store import NodeSet, Store, relation
from gnn.models.inputs import from_batch
from gnn.models.sage import Sage
from gnn.sage_explanations import WIDE, explain
from gnn.sampling.temporal import TemporalSampler
from tests.gnn.worlds import random_store, standing


@pytest.fixture(params=["mean", "attention"])
def model(request) -> tuple[Sage, Store]:
    store = random_store(7, edges=150)
    torch.manual_seed(3)
    made = Sage.for_store(store, "person", hidden=16, layers=2, aggregation=request.param).eval()
    made.standardize({"person": torch.randn(50, 7)})
    return made, store


@pytest.mark.parametrize("row", [0, 5, 11])
def test_base_features_and_edges_sum_to_the_score_up_to_the_error_told(model, row):
    made, store = model
    told = explain(made, store, row, 70, steps=200)
    with torch.no_grad():
        batch = TemporalSampler(store, [WIDE, WIDE]).sample("person", np.array([row]), np.array([70]))
        logit = float(made(from_batch(store, batch)))
    assert told.logit == pytest.approx(logit, abs=1e-5)
    total = sum(c for _, c in told.features) + told.others + sum(e.contribution for e in told.edges)
    assert abs(told.logit - told.base - total) == pytest.approx(told.error, abs=1e-5)
    assert told.error < 0.02


def test_every_edge_named_stands_at_the_time_asked_about(model):
    made, store = model
    told = explain(made, store, 5, 40, steps=4)
    assert told.edges
    for edge in told.edges:
        assert store.relations[edge.number].name == edge.relation
        assert edge.position in standing(store, edge.number, edge.dst, 40)
        assert store.relations[edge.number].neighbor[edge.position] == edge.src


def test_the_strongest_edges_are_the_same_for_five_seeds(model):
    made, store = model
    found = [{(e.relation, e.position) for e in explain(made, store, 5, 70, seed=s).edges[:10]} for s in range(5)]
    for other in found[1:]:
        assert len(found[0] & other) / len(found[0] | other) >= 0.9


def test_without_the_one_edge_that_carries_the_score_it_falls():
    """One handset whose column says fraud, beside one that says nothing."""
    x = np.array([[8.0], [0.0]], np.float32)
    nodes = {"person": NodeSet("person", 1), "thing": NodeSet("thing", 2, ("mark",), x)}
    store = Store(nodes, (relation("USES", "thing", "person", (np.array([0, 1]), np.array([0, 0])), 1),))
    alone = Store(nodes, (relation("USES", "thing", "person", (np.array([1]), np.array([0])), 1),))
    both, one = (from_batch(w, TemporalSampler(w, [9]).sample("person", np.array([0]))) for w in (store, alone))
    torch.manual_seed(0)
    model = Sage.for_store(store, "person", hidden=8, layers=1, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        logits = torch.cat([model(both), model(one)])
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0])).backward()
        optimizer.step()
    told = explain(model, store, 0, 2**62)
    assert told.logit > 1
    assert told.without is not None
    edge, left = told.without
    assert edge.src == 0
    with torch.no_grad():
        assert left == pytest.approx(float(model.eval()(one)), abs=1e-5)  # as if it had never been there
    assert left < told.logit - 1
