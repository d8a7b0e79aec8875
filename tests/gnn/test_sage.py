"""GraphSAGE against sums written out by hand."""

import numpy as np
import pytest
import torch

from gnn.models.bag import Bags, weighted_sum
from gnn.models.inputs import from_batch, whole
from gnn.models.sage import Sage
from gnn.sampling.temporal import TemporalSampler
from tests.gnn.worlds import random_store


def test_the_mean_over_neighbors_and_its_gradient_are_those_of_a_plain_sum():
    source, offsets = np.array([0, 1, 1, 2, 0]), np.array([0, 2, 2, 5])
    h = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    plain = torch.stack([h[[0, 1]].mean(0), torch.zeros(3, dtype=torch.float64), h[[1, 2, 0]].mean(0)])
    bags = Bags(source, offsets, 4)
    share = bags.share.double()
    assert torch.allclose(weighted_sum(h, share, bags), plain)
    assert torch.autograd.gradcheck(lambda value: weighted_sum(value, share, bags), h, atol=1e-4)


def test_a_weighted_sum_and_both_its_gradients_are_those_of_a_plain_sum():
    source, offsets = np.array([0, 1, 1, 2, 0]), np.array([0, 2, 2, 5])
    h, share = torch.randn(4, 3, requires_grad=True), torch.rand(5, requires_grad=True)
    ends = torch.tensor([0, 0, 2, 2, 2])
    plain = torch.zeros(3, 3).index_add(0, ends, h[source] * share[:, None])
    ours = weighted_sum(h, share, Bags(source, offsets, 4))
    assert torch.allclose(ours, plain)
    weight = torch.randn(3, 3)
    for a, b in zip(*(torch.autograd.grad((x * weight).sum(), (h, share)) for x in (ours, plain)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("aggregation", ["mean", "attention"])
@pytest.mark.parametrize("time", [40, 200])
def test_a_batch_with_every_neighbor_scores_as_the_whole_graph_does(aggregation, time):
    store = random_store(5)
    torch.manual_seed(0)
    model = Sage.for_store(store, "person", hidden=8, layers=2, aggregation=aggregation).eval()
    rows = np.array([3, 0, 7])
    batch = TemporalSampler(store, [99, 99]).sample("person", rows, np.full(3, time))
    with torch.no_grad():
        sampled, full = model(from_batch(store, batch)), model(whole(store, "person", 2, time))
    assert torch.allclose(sampled, full[rows], atol=1e-5)


def test_a_fact_counts_only_from_when_it_was_known():
    store = random_store(2)
    known = np.asarray(store.nodes["person"].known)
    row = int(known[:, 0].argmin())  # a verdict that came early
    model = Sage.for_store(store, "person", hidden=8, layers=1).eval()
    sampler = TemporalSampler(store, [0])
    before, after = (
        from_batch(store, sampler.sample("person", np.array([row]), np.array([time])))
        for time in (known[row, 0] - 1, known[row, 0])
    )
    assert before.x["person"][0, 3] == 0
    assert after.x["person"][0, 3] == 1
    assert model(before).isfinite().all()


def test_each_column_is_put_on_one_scale_and_constant_ones_are_left():
    store = random_store(2)
    model = Sage.for_store(store, "person", hidden=8)
    x = torch.tensor([[1.0, 5, 0, 0, 0, 0, 0], [3.0, 5, 0, 0, 0, 0, 0]])
    model.standardize({"person": x})
    assert model.get_buffer("mean_person")[:2].tolist() == [2, 5]
    assert model.get_buffer("scale_person")[:2].tolist() == [1, 1]
