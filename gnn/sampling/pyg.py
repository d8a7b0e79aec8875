"""Our samplers through PyTorch Geometric's loader interface, so that any of its models runs on a store.

Its own NeighborLoader needs compiled extras that no package registry holds; its loaders take any sampler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample

from gnn.data.store import Store
from gnn.models.inputs import edge_ages, node_inputs
from gnn.sampling.temporal import Batch, TemporalSampler


class PygSampler(BaseSampler):
    """Gives PyTorch Geometric what a `TemporalSampler` drew; nodes in order of the hop that met them, seeds first."""

    def __init__(self, sampler: TemporalSampler):
        self.sampler = sampler

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> HeteroSamplerOutput:
        """Return what was drawn around `index.node` at `index.time` (microseconds; all that is known where None)."""
        label = str(index.input_type)
        seeds = {label: (index.node.numpy(), None if index.time is None else index.time.numpy())}
        out = self._told(self.sampler.sample_around(seeds))
        out.metadata = (index.input_id, index.time)
        return out

    def sample_from_edges(self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None) -> Any:
        """Return what was drawn around both ends of edges, and of edges that are not there.

        An edge must be asked about at a time strictly before it came to be, or it is seen in its own neighborhood.
        """
        counts: dict[str, int] = {name: nodes.count for name, nodes in self.sampler.store.nodes.items()}
        return edge_sample(index, self._both_ends, counts, index.time is not None, None, neg_sampling)

    @property
    def edge_permutation(self) -> None:
        """Return nothing: edges are in the store's own order."""
        return None

    def _both_ends(self, seeds: dict[str, Tensor], times: dict[str, Tensor] | None) -> HeteroSamplerOutput:
        asked = {name: (rows.numpy(), None if times is None else times[name].numpy()) for name, rows in seeds.items()}
        return self._told(self.sampler.sample_around(asked))

    def _told(self, batch: Batch) -> HeteroSamplerOutput:
        store = self.sampler.store
        node = {name: torch.from_numpy(n.rows) for name, n in batch.nodes.items()}
        empty = torch.empty(0, dtype=torch.long)
        row, col, edge = ({rel.key: empty for rel in store.relations} for _ in range(3))
        hops = {rel.key: [0] * batch.hops for rel in store.relations}
        for of in batch.edges:
            key = store.relations[of.relation].key
            row[key], edge[key] = torch.from_numpy(of.source), torch.from_numpy(of.position)
            col[key] = torch.from_numpy(np.repeat(np.arange(len(of.offsets) - 1), np.diff(of.offsets)))
            hops[key] = np.diff([0, *of.by_hop]).tolist()
        counts = {name: np.diff([0, *n.by_hop]).tolist() for name, n in batch.nodes.items()}
        out = HeteroSamplerOutput(node, row, col, edge, {}, counts, hops)
        out.drawn = batch  # the times, for `_Dressed`
        return out


class _Dressed:
    """A loader whose batches hold what was known of each node and edge at the time it was asked about."""

    def __init__(self, store: Store, *args: Any, **options: Any):
        self._store = store
        super().__init__(hetero_data(store), *args, **options)  # type: ignore[call-arg]

    def filter_fn(self, out: HeteroSamplerOutput) -> HeteroData:
        data: HeteroData = super().filter_fn(out)  # type: ignore[misc]
        batch: Batch = out.drawn
        for name, nodes in batch.nodes.items():
            data[name].x = node_inputs(self._store, name, nodes.rows, nodes.times)
            data[name].time = torch.from_numpy(nodes.times)
        for edges in batch.edges:
            age = edge_ages(self._store, batch, edges)
            if age is not None:
                data[self._store.relations[edges.relation].key].age = age
        return data


class StoreNodeLoader(_Dressed, NodeLoader):
    """Batches of `HeteroData` around nodes; the first `batch_size` nodes of the label are the seeds, in order.

    `x` (nodes, columns) and `time` (nodes,) by label, `edge_index` and, where edges are dated, `age` (edges, 6) by
    relation, all as known at each seed's time. `num_sampled_nodes` and `num_sampled_edges` count by hop.
    """


class StoreLinkLoader(_Dressed, LinkLoader):
    """Batches of `HeteroData` around both ends of edges, dressed as those of `StoreNodeLoader`."""


def hetero_data(store: Store) -> HeteroData:
    """Return the store's labels, relations and counts as PyTorch Geometric knows them, without features or edges."""
    data = HeteroData()
    for label, nodes in store.nodes.items():
        data[label].num_nodes = nodes.count
    for rel in store.relations:
        data[rel.key].edge_index = torch.empty(2, 0, dtype=torch.long)
    return data


def node_loader(
    store: Store, sampler: TemporalSampler, label: str, rows: Tensor, times: Tensor | None = None, **options: Any
) -> StoreNodeLoader:
    """Return a loader around nodes `rows` of a label.

    Args:
        times: int64 microseconds, inclusive; without them everything ever known is seen.
        options: of PyTorch's DataLoader: batch_size, shuffle, …
    """
    return StoreNodeLoader(store, PygSampler(sampler), (label, rows), input_time=times, **options)


def link_loader(
    store: Store,
    sampler: TemporalSampler,
    relation: tuple[str, str, str],
    ends: Tensor,
    times: Tensor | None = None,
    **options: Any,
) -> StoreLinkLoader:
    """Return a loader around edges of a relation.

    Args:
        ends: int64 (2, edges): rows of the relation's src and dst.
        times: int64 microseconds, strictly before each edge came to be.
        options: `neg_sampling`, and those of PyTorch's DataLoader.
    """
    return StoreLinkLoader(store, PygSampler(sampler), (relation, ends), edge_label_time=times, **options)
