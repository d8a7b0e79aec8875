"""PyTorch Geometric's own loaders and layers on a store."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import SAGEConv, to_hetero

from gnn.sampling.pyg import link_loader, node_loader
from gnn.sampling.temporal import TemporalSampler
from tests.gnn.worlds import random_store, standing


class Theirs(torch.nn.Module):
    """The model of PyTorch Geometric's first tutorial."""

    def __init__(self):
        super().__init__()
        self.one, self.two = SAGEConv((-1, -1), 8), SAGEConv((-1, -1), 1)

    def forward(self, x, edge_index):
        return self.two(self.one(x, edge_index).relu(), edge_index)


def test_a_model_of_pytorch_geometric_trains_on_batches_of_a_store():
    store = random_store(1, edges=200)
    rows, times = torch.arange(12), torch.full((12,), 80)
    batches = list(node_loader(store, TemporalSampler(store, [3, 3]), "person", rows, times, batch_size=5))
    assert [b["person"].batch_size for b in batches] == [5, 5, 2]
    model = to_hetero(Theirs(), batches[0].metadata())
    out = model(batches[0].x_dict, batches[0].edge_index_dict)["person"][:5]
    out.square().sum().backward()
    learned = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert {name.split(".")[0] for name in learned} == {"one", "two"}
    assert batches[1]["person"].n_id[:5].tolist() == [5, 6, 7, 8, 9]


def test_every_edge_of_a_batch_stands_at_the_time_of_its_seed():
    store = random_store(4, edges=200)
    times = torch.arange(12) * 8
    for batch in node_loader(store, TemporalSampler(store, [4, 4]), "person", torch.arange(12), times, batch_size=4):
        for i, rel in enumerate(store.relations):
            edges = batch[rel.key]
            for (a, b), position in zip(edges.edge_index.T.tolist(), edges.e_id.tolist(), strict=True):
                row, time = batch[rel.dst].n_id[b].item(), batch[rel.dst].time[b].item()
                assert position in standing(store, i, row, time)
                assert batch[rel.src].n_id[a].item() == rel.neighbor[position]
        assert sum(batch["person"].num_sampled_nodes) == batch["person"].num_nodes


@pytest.mark.parametrize("negatives", [None, "binary"])
def test_links_asked_about_just_before_they_came_to_be_are_not_in_their_own_batch(negatives):
    store = random_store(6, edges=150, ended=False)
    knows = store.relations[2]
    dst = np.repeat(np.arange(12), np.diff(knows.indptr))
    dated = knows.since >= 0
    ends = torch.from_numpy(np.stack([knows.neighbor[dated].astype(np.int64), dst[dated]]))
    times = torch.from_numpy(knows.since[dated] - 1)
    sampler = TemporalSampler(store, [99, 99])
    options = {"neg_sampling": negatives} if negatives else {}
    for batch in link_loader(store, sampler, knows.key, ends, times, batch_size=16, **options):
        people = batch["person"]
        asked = batch[knows.key].edge_label_index
        assert (people.time[asked[0]] == people.time[asked[1]]).all()
        since = torch.from_numpy(np.asarray(knows.since)[batch[knows.key].e_id.numpy()])
        assert (since <= people.time[batch[knows.key].edge_index[1]]).all()
