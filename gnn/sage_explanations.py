"""Why GraphSAGE gives an application its score: what features and edges add, and what one edge less would change.

Integrated gradients (Sundararajan, Taly and Yan 2017) from an application nobody is linked to, whose columns are all
average, along a straight line to what is there: features and edges grow from nothing to what they are. The
contributions sum to the difference in ln(odds), up to an error that is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gnn.data.store import Store
from gnn.models.inputs import Inputs, from_batch
from gnn.models.sage import Sage
from gnn.sampling.temporal import Batch, Edges, TemporalSampler

STEPS = 64  # points on the line
WIDE = 64  # edges of a relation looked at beside a node: for most nodes all of them
TRIED = 5  # strongest edges that are taken away one at a time


@dataclass(frozen=True)
class EdgePart:
    """What one edge adds to ln(odds): number `position` of the store's relation `number`; ends are rows of labels."""

    relation: str
    number: int
    position: int
    src: int
    dst: int
    contribution: float


@dataclass(frozen=True)
class SageExplanation:
    """Why a seed has its score.

    Attributes:
        logit: ln(odds) of the score; `base`: of the average application without links.
        features: name and contribution of the seed's own columns, strongest first; of each fact two, whether it is
            known and for how long.
        others: what the columns of all other nodes add together.
        edges: strongest first.
        error: by how much base and contributions together miss the logit.
        without: the edge whose absence lowers ln(odds) most, and what is left then; None where none lowers it.
    """

    logit: float
    base: float
    features: tuple[tuple[str, float], ...]
    others: float
    edges: tuple[EdgePart, ...]
    error: float
    without: tuple[EdgePart, float] | None


def explain(model: Sage, store: Store, row: int, time: int, *, steps: int = STEPS, seed: int = 0) -> SageExplanation:
    """Return why a node of the model's label has its score at `time` (inclusive, microseconds).

    Args:
        seed: of the draw beside nodes with more than `WIDE` edges of a relation; beside others it changes nothing.
    """
    model.eval()
    sampler = TemporalSampler(store, [WIDE] * len(model.layers), seed=seed)
    batch = sampler.sample(model.label, np.array([row]), np.array([time]))
    inputs = from_batch(store, batch)
    means = {name: model.get_buffer(f"mean_{name}") for name in inputs.x}
    sizes = {edges.relation: len(edges.source) for edges in batch.edges}
    sums = {name: torch.zeros_like(x) for name, x in inputs.x.items()}
    edge_sums = {relation: torch.zeros(size) for relation, size in sizes.items()}
    for step in range(steps):
        part = (step + 0.5) / steps
        x = {n: (means[n] + part * (value - means[n])).requires_grad_() for n, value in inputs.x.items()}
        scale = {relation: torch.full((size,), part, requires_grad=True) for relation, size in sizes.items()}
        model(_scaled(inputs, x, scale)).sum().backward()
        for name, value in x.items():
            if value.grad is not None:
                sums[name] += value.grad / steps
        for relation, value in scale.items():
            if value.grad is not None:
                edge_sums[relation] += value.grad / steps
    with torch.no_grad():
        whole = {relation: torch.ones(size) for relation, size in sizes.items()}
        none = {relation: torch.zeros(size) for relation, size in sizes.items()}
        logit = float(model(_scaled(inputs, inputs.x, whole)))
        base = float(model(_scaled(inputs, {n: m.expand_as(inputs.x[n]) for n, m in means.items()}, none)))
        parts = {name: (inputs.x[name] - means[name]) * total for name, total in sums.items()}
        edges = _edge_parts(store, batch, edge_sums)
        total = sum(float(p.sum()) for p in parts.values()) + sum(e.contribution for e, *_ in edges)
        left = [
            (edge, float(model(from_batch(store, _without(batch, relation, place)))))
            for edge, relation, place in edges[:TRIED]
        ]
    own = parts[model.label][0]
    names = _names(store, model.label)
    features = sorted(((n, float(v)) for n, v in zip(names, own, strict=True) if v), key=lambda f: -abs(f[1]))
    lowest = min(left, key=lambda pair: pair[1], default=None)
    return SageExplanation(
        logit, base, tuple(features), sum(float(p.sum()) for p in parts.values()) - float(own.sum()),
        tuple(edge for edge, *_ in edges), abs(logit - base - total),
        lowest if lowest is not None and lowest[1] < logit else None,
    )  # fmt: skip


def _scaled(inputs: Inputs, x: dict[str, Tensor], scale: dict[int, Tensor]) -> Inputs:
    """Return inputs with other columns, and only a part of each edge, the same part in every layer."""
    layers = [
        ([replace(of, scale=scale[of.relation][: len(of.bags.source)]) for of in edges], counts)
        for edges, counts in inputs.layers
    ]
    return Inputs(inputs.seeds, x, layers)


def _without(batch: Batch, relation: int, place: int) -> Batch:
    """Return the batch as it would be if one edge were not there; nodes met through it alone change nothing."""
    changed = []
    for edges in batch.edges:
        if edges.relation == relation:
            end = int(np.searchsorted(edges.offsets, place, side="right"))  # the first offset beyond the edge
            offsets = edges.offsets.copy()
            offsets[end:] -= 1
            by_hop = [count - (place < count) for count in edges.by_hop]
            edges = Edges(relation, np.delete(edges.source, place), np.delete(edges.position, place), offsets, by_hop)
        changed.append(edges)
    return replace(batch, edges=changed)


def _edge_parts(store: Store, batch: Batch, sums: dict[int, Tensor]) -> list[tuple[EdgePart, int, int]]:
    """Return every edge with what it adds, its relation and its place in the batch; strongest first."""
    found = []
    for edges in batch.edges:
        rel = store.relations[edges.relation]
        ends = np.repeat(np.arange(len(edges.offsets) - 1), np.diff(edges.offsets))
        src, dst = batch.nodes[rel.src].rows, batch.nodes[rel.dst].rows
        for place, (source, position, end) in enumerate(zip(edges.source, edges.position, ends, strict=True)):
            contribution = float(sums[edges.relation][place])
            part = EdgePart(rel.name, edges.relation, int(position), int(src[source]), int(dst[end]), contribution)
            found.append((part, edges.relation, place))
    found.sort(key=lambda of: (-abs(of[0].contribution), of[0].relation, of[0].position))
    return found


def _names(store: Store, label: str) -> list[str]:
    nodes = store.nodes[label]
    return [*nodes.features, *nodes.facts, *nodes.facts] or ["one"]  # as `node_inputs` lays them out
