"""GraphSAGE over typed edges with times (Hamilton, Ying and Leskovec 2017), with residuals and layer norms.

Every relation and direction has weights of its own; an edge tells its age beside its other end. `mean` aggregates
neighbors evenly, `attention` by what both ends and the age say (Velickovic et al. 2018).
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnn.data.store import Store
from gnn.models.bag import weighted_sum
from gnn.models.inputs import TIMES, Inputs, LayerEdges, width

Aggregation = Literal["mean", "attention"]


class Sage(nn.Module):
    """Logits of fraud for the seeds of a batch; layers must be as many as the batch has hops."""

    def __init__(
        self,
        widths: dict[str, int],
        relations: list[tuple[str, str, str]],
        label: str,
        *,
        hidden: int = 64,
        layers: int = 2,
        dropout: float = 0.3,
        aggregation: Aggregation = "mean",
    ):
        """Args:
        widths: columns of the inputs by label.
        relations: (src, name, dst) in the store's order.
        label: of the nodes to score.
        """
        super().__init__()
        self.told: dict[str, Any] = {
            "widths": widths, "relations": [list(r) for r in relations], "label": label, "hidden": hidden,
            "layers": layers, "dropout": dropout, "aggregation": aggregation,
        }  # fmt: skip
        self.label, self.dropout = label, dropout
        self.relations = [tuple(r) for r in relations]
        for name, count in widths.items():
            self.register_buffer(f"mean_{name}", torch.zeros(count))
            self.register_buffer(f"scale_{name}", torch.ones(count))
        self.enter = nn.ModuleDict({name: nn.Linear(count, hidden) for name, count in widths.items()})
        self.layers = nn.ModuleList(
            Layer(list(widths), self.relations, hidden, dropout, aggregation) for _ in range(layers)
        )
        self.leave = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 1))

    @classmethod
    def for_store(cls, store: Store, label: str, **options: Any) -> Sage:
        """Return a fresh model for graphs of a store's schema."""
        return cls({n: width(store, n) for n in store.nodes}, [r.key for r in store.relations], label, **options)

    def standardize(self, inputs: dict[str, Tensor]) -> None:
        """Take mean and spread of each input column from these rows; constant columns are left as they are."""
        for name, x in inputs.items():
            if len(x) and x.shape[1]:
                spread = x.std(0, correction=0)
                self.get_buffer(f"mean_{name}").copy_(x.mean(0))
                self.get_buffer(f"scale_{name}").copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def entered(self, name: str, x: Tensor) -> Tensor:
        """Return the first hidden state (nodes, hidden) of nodes of a label."""
        x = (x - self.get_buffer(f"mean_{name}")) / self.get_buffer(f"scale_{name}")
        return functional.dropout(functional.gelu(self.enter[name](x)), self.dropout, self.training)

    def states(self, inputs: Inputs) -> Tensor:
        """Return the last hidden state of the seeds, (seeds, hidden)."""
        h = {name: self.entered(name, x) for name, x in inputs.x.items()}
        for layer, (edges, counts) in zip(self.layers, inputs.layers, strict=True):
            h = layer(h, edges, counts)
        return h[self.label][: inputs.seeds[self.label]]

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the logits of the seeds, (seeds,)."""
        logits: Tensor = self.leave(self.states(inputs)).squeeze(1)
        return logits


class Layer(nn.Module):
    """One step of messages over every relation."""

    def __init__(self, labels: list[str], relations: list[Any], hidden: int, dropout: float, aggregation: Aggregation):
        super().__init__()
        self.dropout, self.relations = dropout, relations
        self.norm = nn.ModuleDict({name: nn.LayerNorm(hidden) for name in labels})
        self.own = nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in labels})
        self.out = nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in labels})
        self.of_neighbors = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in relations)
        self.of_age = nn.ModuleList(nn.Linear(TIMES, hidden, bias=False) for _ in relations)
        self.attends = aggregation == "attention"
        if self.attends:  # what source, target and age say, added up: a number for each edge
            self.of_source = nn.ModuleList(nn.Linear(hidden, 1, bias=False) for _ in relations)
            self.of_target = nn.ModuleList(nn.Linear(hidden, 1, bias=False) for _ in relations)
            self.of_edge = nn.ModuleList(nn.Linear(TIMES, 1, bias=False) for _ in relations)

    def forward(self, h: dict[str, Tensor], edges: list[LayerEdges], counts: dict[str, int]) -> dict[str, Tensor]:
        """Return the next states by label, of the first `counts` nodes of each."""
        normed = {name: self.norm[name](state) for name, state in h.items()}
        told: dict[str, list[Tensor]] = {name: [] for name in h}
        for of in edges:
            src, _, dst = self.relations[of.relation]
            told[dst].append(self.aggregated(of, normed[src], normed[dst]))
        return {n: self.after(n, state[: counts[n]], normed[n][: counts[n]], told[n]) for n, state in h.items()}

    def after(self, name: str, state: Tensor, normed: Tensor, told: list[Tensor]) -> Tensor:
        """Return the next state of nodes of a label, (nodes, hidden).

        Args:
            state: (nodes, hidden); `normed`: the same through the layer's norm.
            told: what each relation brings, for the first rows or for all.
        """
        z = self.own[name](normed)
        for part in told:
            z = _added(z, part)
        z = functional.dropout(functional.gelu(z), self.dropout, self.training)
        return state + functional.dropout(self.out[name](z), self.dropout, self.training)

    def aggregated(self, of: LayerEdges, source: Tensor, target: Tensor) -> Tensor:
        """Return what a relation brings to its targets from the normed states of both ends, (targets, hidden)."""
        bags, share = of.bags, of.bags.share
        if self.attends:
            share = self._attended(of, source, target)
        if of.scale is not None:
            share = share * of.scale
        found = self.of_neighbors[of.relation](weighted_sum(source[: bags.count], share, bags))
        aged = of.aged
        if aged is None and of.age is not None:
            aged = share.new_zeros(bags.targets, TIMES).index_add(0, bags.ends(), of.age * share[:, None])
        if aged is not None:
            found = found + self.of_age[of.relation](aged)
        return cast(Tensor, found)

    def _attended(self, of: LayerEdges, source: Tensor, target: Tensor) -> Tensor:
        """Return each edge's share of its target's attention, (E,); they sum to 1."""
        bags, ends = of.bags, of.bags.ends()
        said = self.of_source[of.relation](source).squeeze(1)[bags.source]
        said = said + self.of_target[of.relation](target[: bags.targets]).squeeze(1)[ends]
        if of.age is not None:
            said = said + self.of_edge[of.relation](of.age).squeeze(1)
        return _softmax(functional.leaky_relu(said, 0.2), ends, bags.targets)


def _added(z: Tensor, told: Tensor) -> Tensor:
    """Add to the first rows; only they have such edges in this layer."""
    if len(told) == len(z):
        return z + told
    return torch.cat([z[: len(told)] + told, z[len(told) :]])


def _softmax(said: Tensor, ends: Tensor, targets: int) -> Tensor:
    highest = said.new_full((targets,), -torch.inf).scatter_reduce(0, ends, said.detach(), "amax")
    weight = (said - highest[ends]).exp()
    return weight / weight.new_zeros(targets).index_add(0, ends, weight)[ends]
